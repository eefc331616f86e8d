//! `charxiv`: verdicts of a judge as in princeton-nlp/CharXiv (arXiv 2406.18521).
//!
//! A language model reads the response beside the gold answer and a rubric, and scores it 1 or 0
//! (`chartbench judge`). This convention reads its stored verdicts and asks nobody; an answer
//! without a verdict has no score.
//!
//! The judge is asked as `evaluate.py` asks: descriptive answers five at a time, those of one
//! template together over all charts, in the data set's order; reasoning answers one by one.
//!
//! **Judged accuracy**: the verdict. A judge that fails, or whose reply is not as the official code
//! wants it, ten times in a row comes to no verdict. As in `get_stats.py` such answers score 0; they
//! are counted.
//!
//! **Rule agreement**: how often a rule comes to the judge's verdict, over the questions whose gold
//! answer has a closed form: a number, yes or no, `n by m`, `Not Applicable`. The last such value of
//! the response must equal the gold one. Answers without a valid verdict are left out.
//!
//! Known faults: of five judged together one verdict can depend on the other four, and a draw of the
//! questions makes other fives. [`charxiv-single`](super::charxiv_single) has them judged apart.

use super::{Metric, Pair, Rules, Scores, Trace, judgement};

/// See the module's page.
pub struct CharXivRules;

impl Rules for CharXivRules {
    const NAME: &'static str = "charxiv";
    const ABOUT: &'static str = "CharXiv: verdicts of a judge, five descriptive answers of one template at a time as the official code asks";
    const METRICS: &'static [Metric] = judgement::METRICS;
    const JUDGED: bool = true;

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        judgement::score(Self::NAME, pair, prediction, trace)
    }
}
