//! `chartbench compare A B`: what changed between two runs.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{DEFAULT_CONVENTION, Status, print};
use crate::metric::Convention;
use crate::record::StoredRun;
use crate::report::compare;
use crate::report::table::Format;

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
    #[arg(long, value_name = "NAME", default_value = DEFAULT_CONVENTION)]
    convention: String,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub fn run(args: &Args) -> Result<Status> {
    let read = |run: &Path| {
        let named = args.results.join(run);
        StoredRun::read(if named.exists() { &named } else { run })
    };
    let table = compare(&read(&args.before)?, &read(&args.after)?, Convention::named(&args.convention)?)?;
    print(&table.render(args.format)?)?;
    Ok(Status::Done)
}
