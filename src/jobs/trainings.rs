//! The trainings whose logs lie in stored runs.

use anyhow::Result;

use crate::finetune::curves::Curves;
use crate::finetune::log::{TRAINING_LOG, read_log};
use crate::run::store::{NamedRun, StoredRun};

/// How one adapter was trained in a run.
pub(super) struct Training<'a> {
    pub(super) run: &'a StoredRun,
    pub(super) adapter: &'a str,
    pub(super) curves: Curves,
}

/// Every adapter of `runs` that was trained there; `named` are the same runs as they were found.
///
/// # Errors
/// Returns an error if a log cannot be read.
pub(super) fn trainings<'a>(
    named: &[NamedRun],
    runs: &'a [StoredRun],
) -> Result<Vec<Training<'a>>> {
    let mut trainings = Vec::new();
    for (found, run) in named.iter().zip(runs) {
        for (adapter, _) in &run.predictions {
            let log = found.dir.join(adapter).join(TRAINING_LOG);
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
