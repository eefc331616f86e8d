//! What it takes to train the architectures: variables in the place of a checkpoint's weights, examples with labels, a loss
//! inside candle's graph, dropout from a generator of our own.
//!
//! A step rebuilds the model over its [`Variables`] (cheap: it shares their values), computes the loss of a batch, and lets
//! candle walk back from it:
//!
//! ```
//! # use chartbench::nn::pix2struct::{Config, Model};
//! # use chartbench::nn::training::{Example, Noise, Pass, Variables};
//! # fn step(config: &Config, variables: &Variables, batch: &[Example], noise: &mut Noise) -> anyhow::Result<()> {
//! let pass = Pass { noise: Some(noise), ..Pass::default() };
//! let loss = Model::from_source(config, variables)?.loss(batch, pass)?;
//! let gradients = loss.backward()?;
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
mod segments;
mod variables;

use anyhow::Result;
use candle_core::Tensor;
use candle_core::backprop::GradStore;

pub use initial::{Initial, Rule, Start};
pub use noise::{Noise, NoiseState};
pub use variables::{Fixed, Variables};

pub(super) use noise::Dropping;
pub(super) use rows::Rows;
pub(super) use segments::{Segment, Segments};

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

/// How the loss of a batch is computed.
#[derive(Debug, Default)]
pub struct Pass<'a> {
    /// Drops values where the reference drops them in training; nothing is dropped without it.
    pub noise: Option<&'a mut Noise>,
    /// The share of a label spread over all tokens (label smoothing).
    pub smoothing: f64,
    /// Of each layer of the encoder its input alone is kept, and what is inside is computed again in the backward pass:
    /// the same gradients with less memory, in more time.
    pub checkpointing: bool,
}

/// The loss of a batch.
#[derive(Debug)]
pub struct Loss {
    /// The cross-entropies of all labels summed. Sums of several batches divided by all their labels are the mean over
    /// all labels, however the batches are cut.
    pub sum: Tensor,
    /// How many labels there were.
    pub labels: usize,
    /// Layers that the graph of the sum ends at, in the order they were passed.
    segments: Vec<Segment>,
}

impl Loss {
    /// The gradients of the sum for all variables it is made of.
    ///
    /// # Errors
    /// None that is expected.
    pub fn backward(&self) -> Result<GradStore> {
        let mut store = self.sum.backward()?;
        for segment in self.segments.iter().rev() {
            segment.backward(&mut store)?;
        }
        Ok(store)
    }

    /// With what [`Segments`] noted on the way to the sum.
    pub(super) fn with(self, segments: Segments) -> Self {
        Self { segments: segments.into_noted(), ..self }
    }
}
