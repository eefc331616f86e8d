//! `vlmevalkit-chartbench`: how VLMEvalKit scores the numeric questions of ChartBench
//! (open-compass/VLMEvalKit, `vlmeval/dataset/chartbench.py`, autumn 2026). Not to be confused with this program's own
//! convention; it is here so that its scores can be recognised.
//!
//! - **Relaxed accuracy**: `relaxed_correctness(target, prediction)` is called with the two swapped, so that the 5 % are
//!   of the prediction, and only a `%` of the prediction divides (by 1 or by 100, whichever fits), a `%` of the gold
//!   answer is dropped. What is no number must be equal but for case.
//!
//! The prediction is stripped of white space, and then of every character of an end-of-sentence token (`<｜end▁of▁
//! sentence｜>`) at its ends: of the letters c, d, e, f, i, n, o, s, t among others.
//!
//! Where it errs: `100` passes for `95`; a prediction of 0 passes for every gold answer up to 0.05, and so for every
//! negative one; `abc` passes for `ab`. The original takes a gold text that begins with `[` as a list of alternatives;
//! here only a list given as a list is one.

use super::{Metric, Pair, Rules, Scores, Trace, python};
use crate::sample::Gold;

/// See the module's page.
pub struct VlmEvalKitChartBench;

/// What the original strips from a prediction's ends, as a set of characters.
const TOKEN: &str = "<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>";

impl Rules for VlmEvalKitChartBench {
    const NAME: &'static str = "vlmevalkit-chartbench";
    const ABOUT: &'static str =
        "VLMEvalKit ChartBench: 5 % of the prediction, not of the gold answer (its arguments are swapped)";
    const METRICS: &'static [Metric] = &[Metric::RelaxedAccuracy];

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let prediction = python::strip(prediction).trim_matches(|c| TOKEN.contains(c));
        let relaxed = match pair.gold {
            Gold::Text(gold) => relaxed(gold, prediction, trace),
            Gold::List(golds) if golds.is_empty() => {
                trace.step(Metric::RelaxedAccuracy, "no alternative: wrong", String::new);
                false
            }
            Gold::List(golds) => golds.iter().any(|gold| relaxed(&gold.text(), prediction, trace)),
        };
        Scores::new(Self::METRICS, [relaxed.into()])
    }
}

fn relaxed(gold: &str, prediction: &str, trace: &mut impl Trace) -> bool {
    let number = |text: &str| python::float(text.trim_end_matches('%'));
    let (Some(gold_number), Some(base)) = (number(gold), number(prediction)) else {
        let equal = python::equal_lower(gold, prediction);
        trace.step(Metric::RelaxedAccuracy, "not two numbers: texts equal but for case", || {
            format!("{gold:?} and {prediction:?}: {equal}")
        });
        return equal;
    };
    let within = |base: f64| {
        let change = if base == 0.0 { gold_number } else { (gold_number - base).abs() / base.abs() };
        change <= 0.05
    };
    let correct = within(base) || (prediction.ends_with('%') && within(base / 100.0));
    trace.step(Metric::RelaxedAccuracy, "numbers, swapped: |t - p| / |p| <= 0.05, or t <= 0.05 where p = 0", || {
        format!("t = {gold_number}, p = {base}: {correct}")
    });
    correct
}
