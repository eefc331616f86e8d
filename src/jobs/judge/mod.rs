//! Has a language model judge the answers of a stored run, by the wording of a benchmark's official
//! repository. Every verdict is stored as it comes; judged conventions score by them.

mod ask;
mod chartmuseum;
mod charxiv;
mod plan;
mod protocol;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::leaderboard::{LeaderboardRequest, leaderboard};
use super::run::note_waiting;
use crate::adapter::{self, BatchApi, Usage};
use crate::config::{AdapterSpec, Benchmark};
use crate::report::Leaderboard;
use crate::run::Stop;
use crate::run::store::{
    AdapterEntry, DataFolder, JudgeIdentity, JudgedAnswer, JudgementLog, Manifest, NamedRun,
    PredictionRecord, ResultsDir,
};
use ask::JudgeSession;
use chartbench_core::answer::settings_sha256;
use chartbench_core::judgement::Verdict;
use plan::JudgePlan;
use protocol::{JudgeProtocol, Response, SAMPLING};

/// The log of the batches that a judge was asked in, beside the row's judgements.
const JUDGE_BATCHES: &str = "judge-batches.jsonl";

/// Which answers are judged, and by whom.
#[derive(Clone, Debug)]
pub struct JudgeRequest {
    /// A name under `results`, or a path; `RUN/ADAPTER` for one of a run's adapters.
    pub run: PathBuf,
    /// Folder that holds the runs.
    pub results: PathBuf,
    /// The judge: the name of an adapter whose model is behind an endpoint.
    pub judge: String,
    /// A folder of more adapter files.
    pub adapters_dir: Option<PathBuf>,
    /// The convention that decides how the judge is asked; the benchmark's own where it is absent.
    pub convention: Option<String>,
    /// The clone of the official repository; where it is absent, the one that the run was asked
    /// from.
    pub clone: Option<PathBuf>,
    /// Asks the judge in batches; takes a line on how far these are. `None` asks one by one.
    pub batch_api: Option<fn(&str)>,
    /// Ends the job early.
    pub stop: Stop,
}

/// An event of the job.
#[derive(Debug)]
pub enum JudgeEvent<'a> {
    /// A row's answers are about to be judged.
    RowStarted {
        /// The row's name.
        adapter: &'a str,
        /// How many answers it has; failed questions have none.
        answers: usize,
        /// How many of them are judged already.
        judged: usize,
        /// How many stored verdicts are about other answers, or other batches, and dropped.
        dropped: usize,
    },
    /// A request came to verdicts on so many answers.
    Judged(usize),
    /// All answers of a row are judged.
    RowFinished(&'a JudgedRow),
}

/// The verdicts on a row's answers.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedRow {
    /// The row's name.
    pub adapter: String,
    /// How many answers are judged.
    pub answers: usize,
    /// How many requests that took, earlier starts included.
    pub requests: usize,
    /// How many verdicts are invalid.
    pub invalid: usize,
    /// The judge's usage, earlier starts included; `None` where its endpoint does not count.
    pub usage: Option<Usage>,
}

/// The judged run.
pub struct JudgeReport {
    /// The convention that scores by the verdicts.
    pub convention: &'static str,
    /// The judge.
    pub judge: JudgeIdentity,
    /// The judged rows.
    pub rows: Vec<JudgedRow>,
    /// The rows' scores under the convention, with the official code's slices.
    pub leaderboard: Leaderboard,
}

/// Judges every answer that has no verdict yet.
///
/// # Errors
/// Returns an error in one line if the run is on no judged benchmark or unfinished, the clone or
/// the judge cannot be had, stored verdicts are of another judge or wording, the judge cannot go on,
/// or the log cannot be written; and [`Stopped`](crate::run::Stopped) after a request to stop. What
/// was judged until then is stored.
pub fn judge(
    request: &JudgeRequest,
    observe: &mut dyn FnMut(JudgeEvent<'_>),
) -> Result<JudgeReport> {
    let named = ResultsDir::new(&request.results).find(&request.run)?;
    let run = named.read()?;
    let protocol = open_protocol(request, &named, &run.manifest)?;
    let spec = AdapterSpec::find(&request.judge, request.adapters_dir.as_deref())?;
    let open_judge = |batch_api| {
        let judge = adapter::judge(&spec, batch_api);
        judge.with_context(|| request.judge.clone())
    };
    let model = open_judge(None)?;
    let mut settings = model.settings();
    settings.extend(SAMPLING.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let named_model = settings.iter().find(|(key, _)| key == "model");
    let judge = JudgeIdentity {
        name: spec.id.clone(),
        model: named_model
            .map(|(_, model)| model.clone())
            .unwrap_or_default(),
        settings_sha256: settings_sha256(&settings),
    };
    for (adapter, records) in &run.predictions {
        let (answered, questions) = (records.len(), run.manifest.benchmark.questions);
        ensure!(
            answered >= questions,
            "{}: {adapter} is unfinished, {answered} of {questions} questions are answered: `chartbench run` goes on with it, \
             and what it answers is judged then",
            named.dir.display()
        );
    }
    let mut session = JudgeSession {
        model,
        judge: &judge,
        protocol: &protocol,
        stop: &request.stop,
    };
    let mut rows = Vec::new();
    for (adapter, records) in &run.predictions {
        let entry = run
            .manifest
            .adapters
            .iter()
            .find(|entry| entry.id == *adapter);
        let row = RowAnswers {
            dir: &named.dir,
            adapter,
            responses: responses(records, entry),
        };
        // Each row has batches of its own.
        let log = row.dir.join(adapter).join(JUDGE_BATCHES);
        match request.batch_api {
            Some(report) => {
                session.model = open_judge(Some(BatchApi {
                    log,
                    retry_failed: false,
                    report,
                }))?
            }
            None => note_waiting(adapter, &log),
        }
        let judged = row.judge(&mut session, observe)?;
        observe(JudgeEvent::RowFinished(&judged));
        rows.push(judged);
    }
    let scored = leaderboard(&LeaderboardRequest {
        runs: vec![named.path()],
        results: request.results.clone(),
        convention: Some(protocol.convention().to_owned()),
        slices: Some(protocol.slices()),
        speed: false,
        out: None,
        document: None,
        command: String::new(),
        check: false,
    })?;
    Ok(JudgeReport {
        convention: protocol.convention(),
        judge,
        rows,
        leaderboard: scored.leaderboard,
    })
}

/// How the run's benchmark is judged.
fn open_protocol(
    request: &JudgeRequest,
    named: &NamedRun,
    manifest: &Manifest,
) -> Result<JudgeProtocol> {
    let known = DataFolder::read(&named.dir)?;
    // A run's name is taken for the name of an embedded benchmark, never for a file.
    let benchmark = match &known {
        Some(known) => Benchmark::find(&known.benchmark)?,
        None if Benchmark::embedded_names().any(|name| name == manifest.benchmark.name) => {
            Benchmark::find(&manifest.benchmark.name)?
        }
        None => bail!(
            "{}: the benchmark `{}` is none of chartbench's own, and {} does not say where its file is",
            named.dir.display(),
            manifest.benchmark.name,
            named.dir.display()
        ),
    };
    let clone = || {
        let known = known.as_ref().map(|known| known.data.as_path());
        request.clone.as_deref().or(known).with_context(|| {
            format!(
                "{} does not say which clone it was asked from: name it by --clone",
                named.dir.display()
            )
        })
    };
    JudgeProtocol::open(&benchmark.data, request.convention.as_deref(), &clone)
}

/// The answers that a judge reads; failed questions have none.
fn responses<'a>(
    records: &'a [PredictionRecord],
    entry: Option<&AdapterEntry>,
) -> Vec<Response<'a>> {
    let is_chat = entry.is_some_and(|entry| {
        let family = entry.settings.get("family").and_then(toml::Value::as_str);
        family == Some("chat") && !entry.settings.contains_key("table_family")
    });
    records
        .iter()
        .filter_map(|record| Response::new(record, is_chat))
        .collect()
}

/// A row whose answers are judged.
struct RowAnswers<'a> {
    dir: &'a Path,
    adapter: &'a str,
    responses: Vec<Response<'a>>,
}

impl RowAnswers<'_> {
    fn judge(
        &self,
        session: &mut JudgeSession<'_>,
        observe: &mut dyn FnMut(JudgeEvent<'_>),
    ) -> Result<JudgedRow> {
        let protocol = session.protocol;
        let requests = protocol
            .requests(&self.responses)
            .with_context(|| format!("{}/{}", self.dir.display(), self.adapter))?;
        let (mut log, mut stored) = JudgementLog::open(&self.dir.join(self.adapter))?;
        stored.retain(|record| record.convention == protocol.convention());
        let JudgePlan {
            pending,
            superseded,
        } = JudgePlan::new(requests, &stored, session.judge)
            .with_context(|| log.path().display().to_string())?;
        if !superseded.is_empty() {
            log.retain(|record| !superseded.contains(record))?;
            stored.retain(|record| !superseded.contains(record));
        }
        let judged = stored.iter().map(|record| record.answers.len()).sum();
        observe(JudgeEvent::RowStarted {
            adapter: self.adapter,
            answers: self.responses.len(),
            judged,
            dropped: superseded.iter().map(|record| record.answers.len()).sum(),
        });
        session.ask(pending, &mut |record| {
            log.append(&record)?;
            observe(JudgeEvent::Judged(record.answers.len()));
            stored.push(record);
            Ok(())
        })?;
        session.model.finish()?;
        let invalid = |answer: &&JudgedAnswer| answer.score == Verdict::Invalid;
        let usages = stored.iter().filter_map(|record| record.usage);
        Ok(JudgedRow {
            adapter: self.adapter.to_owned(),
            answers: self.responses.len(),
            requests: stored.len(),
            invalid: stored
                .iter()
                .flat_map(|record| &record.answers)
                .filter(invalid)
                .count(),
            usage: usages.reduce(Usage::plus),
        })
    }
}
