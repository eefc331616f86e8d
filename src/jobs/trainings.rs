//! The trainings whose logs lie in stored runs.

use std::path::PathBuf;

use anyhow::Result;

use crate::finetune::curves::Curves;
use crate::finetune::log::{TRAINING_LOG, read_log};
use crate::run::store::StoredRun;

/// How one adapter was trained in a run.
pub(super) struct Training<'a> {
    pub(super) run: &'a StoredRun,
    pub(super) adapter: &'a str,
    pub(super) curves: Curves,
}

/// Every adapter of `runs` that was trained there; `paths` are the runs' directories.
///
/// # Errors
/// Returns an error if a log cannot be read.
pub(super) fn trainings<'a>(paths: &[PathBuf], runs: &'a [StoredRun]) -> Result<Vec<Training<'a>>> {
    let mut trainings = Vec::new();
    for (path, run) in paths.iter().zip(runs) {
        for (adapter, _) in &run.predictions {
            let log = path.join(adapter).join(TRAINING_LOG);
            if log.exists() {
                let mut curves = Curves::new(&read_log(&log)?);
                curves.kept = kept_step(run, adapter);
                trainings.push(Training {
                    run,
                    adapter,
                    curves,
                });
            }
        }
    }
    Ok(trainings)
}

/// The step of the weights that answered, which the manifest names.
fn kept_step(run: &StoredRun, adapter: &str) -> Option<u64> {
    let entries = &run.manifest.adapters;
    let entry = entries.iter().find(|entry| entry.id == adapter)?;
    entry.settings.get("finetune.step")?.as_str()?.parse().ok()
}
