//! `chartbench runs`: which runs are stored; `runs show NAME`, `runs remove NAME`.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use bytesize::ByteSize;

use super::{Status, one_line, print_formatted};
use crate::jobs::runs::{StoredRunSummary, find_removable, list, remove, show};
use crate::report::table::Format;
use chartbench_core::terminal;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// Folder that holds the runs
    #[arg(long, value_name = "DIR", default_value = "results", global = true)]
    results: PathBuf,
    /// Form of the tables
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Show the adapters of a run, or the settings of one adapter
    Show {
        /// A name under --results, or a path; RUN/ADAPTER for the settings of one adapter
        #[arg(value_name = "RUN")]
        run: PathBuf,
    },
    /// Remove runs with all that was stored in them
    Remove {
        /// Names under --results, or paths
        #[arg(required = true, value_name = "RUN")]
        runs: Vec<PathBuf>,
        /// Do not ask; needed where standard input is no terminal
        #[arg(long)]
        yes: bool,
    },
}

pub(super) fn run(args: &Args) -> Result<Status> {
    match &args.action {
        None => print_list(args),
        Some(Action::Show { run }) => {
            print_formatted(
                &show(&args.results, run)?.render_within(args.format, terminal::width())?,
                args.format,
            );
            Ok(Status::Done)
        }
        Some(Action::Remove { runs, yes }) => remove_all(args, runs, *yes),
    }
}

fn print_list(args: &Args) -> Result<Status> {
    let list = list(&args.results)?;
    let results = args.results.display();
    if list.runs.is_empty() && list.unreadable.is_empty() {
        chartbench_core::note!("{results} holds no runs; `chartbench run` makes one");
    }
    if !list.runs.is_empty() || args.format != Format::Table {
        print_formatted(
            &list.table().render_within(args.format, terminal::width())?,
            args.format,
        );
    }
    if !list.others.is_empty() {
        chartbench_core::note!("note: no runs in {results}: {}", list.others.join(", "));
    }
    for (dir, error) in &list.unreadable {
        chartbench_core::note!("error: {}: {}", dir.display(), one_line(error));
    }
    Ok(if list.unreadable.is_empty() {
        Status::Done
    } else {
        Status::Failures
    })
}

fn remove_all(args: &Args, names: &[PathBuf], yes: bool) -> Result<Status> {
    let runs = names
        .iter()
        .map(|name| find_removable(&args.results, name))
        .collect::<Result<Vec<_>>>()?;
    ensure!(
        yes || std::io::stdin().is_terminal(),
        "standard input is no terminal that could be asked: nothing is removed without --yes"
    );
    for run in &runs {
        if yes || is_confirmed(run)? {
            remove(run)?;
            chartbench_core::note!("removed {}", run.dir.display());
        } else {
            chartbench_core::note!("kept {}", run.dir.display());
        }
    }
    Ok(Status::Done)
}

/// Asks on the terminal whether to remove a run.
fn is_confirmed(run: &StoredRunSummary) -> Result<bool> {
    chartbench_core::note!(
        "remove {} with {} answers of {} adapters, {}? [y/N]",
        run.dir.display(),
        run.answered(),
        run.rows.len(),
        ByteSize(run.bytes)
    );
    let answer = std::io::stdin().lines().next().transpose()?;
    Ok(answer.is_some_and(|answer| matches!(answer.trim(), "y" | "Y" | "yes")))
}
