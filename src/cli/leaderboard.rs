//! `chartbench leaderboard`: one table over many runs.

use std::path::PathBuf;

use anyhow::Result;

use super::{Status, print_formatted};
use crate::jobs::leaderboard::{LeaderboardRequest, leaderboard};
use crate::report::Dimension;
use crate::report::table::Format;

#[derive(clap::Args)]
pub struct Args {
    /// Run directories
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Scoring convention [default: chartbench; deplot-corrected where only tables are asked for]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Leave out questions a second: the output then depends on the predictions alone
    #[arg(long)]
    no_speed: bool,
    /// Leave out the tables by slice
    #[arg(long)]
    no_slices: bool,
    /// Slices: `answer type`, `taxonomy`, `chart type`, `source`, `template`, `label length`, `series`, `negative values`,
    /// or a column of the data [default: the first four]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "no_slices")]
    by: Vec<Dimension>,
    /// Also write leaderboard.md, .csv, .json and .tex into DIR
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// Also put the Markdown between the markers of FILE
    #[arg(long, value_name = "FILE")]
    splice: Option<PathBuf>,
    /// Write nothing: fail where the files of --write and --splice are not what would be written
    #[arg(long)]
    check: bool,
}

pub fn run(args: &Args) -> Result<Status> {
    let slices = match (args.no_slices, args.by.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => Dimension::USUAL.into(),
        (false, false) => args.by.clone(),
    };
    let report = leaderboard(&LeaderboardRequest {
        runs: args.runs.clone(),
        convention: args.convention.clone(),
        slices,
        speed: !args.no_speed,
        out: args.write.clone(),
        document: args.splice.clone(),
        command: command(args),
        check: args.check,
    })?;
    if !args.check {
        print_formatted(&report.leaderboard.render(args.format)?, args.format);
    }
    for (path, line) in &report.stale {
        chartbench_core::note!("{}: stale from line {line} on: run the same without --check", path.display());
    }
    Ok(if report.stale.is_empty() { Status::Done } else { Status::Failures })
}

/// The command that makes the spliced text again.
fn command(args: &Args) -> String {
    let runs: Vec<String> = args.runs.iter().map(|path| path.display().to_string()).collect();
    let convention = args.convention.as_ref().map(|name| format!(" --convention {name}")).unwrap_or_default();
    let speed = if args.no_speed { " --no-speed" } else { "" };
    let slices = match (args.no_slices, args.by.is_empty()) {
        (true, _) => " --no-slices".to_owned(),
        (false, true) => String::new(),
        (false, false) => {
            format!(" --by '{}'", args.by.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
        }
    };
    format!("chartbench leaderboard {}{convention}{speed}{slices} --splice FILE", runs.join(" "))
}
