//! `charxiv-single`: as [`charxiv`](super::charxiv), but for descriptive answers that are judged one
//! by one.
//!
//! The judge gets the official wording for a batch of one. A verdict then depends on no other answer,
//! nor on which questions were asked. No published number was made so.

use super::{Metric, Pair, Rules, Scores, Trace, judgement};

/// See the module's page.
pub struct CharXivSingleRules;

impl Rules for CharXivSingleRules {
    const NAME: &'static str = "charxiv-single";
    const ABOUT: &'static str = "CharXiv: verdicts of a judge, each descriptive answer by itself";
    const METRICS: &'static [Metric] = judgement::METRICS;
    const JUDGED: bool = true;

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        judgement::score(Self::NAME, pair, prediction, trace)
    }
}
