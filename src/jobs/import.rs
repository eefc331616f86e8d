//! Puts predictions made elsewhere into a run directory, like those of an adapter.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::benchmark::benchmark_entry;
use super::leaderboard::store_leaderboard;
use super::{BenchmarkSelection, convention};
use crate::config::Benchmark;
use crate::hub::HubOptions;
use crate::report::Leaderboard;
use crate::run::store::{AdapterEntry, Manifest, PredictionRecord, RunDir};
use chartbench_core::answer::{Identity, settings_sha256};
use chartbench_core::names::check_folder_name;
use chartbench_core::question::{
    Chart, ChartQuestions, ImageRef, Question, QuestionSet, Split, YEAR,
};
use chartbench_core::terminal::shorten;
use chartbench_data::load;
use chartbench_score::import::{
    self, ColumnNames, ColumnsRead, FileFormat, Golds, ImportOptions, ImportResult, ImportedAnswer,
    MatchBy, Matched, Provenance,
};

/// The benchmark of questions that no other one has.
const OWN_QUESTIONS: &str = "custom";
/// The family of adapters whose predictions were made elsewhere.
const FAMILY: &str = "imported";

/// Which predictions become which adapter of which run.
#[derive(Clone, Debug)]
pub struct ImportRequest {
    /// A file of predictions, or a RealCQA prediction folder.
    pub file: PathBuf,
    /// Name of the run, a folder under `results`.
    pub name: String,
    /// Name of the row; the model that the file names, else the run's name, where it is absent.
    pub adapter: Option<String>,
    /// Folder the run is written under.
    pub results: PathBuf,
    /// The benchmark whose test questions were asked; without benchmark and data the file's own
    /// questions are taken.
    pub benchmark: BenchmarkSelection,
    /// Never asks a hub for the benchmark's data set.
    pub offline: bool,
    /// A file of gold answers, if the questions are the file's own and their golds lie apart.
    pub golds: Option<PathBuf>,
    /// Names of columns (or keys) that their names do not tell.
    pub columns: ColumnNames,
    /// The format of the file, where its content does not tell.
    pub format: Option<FileFormat>,
    /// How predictions find their questions.
    pub match_by: MatchBy,
}

/// What was imported.
pub struct ImportReport {
    /// The run's directory.
    pub dir: PathBuf,
    /// The row's name.
    pub adapter: String,
    /// The leaderboard over all adapters of the run, as it is stored.
    pub leaderboard: Leaderboard,
    /// Questions of the run.
    pub questions: usize,
    /// Questions without a prediction, whose row is a failure.
    pub failed: usize,
    /// A sentence each on predictions without a question, questions without a prediction, and
    /// other problems of single answers.
    pub problems: Vec<String>,
    /// The columns that were recognised; `None` where the format has none to recognise.
    pub columns: Option<ColumnsRead>,
    /// How predictions found their questions; `None` where the questions are the file's own.
    pub matched: Option<Matched>,
}

/// Reads the predictions, joins them with their questions, and stores them with a leaderboard.
///
/// # Errors
/// Returns an error if the file or the benchmark cannot be read, no prediction belongs to a
/// question, the folder holds another run, or the predictions cannot be stored.
pub fn import(request: &ImportRequest) -> Result<ImportReport> {
    check_folder_name("--as", &request.name)?;
    if let Some(adapter) = &request.adapter {
        check_folder_name("--adapter", adapter)?;
    }
    let ImportedRun {
        benchmark,
        set,
        result,
    } = ImportedRun::read(request)?;
    let answer_types = set.iter().map(|(_, question)| question.answer_type);
    let convention = convention(None, benchmark.convention.as_deref(), answer_types)?;
    let adapter = request
        .adapter
        .clone()
        .or_else(|| model_name(&result.provenance))
        .unwrap_or_else(|| request.name.clone());
    let entry = AdapterEntry::new(&identity(&adapter, request, &result), &[]);
    let asked = benchmark_entry(&benchmark, (set.charts.len(), set.len()), set.hash()?);
    let manifest = Manifest::new(&request.name, asked);
    let mut dir = RunDir::open(&request.results.join(&request.name), manifest)?;
    let mut log = dir.add_adapter(entry, false)?;
    let stored = log.stored().read()?.len();
    let records = records(&set, &result.answers, &request.file);
    let failed = records
        .iter()
        .filter(|record| record.failure().is_some())
        .count();
    // An import that was killed has stored the first records.
    log.append(records.get(stored..).unwrap_or_default())?;
    drop(log);
    let dir = dir.path().to_owned();
    Ok(ImportReport {
        leaderboard: store_leaderboard(convention, &dir, &[])?.0,
        dir,
        adapter,
        questions: records.len(),
        failed,
        problems: import::summarize(&result.problems),
        columns: result.columns,
        matched: result.matched,
    })
}

/// The questions of a run with their predictions, one answer a question in the same order.
struct ImportedRun {
    benchmark: Benchmark,
    set: QuestionSet,
    result: ImportResult,
}

impl ImportedRun {
    fn read(request: &ImportRequest) -> Result<Self> {
        let selection = &request.benchmark;
        let mut options = ImportOptions {
            columns: request.columns.clone(),
            format: request.format,
            golds: None,
            match_by: request.match_by,
        };
        if selection.benchmark.is_some() || selection.data.is_some() {
            let mut benchmark = selection.load()?;
            let hub = HubOptions::from_env(request.offline);
            let data = selection.locate(&benchmark, &[Split::Test], &hub)?;
            benchmark.data.published.clone_from(&data.published);
            let set = load(&benchmark.data, data.path.as_deref(), Split::Test)?;
            options.golds = Some(Golds::from_questions(&set));
            return Ok(Self {
                result: import::read(&request.file, &options)?,
                benchmark,
                set,
            });
        }
        if let Some(golds) = &request.golds {
            options.golds = Some(Golds::read(golds, &request.columns, None)?);
        }
        let mut result = import::read(&request.file, &options).context(
            "without --benchmark the questions and their gold answers are taken from the file",
        )?;
        let set = own_questions(&mut result.answers, &request.file)?;
        Ok(Self {
            benchmark: Benchmark::find(OWN_QUESTIONS)?,
            set,
            result,
        })
    }
}

/// The questions of `answers`, which get the order of the questions: by chart.
///
/// # Errors
/// Returns an error if a question has no text.
fn own_questions(answers: &mut Vec<ImportedAnswer>, file: &Path) -> Result<QuestionSet> {
    let mut charts: Vec<(ChartQuestions, Vec<ImportedAnswer>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for answer in std::mem::take(answers) {
        let Some(text) = answer
            .question
            .clone()
            .filter(|text| !text.trim().is_empty())
        else {
            bail!(
                "{}: the answer with the id `{}` has no question: name the column with --question-column, or the \
                 benchmark that was asked with --benchmark and --data",
                file.display(),
                shorten(&answer.id)
            );
        };
        let question = Question {
            id: answer.id.clone(),
            text,
            gold: answer.gold.clone(),
            answer_type: answer.answer_type,
            taxonomy: None,
            template: None,
            source: None,
            slices: answer
                .year_flags
                .iter()
                .map(|flags| (YEAR.to_owned(), flags.clone()))
                .collect(),
            context: None,
        };
        let id = answer.chart.clone().unwrap_or_else(|| answer.id.clone());
        let place = *places.entry(id.clone()).or_insert(charts.len());
        if place == charts.len() {
            let chart = Chart {
                image: ImageRef::File(id.as_str().into()),
                id,
                chart_type: None,
                table: None,
            };
            let questions = Vec::new();
            charts.push((ChartQuestions { chart, questions }, Vec::new()));
        }
        if let Some((chart, answers)) = charts.get_mut(place) {
            chart.questions.push(question);
            answers.push(answer);
        }
    }
    let (charts, ordered): (Vec<_>, Vec<_>) = charts.into_iter().unzip();
    *answers = ordered.into_iter().flatten().collect();
    Ok(QuestionSet {
        benchmark: OWN_QUESTIONS.to_owned(),
        charts,
    })
}

/// The settings of the row: what the file says, and a hash of the predictions.
fn identity(adapter: &str, request: &ImportRequest, result: &ImportResult) -> Identity {
    let predictions: Vec<(String, String)> = result
        .answers
        .iter()
        .filter_map(|answer| Some((answer.id.clone(), answer.prediction.clone()?.0)))
        .collect();
    let file = request.file.file_name().unwrap_or_default();
    let mut settings = vec![
        ("family".to_owned(), FAMILY.to_owned()),
        ("file".to_owned(), file.to_string_lossy().into_owned()),
        (
            "predictions_sha256".to_owned(),
            settings_sha256(&predictions),
        ),
    ];
    settings.extend(result.provenance.settings());
    Identity {
        id: adapter.to_owned(),
        settings,
    }
}

/// The name of the model that the file names, as a row is called: without its owner.
fn model_name(provenance: &Provenance) -> Option<String> {
    let name = provenance.model.as_deref()?.rsplit('/').next()?.trim();
    check_folder_name("model", name).ok()?;
    Some(name.to_owned())
}

fn records(set: &QuestionSet, answers: &[ImportedAnswer], file: &Path) -> Vec<PredictionRecord> {
    let file = file.file_name().unwrap_or_default().to_string_lossy();
    let mut answers = answers.iter();
    let mut records = Vec::with_capacity(answers.len());
    for ChartQuestions { chart, questions } in &set.charts {
        let slices = chart.slices();
        for (question, answer) in questions.iter().zip(answers.by_ref()) {
            let prediction = answer.prediction.clone();
            let failure = || match &answer.failure {
                Some(reason) => reason.clone(),
                None => format!("{file} has no prediction of it"),
            };
            records.push(PredictionRecord {
                error: prediction.is_none().then(failure),
                prediction,
                ..PredictionRecord::unanswered(chart, &slices, question)
            });
        }
    }
    records
}
