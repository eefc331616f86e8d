//! Has the endpoints of a run asked in batches: `--batch-api`.

use std::path::Path;

use anyhow::{Result, ensure};

use super::{OpenRun, RunRequest};
use crate::adapter::BatchApi;
use crate::config::Family;
use crate::jobs::SelectedAdapter;
use crate::run::store::log_name;

/// Checks that the request's endpoints can be asked in batches.
///
/// # Errors
/// Returns an error if there is no endpoint, or the cost is limited: what a batch costs is known when
/// it is paid.
pub(super) fn check(request: &RunRequest) -> Result<()> {
    if request.batch_api.is_none() {
        return Ok(());
    }
    ensure!(
        request.adapters.iter().any(is_endpoint),
        "--batch-api: no adapter of --adapters is behind an endpoint (family = \"chat\")"
    );
    ensure!(
        request.max_cost.is_none(),
        "--max-cost: what a batch costs is known only when it is done, so that no sum can be kept with --batch-api: leave \
         out one of the two, and take fewer questions by --limit"
    );
    Ok(())
}

/// How the row's endpoints are asked in batches; `None` where they are asked one by one.
pub(super) fn for_row(
    request: &RunRequest,
    selected: &SelectedAdapter,
    run: &OpenRun,
) -> Option<BatchApi> {
    if !is_endpoint(selected) {
        return None;
    }
    let name = log_name(request.shard).replacen("predictions", "batches", 1);
    let folder = run.dir.path().join(&selected.name);
    let log = folder.join(&name);
    if request.batch_api.is_none() {
        note_waiting(&selected.name, &log);
    }
    for other in other_logs(&folder, &name) {
        let waiting = BatchApi::count_waiting(&folder.join(&other));
        if waiting > 0 {
            chartbench_core::note!(
                "note: {}: {waiting} batches of {other} are not collected; questions that they share with this start are \
                 asked, and paid, once more",
                selected.name
            );
        }
    }
    let report = request.batch_api?;
    Some(BatchApi {
        log,
        retry_failed: request.retry_failed,
        report,
    })
}

/// The logs of batches in a row's folder besides `name`: those of shards, or of the whole run.
fn other_logs(folder: &Path, name: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut logs: Vec<String> = names
        .filter(|other| other.starts_with("batches.") && other.ends_with(".jsonl") && other != name)
        .collect();
    logs.sort();
    logs
}

/// Notes that batches of the row are under way, where it is asked without them.
pub(in crate::jobs) fn note_waiting(row: &str, log: &Path) {
    let waiting = BatchApi::count_waiting(log);
    if waiting > 0 {
        chartbench_core::note!(
            "note: {row}: {waiting} batches are not collected; without --batch-api their questions are asked, and paid, once \
             more"
        );
    }
}

/// Whether one of the row's models is behind an endpoint.
fn is_endpoint(selected: &SelectedAdapter) -> bool {
    let mut models = std::iter::once(&selected.model).chain(&selected.reader);
    models.any(|model| matches!(model.spec.family, Family::Chat(_)))
}
