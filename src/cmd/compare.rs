//! `chartbench compare A B`: what changed between two runs.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::leaderboard::Format;
use super::{Status, print};
use crate::metric::Convention;
use crate::record::StoredRun;
use crate::report::compare;

#[derive(clap::Args)]
pub struct Args {
    /// The first run: a name under --results, or a path
    before: PathBuf,
    /// The second run
    after: PathBuf,
    /// Folder that holds the runs
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Scoring convention
    #[arg(long, default_value_t = Convention::default())]
    convention: Convention,
    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub fn run(args: &Args) -> Result<Status> {
    let read = |run: &Path| {
        let named = args.results.join(run);
        StoredRun::read(if named.exists() { &named } else { run })
    };
    let table = compare(&read(&args.before)?, &read(&args.after)?, args.convention)?;
    print(&match args.format {
        Format::Table => table.to_terminal(),
        Format::Markdown => table.to_markdown(),
        Format::Csv => table.to_csv(),
        Format::Json => table.to_json(),
    })?;
    Ok(Status::Done)
}
