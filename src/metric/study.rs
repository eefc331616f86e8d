//! `study`: the metrics of the RealCQA fine-tuning study of MatCha, `train.py` of IOBananaOI/Sber-CV-Task, with the
//! `anls` package 0.0.2 of PyPI.
//!
//! Both texts are lower-cased first.
//!
//! - **Exact match**: the lower-cased texts are equal.
//! - **Relaxed accuracy**: where both are numbers, 0.95 t <= p <= 1.05 t; else they must be equal.
//! - **ANLS**: white space folded; 1 - NL where NL = edit distance in code points / longer length, the length taken
//!   of the upper-cased text, is below 0.5, else 0. Two empty texts give 1.
//!
//! Where it errs: the band is empty for a negative t, so that `-10` fails for `-10` and relaxed accuracy can be below
//! exact match; years are numbers; `%`, `,` and `$` make a text of a number; `nan` never matches itself in relaxed
//! accuracy. The study's own figures were also taken over gold answers cut at 20 tokens, which is no part of these
//! functions.

use super::{Convention, Scores, python};

/// See the module's page.
pub const CONVENTION: Convention = Convention {
    name: "study",
    about: "the RealCQA fine-tuning study: lower-cased exact match, 0.95 t <= p <= 1.05 t, ANLS of PyPI anls 0.0.2",
    score,
};

/// The study's `threshold`: both ends of the band are computed from it, as there.
const TOLERANCE: f64 = 0.05;

fn score(gold: &str, prediction: &str) -> Scores {
    let (gold, prediction) = (python::lower(gold), python::lower(prediction));
    Scores {
        exact_match: f64::from(gold == prediction),
        relaxed: f64::from(relaxed(&gold, &prediction)),
        anls: anls(&gold, &prediction),
        raised: None,
    }
}

fn relaxed(gold: &str, prediction: &str) -> bool {
    match (python::float(gold), python::float(prediction)) {
        (Some(gold), Some(prediction)) => {
            gold * (1.0 - TOLERANCE) <= prediction && prediction <= gold * (1.0 + TOLERANCE)
        }
        _ => gold == prediction,
    }
}

fn anls(gold: &str, prediction: &str) -> f64 {
    let (gold, prediction) = (python::fold_spaces(gold), python::fold_spaces(prediction));
    let longer = python::len(&gold.to_uppercase()).max(python::len(&prediction.to_uppercase()));
    if longer == 0 {
        return 1.0;
    }
    let distance = strsim::levenshtein(&gold, &prediction) as f64 / longer as f64;
    if distance < 0.5 { 1.0 - distance } else { 0.0 }
}
