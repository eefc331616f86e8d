//! Generates completions token by token.

use anyhow::{Context, Result, anyhow};
use candle_core::{DType, Tensor};
use candle_transformers::generation::{LogitsProcessor, Sampling as Choice};
use sha2::{Digest, Sha256};
use tokenizers::Tokenizer;

use super::model::Model;
use crate::adapter::language_model::{Completion, Sampling};
use chartbench_nn::all_finite;
use chartbench_nn::generation::NotFinite;

/// The inputs that all completions of a prompt share.
pub(super) struct Decoder<'a> {
    pub tokenizer: &'a Tokenizer,
    /// Tokens after which a completion is over.
    pub ends: &'a [u32],
    pub sampling: &'a Sampling,
    /// Tokens that the model's context has left after the prompt.
    pub room: usize,
}

impl Decoder<'_> {
    /// The `sample`-th completion of a prompt of `length` tokens, from the state behind it and the
    /// logits that follow it.
    ///
    /// # Errors
    /// Returns an error if the weights do not fit each other, or a token is not in the vocabulary.
    pub(super) fn complete(
        &self,
        mut state: Model,
        logits: &Tensor,
        length: usize,
        prompt: &str,
        sample: usize,
    ) -> Result<Completion> {
        let mut choose = self.choice(prompt, sample);
        let mut logits = logits.clone();
        let mut token_ids: Vec<u32> = Vec::new();
        let mut text = String::new();
        let mut finish_reason = Some("length".to_owned());
        for position in (length..).take(self.sampling.max_new_tokens.min(self.room)) {
            if !all_finite(&logits.to_dtype(DType::F32)?.to_vec1::<f32>()?) {
                return Err(NotFinite.into());
            }
            let token = choose.sample(&logits)?;
            token_ids.push(token);
            if self.ends.contains(&token) {
                finish_reason = None;
                break;
            }
            text = self
                .tokenizer
                .decode(&token_ids, true)
                .map_err(|error| anyhow!("cannot decode: {error}"))?;
            if let Some(end) = self.stop(&text) {
                text.truncate(end);
                finish_reason = None;
                break;
            }
            logits = state
                .forward(&[token], position)
                .context("cannot go on from the last token")?;
        }
        Ok(Completion {
            text,
            token_ids,
            usage: None,
            finish_reason,
        })
    }

    /// Where the first stop text begins.
    fn stop(&self, text: &str) -> Option<usize> {
        self.sampling
            .stop
            .iter()
            .filter_map(|stop| text.find(stop.as_str()))
            .min()
    }

    /// A sampler seeded by the prompt and the sample's number alone, independent of earlier
    /// prompts.
    fn choice(&self, prompt: &str, sample: usize) -> LogitsProcessor {
        let temperature = self.sampling.temperature;
        let choice = if temperature > 0.0 {
            Choice::All { temperature }
        } else {
            Choice::ArgMax
        };
        let mut hasher = Sha256::new();
        hasher.update(self.sampling.seed.to_le_bytes());
        hasher.update((sample as u64).to_le_bytes());
        hasher.update(prompt);
        let seed = hasher
            .finalize()
            .iter()
            .take(8)
            .fold(0, |seed, byte| seed << 8 | u64::from(*byte));
        LogitsProcessor::from_sampling(seed, choice)
    }
}
