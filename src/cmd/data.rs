//! `chartbench data`: data sets themselves, before any model sees them.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use super::Status;
use crate::dataset::synth::Synth;

/// Make a synthetic data set.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
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
    #[arg(long, default_value_t = 2500)]
    train: usize,
    /// Charts of the test split
    #[arg(long, default_value_t = 120)]
    test: usize,
    /// Questions a chart, at most
    #[arg(long, default_value_t = 4)]
    questions: usize,
}

/// Runs `chartbench data ...`.
///
/// # Errors
/// Whatever stops the data set from being written; then nothing of it is left.
pub fn run(args: &Args) -> Result<Status> {
    match &args.command {
        Command::Synth(args) => synth(args),
    }
}

fn synth(args: &SynthArgs) -> Result<Status> {
    let synth = Synth { seed: args.seed, train: args.train, test: args.test, questions_per_chart: args.questions };
    let started = Instant::now();
    let total = args.train + args.test;
    // Drawn on stderr, and only where that is a terminal.
    let bar = ProgressBar::new(total as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} charts, {per_sec}, {eta} left")?);
    synth.write(&args.dir, &|| bar.inc(1))?;
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    eprintln!("wrote {total} synthetic charts to {} in {seconds:.1} s", args.dir.display());
    Ok(Status::Done)
}
