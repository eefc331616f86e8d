//! `chartbench report`: stored runs as one HTML page.

use std::path::PathBuf;

use anyhow::Result;
use bytesize::ByteSize;

use super::{Status, one_line};
use crate::jobs::report::{ReportRequest, report};
use chartbench_core::counts::{MAX_LIMIT, parse_count_or_zero};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Runs on the same questions: names under --results, or paths; RUN/ADAPTER for one adapter. Of
    /// two with one adapter the first counts as the earlier
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Folder that holds the runs
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// The page's file
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
    /// Scoring convention [default: that of the benchmark, else chartbench; deplot-corrected where
    /// only tables are asked for]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
    /// The runs' benchmark, for the charts' pictures: a name or a TOML file [default: the one the
    /// runs name]
    #[arg(long, value_name = "NAME")]
    benchmark: Option<String>,
    /// The data set's folder or file, for the charts' pictures [default: where the runs' data were]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Never ask a hub for the data set of --benchmark
    #[arg(long)]
    offline: bool,
    /// How many pictures are put into the page, those first on which models disagree or changed
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = parse_count_or_zero::<MAX_LIMIT>)]
    images: usize,
    /// The page's title [default: the benchmark's]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<Status> {
    let page = report(&ReportRequest {
        runs: args.runs.clone(),
        results: args.results.clone(),
        out: args.out.clone(),
        convention: args.convention.clone(),
        benchmark: args.benchmark.clone(),
        data: args.data.clone(),
        offline: args.offline,
        images: args.images,
        title: args.title.clone(),
    })?;
    if let Some(error) = &page.no_pictures {
        chartbench_core::note!(
            "the page has no pictures of the charts: {}",
            one_line(error)
        );
    }
    chartbench_core::note!("{}: {}", args.out.display(), ByteSize(page.bytes as u64));
    Ok(Status::Done)
}
