//! `study`: the metrics of the RealCQA fine-tuning study of MatCha, `train.py` of
//! IOBananaOI/Sber-CV-Task, with the `anls` package 0.0.2 of PyPI.
//!
//! Both texts are lower-cased first.
//!
//! - **Exact match**: the lower-cased texts are equal.
//! - **Relaxed accuracy**: where both are numbers, 0.95 t <= p <= 1.05 t; else they must be equal.
//! - **ANLS**: white space folded; 1 - NL where NL = edit distance in code points / longer length,
//!   the length taken of the upper-cased text, is below 0.5, else 0. Two empty texts give 1.
//!
//! Known faults: the band is empty for a negative t, so that `-10` fails for `-10` and relaxed
//! accuracy can be below exact match; years are numbers; `%`, `,` and `$` make a text of a number;
//! `nan` never matches itself in relaxed accuracy. The study's own figures were also taken over
//! gold answers cut at 20 tokens, which is no part of these functions.

use super::{Metric, Pair, Rules, Score, Scores, Trace, python};

/// See the module's page.
pub struct StudyRules;

/// The study's `threshold`: both ends of the band are computed from it, as there.
const TOLERANCE: f64 = 0.05;

impl Rules for StudyRules {
    const NAME: &'static str = "study";
    const ABOUT: &'static str = "the RealCQA fine-tuning study: lower-cased exact match, 0.95 t <= p <= 1.05 t, ANLS of PyPI anls 0.0.2";
    const METRICS: &'static [Metric] = &[Metric::ExactMatch, Metric::RelaxedAccuracy, Metric::Anls];

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let gold = pair.gold.text();
        let (gold, prediction) = (python::lower(&gold), python::lower(prediction));
        let exact = gold == prediction;
        trace.step(Metric::ExactMatch, "lower-cased texts equal", || {
            format!("{gold:?} and {prediction:?}: {exact}")
        });
        let relaxed = relaxed(&gold, &prediction, trace);
        let anls = pypi_anls(&gold, &prediction, Metric::Anls, trace);
        Scores::new(
            Self::METRICS,
            [exact.into(), relaxed.into(), Score::Value(anls)],
        )
    }
}

fn relaxed(gold: &str, prediction: &str, trace: &mut impl Trace) -> bool {
    match (python::float(gold), python::float(prediction)) {
        (Some(gold), Some(prediction)) => {
            let (low, high) = (gold * (1.0 - TOLERANCE), gold * (1.0 + TOLERANCE));
            let rule = if gold < 0.0 {
                "numbers, gold below 0: 0.95 t <= p <= 1.05 t is an empty band"
            } else {
                "numbers: 0.95 t <= p <= 1.05 t"
            };
            trace.step(Metric::RelaxedAccuracy, rule, || {
                format!("{low} <= {prediction} <= {high}")
            });
            low <= prediction && prediction <= high
        }
        _ => {
            let equal = gold == prediction;
            trace.step(
                Metric::RelaxedAccuracy,
                "not two numbers: lower-cased texts equal",
                || format!("{gold:?} and {prediction:?}: {equal}"),
            );
            equal
        }
    }
}

/// `anls_score` of PyPI's `anls` 0.0.2 with its threshold of 0.5, of texts that are lower-cased
/// already.
pub(super) fn pypi_anls(
    gold: &str,
    prediction: &str,
    metric: Metric,
    trace: &mut impl Trace,
) -> f64 {
    let (gold, prediction) = (python::fold_spaces(gold), python::fold_spaces(prediction));
    let longer = python::upper_len(&gold).max(python::upper_len(&prediction));
    if longer == 0 {
        trace.step(metric, "two empty texts: ANLS 1", String::new);
        return 1.0;
    }
    let edits = python::edit_distance(&gold, &prediction);
    let distance = edits as f64 / longer as f64;
    trace.step(
        metric,
        "white space folded; ANLS kept where NL < 0.5",
        || format!("NL = {edits} / {longer} = {distance}"),
    );
    if distance < 0.5 { 1.0 - distance } else { 0.0 }
}
