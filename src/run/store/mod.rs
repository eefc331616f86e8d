//! A run directory on disk: the manifest, and one append-only prediction log an adapter. FORMAT.md
//! describes it.

mod manifest;
mod prediction_log;
mod predictions;
mod run_dir;

pub use manifest::{AdapterEntry, BenchmarkEntry, FORMAT_VERSION, Manifest, fingerprint};
pub use prediction_log::{InUse, PredictionLog, PredictionRecord};
pub use predictions::Predictions;
pub use run_dir::{OtherQuestions, RunDir, RunReader, StoredRun};
