//! `chartbench figures RUN...`: stored runs as SVG pictures.

use std::path::PathBuf;

use anyhow::Result;

use super::{Status, print_paths};
use crate::jobs::figures::{FiguresRequest, figures};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Run directories that were asked the same questions
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Folder to write scores.svg, tolerance.svg and (where a run trained something) training.svg
    /// into
    #[arg(long, value_name = "DIR", default_value = "figures")]
    out: PathBuf,
    /// Scoring convention of scores.svg [default: chartbench; deplot-corrected where only tables
    /// are asked for]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<Status> {
    let (runs, out, convention) = (args.runs.clone(), args.out.clone(), args.convention.clone());
    print_paths(&figures(&FiguresRequest {
        runs,
        out,
        convention,
    })?);
    Ok(Status::Done)
}
