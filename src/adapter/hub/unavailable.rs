//! Why the files of a model cannot be had.

use thiserror::Error;

/// The files of a model cannot be had. What is displayed is the whole line: what is missing, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct WeightsUnavailable {
    /// The kind, for callers that branch on it.
    pub reason: Unavailable,
    /// The line for a user.
    pub message: String,
}

/// The reasons of [`WeightsUnavailable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// There is no such folder, repository, revision or file.
    NotFound,
    /// The cache lacks them, and downloads are off or not built in.
    Offline,
    /// The hub wants a token that may read them.
    Gated,
    /// The hub does not answer, or answers with an error that may pass.
    Unreachable,
}

impl Unavailable {
    /// The error of this reason.
    pub(crate) fn because(self, message: impl Into<String>) -> WeightsUnavailable {
        WeightsUnavailable {
            reason: self,
            message: message.into(),
        }
    }
}
