//! `chartbench merge`: makes one run of the shards of a run.

use std::path::PathBuf;

use anyhow::Result;

use super::Status;
use super::run_report::{OutputArgs, print_report};
use crate::jobs::BenchmarkSelection;
use crate::jobs::merge::{MergeReport, MergeRequest, merge};

/// Makes one run of the shards of a run (`run --shard`), as if it had never been cut: every
/// question is answered once, in the order of the question set.
///
/// Without RUN the shards' logs in the folder of NAME become whole logs there. With RUNs, which
/// stay as they are, NAME is a new run.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the merged run, a folder under --results
    #[arg(value_name = "NAME")]
    name: PathBuf,
    /// Runs that hold the shards: names under --results, or paths; RUN/ADAPTER for one adapter
    #[arg(value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Folder that holds the runs
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Benchmark that the runs were asked: a name or a TOML file [default: the one they know]
    #[arg(long, value_name = "NAME")]
    benchmark: Option<String>,
    /// The data set's folder or file [default: where a run had it, else the hub's copy in the
    /// cache, else downloaded]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Also read tables outside the data set's folder
    #[arg(long)]
    allow_outside: bool,
    /// Never ask a hub for the data set
    #[arg(long)]
    offline: bool,
    /// Merge although questions are missing; the manifest says so
    #[arg(long)]
    partial: bool,
    /// Scoring convention of the leaderboard that is printed and stored [default: that of the
    /// benchmark, else chartbench; deplot-corrected where only tables are asked for]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &Args) -> Result<Status> {
    let report = merge(&MergeRequest {
        name: args.name.clone(),
        runs: args.runs.clone(),
        results: args.results.clone(),
        benchmark: BenchmarkSelection {
            benchmark: args.benchmark.clone(),
            data: args.data.clone(),
            allow_outside: args.allow_outside,
        },
        offline: args.offline,
        partial: args.partial,
        convention: args.convention.clone(),
        slices: args.output.slices(),
    })?;
    let Some(report) = report else {
        chartbench_core::note!(
            "{} has nothing to merge: it has no log of a shard",
            args.name.display()
        );
        return Ok(Status::Done);
    };
    for note in &report.notes {
        chartbench_core::note!("{note}");
    }
    if !args.output.is_quiet() {
        chartbench_core::note!("{}", describe(&report));
    }
    print_report(&report.run, &args.output)
}

/// What was made, in a line: `before: 4 rows, 480 questions each, of 8 shards`.
fn describe(report: &MergeReport) -> String {
    let MergeReport {
        name,
        rows,
        questions,
        answered,
        shards,
        ..
    } = report;
    let answered = match (*answered.start(), *answered.end()) {
        (fewest, _) if fewest == *questions => format!("{questions} questions each"),
        (fewest, most) if fewest == most => format!("{most} of {questions} questions each"),
        (fewest, most) => format!("{fewest} to {most} of {questions} questions each"),
    };
    let shards = match shards {
        0 => String::new(),
        1 => ", of 1 shard".to_owned(),
        shards => format!(", of {shards} shards"),
    };
    let rows = match rows {
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    };
    format!("{name}: {rows}, {answered}{shards}")
}
