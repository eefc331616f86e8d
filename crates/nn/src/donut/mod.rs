//! Donut, the architecture of UniChart: a Swin transformer that encodes the whole picture and an
//! mBART decoder that is prompted with the question.
//!
//! Papers: <https://arxiv.org/abs/2111.15664> (Donut), <https://arxiv.org/abs/2305.14761>
//! (UniChart). Weights: `ahmed-masry/unichart-*`. The forward pass equals
//! `VisionEncoderDecoderModel` of transformers with a `donut-swin` encoder and an `mbart` decoder.
//!
//! An image is encoded once, whatever the number of questions about it.

mod config;
mod decoder;
mod encoder;
mod init;
mod layers;

use anyhow::{Context, Result};
use candle_core::Tensor;

pub use config::{Config, DecoderConfig, EncoderConfig, EndTokens};
pub use decoder::{Image, State};

use super::encoder_decoder::EncoderDecoder;
use super::generation::{self, BeamSearch, Generated, GenerationConfig, Prompt};
use super::loading::{CountingSource, TensorSource};
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
    /// Encodes an image: pixels [3, height, width] f32 as the image processor makes them. Returns
    /// the final hidden states [N, H], N places of the last stage's grid row by row.
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

    /// Feeds each question its next tokens and returns the logits [tokens of all questions,
    /// vocabulary], one question after the other.
    ///
    /// # Errors
    /// As [`generation::Decoder::step`].
    pub fn logits(&self, batch: &mut [(&mut State, &[u32])]) -> Result<Tensor> {
        self.decoder.logits(&self.decoder.states(batch)?)
    }
}

impl EncoderDecoder for Model {
    const ARCHITECTURE: &'static str = "donut";

    type Config = Config;

    /// The keys and values of an image, shared by its questions.
    type Image = Image;

    fn from_source(config: &Config, source: &dyn TensorSource) -> Result<Self> {
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

    fn encode_image(&self, input: &Tensor) -> Result<Image> {
        self.image(&self.encode(input)?)
    }

    fn generate(
        &self,
        questions: &[(&Image, &[u32])],
        beams: Option<&BeamSearch>,
        config: &GenerationConfig,
    ) -> Result<Vec<Generated>> {
        let prompt = |(image, tokens): &(&Image, &[u32])| Prompt {
            state: image.start(),
            tokens: tokens.to_vec(),
        };
        generation::generate(self, questions.iter().map(prompt).collect(), beams, config)
    }

    fn loss(&self, batch: &[Example], options: LossOptions<'_>) -> Result<Loss> {
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

    /// `input` is the shape of an image's pixels, [channels, height, width].
    fn memory_need(&self, input: &[usize], tokens: usize, beams: usize) -> MemoryNeed {
        let pixels = input.iter().skip(1).product();
        let weights = MemoryNeed {
            fixed_bytes: self.weights_bytes,
            per_question_bytes: 0,
        };
        let (encoder, places) = self.encoder.memory_need(pixels);
        weights
            .plus(encoder)
            .plus(self.decoder.memory_need(places, tokens, beams))
    }
}

impl generation::Decoder for Model {
    type State = State;

    fn step(&self, batch: &mut [(&mut State, &[u32])]) -> Result<Tensor> {
        let states = self.decoder.states(batch)?;
        self.decoder.logits(&generation::last_rows(&states, batch)?)
    }
}
