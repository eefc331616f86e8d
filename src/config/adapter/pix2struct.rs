//! `family = "pix2struct"`: MatCha, DePlot and every other Pix2Struct checkpoint.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::count;
use super::weights::{WeightsSource, WireWeights};
use chartbench_core::counts::{MAX_PATCHES, MAX_TOKENS};

/// `family = "pix2struct"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pix2StructSpec {
    /// The checkpoint, without `--weights`.
    pub weights: WeightsSource,
    /// The font of the header (`preprocess.header_font`); the reference's by default.
    pub header_font: HeaderFontSource,
    /// Patch budget an image is scaled to fill; absent: what `preprocessor_config.json` says.
    pub max_patches: Option<usize>,
    /// Greedy decoding stops after this many tokens, or at the end-of-sequence token.
    pub max_new_tokens: usize,
    /// The header under which the model writes the chart's data table.
    pub table_prompt: Option<String>,
    /// Whether it answers questions, drawn as the header; what reads tables does only where its
    /// file says so.
    pub answers_questions: bool,
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
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireGeneration {
    max_new_tokens: Option<usize>,
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
            max_new_tokens: count(
                "generation.max_new_tokens",
                self.generation.max_new_tokens,
                MAX_TOKENS,
            )?
            .context("missing key `generation.max_new_tokens`")?,
            table_prompt: self.prompt.table,
        })
    }
}
