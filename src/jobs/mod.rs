//! The verbs of the program as functions: each takes a typed request, reports what happens through
//! a callback, and returns a typed result. Nothing here parses a command line or prints; adapters
//! and stored files write their remarks to standard error.
//!
//! Work in parallel runs on rayon's current thread pool, and answers do not depend on how many
//! threads it has.

#[cfg(feature = "models")]
mod adapter_for_weights;
#[cfg(feature = "models")]
mod adapters;
#[cfg(feature = "models")]
pub mod ask;
#[cfg(feature = "models")]
mod asking;
mod benchmark;
pub mod compare;
mod content_pairs;
pub mod data;
#[cfg(feature = "models")]
pub mod dry_run;
pub mod export;
pub mod failures;
#[cfg(feature = "report")]
pub mod figures;
#[cfg(feature = "models")]
pub mod finetune;
pub mod import;
#[cfg(feature = "models")]
pub mod judge;
pub mod leaderboard;
pub mod list;
#[cfg(feature = "models")]
pub mod merge;
#[cfg(feature = "models")]
pub mod quantize;
#[cfg(feature = "report")]
pub mod report;
#[cfg(feature = "models")]
pub mod run;
#[cfg(feature = "models")]
mod run_questions;
pub mod runs;
pub mod score;
mod shared_questions;
#[cfg(feature = "models")]
pub mod table;
#[cfg(feature = "report")]
mod trainings;

use std::borrow::Borrow;
use std::fmt;
use std::path::Path;

use anyhow::ensure;

#[cfg(feature = "models")]
pub use adapter_for_weights::{Task, adapter_for_weights};
#[cfg(feature = "models")]
pub use adapters::{AdapterNames, ModelOptions, SelectedAdapter};
#[cfg(feature = "models")]
pub use asking::Asking;
pub use benchmark::BenchmarkSelection;

use crate::config::Benchmark;
use crate::run::store::Manifest;
use crate::run::store::PredictionRecord;
use chartbench_core::names::UnknownName;
use chartbench_core::question::AnswerType;
use chartbench_core::terminal::shell_word;
use chartbench_score::metric::Convention;

/// An adapter that could not be loaded, or could not go on.
#[derive(Debug)]
pub struct AdapterFailure {
    /// The row's name, e.g. `matcha-base`.
    pub adapter: String,
    /// Why it failed, with its causes.
    pub error: anyhow::Error,
}

impl AdapterFailure {
    /// One line for each reason, behind the adapters that it is the reason of: `a, b: reason`.
    pub fn lines(failures: &[Self]) -> Vec<String> {
        let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
        for Self { adapter, error } in failures {
            let reason = format!("{error:#}");
            match groups.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, adapters)) => adapters.push(adapter),
                None => groups.push((reason, vec![adapter])),
            }
        }
        let line =
            |(reason, adapters): (String, Vec<&str>)| format!("{}: {reason}", adapters.join(", "));
        groups.into_iter().map(line).collect()
    }
}

/// Every adapter failed before it began: the failures, in the order of the adapters, at least one.
/// It displays the first line of them.
#[derive(Debug)]
pub struct AllFailed(pub Vec<AdapterFailure>);

impl fmt::Display for AllFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match AdapterFailure::lines(&self.0).first() {
            Some(line) => f.write_str(line),
            None => f.write_str("no adapter was asked"),
        }
    }
}

impl std::error::Error for AllFailed {}

/// The convention of tables: the one named, or else the `benchmark`'s, or else `chartbench`; where
/// nothing but data tables was asked for and none is named, `deplot-corrected`.
///
/// # Errors
/// Returns an error if no convention has the name.
fn convention(
    name: Option<&str>,
    benchmark: Option<&str>,
    answer_types: impl IntoIterator<Item = Option<AnswerType>>,
) -> Result<&'static Convention, UnknownName> {
    if let Some(name) = name {
        return Convention::by_name(name);
    }
    let mut answer_types = answer_types.into_iter().peekable();
    let only_tables = answer_types.peek().is_some()
        && answer_types.all(|answer_type| answer_type == Some(AnswerType::Table));
    Convention::by_name(if only_tables {
        "deplot-corrected"
    } else {
        benchmark.unwrap_or("chartbench")
    })
}

/// The convention of the benchmark that all these runs are on, if it names one. A run's name of its
/// benchmark is taken for that of an embedded one, never for a file.
fn benchmark_convention<'m>(manifests: impl IntoIterator<Item = &'m Manifest>) -> Option<String> {
    let mut names = manifests
        .into_iter()
        .map(|manifest| manifest.benchmark.name.as_str());
    let first = names.next()?;
    let is_embedded = Benchmark::embedded_names().any(|embedded| embedded == first);
    if !is_embedded || names.any(|name| name != first) {
        return None;
    }
    Benchmark::find(first).ok()?.convention
}

/// Checks the name of a convention that answers are scored by as soon as they are given.
///
/// # Errors
/// Returns an error if no convention has the name, or it scores by verdicts, which come later.
#[cfg(feature = "models")]
fn check_rule_convention(name: Option<&str>) -> anyhow::Result<()> {
    let convention = name.map(Convention::by_name).transpose()?;
    if let Some(Convention { name, .. }) = convention.filter(|convention| convention.judged) {
        anyhow::bail!(
            "--convention {name}: it scores by a judge's verdicts: leave it out, and have the answers judged then \
             (`chartbench judge RUN --with NAME`)"
        );
    }
    Ok(())
}

/// Checks under a judged convention that every answer of the run at `dir` has a verdict.
///
/// # Errors
/// Returns an error that names the command that makes them, or that of a record.
fn require_verdicts<R: Borrow<PredictionRecord>>(
    convention: &Convention,
    dir: &Path,
    records: impl IntoIterator<Item = anyhow::Result<R>>,
) -> anyhow::Result<()> {
    if !convention.judged {
        return Ok(());
    }
    let (mut answers, mut missing) = (0_usize, 0_usize);
    for record in records {
        let record = record?;
        let record: &PredictionRecord = record.borrow();
        if record.prediction.is_some() {
            let mut judgements = record.judgements.iter();
            let is_judged = judgements.any(|judgement| judgement.convention == convention.name);
            answers += 1;
            missing += usize::from(!is_judged);
        }
    }
    ensure!(
        missing == 0,
        "{}: {missing} of {answers} answers have no verdict under {name}: `chartbench judge {} --with NAME --convention {name}` \
         makes them",
        dir.display(),
        shell_word(&dir.display().to_string()),
        name = convention.name
    );
    Ok(())
}
