//! Greedy decoding.

use anyhow::{Context, Result};
use candle_core::DType;

use super::logits::Step;
use super::{Decoder, Generated, GenerationConfig, NotFinite, Prompt};
use crate::all_finite;

/// Answers the questions of a batch.
///
/// Every step feeds one token of each unfinished question; a finished one leaves the batch. A
/// question's tokens do not depend on the others or on their number. The lowest id wins among equal
/// logits, as in transformers.
///
/// # Errors
/// Returns the error of [`Decoder::step`].
pub fn greedy<D: Decoder>(
    decoder: &D,
    prompts: Vec<Prompt<D::State>>,
    config: &GenerationConfig,
) -> Result<Vec<Generated>> {
    let mut answers: Vec<Answer<D::State>> = prompts
        .into_iter()
        .map(|Prompt { state, tokens }| Answer {
            state,
            prompt: tokens.len(),
            fed: 0,
            tokens,
            not_finite: false,
        })
        .collect();
    loop {
        let mut open: Vec<&mut Answer<D::State>> = answers
            .iter_mut()
            .filter(|answer| !answer.finished(config))
            .collect();
        if open.is_empty() {
            break;
        }
        let mut batch: Vec<(&mut D::State, &[u32])> = open
            .iter_mut()
            .map(|answer| (&mut answer.state, &answer.tokens[answer.fed..]))
            .collect();
        let logits = decoder.step(&mut batch).context("decoding step")?;
        let logits: Vec<Vec<f32>> = logits.to_dtype(DType::F32)?.to_vec2()?;
        for (answer, mut logits) in open.into_iter().zip(logits) {
            answer.not_finite = !all_finite(&logits);
            let step = Step {
                tokens: &answer.tokens,
                prompt: answer.prompt,
                longest: config.max_total_length(answer.prompt),
            };
            config.process_scores(&step, &mut logits);
            answer.fed = answer.tokens.len();
            answer.tokens.push(argmax(&logits));
        }
    }
    let generated = |mut answer: Answer<D::State>| {
        if answer.not_finite {
            Err(NotFinite)
        } else {
            Ok(answer.tokens.split_off(answer.prompt))
        }
    };
    Ok(answers.into_iter().map(generated).collect())
}

struct Answer<S> {
    state: S,
    /// Prompt and answer.
    tokens: Vec<u32>,
    /// Tokens of the prompt.
    prompt: usize,
    /// Tokens that the decoder has seen.
    fed: usize,
    /// The last scores are NaN or infinite.
    not_finite: bool,
}

impl<S> Answer<S> {
    fn finished(&self, config: &GenerationConfig) -> bool {
        let ended = self.tokens[self.prompt..]
            .last()
            .is_some_and(|id| config.eos.contains(id));
        self.not_finite || ended || self.tokens.len() >= config.max_total_length(self.prompt)
    }
}

/// The index of the first largest value.
fn argmax(values: &[f32]) -> u32 {
    let mut best = 0;
    for (id, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = id;
        }
    }
    best as u32
}
