//! Asks an embedded model twenty questions of the synthetic mini benchmark, as `chartbench run`
//! does, and prints the leaderboard.
//!
//!     cargo run --release --example run_benchmark

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints"
)]

use anyhow::Result;
use chartbench::jobs::SelectedAdapter;
use chartbench::jobs::run::{RunRequest, run};
use chartbench::report::table::Format;
use chartbench::run::RunEvent;

fn main() -> Result<()> {
    let adapters = vec![
        SelectedAdapter::by_name("matcha-tiny")?,
        SelectedAdapter::by_name("majority")?,
    ];
    let results = env_folder();
    let request = RunRequest {
        limit: Some(20),
        results,
        ..RunRequest::new(adapters)
    };
    let report = run(&request, &mut |event| {
        if let RunEvent::AdapterFinished { id, outcome } = event {
            eprintln!(
                "{id}: {} questions, {} failed",
                outcome.questions, outcome.failed
            );
        }
    })?;
    println!("{}", report.leaderboard.render(Format::Table)?);
    Ok(())
}

/// The folder for the run: the first argument, or one in the system's folder of temporary files.
fn env_folder() -> std::path::PathBuf {
    std::env::args_os().nth(1).map_or_else(
        || std::env::temp_dir().join("chartbench-example"),
        Into::into,
    )
}
