//! `chartbench data get`: fetches data sets by the names of their benchmarks.

use anyhow::Result;

use crate::cli::Status;
use crate::hub::HubOptions;
use crate::jobs::data::{GetReport, GetRequest, get};
use chartbench_core::terminal;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Benchmarks: names (see `chartbench list benchmarks`) or TOML files
    #[arg(required = true, value_name = "NAME")]
    benchmarks: Vec<String>,
    /// Also fetch the files of the train split, which `finetune` needs
    #[arg(long)]
    train: bool,
    /// Only look into the cache
    #[arg(long)]
    offline: bool,
}

/// Fetches each data set, and prints where it is.
///
/// # Errors
/// The first data set that cannot be had.
pub(super) fn run(args: &Args) -> Result<Status> {
    for benchmark in &args.benchmarks {
        let report = get(&GetRequest {
            benchmark: benchmark.clone(),
            train: args.train,
            hub: HubOptions::from_env(args.offline),
        })?;
        print(&report);
    }
    Ok(Status::Done)
}

fn print(report: &GetReport) {
    let name = &report.benchmark;
    if let Some(source) = report.hub.describe_source() {
        let license = report.license.as_deref();
        let license = license.map(|terms| format!("; licence: {terms}"));
        let commit = match (&report.copy.commit, &report.hub.source) {
            (Some(commit), Some(source)) if !source.is_pinned() => format!(": {commit}"),
            _ => String::new(),
        };
        chartbench_core::note!("{name}: {source}{commit}{}", license.unwrap_or_default());
    }
    if let Some(obtain) = &report.hub.obtain {
        chartbench_core::note!("{name}: {obtain}");
    }
    if report.has_more {
        chartbench_core::note!(
            "{name}: the test split's files; --train fetches those of the train split, too"
        );
    }
    terminal::print(&format!("{}\n", report.copy.path.display()));
}
