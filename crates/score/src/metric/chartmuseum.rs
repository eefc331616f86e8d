//! `chartmuseum`: verdicts of a judge as in Liyan06/ChartMuseum (arXiv 2505.13444).
//!
//! A language model is asked whether the extracted answer and the gold answer are equivalent
//! (`chartbench judge`). This convention reads its stored verdicts and asks nobody; an answer
//! without a verdict has no score.
//!
//! The extracted answer is what stands between the first `<answer>` of the response and the
//! `</answer>` behind it, or the response's end; without `<answer>` it is empty.
//!
//! **Judged accuracy**: 1 where `yes` is in the judge's reply in any case, anywhere; else 0. The
//! original has no invalid verdicts; here a judge that fails ten times in a row comes to none, the
//! answer scores 0 and is counted.
//!
//! **Rule agreement**: as in `charxiv`, over the extracted answer.
//!
//! Known faults: a reply such as `No ... yes` is a yes.

use super::{Metric, Pair, Rules, Scores, Trace, judgement, python};

/// See the module's page.
pub struct ChartMuseumRules;

impl Rules for ChartMuseumRules {
    const NAME: &'static str = "chartmuseum";
    const ABOUT: &'static str =
        "ChartMuseum: a judge's yes or no to whether answer and gold answer are equivalent";
    const METRICS: &'static [Metric] = judgement::METRICS;
    const JUDGED: bool = true;

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        // A prediction that was cut out of the response already has no marks around it.
        let response = if prediction.contains(OPEN) {
            extracted(prediction)
        } else {
            prediction
        };
        judgement::score(Self::NAME, pair, response, trace)
    }
}

const OPEN: &str = "<answer>";
const CLOSE: &str = "</answer>";

/// The answer that the judge sees of a response.
///
/// ```
/// use chartbench_score::metric::chartmuseum::extracted;
/// assert_eq!(extracted("<think>5?</think> <answer> 6\n</answer>"), "6");
/// assert_eq!(extracted("<answer>6"), "6");
/// assert_eq!(extracted("6"), "");
/// ```
pub fn extracted(response: &str) -> &str {
    let behind = response.split_once(OPEN).map(|(_, behind)| behind);
    let answer = behind.map(|behind| {
        behind
            .split_once(CLOSE)
            .map_or(behind, |(answer, _)| answer)
    });
    python::strip(answer.unwrap_or_default())
}
