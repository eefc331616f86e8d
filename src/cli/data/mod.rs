//! `chartbench data`: data sets themselves, before any model sees them.

mod check;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use super::Status;
use chartbench_core::counts::{MAX_QUESTIONS_PER_CHART, MAX_SYNTHETIC_CHARTS, parse_count_or_zero};
use chartbench_data::synth::Synth;

/// Check a data set, or make a synthetic one.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say whether a data set can be trusted: its images, its splits, its gold answers
    Check(check::Args),
    /// Draw synthetic charts with questions, in RealCQA's layout
    Synth(SynthArgs),
}

#[derive(Debug, clap::Args)]
struct SynthArgs {
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

/// Runs `chartbench data ...`.
///
/// # Errors
/// A data set that cannot be loaded; whatever stops one from being written, and then nothing of it is left.
pub fn run(args: &Args) -> Result<Status> {
    match &args.command {
        Command::Check(args) => check::run(args),
        Command::Synth(args) => synth(args),
    }
}

fn synth(args: &SynthArgs) -> Result<Status> {
    let synth = Synth {
        seed: args.seed,
        train: args.train,
        test: args.test,
        questions_per_chart: args.questions,
    };
    let started = Instant::now();
    let total = args.train + args.test;
    let bar = bar(total, "charts")?;
    crate::jobs::data::synth(&synth, &args.dir, &|| bar.inc(1))?;
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    chartbench_core::note!(
        "wrote {total} synthetic charts to {} in {seconds:.1} s",
        args.dir.display()
    );
    Ok(Status::Done)
}

/// Drawn on stderr, and only where that is a terminal.
fn bar(total: usize, of: &str) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template(&format!(
        "{{bar:40}} {{pos}}/{{len}} {of}, {{per_sec}}, {{eta}} left"
    ))?;
    Ok(ProgressBar::new(total as u64).with_style(style))
}
