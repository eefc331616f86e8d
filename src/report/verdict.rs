//! Right or wrong: an answer's score in a word.

use serde::Serialize;

use crate::run::store::PredictionRecord;

/// The verdict of the convention's first metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Right,
    Partly,
    Wrong,
    /// There is no answer.
    Failed,
    /// The convention has no rule for the question.
    Unscored,
}

impl Verdict {
    /// The verdict on a record whose score, as it counts in the mean, is `score`.
    pub(super) fn new(record: &PredictionRecord, score: Option<f64>) -> Self {
        match score {
            _ if record.prediction.is_none() => Self::Failed,
            None => Self::Unscored,
            Some(score) if score >= 1.0 => Self::Right,
            Some(score) if score > 0.0 => Self::Partly,
            Some(_) => Self::Wrong,
        }
    }
}
