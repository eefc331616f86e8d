//! Whether endpoints are asked in batches.

use std::path::{Path, PathBuf};

/// How requests to endpoints go in batches (`--batch-api`).
#[derive(Clone, Debug)]
pub struct BatchApi {
    /// The log of the row's batches: a run started again goes on with them.
    pub log: PathBuf,
    /// Whether requests that failed with a batch of an earlier start are submitted again.
    pub retry_failed: bool,
    /// Takes a line on how far the batches are.
    pub report: fn(&str),
}

impl BatchApi {
    /// How many batches in the log are not collected yet: their questions are paid already. A log
    /// that is missing or broken has none.
    pub fn count_waiting(log: &Path) -> usize {
        #[cfg(feature = "hub")]
        let waiting = super::chat::count_waiting_batches(log);
        // A build without endpoints has no batches.
        #[cfg(not(feature = "hub"))]
        let (_, waiting) = (log, 0);
        waiting
    }

    /// The same for the model that reads the tables of a row, which has batches of its own.
    pub(super) fn for_tables(&self) -> Self {
        let name = self.log.file_name().unwrap_or_default().to_string_lossy();
        Self {
            log: self.log.with_file_name(format!("table-{name}")),
            ..self.clone()
        }
    }
}
