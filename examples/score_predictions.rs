//! Scores a file of predictions under every convention, as `chartbench score FILE` does.
//!
//!     cargo run --example score_predictions -- predictions.csv

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints"
)]

use std::env;

use anyhow::{Context, Result};
use chartbench::jobs::score::{ScoreRequest, read};

fn main() -> Result<()> {
    let file = env::args_os()
        .nth(1)
        .context("usage: score_predictions FILE")?;
    let scored = read(&ScoreRequest {
        files: vec![file.into()],
        ..ScoreRequest::default()
    })?;
    for file in &scored.0 {
        file.problems
            .iter()
            .for_each(|problem| eprintln!("{}: {problem}", file.name));
    }
    println!(
        "{}",
        scored.summary(&scored.conventions(), true).to_terminal()
    );
    Ok(())
}
