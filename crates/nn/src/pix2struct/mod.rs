//! Pix2Struct, the architecture of MatCha and DePlot: a vision transformer over variable-resolution
//! patches and a T5-like text decoder.
//!
//! Paper: <https://arxiv.org/abs/2210.03347>. Weights: `google/matcha-*`, `google/deplot`,
//! `google/pix2struct-*`. The forward pass equals `Pix2StructForConditionalGeneration` of
//! transformers.
//!
//! A question is one image here, without padding rows: hidden rows never influence visible ones, so
//! leaving them out changes nothing.

mod config;
mod decoder;
mod encoder;
mod init;

use anyhow::{Context, Result, ensure};
use candle_core::Tensor;

pub use config::{Config, SpecialTokens, TextConfig, VisionConfig};
pub use decoder::State;

use super::encoder_decoder::EncoderDecoder;
use super::generation::{self, BeamSearch, Generated, GenerationConfig, Prompt};
use super::kernels::SequenceSpan;
use super::loading::{CountingSource, TensorSource};
use super::memory_need::MemoryNeed;
use super::training::{DropoutMode, Example, LayerCheckpoints, Loss, LossOptions, PackedBatch};
use decoder::Decoder;
use encoder::Encoder;

/// A loaded model.
#[derive(Debug)]
pub struct Model {
    encoder: Encoder,
    decoder: Decoder,
    weights_bytes: u64,
}

impl Model {
    /// Encodes the patches of one image: [N, 2 + P] f32, row id and column id in front of the
    /// pixels of each patch, no padding rows. Returns the final hidden states [N, H].
    ///
    /// # Errors
    /// Returns an error if the patches have another width than the model's, or an id outside its
    /// position tables.
    pub fn encode(&self, patches: &Tensor) -> Result<Tensor> {
        let count = patches.dim(0)?;
        self.encoder.forward(
            patches,
            &SequenceSpan::square(&[count]),
            &mut DropoutMode::off(),
            &mut LayerCheckpoints::off(),
        )
    }

    /// The patch embeddings [N, H] the first encoder layer reads; with the arguments of
    /// [`Self::encode`].
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn embed(&self, patches: &Tensor) -> Result<Tensor> {
        self.encoder.embed(patches)
    }

    /// Starts decoding about an encoded image: projects its states [N, H] to keys and values, once.
    ///
    /// # Errors
    /// Returns an error if the states are not the encoder's.
    pub fn start(&self, encoded: &Tensor) -> Result<State> {
        self.decoder.start(encoded).context("start of decoding")
    }

    /// Feeds each question of a batch its next tokens and returns the logits [tokens of all rows,
    /// vocabulary], row after row. A row's logits do not depend on the other rows.
    ///
    /// # Errors
    /// Returns an error for a token id outside the embedding or an empty batch.
    pub fn step(&self, batch: &mut [(&mut State, &[u32])]) -> Result<Tensor> {
        ensure!(
            batch.iter().any(|(_, tokens)| !tokens.is_empty()),
            "a decoding step needs tokens"
        );
        self.decoder.forward(batch)
    }
}

impl EncoderDecoder for Model {
    const ARCHITECTURE: &'static str = "pix2struct";

    type Config = Config;

    /// The encoder's final hidden states [N, H]; every question projects them to keys and values of
    /// its own.
    type Image = Tensor;

    fn from_source(config: &Config, source: &dyn TensorSource) -> Result<Self> {
        let weights = CountingSource::new(source);
        Ok(Self {
            encoder: Encoder::load(&config.vision_config, &weights)?,
            decoder: Decoder::load(&config.text_config, config.tie_word_embeddings, &weights)?,
            weights_bytes: weights.bytes(),
        })
    }

    fn encode_image(&self, input: &Tensor) -> Result<Tensor> {
        self.encode(input)
    }

    fn generate(
        &self,
        questions: &[(&Tensor, &[u32])],
        beams: Option<&BeamSearch>,
        config: &GenerationConfig,
    ) -> Result<Vec<Generated>> {
        let prompt = |(states, tokens): &(&Tensor, &[u32])| {
            Ok(Prompt {
                state: self.start(states)?,
                tokens: tokens.to_vec(),
            })
        };
        let prompts = questions.iter().map(prompt).collect::<Result<_>>()?;
        generation::generate(self, prompts, beams, config)
    }

    fn loss(&self, batch: &[Example], options: LossOptions<'_>) -> Result<Loss> {
        let mut dropout = DropoutMode::new(options.dropout);
        let mut checkpoints = LayerCheckpoints::new(options.activation_checkpointing);
        let packed = PackedBatch::new(batch, self.decoder.vocabulary()?)?;
        let encoded_lengths: Vec<usize> = packed
            .images
            .iter()
            .map(|image| Ok(image.dim(0)?))
            .collect::<Result<_>>()?;
        let patches = Tensor::cat(&packed.images, 0)?;
        let encoded = self.encoder.forward(
            &patches,
            &SequenceSpan::square(&encoded_lengths),
            &mut dropout,
            &mut checkpoints,
        )?;
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

    /// `input` is the shape of an image's patches.
    fn memory_need(&self, input: &[usize], tokens: usize, beams: usize) -> MemoryNeed {
        let patches = input.first().copied().unwrap_or(0);
        let weights = MemoryNeed {
            fixed_bytes: self.weights_bytes,
            per_question_bytes: 0,
        };
        weights
            .plus(self.encoder.memory_need(patches))
            .plus(self.decoder.memory_need(patches, tokens, beams))
    }
}

impl generation::Decoder for Model {
    type State = State;

    fn step(&self, batch: &mut [(&mut State, &[u32])]) -> Result<Tensor> {
        ensure!(
            batch.iter().all(|(_, tokens)| !tokens.is_empty()),
            "a decoding step needs tokens of every question"
        );
        let logits = Self::step(self, batch)?;
        generation::last_rows(&logits, batch)
    }
}
