//! `chartbench compare A B`: what changed between two runs, and whether it is more than chance.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Status, convention, print_formatted};
use crate::record::StoredRun;
use crate::report::table::Format;
use crate::report::{CompareOptions, Comparison, Dimension, check_known};
use chartbench_core::counts::MAX_BOOTSTRAP_SAMPLES;
use chartbench_score::stats::SignFlips;

#[derive(clap::Args)]
pub struct Args {
    /// The first run: a name under --results, or a path; RUN/ADAPTER for one of its adapters, to compare it with another
    before: PathBuf,
    /// The second run
    after: PathBuf,
    /// Folder that holds the runs
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Scoring convention [default: chartbench; deplot-corrected where only tables are asked for]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
    /// Also compare slices: `answer type`, `taxonomy`, `chart type`, `source`, `template`, `label length`, `series`,
    /// `negative values`, or a column of the data
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    by: Vec<Dimension>,
    /// Also list the questions that were fixed or broken
    #[arg(long)]
    questions: bool,
    /// Random flips of the charts' signs behind a p-value and an interval; with few charts every flip is made
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=MAX_BOOTSTRAP_SAMPLES as i64))]
    draws: u32,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub fn run(args: &Args) -> Result<Status> {
    let runs = [read(&args.results, &args.before)?, read(&args.results, &args.after)?];
    let records = runs.iter().flat_map(StoredRun::records);
    check_known(&args.by, records.clone().map(Ok))?;
    let convention = convention(args.convention.as_deref(), records.map(|record| record.answer_type))?;
    let [before, after] = &runs;
    let sign_flips = SignFlips { draws: args.draws as usize, ..SignFlips::default() };
    let options = CompareOptions { slices: args.by.clone(), questions: args.questions, sign_flips };
    print_formatted(&Comparison::new(before, after, convention, &options)?.render(args.format)?, args.format);
    Ok(Status::Done)
}

/// A run by its name or path; the part of it that one adapter answered, where its folder is named.
fn read(results: &Path, run: &Path) -> Result<StoredRun> {
    for path in [results.join(run), run.to_owned()] {
        if StoredRun::is_at(&path) {
            return StoredRun::read(&path);
        }
        if let (Some(parent), Some(adapter)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
            && StoredRun::is_at(parent)
        {
            return StoredRun::read(parent)?.only(adapter);
        }
    }
    StoredRun::read(run)
}
