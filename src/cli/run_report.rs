//! What a run prints when it has ended.

use std::path::Path;

use anyhow::Result;

use super::progress::Progress;
use super::{Status, print_failures};
use crate::jobs::run::{AskedRow, RunReport, ShardReport};
use crate::report::table::{Format, wrap};
use crate::report::{LeaderboardParts, RowKind, SliceBy};
use crate::run::store::ResultsDir;
use chartbench_core::terminal;

/// The parts that are printed besides the leaderboard and its conclusion.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct OutputArgs {
    /// Also print tables by `answer type`, `taxonomy`, `chart type`, `source`, `template`,
    /// `label length`, `series`, `negative values`, or a column of the data
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    slice_by: Vec<SliceBy>,
    /// Also print the settings that the adapters answered with
    #[arg(long)]
    settings: bool,
    /// Print the leaderboard, warnings and errors alone
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Also print what the columns mean, the settings and the usual slices
    #[arg(short, long)]
    verbose: bool,
}

impl OutputArgs {
    /// Whether progress is not drawn.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The progress on stderr that goes with the output.
    pub(super) fn progress(&self) -> Progress {
        if self.quiet {
            Progress::quiet()
        } else {
            Progress::new()
        }
    }

    /// The slices of `--slice-by`.
    pub(super) fn slices(&self) -> Vec<SliceBy> {
        self.slice_by.clone()
    }

    /// The parts of the leaderboard that are printed.
    fn parts(&self) -> LeaderboardParts {
        let usual = self.verbose && self.slice_by.is_empty();
        LeaderboardParts {
            explanation: self.verbose,
            settings: self.settings || self.verbose,
            slices: if usual {
                SliceBy::DEFAULT.into()
            } else {
                self.slices()
            },
        }
    }
}

/// Prints the leaderboard, its conclusion and where the rest is, or a line about a shard; below
/// them what failed, else what to do next.
pub(super) fn print_report(report: &RunReport, output: &OutputArgs) -> Result<Status> {
    match &report.shard {
        Some(shard) => terminal::print(&shard_line(report, shard)),
        None => print_tables(report, output)?,
    }
    print_failures(&report.failures);
    for failed in &report.failed_questions {
        chartbench_core::note!(
            "error: {}: {} of {} questions failed (run --retry-failed asks them again); the first: {}",
            failed.adapter,
            failed.failed,
            failed.questions,
            failed.first_error
        );
    }
    Ok(if report.is_complete() {
        Status::Done
    } else {
        Status::Failures
    })
}

fn print_tables(report: &RunReport, output: &OutputArgs) -> Result<()> {
    let width = terminal::width();
    let mut text = report
        .leaderboard
        .render_parts(Format::Table, width, &output.parts())?;
    if !output.quiet {
        let lines = closing_lines(report);
        text += &width.map_or_else(|| lines.clone(), |width| wrap(&lines, width));
    }
    terminal::print(&text);
    Ok(())
}

/// What a shard has answered, and what follows when all have.
fn shard_line(report: &RunReport, shard: &ShardReport) -> String {
    let (whole, sharded): (Vec<&AskedRow>, Vec<&AskedRow>) =
        shard.rows.iter().partition(|row| row.shard.is_none());
    let questions = shard.questions;
    let mut parts = Vec::new();
    if questions == 0 {
        parts.push("no chart falls into it".to_owned());
    } else if sharded.iter().any(|row| row.answered < questions) {
        parts.extend(sharded.into_iter().map(answered));
    } else {
        let done = format!("{questions} of {questions} questions answered by");
        parts.push(match sharded.len() {
            0 => format!("none of {questions} questions is for a row of this shard"),
            1 => format!("{done} 1 row"),
            rows => format!("{done} each of {rows} rows"),
        });
    }
    parts.extend(whole.into_iter().map(answered));
    let name = report.dir.file_name().unwrap_or_default().to_string_lossy();
    let results = ResultsDir::new(report.dir.parent().unwrap_or(Path::new("")));
    format!(
        "shard {}: {}; when all shards are done: {}\n",
        shard.shard,
        parts.join("; "),
        results.merge_command(&name)
    )
}

fn answered(row: &AskedRow) -> String {
    format!(
        "{} answered {} of {}",
        row.adapter, row.answered, row.questions
    )
}

fn closing_lines(report: &RunReport) -> String {
    let dir = report.dir.display();
    let conclusion = report
        .against_blind
        .as_ref()
        .map(|sentence| format!("{sentence}\n"))
        .unwrap_or_default();
    let best = match report.leaderboard.best(RowKind::Model) {
        Some(adapter) => report.dir.join(adapter),
        None => report.dir.clone(),
    };
    format!(
        "{conclusion}{dir} has every answer, the settings (run.toml) and the tables by slice (leaderboard.md)\n\
         page: chartbench report {dir}; what it got wrong: chartbench failures {}\n",
        best.display()
    )
}
