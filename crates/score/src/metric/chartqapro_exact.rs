//! `chartqapro-exact`: ChartQAPro as lmms-eval scores it (EvolvingLMMs-Lab/lmms-eval 0.7,
//! `lmms_eval/tasks/chartqapro/utils.py`), with the exact match that the original computes and then
//! does not use.
//!
//! **Relaxed accuracy**: that of [`chartqapro`](super::chartqapro), but
//!
//! - the elements of fact-checking and multiple-choice questions must be equal, stripped and
//!   lower-cased, whatever the year flags say;
//! - both texts lose outer white space before the dots and line breaks at their ends.
//!
//! The question's type (`Question Type`) is needed: without it the convention scores as without the
//! flag. openbench (groq/openbench) passes the flag too; its ANLS does not fold inner white space,
//! and its solver cuts an answer such as `a) Rice` to `a`.
//!
//! Known faults: as chartqapro for the other types; `a.` is right for `a` and `(a)` is not; `yes`
//! is wrong for `True`.

use super::chartqapro::{Exact, mean_of_elements};
use super::{Metric, Pair, Rules, Scores, Trace, python};

/// See the module's page.
pub struct ChartQaProExactRules;

/// The types of questions whose elements must be equal.
const EXACT_TYPES: [&str; 2] = ["Fact Checking", "Multi Choice"];

impl Rules for ChartQaProExactRules {
    const NAME: &'static str = "chartqapro-exact";
    const ABOUT: &'static str = "ChartQAPro with its exact-match flag, as lmms-eval: fact checking and multiple choice equal, the rest as chartqapro";
    const METRICS: &'static [Metric] = &[Metric::RelaxedAccuracy];

    fn is_for(pair: &Pair<'_>) -> bool {
        let kind = pair.kind.question_type;
        kind.is_some_and(|kind| EXACT_TYPES.contains(&kind)) || pair.year_flags.text().is_some()
    }

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let kind = pair.kind.question_type;
        let exact = if kind.is_some_and(|kind| EXACT_TYPES.contains(&kind)) {
            Exact::Always
        } else {
            Exact::Years
        };
        let score = mean_of_elements(pair, prediction, trimmed, exact, trace);
        Scores::new(Self::METRICS, [score])
    }
}

fn trimmed(text: &str) -> &str {
    python::strip(text).trim_matches('.').trim_matches('\n')
}
