//! `chartbench data`: data sets themselves, before any model sees them.

mod check;
mod get;
#[cfg(feature = "synth")]
mod synth;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use super::Status;

/// Fetch a data set, check one, or make a synthetic one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Fetch a benchmark's data set into the Hugging Face cache, and print where it is
    Get(get::Args),
    /// Say whether a data set can be trusted: its images, its splits, its gold answers
    Check(check::Args),
    /// Draw synthetic charts with questions, in RealCQA's layout
    #[cfg(feature = "synth")]
    Synth(synth::Args),
    #[cfg(not(feature = "synth"))]
    #[command(hide = true)]
    Synth(super::Missing),
}

/// Runs `chartbench data ...`.
///
/// # Errors
/// A data set that cannot be had or loaded; whatever stops one from being written, and then nothing of it
/// is left.
pub(super) fn run(args: &Args) -> Result<Status> {
    match &args.command {
        Command::Get(args) => get::run(args),
        Command::Check(args) => check::run(args),
        #[cfg(feature = "synth")]
        Command::Synth(args) => synth::run(args),
        #[cfg(not(feature = "synth"))]
        Command::Synth(missing) => missing.refuse("synth"),
    }
}

/// Drawn on stderr, and only where that is a terminal.
fn bar(total: usize, of: &str) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template(&format!(
        "{{bar:40}} {{pos}}/{{len}} {of}, {{per_sec}}, {{eta}} left"
    ))?;
    Ok(ProgressBar::new(total as u64).with_style(style))
}
