//! `chartbench leaderboard`: one table over many runs.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Status, print_formatted};
use crate::jobs::leaderboard::{LeaderboardRequest, leaderboard};
use crate::report::SliceBy;
use crate::report::table::Format;
use chartbench_core::terminal;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Runs: names under --results, or paths; RUN/ADAPTER for one adapter
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Folder that holds the runs
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Scoring convention [default: that of the benchmark, else chartbench; deplot-corrected where
    /// only tables are asked for]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
    /// Form of the tables
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Leave out questions a second: the output then depends on the predictions alone
    #[arg(long)]
    no_speed: bool,
    /// Leave out the tables by slice
    #[arg(long)]
    no_slices: bool,
    /// Slice by `answer type`, `taxonomy`, `chart type`, `source`, `template`, `label length`,
    /// `series`, `negative values`, or a column of the data [default: the first four]
    #[arg(
        long,
        alias = "by",
        value_name = "NAMES",
        value_delimiter = ',',
        conflicts_with = "no_slices"
    )]
    slice_by: Vec<SliceBy>,
    /// Also write leaderboard.md, .csv, .json and .tex into DIR
    #[arg(long, alias = "write", value_name = "DIR")]
    out: Option<PathBuf>,
    /// Also put the Markdown between the markers of FILE
    #[arg(long, alias = "splice", value_name = "FILE")]
    update_file: Option<PathBuf>,
    /// Write nothing: fail where the files of --out and --update-file are not what would be written
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &Args) -> Result<Status> {
    let slices = match (args.no_slices, args.slice_by.is_empty()) {
        (true, _) => Some(Vec::new()),
        (false, true) => None,
        (false, false) => Some(args.slice_by.clone()),
    };
    let report = leaderboard(&LeaderboardRequest {
        runs: args.runs.clone(),
        results: args.results.clone(),
        convention: args.convention.clone(),
        slices,
        speed: !args.no_speed,
        out: args.out.clone(),
        document: args.update_file.clone(),
        command: command(args),
        check: args.check,
    })?;
    if !args.check {
        let text = report
            .leaderboard
            .render_within(args.format, terminal::width())?;
        print_formatted(&text, args.format);
    }
    for (path, line) in &report.stale {
        chartbench_core::note!(
            "{}: stale from line {line} on: run the same without --check",
            path.display()
        );
    }
    Ok(if report.stale.is_empty() {
        Status::Done
    } else {
        Status::Failures
    })
}

/// The command that makes the spliced text again.
fn command(args: &Args) -> String {
    let runs: Vec<String> = args
        .runs
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let results = if args.results == Path::new("results") {
        String::new()
    } else {
        format!(" --results {}", args.results.display())
    };
    let convention = args
        .convention
        .as_ref()
        .map(|name| format!(" --convention {name}"))
        .unwrap_or_default();
    let speed = if args.no_speed { " --no-speed" } else { "" };
    let slices = match (args.no_slices, args.slice_by.is_empty()) {
        (true, _) => " --no-slices".to_owned(),
        (false, true) => String::new(),
        (false, false) => {
            format!(
                " --slice-by '{}'",
                args.slice_by
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(",")
            )
        }
    };
    format!(
        "chartbench leaderboard {}{results}{convention}{speed}{slices} --update-file FILE",
        runs.join(" ")
    )
}
