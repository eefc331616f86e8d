//! `chartbench export RUN`: stored runs in the formats of other programs.

use std::path::PathBuf;

use anyhow::Result;

use super::{Status, print_paths};
use crate::jobs::export::{ExportFormat, ExportRequest, export};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Runs: names under --results, or paths; RUN/ADAPTER for one adapter
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Folder that holds the runs
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// The format
    #[arg(long, alias = "to", value_enum)]
    format: Target,
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

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Target {
    /// lm-evaluation-harness: results.json and samples.jsonl
    LmEval,
    /// Hugging Face model card: README.md with the results as `model-index`
    ModelIndex,
}

impl From<Target> for ExportFormat {
    fn from(target: Target) -> Self {
        match target {
            Target::LmEval => Self::LmEval,
            Target::ModelIndex => Self::ModelIndex,
        }
    }
}

pub(super) fn run(args: &Args) -> Result<Status> {
    print_paths(&export(&ExportRequest {
        runs: args.runs.clone(),
        results: args.results.clone(),
        to: args.format.into(),
        out: args.out.clone(),
        convention: args.convention.clone(),
        allow_unfinished: args.allow_unfinished,
    })?);
    Ok(Status::Done)
}
