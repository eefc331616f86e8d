//! What it takes to train the architectures: variables in the place of a checkpoint's weights, examples with labels, a loss
//! inside candle's graph, dropout from a generator of our own.
//!
//! A step rebuilds the model over its [`Variables`] (cheap: it shares their values), computes the loss of a batch, and lets
//! candle walk back from it:
//!
//! ```
//! # use chartbench::nn::pix2struct::{Config, Model};
//! # use chartbench::nn::training::{Example, Noise, Variables};
//! # fn step(config: &Config, variables: &Variables, batch: &[Example], noise: &mut Noise) -> anyhow::Result<()> {
//! let loss = Model::from_source(config, variables)?.loss(batch, Some(noise), 0.0)?;
//! let gradients = loss.sum.backward()?;
//! for (name, variable) in variables.trained() {
//!     println!("{name}: {:?}", gradients.get(variable));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What decoding keeps from one token to the next (caches written in place, which no graph sees) is not used here.

mod initial;
mod lora;
mod noise;
mod rows;
mod variables;

use candle_core::Tensor;

pub use initial::{Initial, Rule, Start};
pub use noise::{Noise, NoiseState};
pub use variables::{Fixed, Variables};

pub(super) use noise::Dropping;
pub(super) use rows::Rows;

/// An image with the text a model is taught to write about it.
#[derive(Clone, Debug)]
pub struct Example {
    /// As the model's `encode` takes it.
    pub image: Tensor,
    /// What the decoder reads, token by token.
    pub inputs: Vec<u32>,
    /// What it should say after each of them; where there is no label, anything.
    pub labels: Vec<Option<u32>>,
}

/// The loss of a batch.
#[derive(Clone, Debug)]
pub struct Loss {
    /// The cross-entropies of all labels summed: a scalar inside the graph. Sums of several batches divided by all their
    /// labels are the mean over all labels, however the batches are cut.
    pub sum: Tensor,
    /// How many labels there were.
    pub labels: usize,
}
