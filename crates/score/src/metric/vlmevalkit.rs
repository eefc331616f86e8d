//! `vlmevalkit`: the three ways in which VLMEvalKit's `image_vqa` scores (open-compass/VLMEvalKit,
//! `vlmeval/dataset/utils/vqa_eval.py`, autumn 2026).
//!
//! - **Exact match** (its `accuracy`): both stripped of outer white space and lower-cased, then
//!   equal.
//! - **Relaxed accuracy** (ChartQA): that of [`super::pix2struct`] with outer white space stripped
//!   from the prediction, not from the gold answer.
//! - **ANLS** (DocVQA, InfoVQA): that of [`lmms-eval`](super::lmms_eval).
//!
//! A list gold answer is a list of alternatives, of which the best counts. The original makes a
//! text of every gold answer and evaluates that as Python, whatever file it comes from:
//! `[2013, 2016]` and `['a', 'b']` are lists. A tuple, `(1, 2)` or `1, 2`, and a list of bare
//! words, `[Gambia, Niger]`, are texts. An inner list is an alternative under its Python spelling,
//! `['a', 'b']`.
//!
//! Exact match and ANLS raise an exception where an alternative is no string, as in `[2013, 2016]`.
//! A list that the data set itself gives as a list is taken to hold strings.
//!
//! Known faults: as pix2struct; `ab ` as a gold answer is not stripped and fails for `ab`; a list
//! question counts as right when one item of its answer is given, and as wrong when all are
//! (`[2013, 2016]` for itself). Expressions that are no literals, such as `[2011-2014]`, are
//! computed by the original and texts here.

use super::python::literal::{self, Item};
use super::{Metric, Pair, Rules, Score, Scores, Trace, lmms_eval, pix2struct, python};
use chartbench_core::question::Gold;

/// See the module's page.
pub struct VlmEvalKitRules;

impl Rules for VlmEvalKitRules {
    const NAME: &'static str = "vlmevalkit";
    const ABOUT: &'static str = "VLMEvalKit image_vqa: as pix2struct with the prediction stripped, a list gold answer as alternatives";
    const METRICS: &'static [Metric] = &[Metric::ExactMatch, Metric::RelaxedAccuracy, Metric::Anls];

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let golds = alternatives(pair.gold);
        if golds.is_empty() {
            for metric in Self::METRICS {
                trace.step(*metric, "no alternative: the best of none", || {
                    "the original raises".to_owned()
                });
            }
            return Scores::new(Self::METRICS, [Score::Raises("ValueError"); 3]);
        }
        let stripped = python::strip(prediction);
        let relaxed = golds
            .iter()
            .any(|gold| pix2struct::relaxed(&gold.text, stripped, trace));
        if let Some(other) = golds.iter().find(|gold| !gold.is_str) {
            for metric in [Metric::ExactMatch, Metric::Anls] {
                trace.step(metric, "an alternative is no string", || {
                    format!("{}: the original raises", other.text)
                });
            }
            let raises = Score::Raises("AttributeError");
            return Scores::new(Self::METRICS, [raises, relaxed.into(), raises]);
        }
        let exact = golds
            .iter()
            .any(|gold| equal(&gold.text, prediction, trace));
        let distances = golds
            .iter()
            .map(|gold| lmms_eval::distance(&gold.text, prediction, trace));
        let anls = Score::Value(lmms_eval::kept(
            1.0 - distances.fold(f64::INFINITY, f64::min),
        ));
        Scores::new(Self::METRICS, [exact.into(), relaxed.into(), anls])
    }
}

fn equal(gold: &str, prediction: &str, trace: &mut impl Trace) -> bool {
    let equal = python::equal_lower(python::strip(gold), python::strip(prediction));
    trace.step(
        Metric::ExactMatch,
        "stripped and lower-cased texts equal",
        || format!("{gold:?} and {prediction:?}: {equal}"),
    );
    equal
}

/// The answers of which each is right.
fn alternatives(gold: &Gold) -> Vec<Item> {
    match gold {
        Gold::Text(text) => literal::typed_list(text).unwrap_or_else(|| {
            vec![Item {
                text: text.clone(),
                is_str: true,
            }]
        }),
        Gold::List(items) => {
            let item = |item: &Gold| Item {
                text: literal::gold_literal(item),
                is_str: matches!(item, Gold::Text(_)),
            };
            items.iter().map(item).collect()
        }
    }
}
