//! Labels: the tokens of a gold answer.

use anyhow::{Context, Result, ensure};

use super::LabelRule;
use chartbench_nn::tokenizer::Tokenizer;

/// The tokens of a question's gold answer.
pub(super) struct Labels {
    pub(super) tokens: Vec<u32>,
    /// Whether the answer was cut to the rule's limit.
    pub(super) cut: bool,
}

impl Labels {
    /// `gold` (as the model writes it) and `eos`, cut as transformers' tokenizers truncate: the end
    /// of sequence stays.
    ///
    /// # Errors
    /// Returns an error if the answer is empty.
    pub(super) fn new(
        tokenizer: &Tokenizer,
        gold: &str,
        eos: u32,
        rule: LabelRule,
    ) -> Result<Self> {
        ensure!(
            !gold.trim().is_empty(),
            "the gold answer is empty: there is nothing to learn"
        );
        let mut tokens = tokenizer.encode(gold)?;
        ensure!(!tokens.is_empty(), "the gold answer {gold:?} has no tokens");
        let room = rule.max_tokens.saturating_sub(1);
        let cut = tokens.len() > room;
        tokens.truncate(room);
        tokens.push(eos);
        Ok(Self { tokens, cut })
    }

    /// The labels, filled up with `padding` where the rule says that it counts.
    pub(super) fn padded(&self, padding: u32, rule: LabelRule) -> Vec<Option<u32>> {
        let length = if rule.mask_padding {
            self.tokens.len()
        } else {
            rule.max_tokens.max(self.tokens.len())
        };
        let filled = self
            .tokens
            .iter()
            .copied()
            .chain(std::iter::repeat(padding));
        filled.take(length).map(Some).collect()
    }
}

/// The one token that ends an answer.
///
/// # Errors
/// Returns an error if the configuration names none.
pub(super) fn end_of_sequence(eos: &[u32]) -> Result<u32> {
    eos.first().copied().context(
        "the configuration names no eos_token_id: training has nothing to end answers with",
    )
}
