//! `chartbench figures RUN...`: stored runs as SVG pictures.

use std::path::PathBuf;

use anyhow::Result;

use super::{Status, print_paths};
use crate::jobs::figures::{FiguresRequest, figures};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Runs on the same questions: names under --results, or paths; RUN/ADAPTER for one adapter
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Folder that holds the runs
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Folder to write scores.svg, tolerance.svg and (where a run trained something) training.svg
    /// into
    #[arg(long, value_name = "DIR", default_value = "figures")]
    out: PathBuf,
    /// Scoring convention of scores.svg [default: that of the benchmark, else chartbench;
    /// deplot-corrected where only tables are asked for]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<Status> {
    print_paths(&figures(&FiguresRequest {
        runs: args.runs.clone(),
        results: args.results.clone(),
        out: args.out.clone(),
        convention: args.convention.clone(),
    })?);
    Ok(Status::Done)
}
