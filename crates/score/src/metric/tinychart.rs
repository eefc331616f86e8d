//! `tinychart`: `RelaxedAccuracy` of TinyChart (X-PLUG/mPLUG-DocOwl,
//! `TinyChart/tinychart/eval/eval_metric.py`; arXiv 2404.16635).
//!
//! **Relaxed accuracy**: where both texts are numbers, |p - t| / t <= 0.05 (t = 0 takes only 0);
//! else the texts must be equal, case and white space included.
//!
//! Known faults: the denominator is signed, so that every number is right for a negative one; `Yes`
//! is wrong for `yes`; years are numbers; `%`, `,` and `$` make a text of a number; `nan` never
//! matches itself. A gold number beside a prediction that is not a number is compared as Python
//! writes the number, which no text can equal. Its program-of-thought evaluation runs code that the
//! model wrote, and is not here.

use super::{Metric, Pair, Rules, Scores, Trace, python};

/// See the module's page.
pub struct TinyChartRules;

impl Rules for TinyChartRules {
    const NAME: &'static str = "tinychart";
    const ABOUT: &'static str =
        "TinyChart: bare numbers within 5 % (any for a negative one), else equal texts";
    const METRICS: &'static [Metric] = &[Metric::RelaxedAccuracy];

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let relaxed = relaxed(&pair.gold.text(), prediction, trace);
        Scores::new(Self::METRICS, [relaxed.into()])
    }
}

fn relaxed(gold: &str, prediction: &str, trace: &mut impl Trace) -> bool {
    let metric = Metric::RelaxedAccuracy;
    match (python::float(gold), python::float(prediction)) {
        (Some(t), Some(p)) => {
            let correct = if t == 0.0 {
                p == t
            } else {
                (p - t).abs() / t <= 0.05
            };
            trace.step(metric, "numbers: |p - t| / t <= 0.05", || {
                format!("t = {t}, p = {p}: {correct}")
            });
            correct
        }
        (Some(_), None) => {
            trace.step(metric, "gold is a number, prediction none: wrong", || {
                format!("{gold:?} and {prediction:?}")
            });
            false
        }
        (None, _) => {
            let equal = gold == prediction;
            trace.step(metric, "gold is no number: texts equal", || {
                format!("{gold:?} and {prediction:?}: {equal}")
            });
            equal
        }
    }
}
