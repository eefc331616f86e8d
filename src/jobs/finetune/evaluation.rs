//! After the trainings: the trained checkpoints and the untrained models answer the test questions,
//! and are compared.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Event, FinetuneRequest, Trained};
use crate::adapter::Adapter;
use crate::config::{Benchmark, Protocol};
use crate::finetune::ModelCard;
use crate::jobs::run::{self, RunReport, RunRequest};
use crate::jobs::{AdapterFailure, benchmark_convention, convention};
use crate::report::{CompareOptions, Comparison};
use crate::run::Stopped;
use crate::run::store::{RunReader, StoredRun, fingerprint};
use chartbench_core::answer::Identity;
use chartbench_core::files::write_file;

impl FinetuneRequest {
    /// The run that asks the trained checkpoints the test questions.
    pub(super) fn evaluation(&self, protocol: &Protocol, trained: &[Trained]) -> RunRequest {
        let adapters = trained.iter().map(|trained| {
            let mut adapter = trained.adapter.clone();
            adapter.model.weights = Some(trained.finished.checkpoint.clone());
            adapter.overrides.max_patches = protocol.max_patches.or(adapter.overrides.max_patches);
            adapter
        });
        RunRequest {
            models: self.models.clone(),
            benchmark: self.benchmark.clone(),
            name: Some(self.name.clone()),
            results: self.results.clone(),
            limit: self.limit,
            convention: self.convention.clone(),
            slices: self.slices.clone(),
            stop: self.stop.clone(),
            ..RunRequest::new(adapters.collect())
        }
    }

    /// The run of the untrained models, without its adapters; `None` if they are not asked.
    fn untrained_run(&self, protocol: &Protocol) -> Option<RunRequest> {
        (self.before && !self.from_scratch && !self.overfit_one).then(|| RunRequest {
            name: Some(format!("{}-before", self.name)),
            ..self.evaluation(protocol, &[])
        })
    }
}

/// Makes the run's folder, so that it is known to be writable before the hours of training, and
/// checks that the untrained models' run can be written or continued.
///
/// # Errors
/// As [`run::create`].
pub(super) fn prepare(request: &FinetuneRequest, protocol: &Protocol) -> Result<()> {
    run::create(&request.evaluation(protocol, &[]))?;
    match request.untrained_run(protocol) {
        Some(before) if folder(&before).is_some_and(|folder| folder.exists()) => {
            run::check(&before)
        }
        _ => Ok(()),
    }
}

/// The folder of a run with a name.
fn folder(request: &RunRequest) -> Option<PathBuf> {
    Some(request.results.join(request.name.as_ref()?))
}

/// Asks the fine-tuned checkpoints the test questions and puts their scores into their cards.
pub(super) fn evaluate(
    request: &FinetuneRequest,
    benchmark: &Benchmark,
    protocol: &Protocol,
    trained: &[Trained],
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<RunReport> {
    let report = run::run(&request.evaluation(protocol, trained), &mut |event| {
        observe(Event::Run(event))
    })?;
    let scores = std::fs::read_to_string(report.dir.join("leaderboard.md"))?;
    write_cards(benchmark, protocol, trained, Some(&scores))?;
    Ok(report)
}

/// Writes the model cards of the trained checkpoints. Without scores, a card that is there stays:
/// it may have some.
pub(super) fn write_cards(
    benchmark: &Benchmark,
    protocol: &Protocol,
    trained: &[Trained],
    scores: Option<&str>,
) -> Result<()> {
    for Trained { adapter, finished } in trained {
        let path = finished.checkpoint.join("README.md");
        if scores.is_none() && path.exists() {
            continue;
        }
        let card = ModelCard {
            adapter: &adapter.name,
            benchmark: &benchmark.title,
            finished,
            scores,
        };
        let text = card.text(protocol, &protocol.settings());
        write_file(&path, text.as_bytes())?;
    }
    Ok(())
}

/// Compares the trained checkpoints in `after_dir`, the run's directory, with the untrained models.
/// These are asked the same questions, but for those whose answers are in a stored run. Also
/// returns the untrained models that could not be asked.
///
/// # Errors
/// Returns an error if a run cannot be read, and [`Stopped`] if a stop is requested.
pub(super) fn compare_with_untrained(
    request: &FinetuneRequest,
    protocol: &Protocol,
    trained: &[Trained],
    after_dir: &Path,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<(Vec<Comparison>, Vec<AdapterFailure>)> {
    let mut failures = Vec::new();
    let Some(before) = request.untrained_run(protocol) else {
        return Ok((Vec::new(), failures));
    };
    let after = StoredRun::read(after_dir)?;
    // The adapters by the run that has the untrained model's answers, in the order they come.
    let mut runs: Vec<(PathBuf, Vec<&str>)> = Vec::new();
    for Trained { adapter, .. } in trained {
        let name = adapter.name.as_str();
        if !answered_all(&after, name) {
            continue;
        }
        let mut adapter = adapter.clone();
        adapter.overrides.max_patches = protocol.max_patches.or(adapter.overrides.max_patches);
        request.stop.check()?;
        let model = adapter.build(&request.models, None);
        let run = model.and_then(|model| untrained(&before, &after, model, observe));
        match run {
            Ok(run) => match runs.iter_mut().find(|(other, _)| *other == run) {
                Some((_, names)) => names.push(name),
                None => runs.push((run, vec![name])),
            },
            Err(error) if error.is::<Stopped>() => return Err(error),
            Err(error) => failures.push(AdapterFailure {
                adapter: name.to_owned(),
                error: error.context("the untrained model cannot be asked"),
            }),
        }
    }
    let compare = |(run, names): &(PathBuf, Vec<&str>)| {
        let before = with_adapters(StoredRun::read(run)?, names);
        let after = with_adapters(StoredRun::read(after_dir)?, names);
        let answer_types = after.records().map(|record| record.answer_type);
        let own = benchmark_convention([&after.manifest]);
        let convention = convention(request.convention.as_deref(), own.as_deref(), answer_types)?;
        Comparison::new(&before, &after, convention, &CompareOptions::default())
    };
    let comparisons = runs.iter().map(compare).collect::<Result<_>>()?;
    Ok((comparisons, failures))
}

/// The directory of a run that holds the untrained model's answers; asks it where there is none.
fn untrained(
    before: &RunRequest,
    after: &StoredRun,
    model: Box<dyn Adapter>,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<PathBuf> {
    let adapter = model.identity().id.clone();
    if let Some(run) = stored_answers(&before.results, after, model.identity()) {
        observe(Event::UntrainedStored {
            adapter: &adapter,
            run: &run,
        });
        return Ok(run);
    }
    observe(Event::AsksUntrained { adapter: &adapter });
    let report = run::run_with(before, &mut [model], &mut |event| {
        observe(Event::Run(event));
    })?;
    if let Some(failure) = report.failures.into_iter().next() {
        return Err(failure.error);
    }
    Ok(report.dir)
}

/// The first run under `results` in which the same model answered all questions of `after`. A run
/// that cannot be read has none.
fn stored_answers(results: &Path, after: &StoredRun, identity: &Identity) -> Option<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(results)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| StoredRun::is_at(path))
        .collect();
    paths.sort();
    let fingerprint = fingerprint(identity);
    let has_answers = |path: &PathBuf| -> Option<bool> {
        let run = RunReader::open(path).ok()?;
        let adapters = &run.manifest.adapters;
        let is_same = run.manifest.benchmark.hash == after.manifest.benchmark.hash
            && adapters
                .iter()
                .any(|entry| entry.id == identity.id && entry.fingerprint == fingerprint);
        if !is_same {
            return None;
        }
        let (_, answers) = run.predictions().find(|(id, _)| *id == identity.id)?;
        Some(answers.read().ok()?.len() >= run.manifest.benchmark.questions)
    };
    paths
        .into_iter()
        .find(|path| has_answers(path) == Some(true))
}

/// Whether an adapter of a run has no question left.
fn answered_all(run: &StoredRun, adapter: &str) -> bool {
    let answers = run.predictions.iter().find(|(name, _)| name == adapter);
    answers.is_some_and(|(_, records)| records.len() >= run.manifest.benchmark.questions)
}

/// The run with some of its adapters alone.
fn with_adapters(mut run: StoredRun, names: &[&str]) -> StoredRun {
    run.predictions
        .retain(|(name, _)| names.contains(&name.as_str()));
    run.manifest
        .adapters
        .retain(|entry| names.contains(&entry.id.as_str()));
    run
}
