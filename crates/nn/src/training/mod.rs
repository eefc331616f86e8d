//! Training of the architectures: variables in place of a checkpoint's weights, examples with
//! labels, a loss inside candle's graph, dropout from a generator of our own.
//!
//! A step rebuilds the model over its [`Variables`] (cheap: it shares their values), computes the
//! loss of a batch, and lets candle walk back from it:
//!
//! ```
//! # use chartbench_nn::EncoderDecoder;
//! # use chartbench_nn::pix2struct::{Config, Model};
//! # use chartbench_nn::training::{DropoutRng, Example, LossOptions, Variables};
//! # fn step(config: &Config, variables: &Variables, batch: &[Example], rng: &mut DropoutRng) -> anyhow::Result<()> {
//! let options = LossOptions { dropout: Some(rng), ..LossOptions::default() };
//! let loss = Model::from_source(config, variables)?.loss(batch, options)?;
//! let gradients = loss.backward()?;
//! for (name, variable) in variables.trained() {
//!     println!("{name}: {:?}", gradients.get(variable));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The caches of decoding are written in place, which no graph sees; training does not use them.

mod activation_checkpointing;
mod dropout_rng;
mod init;
mod lora;
mod packed_batch;
mod variables;

use anyhow::Result;
use candle_core::Tensor;
use candle_core::backprop::GradStore;

pub use dropout_rng::{DropoutRng, DropoutRngState};
pub use init::{InitDistribution, InitRule, InitSource};
pub use variables::{FrozenSource, Variables};

pub(super) use activation_checkpointing::{CheckpointedLayer, LayerCheckpoints};
pub(super) use dropout_rng::DropoutMode;
pub(super) use packed_batch::PackedBatch;

/// An image with the text that a model is taught to write about it.
#[derive(Clone, Debug)]
pub struct Example {
    /// The image as the model's `encode` takes it.
    pub image: Tensor,
    /// The decoder's inputs, token by token.
    pub inputs: Vec<u32>,
    /// The token wanted after each input; `None` where any will do.
    pub labels: Vec<Option<u32>>,
}

impl Example {
    /// The example that teaches the answer `labels` to `prompt`: all tokens of the two but the last
    /// are read, all but the first are wanted, those of the prompt without a label. `pad` is read
    /// where the answer has no label.
    pub fn teacher_forced(image: Tensor, prompt: &[u32], labels: &[Option<u32>], pad: u32) -> Self {
        let length = (prompt.len() + labels.len()).saturating_sub(1);
        let answer = labels.iter().map(|label| label.unwrap_or(pad));
        let unlabelled = std::iter::repeat_n(None, prompt.len().saturating_sub(1));
        Self {
            image,
            inputs: prompt.iter().copied().chain(answer).take(length).collect(),
            labels: unlabelled.chain(labels.iter().copied()).collect(),
        }
    }
}

/// How the loss of a batch is computed.
#[derive(Debug, Default)]
pub struct LossOptions<'a> {
    /// The generator of dropout, which drops values where the reference does in training. `None`
    /// drops nothing.
    pub dropout: Option<&'a mut DropoutRng>,
    /// The share of a label spread over all tokens (label smoothing).
    pub label_smoothing: f64,
    /// Keeps only the input of each encoder layer and computes the inside again in the backward
    /// pass: the same gradients with less memory, in more time.
    pub activation_checkpointing: bool,
}

/// The loss of a batch.
#[derive(Debug)]
pub struct Loss {
    /// The cross-entropies of all labels summed. Sums of several batches divided by all their
    /// labels are the mean over all labels, however the batches are cut.
    pub sum: Tensor,
    /// The number of labels.
    pub labels: usize,
    /// Layers that the graph of the sum ends at, in the order they ran.
    checkpoints: Vec<CheckpointedLayer>,
}

impl Loss {
    /// The gradients of the sum for all variables it depends on.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn backward(&self) -> Result<GradStore> {
        let mut store = self.sum.backward()?;
        for layer in self.checkpoints.iter().rev() {
            layer.backward(&mut store)?;
        }
        Ok(store)
    }

    /// Adds the layers that ran on the way to the sum.
    pub(super) fn with_checkpoints(self, checkpoints: LayerCheckpoints) -> Self {
        Self {
            checkpoints: checkpoints.into_layers(),
            ..self
        }
    }
}
