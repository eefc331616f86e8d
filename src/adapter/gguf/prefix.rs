//! Prompts that begin alike are evaluated alike once: the key-value states of what they share are
//! kept.
//!
//! Floating-point sums depend on how a sequence is cut into calls, so every prompt is cut the same
//! way whatever is reused: into blocks of [`BLOCK`] tokens, counted from its beginning, and the
//! rest. States are kept at the ends of blocks only. A completion is then the same to the bit with
//! and without reuse, and in whatever company its prompt comes.

use anyhow::{Context, Result, ensure};
use candle_core::Tensor;

use super::model::Model;

/// Tokens that are evaluated in one go.
pub(super) const BLOCK: usize = 32;

/// A model, and the states of what the last prompts had in common.
pub(super) struct PrefixStates {
    fresh: Model,
    block: usize,
    /// Each continues the one before.
    kept: Vec<State>,
    last_prompt: Vec<u32>,
    evaluated: usize,
}

struct State {
    tokens: Vec<u32>,
    model: Model,
}

impl PrefixStates {
    /// `in_blocks` false evaluates every prompt whole.
    pub(super) fn new(model: Model, in_blocks: bool) -> Self {
        let block = if in_blocks { BLOCK } else { usize::MAX };
        Self {
            fresh: model,
            block,
            kept: Vec::new(),
            last_prompt: Vec::new(),
            evaluated: 0,
        }
    }

    /// How many tokens of prompts have been evaluated.
    pub(super) fn evaluated(&self) -> usize {
        self.evaluated
    }

    /// Evaluates a prompt: its state, and the logits that follow it. What it shares with the prompt
    /// before it and with `next`, the one that will come after it, is kept.
    ///
    /// # Errors
    /// Returns an error if the prompt is empty, or the weights do not fit each other.
    pub(super) fn evaluate(
        &mut self,
        prompt: &[u32],
        next: Option<&[u32]>,
    ) -> Result<(Model, Tensor)> {
        ensure!(!prompt.is_empty(), "the prompt has no tokens");
        self.kept
            .retain(|state| prompt.len() > state.tokens.len() && prompt.starts_with(&state.tokens));
        let shared =
            common(prompt, &self.last_prompt).max(next.map_or(0, |next| common(prompt, next)));
        // The last token is always evaluated anew: its logits are not kept.
        let shared = shared.min(prompt.len() - 1) / self.block * self.block;
        self.last_prompt = prompt.to_vec();
        if shared > self.kept.last().map_or(0, |state| state.tokens.len()) {
            let (tokens, mut model) = self.top();
            advance(
                &mut model,
                prompt.get(..shared).unwrap_or(prompt),
                tokens,
                self.block,
            )?;
            self.evaluated += shared - tokens;
            self.kept.push(State {
                tokens: prompt.get(..shared).unwrap_or(prompt).to_vec(),
                model,
            });
        }
        let (tokens, mut model) = self.top();
        self.evaluated += prompt.len() - tokens;
        let logits = advance(&mut model, prompt, tokens, self.block)?
            .context("a prompt without a last token")?;
        Ok((model, logits))
    }

    /// The longest kept state, with its length in tokens.
    fn top(&self) -> (usize, Model) {
        match self.kept.last() {
            Some(state) => (state.tokens.len(), state.model.clone()),
            None => (0, self.fresh.clone()),
        }
    }
}

/// Evaluates what follows the first `done` tokens of `tokens`; the last logits.
fn advance(model: &mut Model, tokens: &[u32], done: usize, block: usize) -> Result<Option<Tensor>> {
    let mut logits = None;
    let mut position = done;
    for block in tokens.get(done..).unwrap_or_default().chunks(block) {
        logits = Some(model.forward(block, position)?);
        position += block.len();
    }
    Ok(logits)
}

/// How many tokens two prompts have in common at their beginnings.
fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
