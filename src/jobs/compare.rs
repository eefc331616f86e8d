//! Compares two runs: what changed, and whether it is more than chance.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::convention;
use crate::report::{CompareOptions, Comparison, SliceBy, check_slices_exist};
use crate::run::store::StoredRun;
use chartbench_score::stats::SignFlips;

/// Which runs to compare, and how.
#[derive(Clone, Debug)]
pub struct CompareRequest {
    /// A name under `results`, or a path; `RUN/ADAPTER` for one of a run's adapters.
    pub before: PathBuf,
    /// The second run, named likewise; changes are from `before` to `after`.
    pub after: PathBuf,
    /// Folder that holds the runs.
    pub results: PathBuf,
    /// Scoring convention, as of a leaderboard.
    pub convention: Option<String>,
    /// Slices to compare, too.
    pub slices: Vec<SliceBy>,
    /// Whether the questions that were fixed or broken are listed.
    pub questions: bool,
    /// Number and seed of the sign flips behind p-values and intervals.
    pub sign_flips: SignFlips,
}

/// Compares the two runs.
///
/// # Errors
/// Returns an error if a run cannot be read, the runs were asked other questions, or a slice or
/// convention is unknown.
pub fn compare(request: &CompareRequest) -> Result<Comparison> {
    let runs = [
        read(&request.results, &request.before)?,
        read(&request.results, &request.after)?,
    ];
    let records = runs.iter().flat_map(StoredRun::records);
    check_slices_exist(&request.slices, records.clone().map(Ok))?;
    let convention = convention(
        request.convention.as_deref(),
        records.map(|record| record.answer_type),
    )?;
    let [before, after] = &runs;
    let options = CompareOptions {
        slices: request.slices.clone(),
        questions: request.questions,
        sign_flips: request.sign_flips,
    };
    Comparison::new(before, after, convention, &options)
}

/// A run by its name or path; the part of it that one adapter answered, where its folder is named.
fn read(results: &Path, run: &Path) -> Result<StoredRun> {
    for path in [results.join(run), run.to_owned()] {
        if StoredRun::is_at(&path) {
            return StoredRun::read(&path);
        }
        if let (Some(parent), Some(adapter)) = (
            path.parent(),
            path.file_name().and_then(|name| name.to_str()),
        ) && StoredRun::is_at(parent)
        {
            return StoredRun::read(parent)?.with_adapter(adapter);
        }
    }
    StoredRun::read(run)
}
