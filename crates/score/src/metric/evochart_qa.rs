//! `evochart-qa`: the rule of EvoChart-QA (MuyeHuang/EvoChart, README; arXiv 2409.01577), which
//! publishes no scorer.
//!
//! **Accuracy**, by the question's `is_clear`; without it the convention does not apply:
//!
//! - `true`, the answer is written in the chart: the texts are equal, stripped and lower-cased;
//! - `false`, the answer is estimated: both numbers, |p - t| / |t| <= 0.05, after white space, `,`
//!   and a last `%` were dropped (t = 0 takes only 0); what is no number must be equal as above.
//!
//! Not the original's words but chosen here: how equal texts are, and how a number is read. Vero's
//! task (zlab-princeton/vero, `vero-eval/lmms_eval/tasks/evochart`) chose otherwise: it takes equal
//! numbers for clear answers too, numbers inside a sentence, and fractions for percentages.
//!
//! Known faults: `1,234` is wrong for a clear `1234`; `50%` and `50` match where the answer is
//! estimated, `50%` and `0.5` never.

use super::{Metric, Pair, Rules, Score, Scores, Trace, python};

/// See the module's page.
pub struct EvoChartQaRules;

impl Rules for EvoChartQaRules {
    const NAME: &'static str = "evochart-qa";
    const ABOUT: &'static str = "EvoChart-QA: clear answers equal, estimated ones within 5 %";
    const METRICS: &'static [Metric] = &[Metric::Accuracy];

    fn is_for(pair: &Pair<'_>) -> bool {
        pair.kind.is_clear.is_some()
    }

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let gold = pair.gold.text();
        let score = match pair.kind.is_clear {
            None => {
                trace.step(
                    Metric::Accuracy,
                    "no `is_clear`: does not apply",
                    String::new,
                );
                Score::Inapplicable
            }
            Some(true) => equal(&gold, prediction, trace).into(),
            Some(false) => estimated(&gold, prediction, trace).into(),
        };
        Scores::new(Self::METRICS, [score])
    }

    fn failed(pair: &Pair<'_>) -> Scores {
        let score = pair
            .kind
            .is_clear
            .map_or(Score::Inapplicable, |_| Score::Value(0.0));
        Scores::new(Self::METRICS, [score])
    }
}

fn equal(gold: &str, prediction: &str, trace: &mut impl Trace) -> bool {
    let equal = python::equal_lower(python::strip(gold), python::strip(prediction));
    trace.step(
        Metric::Accuracy,
        "stripped and lower-cased texts equal",
        || format!("{gold:?} and {prediction:?}: {equal}"),
    );
    equal
}

fn estimated(gold: &str, prediction: &str, trace: &mut impl Trace) -> bool {
    let (Some(t), Some(p)) = (number(gold), number(prediction)) else {
        return equal(gold, prediction, trace);
    };
    let correct = if t == 0.0 {
        p == 0.0
    } else {
        (p - t).abs() / t.abs() <= 0.05
    };
    trace.step(
        Metric::Accuracy,
        "not clear, numbers: |p - t| / |t| <= 0.05",
        || format!("t = {t}, p = {p}: {correct}"),
    );
    correct
}

fn number(text: &str) -> Option<f64> {
    let text = python::strip(text);
    python::float(&text.strip_suffix('%').unwrap_or(text).replace(',', ""))
}
