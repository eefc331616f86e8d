//! `chartbench data synth`: synthetic charts in RealCQA's layout.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;

use super::bar;
use crate::cli::Status;
use chartbench_core::counts::{MAX_QUESTIONS_PER_CHART, MAX_SYNTHETIC_CHARTS, parse_count_or_zero};
use chartbench_data::synth::Synth;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to write: a new or empty directory
    dir: PathBuf,
    /// The same seed draws the same charts, whatever their number
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Charts of the train split
    #[arg(long, default_value_t = 2500, value_parser = parse_count_or_zero::<MAX_SYNTHETIC_CHARTS>)]
    train: usize,
    /// Charts of the test split
    #[arg(long, default_value_t = 120, value_parser = parse_count_or_zero::<MAX_SYNTHETIC_CHARTS>)]
    test: usize,
    /// Questions a chart, at most
    #[arg(long, default_value_t = 4, value_parser = parse_count_or_zero::<MAX_QUESTIONS_PER_CHART>)]
    questions: usize,
}

pub(super) fn run(args: &Args) -> Result<Status> {
    let synth = Synth {
        seed: args.seed,
        train: args.train,
        test: args.test,
        questions_per_chart: args.questions,
    };
    let started = Instant::now();
    let total = args.train + args.test;
    let bar = bar(total, "charts")?;
    synth.write(&args.dir, &|| bar.inc(1))?;
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    chartbench_core::note!(
        "wrote {total} synthetic charts to {} in {seconds:.1} s",
        args.dir.display()
    );
    Ok(Status::Done)
}
