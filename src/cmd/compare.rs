//! `chartbench compare A B`: what changed between two runs.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Status, convention, print};
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
    /// Scoring convention [default: chartbench; deplot-corrected where only tables are asked for]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub fn run(args: &Args) -> Result<Status> {
    let read = |run: &Path| {
        let named = args.results.join(run);
        StoredRun::read(if named.exists() { &named } else { run })
    };
    let runs = [read(&args.before)?, read(&args.after)?];
    let records = runs.iter().flat_map(StoredRun::records);
    let convention = convention(args.convention.as_deref(), records.map(|record| record.answer_type))?;
    let [before, after] = &runs;
    let table = compare(before, after, convention)?;
    print(&table.render(args.format)?)?;
    Ok(Status::Done)
}
