//! `lmms-eval`: `relaxed_correctness` of its ChartQA task and `anls` of its document tasks
//! (EvolvingLMMs-Lab/lmms-eval 0.7, `lmms_eval/tasks/chartqa/utils.py`,
//! `lmms_eval/api/metrics.py`).
//!
//! - **Relaxed accuracy**: that of [`super::pix2struct`], to the letter.
//! - **ANLS**: white space folded and lower-cased for the edit distance, divided by the longer
//!   length of the texts as they are (upper-cased, not folded); the similarity 1 - NL is kept from
//!   0.5 up. Two empty texts give 1.
//!
//! Known faults: as pix2struct in relaxed accuracy. In ANLS a similarity of exactly 0.5 is kept
//! where others drop it (`20` scores 0.5 for `21`), and white space that the distance does not see
//! still makes the length longer.

use super::{Metric, Pair, Rules, Score, Scores, Trace, pix2struct, python};

/// See the module's page.
pub struct LmmsEvalRules;

impl Rules for LmmsEvalRules {
    const NAME: &'static str = "lmms-eval";
    const ABOUT: &'static str = "lmms-eval: pix2struct's relaxed accuracy, ANLS over the unfolded length that keeps a similarity of 0.5";
    const METRICS: &'static [Metric] = &[Metric::RelaxedAccuracy, Metric::Anls];

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let gold = pair.gold.text();
        let relaxed = pix2struct::relaxed(&gold, prediction, trace);
        let distance = distance(&gold, prediction, trace);
        Scores::new(
            Self::METRICS,
            [relaxed.into(), Score::Value(kept(1.0 - distance))],
        )
    }
}

/// The normalised distance, also that of VLMEvalKit.
pub(super) fn distance(gold: &str, prediction: &str, trace: &mut impl Trace) -> f64 {
    let longer = python::upper_len(gold).max(python::upper_len(prediction));
    if longer == 0 {
        trace.step(Metric::Anls, "two empty texts: ANLS 1", String::new);
        return 0.0;
    }
    let (gold, prediction) = (python::fold_spaces(gold), python::fold_spaces(prediction));
    let edits = python::edit_distance(&python::lower(&gold), &python::lower(&prediction));
    let distance = edits as f64 / longer as f64;
    trace.step(
        Metric::Anls,
        "white space folded, length unfolded; kept where 1 - NL >= 0.5",
        || format!("NL = {edits} / {longer} = {distance}"),
    );
    distance
}

/// The similarity above the threshold of 0.5, 0.5 itself included.
pub(super) fn kept(similarity: f64) -> f64 {
    if similarity < 0.5 { 0.0 } else { similarity }
}
