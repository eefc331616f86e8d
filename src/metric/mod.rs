//! How an answer is scored: pure functions of a gold answer and a raw prediction.
//!
//! A *convention* is one published way to score chart question answering, faithful to its original down to the order
//! of the float operations, faults included: no convention is "official", each has a name. One file describes and
//! implements one convention; [`CONVENTIONS`] lists them. Adding one is one file here and one line there.
//!
//! [`Summary`] is the mean over questions, the same to the last bit in whatever order they come.
#![deny(clippy::disallowed_methods)]

pub mod pix2struct;
mod python;
pub mod study;
mod summary;

use std::fmt;

use anyhow::Result;

pub use summary::Summary;

use crate::config::names::unknown;
use crate::sample::{Gold, Prediction};

/// Every convention there is, in alphabetical order.
pub static CONVENTIONS: &[Convention] = &[pix2struct::CONVENTION, study::CONVENTION];

/// A named, published way to score one answer.
#[derive(Clone, Copy)]
pub struct Convention {
    /// What users call it, e.g. `pix2struct`.
    pub name: &'static str,
    /// One line on what it is and where it comes from.
    pub about: &'static str,
    score: fn(&str, &str) -> Scores,
}

impl Convention {
    /// The convention called `name`.
    ///
    /// # Errors
    /// Names the nearest conventions when there is none of that name.
    ///
    /// ```
    /// use chartbench::metric::Convention;
    /// assert_eq!(Convention::named("study").unwrap().name, "study");
    /// let error = Convention::named("pix2strukt").unwrap_err().to_string();
    /// assert!(error.contains("nearest: pix2struct"), "{error}");
    /// ```
    pub fn named(name: &str) -> Result<&'static Self> {
        let known = CONVENTIONS.iter().find(|convention| convention.name == name);
        known.ok_or_else(|| unknown("convention", name, CONVENTIONS.iter().map(|convention| convention.name)))
    }

    /// Scores one prediction. A list answer is scored whole, as its [`Gold::text`].
    ///
    /// ```
    /// use chartbench::metric::Convention;
    /// use chartbench::sample::{Gold, Prediction};
    /// let scores = Convention::named("pix2struct").unwrap().score(&Gold::from("100"), &Prediction("105".into()));
    /// assert_eq!((scores.exact_match, scores.relaxed), (0.0, 1.0));
    /// ```
    ///
    /// The two cannot be swapped:
    ///
    /// ```compile_fail,E0308
    /// use chartbench::metric::CONVENTIONS;
    /// use chartbench::sample::{Gold, Prediction};
    /// CONVENTIONS[0].score(&Prediction("105".into()), &Gold::from("100"));
    /// ```
    pub fn score(&self, gold: &Gold, prediction: &Prediction) -> Scores {
        (self.score)(&gold.text(), &prediction.0)
    }
}

impl fmt::Debug for Convention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Convention").field(&self.name).finish()
    }
}

impl PartialEq for Convention {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Convention {}

/// What one convention says of one answer, each value in 0..=1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    pub exact_match: f64,
    pub relaxed: f64,
    /// Average normalised Levenshtein similarity (arXiv 1907.00490), of this one answer.
    pub anls: f64,
    /// Set where the original raises instead of returning a value. The metric it concerns is then 0 here: the
    /// original would have ended its whole evaluation, this one counts the error and goes on.
    pub raised: Option<Raised>,
}

impl Scores {
    /// A question that failed, so that there is nothing to score: it counts, and counts 0.
    pub const FAILED: Self = Self { exact_match: 0.0, relaxed: 0.0, anls: 0.0, raised: None };

    /// One metric's value.
    pub fn get(&self, metric: Metric) -> f64 {
        match metric {
            Metric::ExactMatch => self.exact_match,
            Metric::RelaxedAccuracy => self.relaxed,
            Metric::Anls => self.anls,
        }
    }
}

/// The metrics that every convention gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    ExactMatch,
    RelaxedAccuracy,
    Anls,
}

impl Metric {
    /// In the order tables show them.
    pub const ALL: [Self; 3] = [Self::ExactMatch, Self::RelaxedAccuracy, Self::Anls];

    /// As tables name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ExactMatch => "exact match",
            Self::RelaxedAccuracy => "relaxed accuracy",
            Self::Anls => "ANLS",
        }
    }
}

/// An exception of a convention's original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{metric}: the original raises {exception}")]
pub struct Raised {
    /// The field of [`Scores`] it stands for.
    pub metric: &'static str,
    /// The Python exception.
    pub exception: &'static str,
}
