//! What the requests of a run may cost together: `--max-cost`.

use std::path::Path;

use anyhow::{Result, ensure};

use super::RunRequest;
use crate::adapter::Budget;
use crate::config::Family;
use crate::run::store::{Predictions, RunDir, logs};

/// The budget of the request, without what the stored answers of the run in `dir` have cost.
///
/// # Errors
/// Returns an error if an endpoint of the request has no prices, or stored answers cannot be read.
pub(super) fn budget(request: &RunRequest, dir: &Path) -> Result<Option<Budget>> {
    let Some(max_cost) = request.max_cost else {
        return Ok(None);
    };
    for selected in &request.adapters {
        let models = std::iter::once(&selected.model).chain(&selected.reader);
        for model in models {
            ensure!(
                !matches!(&model.spec.family, Family::Chat(chat) if chat.price.is_none()),
                "--max-cost: the adapter file of {} has no `[price]`: add the prices of its endpoint",
                model.spec.id
            );
        }
    }
    let budget = Budget::new(max_cost);
    let manifest = RunDir::manifest_at(dir)?;
    for entry in manifest.iter().flat_map(|manifest| &manifest.adapters) {
        for (_, log) in logs(&dir.join(&entry.id))? {
            for chunk in Predictions::new(&log) {
                let records = chunk?;
                let usages = records.iter().filter_map(|record| record.usage.as_ref());
                usages.for_each(|usage| budget.add_stored(usage));
            }
        }
    }
    Ok(Some(budget))
}
