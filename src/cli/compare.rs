//! `chartbench compare A B`: what changed between two runs, and whether it is more than chance.

use std::path::PathBuf;

use anyhow::Result;

use super::{Status, print_formatted};
use crate::jobs::compare::{CompareRequest, compare};
use crate::report::SliceBy;
use crate::report::table::Format;
use chartbench_core::counts::MAX_BOOTSTRAP_SAMPLES;
use chartbench_core::terminal;
use chartbench_score::stats::SignFlips;

#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 done; 2 a mistake to correct; 3 with --fail-if-worse, the second run is worse"
)]
pub(super) struct Args {
    /// The first run: a name under --results, or a path; RUN/ADAPTER for one of its adapters, to
    /// compare it with another
    before: PathBuf,
    /// The second run
    after: PathBuf,
    /// Folder that holds the runs
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Scoring convention [default: that of the benchmark, else chartbench; deplot-corrected where
    /// only tables are asked for]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
    /// Also compare slices: `answer type`, `taxonomy`, `chart type`, `source`, `template`,
    /// `label length`, `series`, `negative values`, or a column of the data
    #[arg(long, alias = "by", value_name = "NAMES", value_delimiter = ',')]
    slice_by: Vec<SliceBy>,
    /// Also list the questions that were fixed or broken
    #[arg(long)]
    questions: bool,
    /// Permutations (random flips of the charts' signs) behind a p-value and an interval; with few
    /// charts every flip is made
    #[arg(long, alias = "draws", value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=MAX_BOOTSTRAP_SAMPLES as i64))]
    permutations: u32,
    /// Exit with code 3 when the verdict on some adapter and metric is that the second run is worse
    #[arg(long)]
    fail_if_worse: bool,
    /// Points that --fail-if-worse allows a metric to fall
    #[arg(long, value_name = "N", default_value_t = 0.0, requires = "fail_if_worse", value_parser = parse_points)]
    max_drop: f64,
    /// Form of the tables
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<Status> {
    let request = CompareRequest {
        before: args.before.clone(),
        after: args.after.clone(),
        results: args.results.clone(),
        convention: args.convention.clone(),
        slices: args.slice_by.clone(),
        questions: args.questions,
        sign_flips: SignFlips {
            draws: args.permutations as usize,
            ..SignFlips::default()
        },
    };
    let comparison = compare(&request)?;
    print_formatted(
        &comparison.render_within(args.format, terminal::width())?,
        args.format,
    );
    match comparison.largest_drop() {
        Some(drop) if args.fail_if_worse && drop > args.max_drop => {
            chartbench_core::note!(
                "worse: a metric fell by {drop:.2} points, --max-drop allows {}",
                args.max_drop
            );
            Ok(Status::Worse)
        }
        _ => Ok(Status::Done),
    }
}

/// Reads a number of percentage points.
fn parse_points(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(points) if (0.0..=100.0).contains(&points) => Ok(points),
        _ => Err("must be a number from 0 to 100".to_owned()),
    }
}
