//! `pix2struct`: the metrics of Pix2Struct and MatCha, `pix2struct/metrics.py` of
//! google-research/pix2struct (main branch, 2025); lmms-eval's relaxed accuracy is the same
//! function.
//!
//! - **Exact match**: the two texts are equal, case and white space included.
//! - **Relaxed accuracy**: where both texts are numbers and the gold one is not 0, |p - t| / |t| <=
//!   0.05. A trailing `%` (any number of them) divides by 100. Anything else must be equal but for
//!   case.
//! - **ANLS**: of the lower-cased texts, 1 - NL where NL = edit distance in code points / longer
//!   length is below 0.5, else 0. (An unmerged branch of the original keeps NL = 0.5 as well.)
//!
//! Known faults: years are numbers (2008 passes for 2010); `1,234`, `$5` and `5 apples` are no
//! numbers; `50` fails for `50%`; a gold 0 takes only `0`, not `0.0`; `nan` never matches itself;
//! white space counts in everything but numbers; a list must be equal text. For two empty texts
//! ANLS divides by zero: the original ends there, here it is counted as an error and scores 0.
//!
//! The original takes the best over several gold answers; chart benchmarks have one.

use super::{Metric, Pair, Rules, Score, Scores, Trace, python};

/// See the module's page.
pub struct Pix2StructRules;

impl Rules for Pix2StructRules {
    const NAME: &'static str = "pix2struct";
    const ABOUT: &'static str = "Pix2Struct and MatCha: raw exact match, 5 % of the gold value with % as 1/100, ANLS on lower-cased texts";
    const METRICS: &'static [Metric] = &[Metric::ExactMatch, Metric::RelaxedAccuracy, Metric::Anls];

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let gold = pair.gold.text();
        let exact = *gold == *prediction;
        trace.step(Metric::ExactMatch, "raw texts equal", || {
            format!("{gold:?} and {prediction:?}: {exact}")
        });
        let relaxed = relaxed(&gold, prediction, trace);
        Scores::new(
            Self::METRICS,
            [exact.into(), relaxed.into(), anls(&gold, prediction, trace)],
        )
    }
}

/// Relaxed accuracy, also that of lmms-eval and VLMEvalKit.
pub(super) fn relaxed(gold: &str, prediction: &str, trace: &mut impl Trace) -> bool {
    match (number(gold), number(prediction)) {
        (Some(gold), Some(prediction)) if gold != 0.0 => {
            let error = (prediction - gold).abs() / gold.abs();
            trace.step(
                Metric::RelaxedAccuracy,
                "numbers, % as 1/100: |p - t| / |t| <= 0.05",
                || format!("|{prediction} - {gold}| / |{gold}| = {error}"),
            );
            error <= 0.05
        }
        (Some(_), Some(_)) => equal(
            gold,
            prediction,
            "gold is 0: texts equal but for case",
            trace,
        ),
        _ => equal(
            gold,
            prediction,
            "not two numbers: texts equal but for case",
            trace,
        ),
    }
}

fn equal(gold: &str, prediction: &str, rule: &'static str, trace: &mut impl Trace) -> bool {
    let equal = python::equal_lower(gold, prediction);
    trace.step(Metric::RelaxedAccuracy, rule, || {
        format!("{gold:?} and {prediction:?}: {equal}")
    });
    equal
}

fn number(text: &str) -> Option<f64> {
    if text.ends_with('%') {
        Some(python::float(text.trim_end_matches('%'))? / 100.0)
    } else {
        python::float(text)
    }
}

fn anls(gold: &str, prediction: &str, trace: &mut impl Trace) -> Score {
    let (gold, prediction) = (python::lower(gold), python::lower(prediction));
    let longer = python::len(&gold).max(python::len(&prediction));
    if longer == 0 {
        trace.step(Metric::Anls, "two empty texts: division by zero", || {
            "the original raises".to_owned()
        });
        return Score::Raises("ZeroDivisionError");
    }
    let edits = python::edit_distance(&gold, &prediction);
    let distance = edits as f64 / longer as f64;
    trace.step(
        Metric::Anls,
        "lower-cased texts; kept where NL < 0.5",
        || format!("NL = {edits} / {longer} = {distance}"),
    );
    Score::Value(if distance < 0.5 { 1.0 - distance } else { 0.0 })
}
