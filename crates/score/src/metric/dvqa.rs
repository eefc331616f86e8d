//! `dvqa`: the accuracy of DVQA (arXiv 1801.08163) as PReFIL counts it, `compute_metrics.py` of
//! kushalkafle/PReFIL.
//!
//! **Exact match**: the two texts are equal, case and white space included.
//!
//! Answers of DVQA are lower-cased; counts are words (`two`), values are digits (`2`).
//!
//! Known faults: the original's models choose among the answers of the train split and cannot spell
//! one otherwise, but models that write can: `Yes` is wrong for `yes`, and `2` for `two`.

use super::{Metric, Pair, Rules, Scores, Trace};

/// See the module's page.
pub struct DvqaRules;

impl Rules for DvqaRules {
    const NAME: &'static str = "dvqa";
    const ABOUT: &'static str = "DVQA: the texts are equal";
    const METRICS: &'static [Metric] = &[Metric::ExactMatch];

    /// Nothing tells its questions from those of other data sets.
    fn is_for(_: &Pair<'_>) -> bool {
        false
    }

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let gold = pair.gold.text();
        let equal = gold == prediction;
        trace.step(Metric::ExactMatch, "texts equal", || {
            format!("{gold:?} and {prediction:?}: {equal}")
        });
        Scores::new(Self::METRICS, [equal.into()])
    }
}
