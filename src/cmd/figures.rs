//! `chartbench figures RUN...`: stored runs as SVG pictures.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::trainings::{Training, trainings};
use super::{Status, convention};
use crate::finetune::curves::{Curves, overlaid};
use crate::report::{Scored, Sensitivity, score_bars, tolerance_curve};
use crate::run::store::StoredRun;
use chartbench_core::files::write_file;

#[derive(clap::Args)]
pub struct Args {
    /// Run directories that were asked the same questions
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Folder to write scores.svg, tolerance.svg and (where a run trained something) training.svg into
    #[arg(long, value_name = "DIR", default_value = "figures")]
    out: PathBuf,
    /// Scoring convention of scores.svg [default: chartbench; deplot-corrected where only tables are asked for]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
}

pub fn run(args: &Args) -> Result<Status> {
    let runs = args.runs.iter().map(|path| StoredRun::read(path)).collect::<Result<Vec<_>>>()?;
    let Some(first) = runs.first() else { return Ok(Status::Done) };
    runs.iter().try_for_each(|run| first.same_questions(run))?;
    let benchmark = &first.manifest.benchmark;
    let records = runs.iter().flat_map(StoredRun::records);
    let convention = convention(args.convention.as_deref(), records.map(|record| record.answer_type))?;
    let answers: Vec<(String, Scored<'_>)> = runs
        .iter()
        .flat_map(|run| run.predictions.iter().map(move |(adapter, records)| (run, adapter, records)))
        .map(|(run, adapter, records)| {
            let scored = Scored::new(&run.manifest, adapter, records, convention);
            (scored.label(&name(run, adapter)), scored)
        })
        .collect();
    let title = titled(&benchmark.title, &runs);
    let files: Vec<_> = answers.iter().map(|(name, scored)| (name.clone(), scored.entries())).collect();
    let mut pictures = Vec::new();
    if let Some(&metric) = convention.metrics.first() {
        pictures.push(("scores", score_bars(&title, &answers, metric)?));
    }
    pictures.push(("tolerance", tolerance_curve(&title, &Sensitivity::new(&files))?));
    let named = |one: Training<'_>| (name(one.run, one.adapter), one.curves);
    let trainings: Vec<(String, Curves)> = trainings(&args.runs, &runs)?.into_iter().map(named).collect();
    if !trainings.is_empty() {
        pictures.push(("training", overlaid(&format!("Training on {title}"), &trainings)?));
    }
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    for (name, svg) in pictures {
        let path = args.out.join(name).with_extension("svg");
        write_file(&path, svg.as_bytes())?;
        chartbench_core::note!("{}", path.display());
    }
    Ok(Status::Done)
}

/// What a picture calls an adapter of a run: starred where the title has a remark about it.
fn name(run: &StoredRun, adapter: &str) -> String {
    let star = if run.manifest.remark(adapter).is_some() { "* " } else { "" };
    format!("{star}{}/{adapter}", run.manifest.name)
}

/// The title of a picture, with the remark about the starred adapters.
fn titled(title: &str, runs: &[StoredRun]) -> String {
    let remarks = |run: &StoredRun| run.manifest.adapters.iter().find_map(|entry| run.manifest.remark(&entry.id));
    match runs.iter().find_map(remarks) {
        Some(remark) => format!("{title}; * {remark}"),
        None => title.to_owned(),
    }
}
