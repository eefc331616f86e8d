//! Verdicts of a language model that judges answers, as plain data.

use serde::{Deserialize, Serialize};

/// A judge's finding. Files hold it as 1, 0 or -1, as CharXiv's own scores do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i8", into = "i8")]
pub enum Verdict {
    /// The answer is right.
    Correct,
    /// The answer is wrong.
    Wrong,
    /// The judge came to no verdict that counts; the answer scores 0.
    Invalid,
}

/// The verdict on an answer under a convention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The convention's name: another one asks the judge otherwise.
    pub convention: String,
    /// The judge's finding.
    pub verdict: Verdict,
}

impl From<Verdict> for i8 {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Correct => 1,
            Verdict::Wrong => 0,
            Verdict::Invalid => -1,
        }
    }
}

impl TryFrom<i8> for Verdict {
    type Error = &'static str;

    fn try_from(score: i8) -> Result<Self, &'static str> {
        match score {
            1 => Ok(Self::Correct),
            0 => Ok(Self::Wrong),
            -1 => Ok(Self::Invalid),
            _ => Err("a score of a judge is 1, 0 or -1"),
        }
    }
}
