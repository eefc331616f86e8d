//! The interface of architectures that encode an image and write text about it: the adapter, the
//! trainer, the quantizer and the memory estimate are written against it once, for all of them.

use anyhow::Result;
use candle_core::{Device, Tensor};

use crate::generation::{BeamSearch, Generated, GenerationConfig};
use crate::kernels::ComputeDtype;
use crate::loading::{Checkpoint, CheckpointSource, LayerStack, PackedSource, TensorSource};
use crate::memory_need::MemoryNeed;
use crate::training::{Example, InitDistribution, Loss, LossOptions};

/// The configuration of an architecture (`config.json`).
pub trait ModelConfig: Send + Sync {
    /// The stacks of layers whose depth it gives.
    fn layer_stacks(&self) -> Vec<LayerStack>;

    /// The initial distribution of the tensor of a name and shape.
    fn init_distribution(&self, name: &str, shape: &[usize]) -> InitDistribution;

    /// The tokens of which any ends an answer.
    fn eos(&self) -> &[u32];

    /// The token that fills up labels.
    fn pad_token_id(&self) -> u32;

    /// The most tokens of a prompt and an answer, where the decoder has a limit.
    fn max_positions(&self) -> Option<usize>;

    /// f32 values that an example keeps in memory from the forward to the backward pass, roughly:
    /// an image of the shape `input`, and `labels` tokens.
    fn activations(&self, input: &[usize], labels: usize, checkpointing: bool) -> usize;
}

/// An encoder of images with a decoder of text.
pub trait EncoderDecoder: Sized {
    /// The architecture, as a GGUF file names it (`general.architecture`).
    const ARCHITECTURE: &'static str;

    /// `config.json`.
    type Config: ModelConfig;

    /// An encoded image, as the decoder reads it; clones share their memory.
    type Image: Clone;

    /// Loads the weights from any source.
    ///
    /// # Errors
    /// Returns an error if a tensor is missing, has another shape than in `config`, or cannot be
    /// read.
    fn from_source(config: &Self::Config, source: &dyn TensorSource) -> Result<Self>;

    /// Loads the weights from any source for inference: matrices are packed once, no gradient
    /// passes through.
    ///
    /// # Errors
    /// As [`Self::from_source`].
    fn for_inference(config: &Self::Config, source: &dyn TensorSource) -> Result<Self> {
        let dtype = ComputeDtype::F32;
        Self::from_source(config, &PackedSource { source, dtype })
    }

    /// Loads the weights as f32 onto `device`.
    ///
    /// # Errors
    /// As [`Self::from_source`]; returns an error if the weights have more layers than `config`.
    fn load(config: &Self::Config, checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        checkpoint.check_layers(&config.layer_stacks())?;
        Self::for_inference(config, &CheckpointSource { checkpoint, device })
    }

    /// Encodes an image, as the architecture's image processor makes it.
    ///
    /// # Errors
    /// Returns an error if the image has another shape than the model reads.
    fn encode_image(&self, input: &Tensor) -> Result<Self::Image>;

    /// Answers several questions, each an encoded image and the tokens of its prompt: by beam
    /// search with `beams`, else greedily. An answer does not depend on the other questions.
    ///
    /// # Errors
    /// Returns an error for a token id outside the embedding, or a prompt longer than the decoder's
    /// positions.
    fn generate(
        &self,
        questions: &[(&Self::Image, &[u32])],
        beams: Option<&BeamSearch>,
        config: &GenerationConfig,
    ) -> Result<Vec<Generated>>;

    /// The loss of a batch of examples. Images may differ in size; nothing is padded.
    ///
    /// # Errors
    /// As [`Self::encode_image`]; also if inputs and labels differ in number, an id is outside the
    /// vocabulary, a text is longer than the decoder's positions, or there is no label.
    fn loss(&self, batch: &[Example], options: LossOptions<'_>) -> Result<Loss>;

    /// The memory of inference for images of the shape `input`, each with its own question, and
    /// texts of `tokens` with `beams`.
    fn memory_need(&self, input: &[usize], tokens: usize, beams: usize) -> MemoryNeed;
}
