//! `chartbench export RUN`: stored runs in the formats of others.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::{Status, convention};
use crate::report::{Scored, lm_eval_results, lm_eval_samples, model_index};
use crate::run::store::{Manifest, StoredRun};
use chartbench_core::files::write_file;
use chartbench_core::terminal::shorten;

#[derive(clap::Args)]
pub struct Args {
    /// Run directories
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The format
    #[arg(long, value_enum)]
    to: Target,
    /// Folder to write RUN/ADAPTER/ with the files into
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Scoring convention [default: chartbench; deplot-corrected where only tables are asked for]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
    /// Also export adapters that have questions left, marked as unfinished
    #[arg(long)]
    allow_unfinished: bool,
}

/// `--to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Target {
    /// lm-evaluation-harness: results.json and samples.jsonl
    LmEval,
    /// Hugging Face model card: README.md with the results as `model-index`
    ModelIndex,
}

pub fn run(args: &Args) -> Result<Status> {
    let runs = args.runs.iter().map(|path| StoredRun::read(path)).collect::<Result<Vec<_>>>()?;
    check_names(&args.runs, &runs)?;
    let records = runs.iter().flat_map(StoredRun::records);
    let convention = convention(args.convention.as_deref(), records.map(|record| record.answer_type))?;
    if !args.allow_unfinished {
        runs.iter().try_for_each(finished)?;
    }
    for run in &runs {
        let name = &run.manifest.name;
        for (adapter, records) in &run.predictions {
            let scored = Scored::new(&run.manifest, adapter, records, convention);
            let files = match args.to {
                Target::LmEval => vec![
                    ("results.json", lm_eval_results(&scored, &run.manifest)?),
                    ("samples.jsonl", lm_eval_samples(&scored)?),
                ],
                Target::ModelIndex => vec![("README.md", model_index(&scored, &run.manifest)?)],
            };
            write(&args.out.join(name).join(adapter), files)?;
        }
    }
    Ok(Status::Done)
}

/// Refuses runs of one name: their files would be the same.
fn check_names(paths: &[PathBuf], runs: &[StoredRun]) -> Result<()> {
    let mut named: HashMap<&str, &Path> = HashMap::new();
    for (path, run) in paths.iter().zip(runs) {
        if let Some(other) = named.insert(&run.manifest.name, path) {
            bail!(
                "{} and {} are both named {}, and one would overwrite the other: export each with an --out of its own",
                other.display(),
                path.display(),
                shorten(&run.manifest.name)
            );
        }
    }
    Ok(())
}

/// Refuses a run whose results another program would take for whole ones.
fn finished(run: &StoredRun) -> Result<()> {
    let Manifest { name, benchmark, .. } = &run.manifest;
    for (adapter, records) in &run.predictions {
        ensure!(
            records.len() >= benchmark.questions,
            "{} in {} answered {} of {} questions: finish that run first, or export it by --allow-unfinished",
            shorten(adapter),
            shorten(name),
            records.len(),
            benchmark.questions
        );
    }
    Ok(())
}

fn write(folder: &Path, files: Vec<(&str, String)>) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (name, text) in files {
        let path = folder.join(name);
        write_file(&path, text.as_bytes())?;
        chartbench_core::note!("{}", path.display());
    }
    Ok(())
}
