//! `chartbench leaderboard`: one table over many runs.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;

use super::{Status, print};
use crate::metric::Convention;
use crate::record::{StoredRun, write_atomically};
use crate::report::{Leaderboard, splice};

#[derive(clap::Args)]
pub struct Args {
    /// Run directories
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Scoring convention
    #[arg(long, default_value_t = Convention::default())]
    convention: Convention,
    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Leave out questions a second: the output then depends on the predictions alone
    #[arg(long)]
    no_speed: bool,
    /// Also write leaderboard.md, leaderboard.csv and leaderboard.json into DIR
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// Also put the Markdown between the markers of FILE
    #[arg(long, value_name = "FILE")]
    splice: Option<PathBuf>,
}

/// `--format` of commands that print a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Markdown,
    Csv,
    Json,
}

pub fn run(args: &Args) -> Result<Status> {
    let runs = args.runs.iter().map(|path| StoredRun::read(path)).collect::<Result<Vec<_>>>()?;
    let leaderboard = Leaderboard::new(&runs, args.convention);
    let leaderboard = if args.no_speed { leaderboard.without_speed() } else { leaderboard };
    if let Some(dir) = &args.write {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        for (name, text) in [
            ("leaderboard.md", leaderboard.to_markdown()),
            ("leaderboard.csv", leaderboard.to_csv()),
            ("leaderboard.json", leaderboard.to_json()),
        ] {
            write_atomically(&dir.join(name), text.as_bytes())?;
        }
    }
    if let Some(file) = &args.splice {
        let document = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let spliced = splice(&document, &command(args), &leaderboard.to_markdown())
            .with_context(|| format!("cannot splice into {}", file.display()))?;
        write_atomically(file, spliced.as_bytes())?;
    }
    print(&match args.format {
        Format::Table => leaderboard.to_terminal(),
        Format::Markdown => leaderboard.to_markdown(),
        Format::Csv => leaderboard.to_csv(),
        Format::Json => leaderboard.to_json(),
    })?;
    Ok(Status::Done)
}

/// The command that makes the spliced text again.
fn command(args: &Args) -> String {
    let runs: Vec<String> = args.runs.iter().map(|path| path.display().to_string()).collect();
    let convention = if args.convention == Convention::default() {
        String::new()
    } else {
        format!(" --convention {}", args.convention)
    };
    let speed = if args.no_speed { " --no-speed" } else { "" };
    format!("chartbench leaderboard {}{convention}{speed} --splice FILE", runs.join(" "))
}
