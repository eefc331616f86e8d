//! `unichart`: `compute_metric` of UniChart's ChartQA fine-tuning (vis-nlp/UniChart,
//! `model/chartqa_model.py`), which its paper's figures come from (arXiv 2305.14761).
//!
//! - **Relaxed accuracy**: both texts stripped of outer blanks; where both are numbers, |t - p| /
//!   |t| <= 0.05; where that raises (no numbers, t = 0), the texts must be equal but for case.
//!
//! Known faults: years are numbers; `%`, `,` and `$` make a text of a number (`52%` fails for
//! `50%`); with t = 0 the two floats are compared as Python writes them, so that `-0` fails for
//! `0`; `nan` never matches itself. A gold number beside a prediction that is not a number is
//! compared as Python writes the number, which no text can equal.

use super::{Metric, Pair, Rules, Scores, Trace, python};

/// See the module's page.
pub struct UniChartRules;

impl Rules for UniChartRules {
    const NAME: &'static str = "unichart";
    const ABOUT: &'static str =
        "UniChart: bare numbers within 5 % of the gold value, else texts equal but for case";
    const METRICS: &'static [Metric] = &[Metric::RelaxedAccuracy];

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let gold = pair.gold.text();
        let (gold, prediction) = (gold.trim_matches(' '), prediction.trim_matches(' '));
        Scores::new(Self::METRICS, [relaxed(gold, prediction, trace).into()])
    }
}

fn relaxed(gold: &str, prediction: &str, trace: &mut impl Trace) -> bool {
    let metric = Metric::RelaxedAccuracy;
    match (python::float(gold), python::float(prediction)) {
        (Some(gold), Some(prediction)) if gold == 0.0 => {
            let same =
                prediction == 0.0 && prediction.is_sign_negative() == gold.is_sign_negative();
            trace.step(
                metric,
                "gold is 0: both numbers as Python writes them",
                || format!("{gold:?}, {prediction:?}: {same}"),
            );
            same
        }
        (Some(gold), Some(prediction)) => {
            let error = (gold - prediction).abs() / gold.abs();
            trace.step(metric, "numbers: |t - p| / |t| <= 0.05", || {
                format!("|{gold} - {prediction}| / |{gold}| = {error}")
            });
            error <= 0.05
        }
        (Some(_), None) => {
            trace.step(metric, "gold is a number, prediction none: wrong", || {
                format!("{gold:?} and {prediction:?}")
            });
            false
        }
        (None, _) => {
            let equal = python::equal_lower(gold, prediction);
            trace.step(
                metric,
                "gold is no number: texts equal but for case",
                || format!("{gold:?} and {prediction:?}: {equal}"),
            );
            equal
        }
    }
}
