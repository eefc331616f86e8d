//! `vlmevalkit-chartbench`: how VLMEvalKit scores the numeric questions of ChartBench
//! (open-compass/VLMEvalKit, `vlmeval/dataset/chartbench.py`, autumn 2026). Not to be confused with
//! this program's own convention; it is here so that its scores can be recognised.
//!
//! - **Relaxed accuracy**: `relaxed_correctness(target, prediction)` is called with the two
//!   swapped, so that the 5 % are of the prediction, and only a `%` of the prediction divides (by 1
//!   or by 100, whichever fits), a `%` of the gold answer is dropped. What is no number must be
//!   equal but for case.
//!
//! The prediction is stripped of white space, and then of every character of an end-of-sentence
//! token (`<｜end▁of▁ sentence｜>`) at its ends: of the letters c, d, e, f, i, n, o, s, t among
//! others.
//!
//! A gold list is a list of alternatives, and so is a text that begins with `[` and is a Python
//! literal.
//!
//! Known faults: `100` passes for `95`; a prediction of 0 passes for every gold answer up to 0.05,
//! and so for every negative one; `abc` passes for `ab`.

use super::{Metric, Pair, Rules, Scores, Trace, python};
use chartbench_core::question::Gold;

/// See the module's page.
pub struct VlmEvalKitChartBenchRules;

/// The characters that the original strips from a prediction's ends.
const TOKEN: &str = "<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>";

impl Rules for VlmEvalKitChartBenchRules {
    const NAME: &'static str = "vlmevalkit-chartbench";
    const ABOUT: &'static str = "VLMEvalKit ChartBench: 5 % of the prediction, not of the gold answer (its arguments are swapped)";
    const METRICS: &'static [Metric] = &[Metric::RelaxedAccuracy];

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let prediction = stripped(prediction);
        let golds = alternatives(pair.gold);
        if golds.is_empty() {
            trace.step(
                Metric::RelaxedAccuracy,
                "no alternative: wrong",
                String::new,
            );
        }
        let relaxed = golds.iter().any(|gold| relaxed(gold, prediction, trace));
        Scores::new(Self::METRICS, [relaxed.into()])
    }
}

/// The prediction without white space and the characters of [`TOKEN`] at its ends.
pub(super) fn stripped(prediction: &str) -> &str {
    python::strip(prediction).trim_matches(|c| TOKEN.contains(c))
}

/// The answers of which each is right.
fn alternatives(gold: &Gold) -> Vec<String> {
    match gold {
        Gold::Text(text) => {
            let items = text
                .starts_with('[')
                .then(|| python::literal::items(text))
                .flatten();
            items.unwrap_or_else(|| vec![text.clone()])
        }
        Gold::List(golds) => golds.iter().map(python::literal::gold_literal).collect(),
    }
}

/// The original's `relaxed_correctness`, called with its arguments swapped.
pub(super) fn relaxed(gold: &str, prediction: &str, trace: &mut impl Trace) -> bool {
    let number = |text: &str| python::float(text.trim_end_matches('%'));
    let (Some(gold_number), Some(base)) = (number(gold), number(prediction)) else {
        let equal = python::equal_lower(gold, prediction);
        trace.step(
            Metric::RelaxedAccuracy,
            "not two numbers: texts equal but for case",
            || format!("{gold:?} and {prediction:?}: {equal}"),
        );
        return equal;
    };
    let mut bases = vec![base];
    if prediction.ends_with('%') {
        bases.push(base / 100.0);
    }
    bases
        .into_iter()
        .any(|base| within(gold_number, base, trace))
}

fn within(t: f64, p: f64, trace: &mut impl Trace) -> bool {
    let (rule, change) = if p == 0.0 {
        ("numbers, swapped, p = 0: t <= 0.05", t)
    } else {
        (
            "numbers, swapped: |t - p| / |p| <= 0.05",
            (t - p).abs() / p.abs(),
        )
    };
    let correct = change <= 0.05;
    trace.step(Metric::RelaxedAccuracy, rule, || {
        format!("t = {t}, p = {p}: {correct}")
    });
    correct
}
