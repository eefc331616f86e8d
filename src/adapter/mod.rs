//! The seam between the runner and the models: one small object-safe trait, one builder.
//!
//! Adding an architecture is one file here, one in [`crate::nn`] and one match arm in [`build`].

mod blind;
mod cache;
mod hub;
mod pix2struct;
pub mod weights;

use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use candle_core::Device;

use weights::HubOptions;

use crate::config::{AdapterSpec, Family};
use crate::sample::{ChartQuestions, Prediction, QuestionSet};

/// What an adapter is: everything that can change its answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The leaderboard row, e.g. `matcha-base`.
    pub id: String,
    /// Everything that decides the answers (weights hash, prompt, preprocessing, generation), as ordered
    /// key-value pairs: written to the manifest, hashed into the fingerprint.
    pub settings: Vec<(String, String)>,
}

/// One raw answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub prediction: Prediction,
    /// The generated token ids, end-of-sequence token included; empty where the adapter has no tokens.
    pub token_ids: Vec<u32>,
}

/// One model, or one blind baseline, that answers questions about charts.
pub trait Adapter {
    /// Who it is. Constant over the adapter's life.
    fn identity(&self) -> &Identity;

    /// Answers every question of every chart in `work`: one inner vector a chart, one entry a question, in order.
    /// A question that fails (a broken image, say) is its own `Err`; the others still stand. Answers must not
    /// depend on how the questions are grouped into calls.
    fn answer(&mut self, work: &[ChartQuestions]) -> Vec<Vec<Result<Answer>>>;
}

/// What flags put in the place of an adapter file's values.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub weights: Option<PathBuf>,
    pub header_font: Option<PathBuf>,
    pub max_patches: Option<usize>,
    pub max_new_tokens: Option<usize>,
}

/// Loads the train split when it is first needed.
pub type TrainSplit<'a> = &'a dyn Fn() -> Result<Rc<QuestionSet>>;

/// All that is needed to make an adapter.
pub struct Setup<'a> {
    /// The row's name; differs from the spec's under `blank+`.
    pub name: &'a str,
    pub spec: &'a AdapterSpec,
    /// Put a blank image in front.
    pub blank: bool,
    pub overrides: &'a Overrides,
    pub hub: &'a HubOptions,
    pub device: &'a Device,
    /// Loads the train split, for what learns from it; absent where there is no benchmark.
    pub train: Option<TrainSplit<'a>>,
}

/// Makes the adapter that `setup` describes: finds and loads weights, learns priors.
///
/// # Errors
/// Weights that cannot be found or loaded, or a train split that is needed and cannot be had.
pub fn build(setup: &Setup<'_>) -> Result<Box<dyn Adapter>> {
    let adapter: Box<dyn Adapter> = match &setup.spec.family {
        Family::Pix2Struct(spec) => Box::new(pix2struct::Pix2Struct::load(setup, spec)?),
        Family::Majority => Box::new(blind::Prior::majority(&setup.spec.id, &*train(setup)?)?),
        Family::QuestionPrior => Box::new(blind::Prior::by_template(&setup.spec.id, &*train(setup)?)?),
    };
    match (setup.blank, &setup.spec.family) {
        (false, _) => Ok(adapter),
        (true, Family::Pix2Struct(_)) => Ok(Box::new(blind::Blank::new(setup.name, adapter))),
        (true, _) => bail!("{} looks at no image: `blank+` would change nothing", setup.spec.id),
    }
}

fn train(setup: &Setup<'_>) -> Result<Rc<QuestionSet>> {
    let load = setup.train.context("needs a benchmark's train split to learn from")?;
    load().context("cannot learn from the train split")
}
