//! Donut, the architecture of UniChart: a Swin transformer that encodes the whole picture and an mBART decoder that is
//! prompted with the question.
//!
//! Papers: <https://arxiv.org/abs/2111.15664> (Donut), <https://arxiv.org/abs/2305.14761> (UniChart). Weights:
//! `ahmed-masry/unichart-*`. The forward pass equals `VisionEncoderDecoderModel` of transformers with a `donut-swin`
//! encoder and an `mbart` decoder.
//!
//! An image is encoded once, whatever the number of questions about it.

mod config;
mod decoder;
mod encoder;
mod init;
mod layers;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};

pub use config::{Config, DecoderConfig, EncoderConfig, EndTokens};
pub use decoder::{Image, State};

use super::generation::{self, BeamSearch, Generated, GenerationConfig, Prompt};
use super::kernels::ComputeDtype;
use super::loading::{Checkpoint, CheckpointSource, CountingSource, PackedSource, TensorSource};
use super::memory_need::MemoryNeed;
use super::training::{DropoutMode, Example, LayerCheckpoints, Loss, LossOptions, PackedBatch};
use decoder::Decoder;
use encoder::Encoder;
use layers::Projection;

/// A loaded model.
#[derive(Debug)]
pub struct Model {
    encoder: Encoder,
    /// From the encoder's width to the decoder's, if they differ.
    projection: Option<Projection>,
    decoder: Decoder,
    weights_bytes: u64,
}

impl Model {
    /// Loads the weights as f32 onto `device`.
    ///
    /// # Errors
    /// Returns an error if a tensor is missing, has another shape than in `config`, or cannot be read, or if the weights have more
    /// layers than `config`.
    pub fn load(config: &Config, checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        checkpoint.check_layers(&config.layer_stacks())?;
        Self::for_inference(config, &CheckpointSource { checkpoint, device })
    }

    /// Loads the weights from any source for inference: matrices are packed once, no gradient passes through.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn for_inference(config: &Config, source: &dyn TensorSource) -> Result<Self> {
        Self::from_source(
            config,
            &PackedSource {
                source,
                dtype: ComputeDtype::F32,
            },
        )
    }

    /// Loads the weights from any source.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_source(config: &Config, source: &dyn TensorSource) -> Result<Self> {
        let weights = CountingSource::new(source);
        let (from, to) = (config.encoder.hidden_size(), config.decoder.d_model);
        let projection =
            (from != to).then(|| Projection::load(&weights, "enc_to_dec_proj", [to, from]));
        Ok(Self {
            encoder: Encoder::load(&config.encoder, &weights)?,
            projection: projection.transpose()?,
            decoder: Decoder::load(&config.decoder, &weights)?,
            weights_bytes: weights.bytes(),
        })
    }

    /// The memory of inference for images of `pixels`, each with its own question, and texts of `tokens` with `beams`.
    pub fn memory_need(&self, pixels: usize, tokens: usize, beams: usize) -> MemoryNeed {
        let weights = MemoryNeed {
            fixed_bytes: self.weights_bytes,
            per_question_bytes: 0,
        };
        let (encoder, places) = self.encoder.memory_need(pixels);
        weights
            .plus(encoder)
            .plus(self.decoder.memory_need(places, tokens, beams))
    }

    /// Encodes an image: pixels [3, height, width] f32 as the image processor makes them. Returns the final hidden
    /// states [N, H], N places of the last stage's grid row by row.
    ///
    /// # Errors
    /// Returns an error if the image is smaller than a window, or has other channels.
    pub fn encode(&self, pixels: &Tensor) -> Result<Tensor> {
        self.encoder.forward(
            pixels,
            &mut DropoutMode::off(),
            &mut LayerCheckpoints::off(),
        )
    }

    /// The loss of a batch of examples, each an image as [`Self::encode`] takes it with a text: its tokens but the last as
    /// inputs, its tokens but the first as labels, those of the prompt without one.
    ///
    /// # Errors
    /// As [`Self::encode`]; also if inputs and labels differ in number, an id is outside the vocabulary, a text is longer than the
    /// decoder's positions, or there is no label.
    pub fn loss(&self, batch: &[Example], options: LossOptions<'_>) -> Result<Loss> {
        let mut dropout = DropoutMode::new(options.dropout);
        let mut checkpoints = LayerCheckpoints::new(options.activation_checkpointing);
        let packed = PackedBatch::new(batch, self.decoder.vocabulary()?)?;
        let mut encoded = Vec::with_capacity(packed.images.len());
        for image in &packed.images {
            encoded.push(
                self.encoder
                    .forward(image, &mut dropout, &mut checkpoints)?,
            );
        }
        let encoded_lengths: Vec<usize> = encoded
            .iter()
            .map(|states| Ok(states.dim(0)?))
            .collect::<Result<_>>()?;
        let encoded = Tensor::cat(&encoded, 0)?;
        let encoded = match &self.projection {
            None => encoded,
            Some(projection) => projection.forward(&encoded)?,
        };
        Ok(self
            .decoder
            .loss(
                &packed,
                &encoded,
                &encoded_lengths,
                &mut dropout,
                options.label_smoothing,
            )?
            .with_checkpoints(checkpoints))
    }

    /// Projects the states of an encoded image [N, H] to keys and values, once for all questions.
    ///
    /// # Errors
    /// Returns an error if the states are not the encoder's.
    pub fn image(&self, encoded: &Tensor) -> Result<Image> {
        match &self.projection {
            None => self.decoder.image(encoded),
            Some(projection) => self.decoder.image(&projection.forward(encoded)?),
        }
        .context("start of decoding")
    }

    /// Feeds each question its next tokens and returns the logits [tokens of all questions, vocabulary], one question
    /// after the other.
    ///
    /// # Errors
    /// As [`generation::Decoder::step`].
    pub fn logits(&self, batch: &mut [(&mut State, &[u32])]) -> Result<Tensor> {
        self.decoder.logits(&self.decoder.states(batch)?)
    }

    /// Answers several questions, each an encoded image and a prompt: by beam search with `beams`, else greedily.
    ///
    /// # Errors
    /// Returns an error for a token id outside the embedding or a prompt longer than the decoder's positions.
    pub fn generate(
        &self,
        questions: &[(&Image, Vec<u32>)],
        beams: Option<&BeamSearch>,
        config: &GenerationConfig,
    ) -> Result<Vec<Generated>> {
        let prompt = |(image, tokens): &(&Image, Vec<u32>)| Prompt {
            state: image.start(),
            tokens: tokens.clone(),
        };
        generation::generate(self, questions.iter().map(prompt).collect(), beams, config)
    }
}

impl generation::Decoder for Model {
    type State = State;

    fn step(&self, batch: &mut [(&mut State, &[u32])]) -> Result<Tensor> {
        let states = self.decoder.states(batch)?;
        self.decoder.logits(&generation::last_rows(&states, batch)?)
    }
}
