//! A run directory on disk: the manifest, and the append-only prediction logs of each adapter.
//! FORMAT.md describes it.

mod data_folder;
mod hub_source;
mod judgements;
mod log_files;
mod logs;
mod manifest;
mod prediction_log;
mod predictions;
mod processor;
mod remove;
mod results_dir;
mod run_dir;
mod run_reader;

pub use data_folder::DataFolder;
pub use hub_source::{HubSource, is_same_repository};
pub use judgements::{
    JUDGEMENTS, JudgeIdentity, JudgedAnswer, JudgementLog, JudgementRecord, answer_sha256,
};
pub use logs::{log_name, logs, shard_of};
pub use manifest::{
    AdapterEntry, BenchmarkEntry, FORMAT_VERSION, LimitRule, Manifest, OLDEST_FORMAT, fingerprint,
};
pub use prediction_log::{InUse, PredictionLog, PredictionRecord};
pub use predictions::Predictions;
pub use processor::Processor;
pub use remove::remove_run;
pub use results_dir::{NamedRun, ResultsDir, RunFolders};
pub use run_dir::{
    FINGERPRINT, LEADERBOARD, MANIFEST, OtherQuestions, RunDir, TRAINING_LOG, difference, short,
};
pub use run_reader::{RunReader, StoredRun};
