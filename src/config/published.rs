//! Results that others published, to stand beside one's own (`[[published]]` of a benchmark).

use serde::Deserialize;

/// One published number.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// What was measured, as its source calls it.
    pub system: String,
    /// The adapter here that is the same checkpoint.
    pub adapter: Option<String>,
    /// The part of the questions it is about, `DIMENSION = VALUE`; all where it is absent.
    pub part: Option<String>,
    /// How many questions that part has: a run on another number is not set beside it.
    pub questions: Option<usize>,
    /// The convention here that scores as its source does, and the metric's key.
    pub convention: String,
    pub metric: String,
    /// In percent.
    pub value: f64,
    pub source: String,
    /// What of the protocol is not the same.
    pub note: Option<String>,
}
