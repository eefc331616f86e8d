//! Greedy decoding and beam search over several questions at once, for any architecture.

mod beam;
mod greedy;
mod logits;
mod settings;
mod stored;
mod token_cache;

use anyhow::Result;
use candle_core::Tensor;
use thiserror::Error;

pub use beam::{BeamSearch, EarlyStopping, beam_search};
pub use greedy::greedy;
pub use settings::{GenerationSettings, LengthLimit};
pub use stored::StoredGeneration;
pub(crate) use token_cache::{CACHE_GROWTH, TokenCache};

/// A text decoder with a cache.
pub trait Decoder {
    /// The state of one question: its encoded image and the cache of its tokens so far.
    type State;

    /// Feeds each question of a batch its next tokens and returns the logits [batch, vocabulary]
    /// after the last one of each. A row does not depend on the other rows.
    ///
    /// # Errors
    /// Returns an error for a token id outside the embedding, a question without tokens, or too
    /// many tokens.
    fn step(&self, batch: &mut [(&mut Self::State, &[u32])]) -> Result<Tensor>;
}

/// The new token ids of a question, including the end token if it was reached.
pub type Generated = Result<Vec<u32>, NotFinite>;

/// A question's scores for its next token are NaN or infinite, so that no token is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the model's scores for the next token are NaN or infinite: its weights are damaged, or do not fit this precision"
)]
pub struct NotFinite;

/// Answers the questions of a batch: by beam search with `beams`, else greedily.
///
/// # Errors
/// Returns the error of [`Decoder::step`].
pub fn generate<D: Decoder>(
    decoder: &D,
    prompts: Vec<Prompt<D::State>>,
    beams: Option<&BeamSearch>,
    config: &GenerationConfig,
) -> Result<Vec<Generated>>
where
    D::State: Clone + Send,
{
    match beams {
        Some(settings) => beam_search(decoder, prompts, settings, config),
        None => greedy(decoder, prompts, config),
    }
}

/// Selects the last row of each question, from rows of all tokens [tokens, N] to [batch, N].
pub(super) fn last_rows<S>(rows: &Tensor, batch: &[(&mut S, &[u32])]) -> Result<Tensor> {
    let mut end = 0;
    let ends = batch.iter().map(|(_, tokens)| {
        end += tokens.len() as u32;
        end - 1
    });
    let last: Vec<u32> = ends.collect();
    Ok(rows.index_select(&Tensor::new(last, rows.device())?, 0)?)
}

/// A question with its first tokens.
#[derive(Debug)]
pub struct Prompt<S> {
    /// The decoder's state before the first token: the encoded image and an empty cache.
    pub state: S,
    /// The first decoder input: the start token, or a whole prompt.
    pub tokens: Vec<u32>,
}

/// When answers end, and what the scores of their tokens go through. The default changes no score.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationConfig {
    /// Any of these ends an answer.
    pub eos: Vec<u32>,
    /// Longest answer in tokens.
    pub max_new_tokens: usize,
    /// Most tokens of prompt and answer together, if there is a limit.
    pub max_length: Option<usize>,
    /// Fewest tokens of prompt and answer together; counts without `min_new_tokens`.
    pub min_length: usize,
    /// Fewest tokens of an answer, its end token aside.
    pub min_new_tokens: Option<usize>,
    /// Factor by which tokens become less likely that are in the prompt or the answer already
    /// (above 1), or more likely (below 1).
    pub repetition_penalty: Option<f32>,
    /// No sequence of this many tokens is written twice (`no_repeat_ngram_size`); 0 allows all.
    pub no_repeat_ngram: usize,
    /// Token sequences that must not be generated (`bad_words_ids`).
    pub bad_words: Vec<Vec<u32>>,
    /// The first token of an answer whose prompt is one token (`forced_bos_token_id`).
    pub forced_bos: Option<u32>,
    /// The last token of an answer that reaches its greatest length (`forced_eos_token_id`): one of
    /// these.
    pub forced_eos: Vec<u32>,
    /// Tokens that are never generated (`suppress_tokens`).
    pub suppress: Vec<u32>,
    /// Tokens that begin no answer (`begin_suppress_tokens`).
    pub begin_suppress: Vec<u32>,
}

impl GenerationConfig {
    /// The length of prompt and answer at which an answer to a prompt of `prompt` tokens is cut.
    fn max_total_length(&self, prompt: usize) -> usize {
        let longest = prompt.saturating_add(self.max_new_tokens);
        self.max_length.map_or(longest, |most| longest.min(most))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Writes token 1 twice and then token 0, which ends an answer; a question whose state is 1
    /// gets `odd` at its second token.
    struct Odd(f32);

    impl Decoder for Odd {
        type State = usize;

        fn step(&self, batch: &mut [(&mut usize, &[u32])]) -> Result<Tensor> {
            let rows: Vec<[f32; 3]> = batch
                .iter_mut()
                .map(|(state, _)| {
                    **state += 2;
                    match **state {
                        5 => [0.5, self.0, 0.0],
                        2..=5 => [0.0, 1.0, 0.5],
                        _ => [1.0, 0.0, 0.5],
                    }
                })
                .collect();
            Ok(Tensor::from_vec(
                rows.concat(),
                (rows.len(), 3),
                &Device::Cpu,
            )?)
        }
    }

    #[test]
    fn only_the_question_whose_scores_are_no_numbers_fails() {
        let config = GenerationConfig {
            eos: vec![0],
            max_new_tokens: 8,
            ..GenerationConfig::default()
        };
        let beams = BeamSearch {
            beams: 2,
            early_stopping: EarlyStopping::Yes,
            length_penalty: 1.0,
        };
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for beams in [None, Some(&beams)] {
                let prompts = [0, 1, 0]
                    .map(|state| Prompt {
                        state,
                        tokens: vec![2],
                    })
                    .into();
                let answers = generate(&Odd(odd), prompts, beams, &config).unwrap();
                assert_eq!(answers[1], Err(NotFinite), "{odd}");
                assert_eq!(answers[0], answers[2]);
                assert!(
                    answers[0]
                        .as_ref()
                        .is_ok_and(|tokens| tokens.last() == Some(&0)),
                    "{:?}",
                    answers[0]
                );
            }
        }
    }
}
