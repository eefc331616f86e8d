//! Scores a run and stores its leaderboard.

use std::path::Path;

use anyhow::Result;

use crate::report::table::Format;
use crate::report::{Leaderboard, LeaderboardOptions, LeaderboardParts, SliceBy, against_blind};
use crate::run::store::RunReader;
use chartbench_core::files::{FileLock, write_file};
use chartbench_score::metric::Convention;

/// Scores the run and stores its leaderboard. Processes at work on the same run do so one after the
/// other: the last one's leaderboard has the answers of all. What is returned has tables by
/// `slices` besides, and the conclusion about the best rows.
pub(super) fn store_leaderboard(
    convention: &'static Convention,
    dir: &Path,
    slices: &[SliceBy],
) -> Result<(Leaderboard, Option<String>)> {
    let file = dir.join("leaderboard.md");
    let lock = FileLock::acquire(&file)?;
    let mut options = LeaderboardOptions::default();
    let stored = LeaderboardParts {
        explanation: true,
        settings: true,
        slices: options.slices.clone(),
    };
    let more = slices.iter().filter(|slice| !stored.slices.contains(slice));
    options.slices.extend(more.cloned());
    let runs = [RunReader::open(dir)?];
    let mut leaderboard = Leaderboard::from_runs(&runs, convention, options)?;
    leaderboard.show_speed(false);
    let text = leaderboard.render_parts(Format::Markdown, None, &stored)?;
    write_file(&file, text.as_bytes())?;
    drop(lock);
    leaderboard.show_speed(true);
    let [run] = &runs;
    let against_blind = against_blind(run, &leaderboard, convention)?;
    Ok((leaderboard, against_blind))
}
