//! Loads the adapters of a run.

use anyhow::Result;

use super::{AdapterError, OpenRun, RunRequest, batch_api};
use crate::adapter::Adapter;
use crate::jobs::SelectedAdapter;
use chartbench_core::question::QuestionSource;
use chartbench_data::{QuestionStream, Split};

/// Loads one adapter.
pub(in crate::jobs) fn load(
    request: &RunRequest,
    selected: &SelectedAdapter,
    run: &OpenRun,
) -> Result<Box<dyn Adapter>, AdapterError> {
    // A row that the user names is worth a download; one that is added is not.
    let is_named = request
        .adapters
        .iter()
        .any(|named| named.name == selected.name);
    // Read anew for each blind row, which takes seconds; held for all of them it would be most of
    // what is in memory.
    let train = || -> Result<Box<dyn QuestionSource>> {
        let data = request.benchmark.locate_train(
            &run.benchmark,
            &run.data,
            &request.models.hub,
            is_named,
        )?;
        Ok(Box::new(QuestionStream::open(
            &run.benchmark.data,
            data.as_deref(),
            Split::Train,
        )?))
    };
    let mut selected = selected.clone();
    if run.budget.is_some() {
        selected.overrides.budget.clone_from(&run.budget);
    }
    selected.overrides.batch_api = batch_api::for_row(request, &selected, run);
    selected
        .build(&request.models, Some(&train))
        .map_err(AdapterError::Loading)
}
