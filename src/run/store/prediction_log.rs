//! `predictions.jsonl`: one line a question, appended and flushed as it is answered, read back on
//! resume.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use litemap::LiteMap;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::Predictions;
use super::logs::PREDICTIONS;
use chartbench_core::answer::Usage;
use chartbench_core::files::{FileLock, JsonLines};
use chartbench_core::judgement::Judgement;
use chartbench_core::question::{AnswerType, Chart, Gold, Prediction, Question, Taxonomy};
use chartbench_core::shard::Shard;

/// One line of `predictions.jsonl`: the raw answer with all that scoring and slicing need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictionRecord {
    /// The question's id, unique in the file.
    pub id: String,
    /// The chart's id; intervals group questions by it.
    pub chart: String,
    /// The question's text.
    pub question: String,
    /// The gold answer, whole; a list is an array in the file.
    pub gold: Gold,
    /// The gold answer's type; absent where the data set has no types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_type: Option<AnswerType>,
    /// RealCQA's question class; absent where the data set has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taxonomy: Option<Taxonomy>,
    /// The kind of chart, e.g. `vertical bar`; absent where it is not annotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart_type: Option<String>,
    /// The part of the data set, e.g. ChartQA's `human`; absent where it has no parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The question's template, where the data set has templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Further properties of the chart and the question, by name.
    #[serde(default, skip_serializing_if = "LiteMap::is_empty")]
    pub slices: LiteMap<String, String>,
    /// As decoded, before any normalisation; `null` when the question failed.
    pub prediction: Option<Prediction>,
    /// The generated token ids, end-of-sequence token included; absent for adapters without tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_ids: Vec<u32>,
    /// The whole completions of a language model, where the prediction is only a part of them;
    /// absent elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub completions: Vec<String>,
    /// Usage of a metered service; absent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Why a language model's text ends, as its service names it; absent where no service does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// Whether the adapter file's `answer.after` is missing in the completion, so that all of it is
    /// the answer; absent elsewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub marker_missing: bool,
    /// Why the question failed; `null` when it was answered.
    pub error: Option<String>,
    /// Wall time in milliseconds: the call's time divided by the questions answered in it.
    pub latency_ms: f64,
    /// The verdicts of judges on this very answer, at most one under each convention: from the log
    /// of judgements, never in this one.
    #[serde(skip)]
    pub judgements: Vec<Judgement>,
}

impl PredictionRecord {
    /// The record of a question without an answer; `chart_slices` are [`Chart::slices`].
    pub fn unanswered(
        chart: &Chart,
        chart_slices: &BTreeMap<String, String>,
        question: &Question,
    ) -> Self {
        Self {
            id: question.id.clone(),
            chart: chart.id.clone(),
            question: question.text.clone(),
            gold: question.gold.clone(),
            answer_type: question.answer_type,
            taxonomy: question.taxonomy,
            chart_type: chart.chart_type.clone(),
            source: question.source.clone(),
            template: question.template.clone(),
            slices: chart_slices
                .clone()
                .into_iter()
                .chain(question.slices.clone())
                .collect(),
            prediction: None,
            token_ids: Vec::new(),
            completions: Vec::new(),
            usage: None,
            finish_reason: None,
            marker_missing: false,
            error: None,
            latency_ms: 0.0,
            judgements: Vec::new(),
        }
    }

    /// Why the question failed, if it did. A row without a prediction is a failure, whether it has
    /// an error or not.
    pub fn failure(&self) -> Option<&str> {
        match (&self.error, &self.prediction) {
            (Some(error), _) => Some(error),
            (None, None) => Some("its row has neither a prediction nor an error"),
            (None, Some(_)) => None,
        }
    }
}

/// Another process writes the log. It displays the whole line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InUse(pub String);

/// An open prediction log. It holds a lock, so that two processes cannot append to the same log.
pub struct PredictionLog {
    path: PathBuf,
    lines: JsonLines,
    /// The shard that answers, where the run is cut into some.
    shard: Option<Shard>,
    /// Every log that may answer a question of this one, itself included.
    logs: Vec<PathBuf>,
    answered: usize,
}

/// A log whose lines are not read yet.
pub(super) struct LockedLog {
    /// The log's file.
    pub path: PathBuf,
    /// The file, locked.
    pub lines: JsonLines,
    /// The shard that answers.
    pub shard: Option<Shard>,
    /// Every log that may answer a question of this one, itself included.
    pub logs: Vec<PathBuf>,
}

impl PredictionLog {
    /// Opens or creates a log. A torn last line, left by a killed process, is cut off; with
    /// `drop_failed` the failed rows are dropped as well, to be asked again.
    ///
    /// # Errors
    /// Returns an error if a line before the last is broken, an id occurs twice, another process
    /// has the log open, or the file cannot be read or written.
    pub fn open(path: &Path, drop_failed: bool) -> Result<Self> {
        let log = LockedLog {
            path: path.to_owned(),
            lines: JsonLines::open(path, Self::lock(path)?)?,
            shard: None,
            logs: vec![path.to_owned()],
        };
        Self::read(log, drop_failed)
    }

    /// Locks the log at `path`, which need not exist yet.
    ///
    /// # Errors
    /// Returns an error if another process has the log open.
    pub(super) fn lock(path: &Path) -> Result<FileLock> {
        let in_use = || {
            InUse(format!(
                "{} is in use by another chartbench run: start this one again when that has ended",
                path.display()
            ))
        };
        Ok(FileLock::try_acquire(path)?.ok_or_else(in_use)?)
    }

    /// Reads a locked log. With `drop_failed` its failed rows are dropped; those of other logs stay,
    /// which a note says.
    pub(super) fn read(log: LockedLog, drop_failed: bool) -> Result<Self> {
        let LockedLog {
            path,
            lines,
            shard,
            logs,
        } = log;
        let mut log = Self {
            path,
            lines,
            shard,
            logs,
            answered: 0,
        };
        let (mut failed, mut elsewhere) = (0, FailedElsewhere::default());
        let mut stored = log.stored();
        while let Some(chunk) = stored.next() {
            let records = chunk?;
            let failures = records.iter().filter(|row| row.failure().is_some()).count();
            if stored.log() == Some(&log.path) {
                failed += failures;
            } else {
                elsewhere.count(failures, stored.log());
            }
            log.answered += records.len();
        }
        if drop_failed && failed > 0 {
            log.lines.retain(is_answered)?;
            log.answered -= failed;
        }
        if drop_failed && elsewhere.rows > 0 {
            chartbench_core::note!("{}", elsewhere.describe(&log.path));
        }
        Ok(log)
    }

    /// Returns the stored predictions that are to be asked for no more: of each log that may answer
    /// the same questions, in the order they were answered.
    pub fn stored(&self) -> Predictions {
        Predictions::over(self.logs.iter().cloned()).held_by(self.shard)
    }

    /// The number of stored predictions when the log was opened.
    pub fn answered(&self) -> usize {
        self.answered
    }

    /// Appends answers in one write, so that they survive a kill right after.
    ///
    /// # Errors
    /// Returns an error if a write fails (a full disk), after the log is cut back to its last whole
    /// line.
    pub fn append(&mut self, records: &[PredictionRecord]) -> Result<()> {
        self.lines
            .append(records)
            .map_err(|error| anyhow!("{error:#}; start the run again to go on"))
    }
}

/// Failed rows in other logs than the one that is appended to.
#[derive(Default)]
struct FailedElsewhere {
    rows: usize,
    /// Whether some are in the log of a shard.
    in_shard: bool,
}

impl FailedElsewhere {
    fn count(&mut self, failures: usize, log: Option<&Path>) {
        self.rows += failures;
        let is_whole = log.is_some_and(|log| log.ends_with(PREDICTIONS));
        self.in_shard |= failures > 0 && !is_whole;
    }

    /// Says in a line which command asks them again.
    fn describe(&self, own: &Path) -> String {
        let Self { rows, in_shard } = self;
        let remedy = if *in_shard {
            "when every question has a row, merge the run (chartbench merge), then the same command without --shard asks them"
        } else {
            "the same command without --shard asks them"
        };
        format!(
            "note: {rows} failed rows are in other logs than {} and are not asked again: {remedy}",
            own.display()
        )
    }
}

/// Whether a line of the log is an answer, by [`PredictionRecord::failure`].
fn is_answered(line: &[u8]) -> std::io::Result<bool> {
    #[derive(Deserialize)]
    struct Outcome {
        prediction: Option<IgnoredAny>,
        error: Option<IgnoredAny>,
    }
    let outcome: Outcome = serde_json::from_slice(line)?;
    Ok(outcome.error.is_none() && outcome.prediction.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, error: Option<&str>) -> PredictionRecord {
        PredictionRecord {
            id: id.to_owned(),
            chart: "c".to_owned(),
            question: "What?".to_owned(),
            gold: "5".into(),
            answer_type: None,
            taxonomy: None,
            chart_type: None,
            source: None,
            template: None,
            slices: Default::default(),
            prediction: error.is_none().then(|| Prediction("4".to_owned())),
            token_ids: vec![1, 2],
            completions: Vec::new(),
            usage: None,
            finish_reason: None,
            marker_missing: false,
            error: error.map(str::to_owned),
            latency_ms: 1.5,
            judgements: Vec::new(),
        }
    }

    fn with_log(test: impl FnOnce(&Path)) {
        let dir = tempfile::tempdir().unwrap();
        test(&dir.path().join("predictions.jsonl"));
    }

    #[test]
    fn what_is_appended_is_read_back() {
        with_log(|path| {
            let mut log = PredictionLog::open(path, false).unwrap();
            log.append(&[record("a", None), record("b", Some("broken"))])
                .unwrap();
            drop(log);
            assert_eq!(
                Predictions::new(path).read().unwrap(),
                [record("a", None), record("b", Some("broken"))]
            );
        });
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_written_anew() {
        with_log(|path| {
            PredictionLog::open(path, false)
                .unwrap()
                .append(&[record("a", None), record("b", None)])
                .unwrap();
            let whole = std::fs::read(path).unwrap();
            for length in 0..whole.len() {
                std::fs::write(path, &whole[..length]).unwrap();
                let mut log = PredictionLog::open(path, false).unwrap();
                let found = log.stored().read().unwrap().len();
                let missing: Vec<_> = ["a", "b"]
                    .into_iter()
                    .skip(found)
                    .map(|id| record(id, None))
                    .collect();
                log.append(&missing).unwrap();
                assert_eq!(std::fs::read(path).unwrap(), whole, "cut at {length}");
            }
        });
    }

    #[test]
    fn a_broken_line_in_the_middle_is_an_error_that_names_it() {
        with_log(|path| {
            std::fs::write(path, "{\"id\":\n{}\n").unwrap();
            let error = PredictionLog::open(path, false).err().unwrap();
            assert!(
                error
                    .to_string()
                    .contains("predictions.jsonl, line 1 is not a prediction"),
                "{error:#}"
            );
        });
    }

    #[test]
    fn a_doubled_id_is_an_error() {
        with_log(|path| {
            PredictionLog::open(path, false)
                .unwrap()
                .append(&[record("a", None), record("a", None)])
                .unwrap();
            let error = Predictions::new(path).read().unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("line 2: question `a` is answered twice"),
                "{error:#}"
            );
        });
    }

    #[test]
    fn two_runs_cannot_share_a_log() {
        with_log(|path| {
            let _first = PredictionLog::open(path, false).unwrap();
            let error = PredictionLog::open(path, false).err().unwrap();
            assert!(error.to_string().contains("in use by another"), "{error:#}");
        });
    }

    #[test]
    fn failed_rows_are_dropped_on_request() {
        with_log(|path| {
            PredictionLog::open(path, false)
                .unwrap()
                .append(&[record("a", Some("x")), record("b", None)])
                .unwrap();
            assert_eq!(
                PredictionLog::open(path, false)
                    .unwrap()
                    .stored()
                    .read()
                    .unwrap()
                    .len(),
                2
            );
            assert_eq!(
                PredictionLog::open(path, true)
                    .unwrap()
                    .stored()
                    .read()
                    .unwrap(),
                [record("b", None)]
            );
            assert_eq!(Predictions::new(path).read().unwrap(), [record("b", None)]);
        });
    }
}
