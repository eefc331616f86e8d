//! `chartbench figures RUN...`: stored runs as SVG pictures.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::trainings::{Training, trainings};
use super::{Status, convention};
use crate::files::write_file;
use crate::record::StoredRun;
use crate::report::{Scored, Sensitivity, score_bars, tolerance_curve};
use crate::train::curves::{Curves, overlaid};

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
    let answers: Vec<Scored<'_>> = runs
        .iter()
        .flat_map(|run| run.predictions.iter().map(move |(adapter, records)| (&run.manifest, adapter, records)))
        .map(|(run, adapter, records)| Scored::new(run, adapter, records, convention))
        .collect();
    let files: Vec<_> = answers.iter().map(|one| (one.label(), one.entries())).collect();
    let mut pictures = Vec::new();
    if let Some(&metric) = convention.metrics.first() {
        pictures.push(("scores", score_bars(&benchmark.title, &answers, metric)?));
    }
    pictures.push(("tolerance", tolerance_curve(&benchmark.title, &Sensitivity::new(&files))?));
    let named = |one: Training| (format!("{}/{}", one.run, one.adapter), one.curves);
    let trainings: Vec<(String, Curves)> = trainings(&args.runs, &runs)?.into_iter().map(named).collect();
    if !trainings.is_empty() {
        pictures.push(("training", overlaid(&format!("Training on {}", benchmark.title), &trainings)?));
    }
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    for (name, svg) in pictures {
        let path = args.out.join(name).with_extension("svg");
        write_file(&path, svg.as_bytes())?;
        crate::note!("{}", path.display());
    }
    Ok(Status::Done)
}
