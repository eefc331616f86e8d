//! Scores predictions made elsewhere, or stored runs, under one or all conventions.

#[cfg(feature = "report")]
mod page;
mod verify;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub use verify::{Verified, verify};

use crate::config::Benchmark;
use crate::hub::HubOptions;
use crate::jobs::benchmark::locate_data;
use crate::report::table::{Cell, Column, Table};
use crate::report::{
    Matrix, NamedPair, Sensitivity, estimates, explain, per_question, per_question_jsonl, score_all,
};
use crate::run::store::{NamedRun, PredictionRecord, ResultsDir, StoredRun};
use chartbench_core::question::{QuestionKind, YearFlags};
use chartbench_core::terminal::shorten;
use chartbench_data::Split;
use chartbench_score::import::{
    self, ColumnNames, FileFormat, Golds, ImportOptions, ImportedAnswer, MatchBy,
};
use chartbench_score::metric::{CONVENTIONS, Convention, Counterparts, Metric, Pair, Summary};
use chartbench_score::stats::Interval;

/// Which predictions to score, and against which gold answers.
#[derive(Clone, Debug, Default)]
pub struct ScoreRequest {
    /// Files of predictions, RealCQA prediction folders, and stored runs: `RUN` or `RUN/ADAPTER`.
    pub files: Vec<PathBuf>,
    /// Folder that holds the runs; where it is absent, runs are paths only.
    pub results: Option<PathBuf>,
    /// Names of columns (or keys) that their names do not tell.
    pub columns: ColumnNames,
    /// The format of the files, where their content does not tell.
    pub format: Option<FileFormat>,
    /// Gold answers that replace those in files of predictions; stored runs keep their own.
    pub golds: GoldSource,
    /// Never asks a hub for a benchmark's data set.
    pub offline: bool,
}

/// Where gold answers are that are not in the files of predictions.
#[derive(Clone, Debug, Default)]
pub enum GoldSource {
    /// In the files of predictions.
    #[default]
    Predictions,
    /// In a file with ids and gold answers.
    File(PathBuf),
    /// In the test questions of a benchmark, whose data set may be the user's.
    Benchmark {
        /// An embedded benchmark's name, or the path of a TOML file.
        name: String,
        /// Folder or file of the user's copy; `None` for synthetic data, and for the hub's copy.
        data: Option<PathBuf>,
    },
}

/// Answers of one file or of one adapter of a run.
#[derive(Debug)]
pub struct ScoredFile {
    /// The name that tables show.
    pub name: String,
    /// Predictions with their gold answers, failed questions included.
    pub answers: Vec<ImportedAnswer>,
    /// What was guessed, e.g. which column has the predictions; no problem.
    pub notes: Vec<String>,
    /// A sentence each on rows that could not be read, questions that failed, and questions that
    /// are missing.
    pub problems: Vec<String>,
}

/// The answers of every file.
#[derive(Debug)]
pub struct ScoredFiles(pub Vec<ScoredFile>);

/// Reads the predictions and joins them with their gold answers.
///
/// # Errors
/// Returns an error if a file cannot be read, a benchmark is unknown, or gold answers are named and
/// every file is a stored run.
pub fn read(request: &ScoreRequest) -> Result<ScoredFiles> {
    let runs = request
        .files
        .iter()
        .map(|path| find_run(request.results.as_deref(), path))
        .collect::<Result<Vec<_>>>()?;
    if !matches!(request.golds, GoldSource::Predictions)
        && let Some(run) = request.files.first()
        && runs.iter().all(Option::is_some)
    {
        bail!(
            "{} is a stored run, which has its own gold answers: leave out --gold and --benchmark",
            run.display()
        );
    }
    let columns = request.columns.clone();
    let golds = match &request.golds {
        GoldSource::Predictions => None,
        GoldSource::File(file) => Some(Golds::read(file, &columns, None)?),
        GoldSource::Benchmark { name, data } => {
            // Golds alone: no image is opened, and nothing leaves this machine.
            let benchmark = Benchmark::find(name)?;
            let hub = HubOptions::from_env(request.offline);
            let found = locate_data(name, &benchmark, data.as_deref(), &[Split::Test], &hub)?;
            let mut spec = benchmark.data;
            spec.allow_outside = true;
            spec.published = found.published;
            Some(Golds::from_questions(&chartbench_data::load(
                &spec,
                found.path.as_deref(),
                Split::Test,
            )?))
        }
    };
    let options = ImportOptions {
        columns,
        format: request.format,
        golds,
        match_by: MatchBy::Ids,
    };
    let mut files = Vec::new();
    for (path, run) in request.files.iter().zip(runs) {
        if let Some(run) = run {
            files.extend(stored(run.read()?));
        } else {
            let imported = import::read(path, &options)?;
            let problems = import::summarize(&imported.problems);
            let guessed = imported.columns.filter(|columns| columns.guessed);
            files.push(ScoredFile {
                name: path.display().to_string(),
                notes: guessed.iter().map(ToString::to_string).collect(),
                answers: imported.answers,
                problems,
            });
        }
    }
    Ok(ScoredFiles(files))
}

impl ScoredFiles {
    /// All conventions that are for such questions ([`Convention::is_for`]).
    pub fn conventions(&self) -> Vec<&'static Convention> {
        let files: Vec<_> = self.0.iter().map(entries).collect();
        let is_asked = |convention: &&Convention| {
            let mut entries = files.iter().flatten();
            entries.any(|entry| convention.is_for(&entry.pair))
        };
        CONVENTIONS.iter().filter(is_asked).collect()
    }

    /// How many answers there are.
    pub fn answers(&self) -> usize {
        self.0.iter().map(|file| file.answers.len()).sum()
    }

    /// Whether no file had a problem.
    pub fn is_complete(&self) -> bool {
        self.0.iter().all(|file| file.problems.is_empty())
    }

    /// One row for each file and convention; metrics in percent, with intervals by chart where they
    /// are asked for.
    pub fn summary(&self, conventions: &[&Convention], intervals: bool) -> Table {
        let mut metrics: Vec<Metric> = conventions
            .iter()
            .flat_map(|convention| convention.metrics)
            .copied()
            .collect();
        metrics.sort_unstable();
        metrics.dedup();
        let mut rows = Vec::new();
        for file in &self.0 {
            let counterparts = counterparts(file);
            let pair = |answer| pair(answer, &counterparts);
            let scored: Vec<(Summary, Vec<Option<Interval>>)> = if intervals {
                estimates(&file.answers, pair, chart, conventions)
            } else {
                score_all(&file.answers, pair, conventions)
                    .into_iter()
                    .map(|summary| (summary, Vec::new()))
                    .collect()
            };
            for (convention, (summary, intervals)) in conventions.iter().zip(scored) {
                let means = metrics.iter().map(|metric| {
                    let at = convention.metrics.iter().position(|known| known == metric);
                    let interval = at.and_then(|at| *intervals.get(at)?);
                    summary
                        .mean(*metric)
                        .map_or(Cell::Missing, |mean| Cell::Estimate(mean, interval, 3))
                });
                let own = [
                    Cell::text(&file.name),
                    Cell::count(summary.count),
                    Cell::text(convention.name),
                ];
                rows.push(
                    own.into_iter()
                        .chain(means)
                        .chain([Cell::count(summary.errors)])
                        .collect(),
                );
            }
        }
        let own = [
            Column::left("file"),
            Column::right("questions"),
            Column::left("convention"),
        ];
        let column = |metric: &Metric| {
            if intervals {
                Column::estimates(metric.name())
            } else {
                Column::right(metric.name())
            }
        };
        let metrics = metrics.iter().map(column);
        let columns = own
            .into_iter()
            .chain(metrics)
            .chain([Column::right("errors")])
            .collect();
        Table {
            title: String::new(),
            columns,
            rows,
        }
    }

    /// All conventions side by side, with the rules behind every difference from `reference`.
    pub fn matrix(&self, reference: &'static Convention) -> Matrix {
        Matrix::new(&self.entries(), reference)
    }

    /// How far the scores depend on notation, tolerance, and near misses of numbers.
    pub fn sensitivity(&self) -> Sensitivity {
        Sensitivity::new(&self.entries())
    }

    /// Every question's scores, under the name of its file where there are several.
    ///
    /// # Errors
    /// Returns an error if there is no file.
    pub fn questions(&self, scores: &[(&Convention, Metric)]) -> Result<Table> {
        let mut tables = self.0.iter().map(|file| {
            let mut table = per_question(&entries(file), scores);
            if self.0.len() > 1 {
                table.columns.insert(0, Column::left("file"));
                table
                    .rows
                    .iter_mut()
                    .for_each(|row| row.insert(0, Cell::text(&file.name)));
            }
            table
        });
        let mut first = tables.next().context("no file to score")?;
        tables.for_each(|table| first.rows.extend(table.rows));
        Ok(first)
    }

    /// Hands every question's scores to `write` as they come, an object a line; `write` says
    /// whether anyone reads on.
    ///
    /// # Errors
    /// As [`per_question_jsonl`].
    pub fn stream_questions(
        &self,
        scores: &[(&Convention, Metric)],
        mut write: impl FnMut(&str) -> bool,
    ) -> Result<()> {
        for file in &self.0 {
            per_question_jsonl(&entries(file), scores, &mut write)?;
        }
        Ok(())
    }

    /// The steps by which each convention scores the answers with these ids.
    ///
    /// # Errors
    /// Returns an error if no answer has an id.
    pub fn explain(&self, ids: &[String], conventions: &[&Convention]) -> Result<String> {
        let mut texts = Vec::new();
        for id in ids {
            let before = texts.len();
            for file in &self.0 {
                let counterparts = counterparts(file);
                let answers = file.answers.iter().filter(|answer| answer.id == *id);
                texts.extend(answers.map(|answer| {
                    let entry = entry(answer, &counterparts);
                    format!("{}: {}", file.name, explain(&entry, conventions))
                }));
            }
            if texts.len() == before {
                let answers = self.0.iter().flat_map(|file| &file.answers).take(3);
                let examples: Vec<&str> = answers.map(|answer| answer.id.as_str()).collect();
                bail!(
                    "--ids: no answer has the id `{id}` (ids are like {})",
                    examples.join(", ")
                );
            }
        }
        Ok(texts.join("\n"))
    }

    fn entries(&self) -> Vec<(String, Vec<NamedPair<'_>>)> {
        self.0
            .iter()
            .map(|file| (file.name.clone(), entries(file)))
            .collect()
    }
}

/// The stored run at a path; where nothing is there, the run of that name. `None` for a file of
/// predictions.
///
/// # Errors
/// Returns an error if there is neither, and the path does not look like a file's.
fn find_run(results: Option<&Path>, path: &Path) -> Result<Option<NamedRun>> {
    match results {
        Some(results) if !path.exists() => match ResultsDir::new(results).find(path) {
            Err(_) if path.extension().is_some() => Ok(None),
            found => found
                .map(Some)
                .with_context(|| format!("{} is not a file", path.display())),
        },
        _ => Ok(NamedRun::at(path)),
    }
}

/// The adapters of a stored run, each as a source `RUN/ADAPTER`.
fn stored(run: StoredRun) -> Vec<ScoredFile> {
    let StoredRun {
        manifest,
        predictions,
    } = run;
    let sources = predictions.into_iter().map(|(adapter, records)| {
        let missing = manifest.benchmark.questions.saturating_sub(records.len());
        let unasked = (missing > 0)
            .then(|| format!("{missing} questions are not answered yet and not counted"));
        ScoredFile {
            name: manifest.remarked(&adapter, &format!("{}/{adapter}", manifest.name)),
            notes: Vec::new(),
            problems: failures(&records).into_iter().chain(unasked).collect(),
            answers: records.into_iter().map(answered).collect(),
        }
    });
    sources.collect()
}

/// One line on the questions that failed, if any did.
fn failures(records: &[PredictionRecord]) -> Option<String> {
    let mut failed = records
        .iter()
        .filter_map(|record| Some((record.id.as_str(), record.failure()?)));
    let (id, error) = failed.next()?;
    let error = shorten(error);
    Some(match failed.count() {
        0 => format!("{}: failed: {error}", shorten(id)),
        more => format!(
            "{} questions failed (the first: {}: {error})",
            more + 1,
            shorten(id)
        ),
    })
}

fn answered(record: PredictionRecord) -> ImportedAnswer {
    let slice = |name: &str| record.slices.get(name).map(String::as_str);
    let kind = QuestionKind::from_slices(slice);
    ImportedAnswer {
        year_flags: YearFlags::from_slices(slice).text().map(str::to_owned),
        question_type: kind.question_type.map(str::to_owned),
        is_clear: kind.is_clear,
        id: record.id,
        gold: record.gold,
        prediction: record.prediction,
        failure: record.error,
        question: Some(record.question),
        answer_type: record.answer_type,
        chart: Some(record.chart),
    }
}

/// The pairs of assertions of a file.
fn counterparts(file: &ScoredFile) -> Counterparts<'_> {
    let answers = file.answers.iter();
    Counterparts::new(answers.map(|answer| {
        let id = answer.id.as_str();
        (id, &answer.gold, answer.prediction.as_ref())
    }))
}

fn pair<'a>(answered: &'a ImportedAnswer, counterparts: &Counterparts<'a>) -> Pair<'a> {
    Pair {
        gold: &answered.gold,
        prediction: answered.prediction.as_ref(),
        question: answered.question.as_deref(),
        answer_type: answered.answer_type,
        year_flags: answered
            .year_flags
            .as_deref()
            .map(|text| YearFlags::new(text, None))
            .unwrap_or_default(),
        kind: answered.kind(),
        counterpart: counterparts.get(&answered.id),
        judgements: &[],
    }
}

/// The chart of an answer; a question without one counts as a chart of its own.
fn chart(answered: &ImportedAnswer) -> &str {
    answered.chart.as_deref().unwrap_or(&answered.id)
}

fn entry<'a>(answered: &'a ImportedAnswer, counterparts: &Counterparts<'a>) -> NamedPair<'a> {
    NamedPair {
        id: &answered.id,
        pair: pair(answered, counterparts),
    }
}

fn entries(file: &ScoredFile) -> Vec<NamedPair<'_>> {
    let counterparts = counterparts(file);
    let answers = file.answers.iter();
    answers.map(|answer| entry(answer, &counterparts)).collect()
}
