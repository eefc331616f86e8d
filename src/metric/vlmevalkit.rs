//! `vlmevalkit`: the three ways in which VLMEvalKit's `image_vqa` scores (open-compass/VLMEvalKit,
//! `vlmeval/dataset/utils/vqa_eval.py`, autumn 2026).
//!
//! - **Exact match** (its `accuracy`): both stripped of outer white space and lower-cased, then equal.
//! - **Relaxed accuracy** (ChartQA): that of [`pix2struct`](super::pix2struct) with outer white space stripped from the
//!   prediction, not from the gold answer.
//! - **ANLS** (DocVQA, InfoVQA): that of [`lmms-eval`](super::lmms_eval).
//!
//! A list gold answer is a list of alternatives, of which the best counts. The original tells a list by evaluating the
//! gold text as Python; here a list is one that the data set gives as a list, and a text stays a text.
//!
//! Where it errs: as pix2struct; `ab ` as a gold answer is not stripped and fails for `ab`; a list question counts as
//! right when one item of its answer is given.

use super::{Metric, Pair, Rules, Score, Scores, Trace, lmms_eval, pix2struct, python};
use crate::sample::Gold;

/// See the module's page.
pub struct VlmEvalKit;

impl Rules for VlmEvalKit {
    const NAME: &'static str = "vlmevalkit";
    const ABOUT: &'static str =
        "VLMEvalKit image_vqa: as pix2struct with the prediction stripped, a list gold answer as alternatives";
    const METRICS: &'static [Metric] = &[Metric::ExactMatch, Metric::RelaxedAccuracy, Metric::Anls];

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let golds = match pair.gold {
            Gold::Text(text) => std::slice::from_ref(text).iter().map(|text| text.as_str().into()).collect(),
            Gold::List(items) => items.iter().map(Gold::text).collect::<Vec<_>>(),
        };
        if golds.is_empty() {
            for metric in Self::METRICS {
                trace.step(*metric, "no alternative: the best of none", || "the original raises".to_owned());
            }
            return Scores::new(Self::METRICS, [Score::Raises("ValueError"); 3]);
        }
        let stripped = python::strip(prediction);
        let (mut exact, mut relaxed, mut nearest) = (false, false, f64::INFINITY);
        for gold in &golds {
            let equal = python::equal_lower(python::strip(gold), stripped);
            trace.step(Metric::ExactMatch, "stripped and lower-cased texts equal", || {
                format!("{gold:?} and {prediction:?}: {equal}")
            });
            exact |= equal;
            relaxed |= pix2struct::relaxed(gold, stripped, trace);
            nearest = nearest.min(lmms_eval::distance(gold, prediction, trace));
        }
        let anls = Score::Value(lmms_eval::kept(1.0 - nearest));
        Scores::new(Self::METRICS, [exact.into(), relaxed.into(), anls])
    }
}
