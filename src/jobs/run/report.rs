//! How a run ended.

use std::path::PathBuf;

use super::ShardReport;
use crate::jobs::AdapterFailure;
use crate::report::Leaderboard;

/// How a run ended.
pub struct RunReport {
    /// The run's directory.
    pub dir: PathBuf,
    /// The leaderboard over all adapters of the run, with the slices of the request too; that of a
    /// shard is empty.
    pub leaderboard: Leaderboard,
    /// The best model row against the best blind row, in a sentence; absent where the run lacks one
    /// of the two.
    pub against_blind: Option<String>,
    /// Adapters that did not load or could not go on.
    pub failures: Vec<AdapterFailure>,
    /// The adapters of the request with questions whose row is a failure.
    pub failed_questions: Vec<FailedQuestions>,
    /// What a shard asked; absent where the run is not cut into shards.
    pub shard: Option<ShardReport>,
}

/// The questions of one adapter whose row is a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedQuestions {
    /// The row's name, e.g. `matcha-base`.
    pub adapter: String,
    /// How many failed.
    pub failed: usize,
    /// How many have a row.
    pub questions: usize,
    /// Why the first of them failed.
    pub first_error: String,
}

impl RunReport {
    /// Whether every adapter answered every question.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.failed_questions.is_empty()
    }
}
