//! The seam between the runner and the models: one small object-safe trait, one builder.
//!
//! Adding an architecture is one file here, one in [`crate::nn`] and one match arm in [`build`].

mod hub;
pub mod weights;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::sample::{ChartQuestions, Prediction};

/// What an adapter is: everything that can change its answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The leaderboard row, e.g. `matcha-base`.
    pub id: String,
    /// Everything that decides the answers (weights hash, prompt, preprocessing, generation), as ordered
    /// key-value pairs: written to the manifest, hashed into the fingerprint.
    pub settings: Vec<(String, String)>,
}

/// One model, or one blind baseline, that answers questions about charts.
pub trait Adapter {
    /// Who it is. Constant over the adapter's life.
    fn identity(&self) -> &Identity;

    /// Answers every question of every chart in `work`: one inner vector a chart, one entry a question, in order.
    /// A question that fails (a broken image, say) is its own `Err`; the others still stand. Answers must not
    /// depend on how the questions are grouped into calls.
    fn answer(&mut self, work: &[ChartQuestions]) -> Vec<Vec<Result<Prediction>>>;
}
