//! `pix2struct`: the metrics of Pix2Struct and MatCha, `pix2struct/metrics.py` of google-research/pix2struct (main
//! branch, 2025); lmms-eval's relaxed accuracy is the same function.
//!
//! - **Exact match**: the two texts are equal, case and white space included.
//! - **Relaxed accuracy**: where both texts are numbers and the gold one is not 0, |p - t| / |t| <= 0.05. A trailing
//!   `%` (any number of them) divides by 100. Anything else must be equal but for case.
//! - **ANLS**: of the lower-cased texts, 1 - NL where NL = edit distance in code points / longer length is below 0.5,
//!   else 0. (An unmerged branch of the original keeps NL = 0.5 as well.)
//!
//! Where it errs: years are numbers (2008 passes for 2010); `1,234`, `$5` and `5 apples` are no numbers; `50` fails
//! for `50%`; a gold 0 takes only `0`, not `0.0`; `nan` never matches itself; white space counts in everything but
//! numbers; a list must be equal text. For two empty texts ANLS divides by zero: the original ends there, here it is
//! counted as an error and scores 0.
//!
//! The original takes the best over several gold answers; chart benchmarks have one.

use super::{Convention, Raised, Scores, python};

/// See the module's page.
pub const CONVENTION: Convention = Convention {
    name: "pix2struct",
    about: "Pix2Struct and MatCha: raw exact match, 5 % of the gold value with % as 1/100, ANLS on lower-cased texts",
    score,
};

fn score(gold: &str, prediction: &str) -> Scores {
    let anls = anls(&python::lower(gold), &python::lower(prediction));
    Scores {
        exact_match: f64::from(gold == prediction),
        relaxed: f64::from(relaxed(gold, prediction)),
        anls: anls.unwrap_or(0.0),
        raised: anls.err(),
    }
}

fn relaxed(gold: &str, prediction: &str) -> bool {
    match (number(gold), number(prediction)) {
        (Some(gold), Some(prediction)) if gold != 0.0 => (prediction - gold).abs() / gold.abs() <= 0.05,
        _ => python::lower(gold) == python::lower(prediction),
    }
}

fn number(text: &str) -> Option<f64> {
    if text.ends_with('%') { Some(python::float(text.trim_end_matches('%'))? / 100.0) } else { python::float(text) }
}

fn anls(gold: &str, prediction: &str) -> Result<f64, Raised> {
    let longer = python::len(gold).max(python::len(prediction));
    if longer == 0 {
        return Err(Raised { metric: "anls", exception: "ZeroDivisionError" });
    }
    let distance = strsim::levenshtein(gold, prediction) as f64 / longer as f64;
    Ok(if distance < 0.5 { 1.0 - distance } else { 0.0 })
}
