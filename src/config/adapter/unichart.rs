//! `family = "unichart"`: UniChart and every other Donut checkpoint.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::count;
use super::weights::{WeightsSource, WireWeights};
use chartbench_core::counts::MAX_TOKENS;

/// Placeholder of the question in a prompt.
const QUESTION: &str = "{question}";

/// `family = "unichart"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniChartSpec {
    /// The checkpoint, without `--weights`.
    pub weights: WeightsSource,
    /// The decoder's prompt, in two parts: in front of the question and behind it.
    pub question_prompt: (String, String),
    /// The decoder's prompt for the chart's data table, where the model was trained on one.
    pub table_prompt: Option<String>,
    /// The text behind which the answer begins.
    pub answer_after: String,
    /// Beams of the search; 1 is greedy decoding.
    pub beams: usize,
    /// Texts, each one token, that are never generated.
    pub bad_words: Vec<String>,
    /// Longest answer in tokens; absent: as long as the decoder's positions reach.
    pub max_new_tokens: Option<usize>,
}

/// The family's own keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    weights: Option<WireWeights>,
    prompt: WirePrompt,
    generation: WireGeneration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePrompt {
    question: String,
    table: Option<String>,
    answer_after: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireGeneration {
    beams: usize,
    #[serde(default)]
    bad_words: Vec<String>,
    max_new_tokens: Option<usize>,
}

impl Wire {
    pub(super) fn validate(mut self) -> Result<UniChartSpec> {
        let weights = self
            .weights
            .take()
            .context("missing table `[weights]`")?
            .validate()?;
        self.with_weights(weights)
    }

    /// Validates the keys without `[weights]`, which is given elsewhere.
    pub(super) fn with_weights(self, source: WeightsSource) -> Result<UniChartSpec> {
        let Self {
            weights,
            prompt,
            generation,
        } = self;
        ensure!(weights.is_none(), "unexpected table `weights`");
        let (before, after) = prompt.question.split_once(QUESTION).with_context(|| {
            format!("`prompt.question` must say where the question goes: {QUESTION}")
        })?;
        ensure!(
            !prompt.answer_after.is_empty(),
            "`prompt.answer_after` is empty"
        );
        ensure!(
            (1..=64).contains(&generation.beams),
            "`generation.beams` must be between 1 and 64"
        );
        Ok(UniChartSpec {
            weights: source,
            question_prompt: (before.to_owned(), after.to_owned()),
            table_prompt: prompt.table,
            answer_after: prompt.answer_after,
            beams: generation.beams,
            bad_words: generation.bad_words,
            max_new_tokens: count(
                "generation.max_new_tokens",
                generation.max_new_tokens,
                MAX_TOKENS,
            )?,
        })
    }
}
