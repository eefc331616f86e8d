//! `[generation]` of `pix2struct` and `unichart`: how answers are decoded. What is absent, the
//! checkpoint's `generation_config.json` says.

use anyhow::{Result, anyhow, ensure};
use serde::Deserialize;

use super::count;
use chartbench_core::counts::MAX_TOKENS;

/// Most beams of a search.
const MAX_BEAMS: usize = 64;

/// `[generation]` of a checkpoint's adapter file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationSpec {
    /// Beams of the search; 1 is greedy decoding.
    pub beams: Option<usize>,
    /// Whether the search ends as soon as there are as many answers as beams. Where neither file
    /// says, a search whose `beams` stand in the adapter file does, and another one does not.
    pub early_stopping: Option<bool>,
    /// An answer's score is its log-probability divided by its length to this power.
    pub length_penalty: Option<f64>,
    /// Factor by which tokens become less likely that are in the text already.
    pub repetition_penalty: Option<f64>,
    /// No sequence of this many tokens is written twice; 0 allows all.
    pub no_repeat_ngram_size: Option<usize>,
    /// Texts, each one token, that are never generated.
    pub bad_words: Option<Vec<String>>,
    /// Longest answer in tokens.
    pub max_new_tokens: Option<usize>,
    /// Answers may be as long as the decoder's positions reach (`max_length = "positions"`).
    pub to_last_position: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireGeneration {
    beams: Option<usize>,
    early_stopping: Option<bool>,
    length_penalty: Option<f64>,
    repetition_penalty: Option<f64>,
    no_repeat_ngram_size: Option<usize>,
    bad_words: Option<Vec<String>>,
    max_new_tokens: Option<usize>,
    max_length: Option<WireMaxLength>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireMaxLength {
    Positions,
}

impl WireGeneration {
    pub(super) fn validate(self) -> Result<GenerationSpec> {
        ensure!(
            self.beams
                .is_none_or(|beams| (1..=MAX_BEAMS).contains(&beams)),
            "`generation.beams` must be between 1 and {MAX_BEAMS}"
        );
        let max_new_tokens = count("generation.max_new_tokens", self.max_new_tokens, MAX_TOKENS)?;
        let to_last_position = matches!(self.max_length, Some(WireMaxLength::Positions));
        ensure!(
            max_new_tokens.is_none() || !to_last_position,
            "`generation.max_length` and `generation.max_new_tokens` both limit the answer: leave out one"
        );
        ensure!(
            self.no_repeat_ngram_size
                .is_none_or(|size| size <= MAX_TOKENS),
            "`generation.no_repeat_ngram_size` must be at most {MAX_TOKENS}"
        );
        Ok(GenerationSpec {
            beams: self.beams,
            early_stopping: self.early_stopping,
            length_penalty: within("length_penalty", self.length_penalty, -1e3)?,
            repetition_penalty: within("repetition_penalty", self.repetition_penalty, 1e-3)?,
            no_repeat_ngram_size: self.no_repeat_ngram_size,
            bad_words: self.bad_words,
            max_new_tokens,
            to_last_position,
        })
    }
}

/// A number from `least` to 1000.
fn within(key: &str, value: Option<f64>, least: f64) -> Result<Option<f64>> {
    match value {
        Some(value) if !(least..=1e3).contains(&value) => Err(anyhow!(
            "`generation.{key}` must be from {least} to 1000, not {value}"
        )),
        value => Ok(value),
    }
}
