//! Draws stored runs: scores with intervals, the tolerance curve, training curves.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::trainings::trainings;
use super::{benchmark_convention, convention, require_verdicts};
use crate::finetune::curves::{Curves, overlaid};
use crate::report::{Answers, RowKind, Scored, score_bars, tolerance_curve};
use crate::run::store::{NamedRun, ResultsDir, StoredRun};
use chartbench_core::files::write_file;

/// Which runs to draw.
#[derive(Clone, Debug)]
pub struct FiguresRequest {
    /// Runs that were asked the same questions: names under `results`, or paths; `RUN/ADAPTER` for
    /// one adapter.
    pub runs: Vec<PathBuf>,
    /// Folder that holds the runs.
    pub results: PathBuf,
    /// Folder that gets scores.svg, tolerance.svg and, where a run trained something, training.svg.
    pub out: PathBuf,
    /// Convention of scores.svg, as of a leaderboard.
    pub convention: Option<String>,
}

/// Draws the runs; returns the files.
///
/// # Errors
/// Returns an error if a run cannot be read, the runs were asked other questions, or a file cannot
/// be written.
pub fn figures(request: &FiguresRequest) -> Result<Vec<PathBuf>> {
    let named = ResultsDir::new(&request.results).find_all(&request.runs)?;
    let runs = named
        .iter()
        .map(NamedRun::read)
        .collect::<Result<Vec<_>>>()?;
    let Some(first) = runs.first() else {
        return Ok(Vec::new());
    };
    runs.iter().try_for_each(|run| first.same_questions(run))?;
    let benchmark = &first.manifest.benchmark;
    let records = runs.iter().flat_map(StoredRun::records);
    let own = benchmark_convention(runs.iter().map(|run| &run.manifest));
    let convention = convention(
        request.convention.as_deref(),
        own.as_deref(),
        records.map(|record| record.answer_type),
    )?;
    for (run, named) in runs.iter().zip(&named) {
        require_verdicts(convention, &named.dir, run.records().map(Ok))?;
    }
    let answers: Vec<Answers<'_>> = runs
        .iter()
        .flat_map(|run| {
            run.predictions
                .iter()
                .map(move |(adapter, records)| (run, adapter, records))
        })
        .map(|(run, adapter, records)| {
            let scored = Scored::new(&run.manifest, adapter, records, convention);
            Answers {
                name: scored.label(&name(run, adapter)),
                kind: kind(run, adapter),
                scored,
            }
        })
        .collect();
    let title = titled(&benchmark.title, &runs);
    let mut pictures = Vec::new();
    if let Some(&metric) = convention.metrics.first() {
        pictures.push(("scores", score_bars(&title, &answers, metric)?));
    }
    pictures.push(("tolerance", tolerance_curve(&title, &answers)?));
    let trainings: Vec<(String, Curves)> = trainings(&named, &runs)?
        .into_iter()
        .map(|training| (name(training.run, training.adapter), training.curves))
        .collect();
    if !trainings.is_empty() {
        pictures.push((
            "training",
            overlaid(&format!("Training on {title}"), &trainings)?,
        ));
    }
    std::fs::create_dir_all(&request.out)
        .with_context(|| format!("cannot create {}", request.out.display()))?;
    let mut files = Vec::new();
    for (name, svg) in pictures {
        let path = request.out.join(name).with_extension("svg");
        write_file(&path, svg.as_bytes())?;
        files.push(path);
    }
    Ok(files)
}

fn kind(run: &StoredRun, adapter: &str) -> RowKind {
    let mut entries = run.manifest.adapters.iter();
    RowKind::new(adapter, entries.find(|entry| entry.id == adapter))
}

/// The label of a run's adapter in a picture: starred where the title has a remark about it.
fn name(run: &StoredRun, adapter: &str) -> String {
    let star = if run.manifest.remark(adapter).is_some() {
        "* "
    } else {
        ""
    };
    format!("{star}{}/{adapter}", run.manifest.name)
}

/// The title of a picture, with the remark about the starred adapters.
fn titled(title: &str, runs: &[StoredRun]) -> String {
    let remarks = |run: &StoredRun| {
        run.manifest
            .adapters
            .iter()
            .find_map(|entry| run.manifest.remark(&entry.id))
    };
    match runs.iter().find_map(remarks) {
        Some(remark) => format!("{title}; * {remark}"),
        None => title.to_owned(),
    }
}
