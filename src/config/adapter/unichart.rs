//! `family = "unichart"`: UniChart and every other Donut checkpoint.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::generation::{GenerationSpec, WireGeneration};
use super::weights::{WeightsSource, WireWeights};

/// Placeholder of the question in a prompt.
const QUESTION: &str = "{question}";

/// `family = "unichart"`.
#[derive(Clone, Debug, PartialEq)]
pub struct UniChartSpec {
    /// The checkpoint, without `--weights`.
    pub weights: WeightsSource,
    /// The decoder's prompt, in two parts: in front of the question and behind it; absent: it reads
    /// tables and answers no questions.
    pub question_prompt: Option<(String, String)>,
    /// The decoder's prompt for the chart's data table, where the model was trained on one.
    pub table_prompt: Option<String>,
    /// The text behind which the answer begins.
    pub answer_after: String,
    /// How answers are decoded (`[generation]`).
    pub generation: GenerationSpec,
}

/// The family's own keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    weights: Option<WireWeights>,
    prompt: WirePrompt,
    #[serde(default)]
    generation: WireGeneration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePrompt {
    question: Option<String>,
    table: Option<String>,
    answer_after: String,
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
        let split = |question: String| -> Result<(String, String)> {
            let (before, after) = question.split_once(QUESTION).with_context(|| {
                format!("`prompt.question` must say where the question goes: {QUESTION}")
            })?;
            Ok((before.to_owned(), after.to_owned()))
        };
        let question_prompt = prompt.question.map(split).transpose()?;
        ensure!(
            question_prompt.is_some() || prompt.table.is_some(),
            "missing key `prompt.question`"
        );
        ensure!(
            !prompt.answer_after.is_empty(),
            "`prompt.answer_after` is empty"
        );
        Ok(UniChartSpec {
            weights: source,
            question_prompt,
            table_prompt: prompt.table,
            answer_after: prompt.answer_after,
            generation: generation.validate()?,
        })
    }
}
