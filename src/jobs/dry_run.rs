//! What a run would do: which questions it would ask, where weights are, what memory and time it
//! takes, and what is stored already. Nothing is written.

use std::path::PathBuf;

use anyhow::Result;

use super::benchmark::TrainNotHere;
use super::run::{
    AdapterError, BatchSize, OpenRun, RowShare, RunRequest, batch_size, blind_rows, load,
    with_overhead,
};
use super::{AdapterFailure, SelectedAdapter};
use crate::adapter::ModelFiles;
use crate::config::Family;
use crate::run::store::{AdapterEntry, log_name};
use crate::run::{Timing, time_questions};
use chartbench_core::shard::ShardQuestions;
use chartbench_data::MissingSplit;

/// Most questions that are asked for their time.
const TIMED_QUESTIONS: usize = 8;

/// What a run would do.
pub struct DryRun {
    /// The run's directory.
    pub dir: PathBuf,
    /// Whether the directory holds a run that would be continued.
    pub is_begun: bool,
    /// The questions in a line.
    pub description: String,
    /// Notes about the data set: parts that are left out or read otherwise than written.
    pub notes: Vec<String>,
    /// How many this process asks: those of its shard, where the run is cut into some.
    pub questions: usize,
    /// The charts they are about.
    pub charts: usize,
    /// One plan an adapter, in the order of the request.
    pub adapters: Vec<AdapterPlan>,
    /// Adapters that could not be asked.
    pub failures: Vec<AdapterFailure>,
}

/// What a run would do with one adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterPlan {
    /// The row's name.
    pub name: String,
    /// Where its weights are.
    pub weights: String,
    /// Bytes of memory that the program takes with it; `None` where it cannot be told, or not yet.
    pub memory: Option<u64>,
    /// Questions whose answers are stored.
    pub stored: usize,
    /// Questions that would be asked.
    pub left: usize,
    /// The time of a few questions; `None` where none were asked.
    pub timing: Option<Timing>,
}

/// Plans the run of `request`. Models whose files are on this machine are loaded; with `estimate`
/// each is asked a few questions, and programs are started for that.
///
/// # Errors
/// Returns an error if the benchmark cannot be loaded, or the folder holds another run.
pub fn dry_run(request: &RunRequest, estimate: bool) -> Result<DryRun> {
    // Whatever would be downloaded is left out.
    let mut request = request.clone();
    let hub = request.models.hub.clone();
    request.models.hub.offline = true;
    let run = OpenRun::open(&request)?;
    let (mut adapters, mut failures) = (Vec::new(), Vec::new());
    let blind = blind_rows(&request, &run)?;
    let left = run.left_to_first(&[&request.adapters[..], &blind].concat());
    for (selected, is_named) in request
        .adapters
        .iter()
        .map(|row| (row, true))
        .chain(blind.iter().map(|row| (row, false)))
    {
        let share = run.share(selected);
        if share.questions == 0 {
            continue;
        }
        let (files, is_here) = files(selected, &hub);
        let mut plan = AdapterPlan {
            name: selected.name.clone(),
            weights: files,
            memory: None,
            stored: 0,
            left: 0,
            timing: None,
        };
        let mut outcome = count_stored(&request, &run, share, &mut plan);
        let starts = matches!(selected.model.spec.family, Family::Process(_));
        if outcome.is_ok() && is_here && (estimate || !starts) {
            outcome = measure(
                &request,
                selected,
                &run,
                estimate.then_some(share),
                &mut plan,
            );
        }
        let is_without_train =
            |error: &anyhow::Error| error.is::<MissingSplit>() || error.is::<TrainNotHere>();
        if !is_named && outcome.as_ref().is_err_and(is_without_train) {
            continue;
        }
        failures.extend(outcome.err().map(|error| AdapterFailure {
            adapter: plan.name.clone(),
            error,
        }));
        adapters.push(plan);
    }
    Ok(DryRun {
        is_begun: run.dir.path().join("run.toml").exists(),
        dir: run.dir.path().to_owned(),
        description: run.description.clone(),
        notes: [run.notes.clone(), Vec::from_iter(left)].concat(),
        questions: run.part.map_or(run.questions, |part| part.questions),
        charts: run.part.map_or(run.charts, |part| part.charts),
        adapters,
        failures,
    })
}

/// Where the files of the adapter's models are, and whether all of them are on this machine.
fn files(selected: &SelectedAdapter, hub: &crate::adapter::hub::HubOptions) -> (String, bool) {
    let models = std::iter::once(&selected.model).chain(&selected.reader);
    let files: Vec<ModelFiles> = models
        .map(|model| ModelFiles::find(model, &selected.overrides, hub))
        .collect();
    let places: Vec<&str> = files.iter().map(|files| files.place.as_str()).collect();
    let is_here = files.iter().all(|files| !files.to_download);
    (places.join("; "), is_here)
}

/// Counts what is answered of a row's share; failed rows of its own log are asked again where the
/// request says so.
fn count_stored(
    request: &RunRequest,
    run: &OpenRun,
    share: RowShare,
    plan: &mut AdapterPlan,
) -> Result<()> {
    let own = run.dir.path().join(&plan.name).join(log_name(share.shard));
    let mut stored = run.dir.predictions(&plan.name, share.shard);
    while let Some(chunk) = stored.next() {
        let drops_failed = request.retry_failed && stored.log() == Some(&own);
        let records = chunk?;
        let kept = records
            .iter()
            .filter(|record| !(drops_failed && record.failure().is_some()));
        plan.stored += kept.count();
    }
    plan.left = share.questions.saturating_sub(plan.stored);
    Ok(())
}

/// Loads the adapter: its memory, whether the stored answers are of its settings, and the time of a
/// few questions of the share that is `estimated`.
fn measure(
    request: &RunRequest,
    selected: &SelectedAdapter,
    run: &OpenRun,
    estimated: Option<RowShare>,
    plan: &mut AdapterPlan,
) -> Result<()> {
    let mut selected = selected.clone();
    selected.overrides.no_table_cache = true;
    let mut adapter = load(request, &selected, run).map_err(AdapterError::into_error)?;
    run.dir
        .check_stored(&AdapterEntry::new(adapter.identity(), &[]))?;
    let batch = batch_size(request.batch, adapter.as_ref(), &mut |_| {})?;
    let need = adapter.memory_need().map(with_overhead);
    plan.memory = need.map(|need| match request.batch {
        BatchSize::Memory(bytes) => need.batch_bytes(batch).min(bytes),
        _ => need.batch_bytes(batch),
    });
    if let Some(share) = estimated.filter(|_| plan.left > 0) {
        plan.timing = time_questions(
            adapter.as_mut(),
            &ShardQuestions::new(&run.asked, share.shard),
            run.dir.predictions(&plan.name, share.shard),
            batch.min(TIMED_QUESTIONS),
        )?;
    }
    Ok(())
}
