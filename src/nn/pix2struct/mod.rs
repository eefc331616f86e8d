//! Pix2Struct, the architecture of MatCha and DePlot: a vision transformer over variable-resolution patches and a T5-like
//! text decoder.
//!
//! Paper: <https://arxiv.org/abs/2210.03347>. Weights: `google/matcha-*`, `google/deplot`, `google/pix2struct-*`. The forward
//! pass equals `Pix2StructForConditionalGeneration` of transformers.
//!
//! A question is one image here, without padding rows: hidden rows never influence visible ones, so leaving them
//! out changes nothing.

mod config;
mod decoder;
mod encoder;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};

pub use config::{Config, Generation, TextConfig, VisionConfig};
pub use decoder::State;

use super::generation::{self, Limits, Prompt};
use super::loading::{Checkpoint, Weights};
use decoder::Decoder;
use encoder::Encoder;

/// A loaded model.
#[derive(Debug)]
pub struct Model {
    encoder: Encoder,
    decoder: Decoder,
    generation: Generation,
}

impl Model {
    /// Loads the weights as f32 onto `device`.
    ///
    /// # Errors
    /// A tensor is missing, has another shape than `config` says, or cannot be read.
    pub fn load(config: &Config, checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let weights = Weights { checkpoint, device };
        Ok(Self {
            encoder: Encoder::load(&config.vision_config, &weights)?,
            decoder: Decoder::load(&config.text_config, config.tie_word_embeddings, &weights)?,
            generation: config.generation.clone(),
        })
    }

    /// Encodes the patches of one image: [N, 2 + P] f32, row id and column id in front of the pixels of each patch, no
    /// padding rows. Returns the final hidden states [N, H].
    ///
    /// # Errors
    /// The patches have another width than the model's, or an id outside its position tables.
    pub fn encode(&self, patches: &Tensor) -> Result<Tensor> {
        self.encoder.forward(patches)
    }

    /// The patch embeddings [N, H] the first encoder layer reads; arguments as of [`Self::encode`].
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn embed(&self, patches: &Tensor) -> Result<Tensor> {
        self.encoder.embed(patches)
    }

    /// Begins to answer about an encoded image: projects its states [N, H] to keys and values, once.
    ///
    /// # Errors
    /// The states are not the encoder's.
    pub fn start(&self, encoded: &Tensor) -> Result<State> {
        self.decoder.start(encoded).context("start of decoding")
    }

    /// Feeds each question of a batch its next tokens and returns the logits [tokens of all rows, vocabulary], row after
    /// row. A row's logits do not depend on the other rows.
    ///
    /// # Errors
    /// A token id outside the embedding, or an empty batch.
    pub fn step(&self, batch: &mut [(&mut State, &[u32])]) -> Result<Tensor> {
        ensure!(batch.iter().any(|(_, tokens)| !tokens.is_empty()), "a decoding step needs tokens");
        self.decoder.forward(batch)
    }

    /// Answers a batch of encoded images greedily: the new token ids of each, the end token included where it was
    /// reached, the start token not.
    ///
    /// # Errors
    /// The states are not the encoder's.
    pub fn greedy(&self, encoded: &[Tensor], max_new_tokens: usize) -> Result<Vec<Vec<u32>>> {
        let Generation { start, eos } = &self.generation;
        let prompt = |states| Ok(Prompt { state: self.start(states)?, tokens: vec![*start] });
        let limits = Limits { eos: eos.clone(), max_new_tokens, ..Limits::default() };
        generation::greedy(self, encoded.iter().map(prompt).collect::<Result<_>>()?, &limits)
    }
}

impl generation::Decoder for Model {
    type State = State;

    fn step(&self, batch: &mut [(&mut State, &[u32])]) -> Result<Tensor> {
        ensure!(batch.iter().all(|(_, tokens)| !tokens.is_empty()), "a decoding step needs tokens of every question");
        let logits = Self::step(self, batch)?;
        generation::last_rows(&logits, batch)
    }
}
