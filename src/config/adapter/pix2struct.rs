//! `family = "pix2struct"`: MatCha, DePlot and every other Pix2Struct checkpoint.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::count;
use super::generation::{GenerationSpec, WireGeneration};
use super::weights::{WeightsSource, WireWeights};
use chartbench_core::counts::MAX_PATCHES;

/// `family = "pix2struct"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pix2StructSpec {
    /// The checkpoint, without `--weights`.
    pub weights: WeightsSource,
    /// The font of the header (`preprocess.header_font`); the reference's by default.
    pub header_font: HeaderFontSource,
    /// Patch budget an image is scaled to fill; absent: what `preprocessor_config.json` says.
    pub max_patches: Option<usize>,
    /// How answers are decoded (`[generation]`).
    pub generation: GenerationSpec,
    /// The header under which the model writes the chart's data table.
    pub table_prompt: Option<String>,
    /// Whether it answers questions, drawn as the header; what reads tables does only where its
    /// file says so.
    pub answers_questions: bool,
    /// Whether its answer is a summary of the chart, whatever the question: it asks no checkpoint
    /// but its own without being named.
    pub summarizes: bool,
}

/// The font in which the question is drawn above the chart when `--header-font` does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeaderFontSource {
    /// `Arial.TTF` of the hub repository `ybelkada/fonts`, as the reference implementation; DejaVu
    /// Sans, with a note, where that file cannot be had.
    Reference,
    /// The embedded DejaVu Sans.
    Embedded,
}

/// The family's own keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    weights: Option<WireWeights>,
    #[serde(default)]
    preprocess: WirePreprocess,
    #[serde(default)]
    prompt: WirePrompt,
    #[serde(default)]
    generation: WireGeneration,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePreprocess {
    max_patches: Option<usize>,
    header_font: Option<HeaderFontSource>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePrompt {
    table: Option<String>,
    questions: Option<bool>,
    #[serde(default)]
    summaries: bool,
}

impl Wire {
    pub(super) fn validate(mut self) -> Result<Pix2StructSpec> {
        let weights = self
            .weights
            .take()
            .context("missing table `[weights]`")?
            .validate()?;
        self.with_weights(weights)
    }

    /// Validates the keys without `[weights]`, which is given elsewhere.
    pub(super) fn with_weights(self, weights: WeightsSource) -> Result<Pix2StructSpec> {
        ensure!(self.weights.is_none(), "unexpected table `weights`");
        let answers_questions = self.prompt.questions.unwrap_or(self.prompt.table.is_none());
        ensure!(
            answers_questions || self.prompt.table.is_some(),
            "prompt.questions = false needs prompt.table: it would do nothing"
        );
        let generation = self.generation.validate()?;
        ensure!(
            !generation.to_last_position,
            "`generation.max_length`: a Pix2Struct decoder has no last position"
        );
        Ok(Pix2StructSpec {
            weights,
            answers_questions,
            header_font: self
                .preprocess
                .header_font
                .unwrap_or(HeaderFontSource::Reference),
            max_patches: count(
                "preprocess.max_patches",
                self.preprocess.max_patches,
                MAX_PATCHES,
            )?,
            generation,
            table_prompt: self.prompt.table,
            summarizes: self.prompt.summaries,
        })
    }
}
