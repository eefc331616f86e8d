//! Compares two runs: what changed, and whether it is more than chance.

use std::path::PathBuf;

use anyhow::Result;

use super::content_pairs::{self, RunAt};
use super::{benchmark_convention, convention, require_verdicts, shared_questions};
use crate::report::{CompareOptions, Comparison, SliceBy, check_slices_exist};
use crate::run::store::{ResultsDir, StoredRun};
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

/// Compares the two runs. A run on some questions of the other is compared on those. Where their ids differ, as those of one data set from two sources do, their
/// questions are paired by text, gold and pixels.
///
/// # Errors
/// Returns an error if a run cannot be read, the runs were asked other questions by content too, the
/// data set of a run with other ids is gone, or a slice or convention is unknown.
pub fn compare(request: &CompareRequest) -> Result<Comparison> {
    let results = ResultsDir::new(&request.results);
    let [before, after] = [&request.before, &request.after].map(|name| results.find(name));
    let (before, after) = (before?, after?);
    let mut runs = [before.read()?, after.read()?];
    let remark = match runs[0].same_questions(&runs[1]) {
        Ok(()) => None,
        Err(_) => Some(match shared_questions::narrow(&runs[0], &runs[1]) {
            Some(narrowed) => {
                runs[usize::from(narrowed.is_second)] = narrowed.run;
                narrowed.remark
            }
            None => {
                let [run, other] = [(&runs[0], &before.dir), (&runs[1], &after.dir)]
                    .map(|(run, dir)| RunAt { run, dir });
                let paired = content_pairs::pair(&run, &other)?;
                runs[1] = paired.run;
                paired.remark
            }
        }),
    };
    let records = runs.iter().flat_map(StoredRun::records);
    check_slices_exist(&request.slices, records.clone().map(Ok))?;
    let own = benchmark_convention(runs.iter().map(|run| &run.manifest));
    let convention = convention(
        request.convention.as_deref(),
        own.as_deref(),
        records.map(|record| record.answer_type),
    )?;
    for (run, named) in runs.iter().zip([&before, &after]) {
        require_verdicts(convention, &named.dir, run.records().map(Ok))?;
    }
    let [before, after] = &runs;
    let options = CompareOptions {
        slices: request.slices.clone(),
        questions: request.questions,
        sign_flips: request.sign_flips,
    };
    let comparison = Comparison::new(before, after, convention, &options)?;
    Ok(match remark {
        Some(remark) => comparison.with_remark(remark),
        None => comparison,
    })
}
