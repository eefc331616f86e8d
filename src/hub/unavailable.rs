//! Why the files of a model or of a data set cannot be had.

use thiserror::Error;

/// The files of a model or of a data set cannot be had. What is displayed is the whole line: what is missing, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct WeightsUnavailable {
    /// The kind, for callers that branch on it.
    pub reason: Unavailable,
    /// The line for a user.
    pub message: String,
}

#[cfg(feature = "hub")]
impl WeightsUnavailable {
    /// The hub at `hub` answers with an error `status` and its own `error_code`, asked for a
    /// repository and its revision, or a file in it.
    pub(super) fn refused(
        hub: &str,
        status: u16,
        error_code: &str,
        [repo, revision]: [&str; 2],
        file: Option<&str>,
    ) -> Self {
        let what = file.map_or_else(
            || format!("{repo}@{revision}"),
            |file| format!("{file} of {repo}@{revision}"),
        );
        let (reason, message) = match (status, error_code, file) {
            (401, "RepoNotFound", _) => (
                Unavailable::NotFound,
                format!(
                    "{hub} has no public repository {repo}: check the name, or set HF_TOKEN if it is a private one"
                ),
            ),
            (401 | 403, ..) => (
                Unavailable::Gated,
                format!(
                    "{hub} refuses {what}: it is gated or private; accept its terms there and set HF_TOKEN to a token that \
                     may read it"
                ),
            ),
            (404, "RevisionNotFound", _) => (
                Unavailable::NotFound,
                format!("{repo} at {hub} has no revision `{revision}`"),
            ),
            (404, _, None) => (
                Unavailable::NotFound,
                format!(
                    "{hub} has no repository {repo}, or no revision `{revision}` of it: check the name"
                ),
            ),
            (404, _, Some(_)) => (
                Unavailable::NotFound,
                format!("{hub} has no {what}, though it lists it"),
            ),
            (429, ..) => (
                Unavailable::Unreachable,
                format!("{hub} gives {what} only later (429): wait, or set HF_TOKEN"),
            ),
            (status, ..) => (
                Unavailable::Unreachable,
                format!("{hub} answered {status} for {what}: try again later"),
            ),
        };
        reason.because(message)
    }
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
