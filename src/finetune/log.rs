//! The training log, `training.jsonl`: one line per step and per validation. FORMAT.md describes
//! it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Deserializer, Serialize};

use chartbench_core::files::{FileLock, JsonLines};
use chartbench_core::input;

pub use crate::run::store::TRAINING_LOG;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LogEntry {
    /// An optimiser step: `"kind": "step"` in the file.
    Step(StepEntry),
    /// A validation: `"kind": "validation"` in the file.
    Validation(ValidationEntry),
}

/// One optimiser step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepEntry {
    /// Number of finished steps, this one included.
    pub step: u64,
    /// Mean over the batch's label tokens, before the step; `null` in the file, NaN here, when it
    /// is no number.
    #[serde(deserialize_with = "number")]
    pub loss: f64,
    /// Learning rate that the schedule gives this step; 0 in the first step of a warm-up.
    pub lr: f64,
    /// Common norm of the gradients before clipping.
    #[serde(deserialize_with = "number")]
    pub gradient_norm: f64,
    /// Label tokens that counted in the loss.
    pub tokens: u64,
    /// Wall time of the step.
    pub seconds: f64,
}

/// One validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationEntry {
    /// Finished steps.
    pub step: u64,
    /// Size of the validation set, failed questions included.
    pub questions: u64,
    /// By name, e.g. `loss`, `exact_match`; scores are from 0 to 1. As the loss of a step, one may
    /// be NaN.
    #[serde(deserialize_with = "numbers")]
    pub metrics: BTreeMap<String, f64>,
    /// Wall time of the validation.
    pub seconds: f64,
}

/// JSON has no NaN; it is written as `null`.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

fn numbers<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let metrics = BTreeMap::<String, Option<f64>>::deserialize(from)?;
    Ok(metrics
        .into_iter()
        .map(|(name, value)| (name, value.unwrap_or(f64::NAN)))
        .collect())
}

impl LogEntry {
    /// Finished steps when it was written.
    pub fn step(&self) -> u64 {
        match self {
            Self::Step(entry) => entry.step,
            Self::Validation(entry) => entry.step,
        }
    }
}

/// An open log. It holds a lock, so that two processes cannot write the same log.
pub struct TrainingLog(JsonLines);

impl TrainingLog {
    /// Opens or creates the log of a training that resumes after `done` finished steps, the last
    /// validation being that of step `validated` (`None`: no state was saved, not even that of step
    /// 0; no validation is in it). A torn last line and the lines of later steps and validations,
    /// which are repeated, are cut off.
    ///
    /// # Errors
    /// Returns an error if a line before the last is broken, another process has the log open, or
    /// the file cannot be written.
    pub fn open(path: &Path, done: Option<u64>, validated: Option<u64>) -> Result<Self> {
        let lock = FileLock::try_acquire(path)?;
        let lock = lock.with_context(|| {
            format!(
                "{} is in use by another chartbench training",
                path.display()
            )
        })?;
        let mut log = JsonLines::open(path, lock)?;
        let lines = read_lines(path)?;
        let kept = lines.iter().take_while(|(entry, _)| match entry {
            LogEntry::Step(entry) => Some(entry.step) <= done,
            LogEntry::Validation(entry) => Some(entry.step) <= validated,
        });
        log.truncate(kept.last().map_or(0, |&(_, end)| end))?;
        Ok(Self(log))
    }

    /// Appends one line in one write, so that it survives a kill right after.
    ///
    /// # Errors
    /// Returns an error if a write fails (a full disk), after the log is cut back to its last whole
    /// line.
    pub fn append(&mut self, entry: &LogEntry) -> Result<()> {
        self.0.append(std::slice::from_ref(entry))
    }
}

/// Reads a finished or running log; a torn last line is left out.
///
/// # Errors
/// Returns an error if the file cannot be read, or a line before the last is broken.
pub fn read_log(path: &Path) -> Result<Vec<LogEntry>> {
    Ok(read_lines(path)?
        .into_iter()
        .map(|(entry, _)| entry)
        .collect())
}

/// The whole lines, each with the offset of its end in the file.
fn read_lines(path: &Path) -> Result<Vec<(LogEntry, u64)>> {
    let bytes =
        input::read(path, u64::MAX).with_context(|| format!("cannot read {}", path.display()))?;
    let mut lines = Vec::new();
    let mut end = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        // Only a newline at the end proves that a line was written whole.
        if line.last() != Some(&b'\n') {
            break;
        }
        end += line.len() as u64;
        let location = || {
            format!(
                "{}, line {} is not a line of a training log: remove this line, and only its point in the curves is lost",
                path.display(),
                lines.len() + 1
            )
        };
        lines.push((serde_json::from_slice(line).with_context(location)?, end));
    }
    Ok(lines)
}
