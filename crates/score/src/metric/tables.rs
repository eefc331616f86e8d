//! Shared by the conventions for data tables: which questions ask for a table, similarities, and
//! the optimal matching.

use std::borrow::Cow;

use super::{Metric, Pair, Score, Scores, Trace, python};
use chartbench_core::data_table::DataTable;
use chartbench_core::question::{AnswerType, Gold};

/// The metrics; leaderboards sort by the first.
pub(super) const METRICS: &[Metric] = &[
    Metric::RmsF1,
    Metric::RmsPrecision,
    Metric::RmsRecall,
    Metric::Rnss,
];

/// Least distance of texts with similarity 0.
const TEXT_THETA: f64 = 0.5;

/// Whether the question asks for a table: by its answer type, or without one, if its gold is
/// written as a table.
pub fn asks_for_table(pair: &Pair<'_>) -> bool {
    match (pair.answer_type, pair.gold) {
        (Some(answer_type), _) => answer_type == AnswerType::Table,
        (None, Gold::Text(text)) => DataTable::is_written_in(text),
        (None, Gold::List(_)) => false,
    }
}

/// The gold text if the question asks for a table; otherwise `None`, and `trace` gets the step that
/// the convention does not apply.
pub(super) fn gold<'a>(pair: &Pair<'a>, trace: &mut impl Trace) -> Option<Cow<'a, str>> {
    if asks_for_table(pair) {
        return Some(pair.gold.text());
    }
    METRICS.iter().for_each(|metric| {
        trace.step(
            *metric,
            "no table is asked for: does not apply",
            String::new,
        )
    });
    None
}

/// The scores of a convention that does not apply.
pub(super) fn inapplicable() -> Scores {
    Scores::new(METRICS, [Score::Inapplicable; METRICS.len()])
}

/// The agreement of two tables.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Agreement {
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
}

impl Agreement {
    pub(super) const FULL: Self = Self {
        precision: 1.0,
        recall: 1.0,
        f1: 1.0,
    };
    pub(super) const NONE: Self = Self {
        precision: 0.0,
        recall: 0.0,
        f1: 0.0,
    };

    /// The agreement from the sum of similarities over the predicted and gold points.
    pub(super) fn from_similarities(sum: f64, predicted: usize, gold: usize) -> Self {
        if sum == 0.0 {
            return Self::NONE;
        }
        let (precision, recall) = (sum / predicted as f64, sum / gold as f64);
        Self {
            precision,
            recall,
            f1: 2.0 * precision * recall / (precision + recall),
        }
    }
}

/// 1 - NL where NL = edit distance in code points / longer length is below 0.5, else 0; two empty
/// texts are equal.
pub(super) fn anls(a: &str, b: &str) -> f64 {
    let (longer, shorter) = match (python::len(a), python::len(b)) {
        (0, 0) => return 1.0,
        (a, b) => (a.max(b), a.min(b)),
    };
    let similarity = |edits: usize| {
        let distance = edits as f64 / longer as f64;
        if distance < TEXT_THETA {
            1.0 - distance
        } else {
            0.0
        }
    };
    // The difference of the lengths bounds the edits from below, which decides most pairs of keys.
    if similarity(longer - shorter) == 0.0 {
        0.0
    } else {
        similarity(python::edit_distance(a, b))
    }
}

/// A number; with a trailing `%` (any number of them) one hundredth of it.
pub(super) fn number(text: &str) -> Option<f64> {
    if text.ends_with('%') {
        Some(python::float(text.trim_end_matches('%'))? / 100.0)
    } else {
        python::float(text)
    }
}

/// The pairs (row, column) of least total cost, each row and column in one at most;
/// `scipy.optimize.linear_sum_assignment` with its choice among equals. `cost` is by rows.
///
/// # Errors
/// Returns the score of the question if the solver refuses the costs (NaN, infinity), for which
/// SciPy raises.
pub(super) fn assignment(
    rows: usize,
    columns: usize,
    cost: &Vec<f64>,
) -> Result<Vec<(usize, usize)>, Score> {
    let (rows, columns) =
        lsap::solve(rows, columns, cost, false).map_err(|_| Score::Raises("ValueError"))?;
    Ok(rows.into_iter().zip(columns).collect())
}

/// The scores if the points of two tables cannot be matched.
pub(super) fn unmatched(error: Score, trace: &mut impl Trace) -> Scores {
    for metric in METRICS {
        trace.step(*metric, "the points cannot be matched", || {
            format!("{error}")
        });
    }
    Scores::new(METRICS, [error; METRICS.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{SilentTrace, Summary};

    #[test]
    fn a_solver_that_fails_is_an_error_of_the_question() {
        assert_eq!(assignment(1, 2, &vec![0.5, 0.25]), Ok(vec![(0, 1)]));
        let error = assignment(1, 2, &vec![f64::NAN, f64::NAN]).unwrap_err();
        assert_eq!(error, Score::Raises("ValueError"));
        let summary = Summary::from_scores([unmatched(error, &mut SilentTrace)]).unwrap();
        assert_eq!(
            (summary.count, summary.errors, summary.mean(Metric::RmsF1)),
            (1, 1, Some(0.0))
        );
    }
}
