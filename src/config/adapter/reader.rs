//! How a language model answers from a data table: the keys that every family of readers shares.

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::count;
use crate::config::{Extraction, PromptSpec};
use chartbench_core::counts::{MAX_SAMPLES, MAX_TOKENS};

/// How a language model is asked, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct ReaderSpec {
    /// The prompt around the table and the question.
    pub style: PromptStyle,
    /// `--prompt`: it stands in the place of `style`.
    pub named_prompt: Option<PromptSpec>,
    /// `--extract`: the rules that cut out an answer; empty: those of the prompt's style.
    pub extract: Vec<Extraction>,
    /// Completions a question; the answer is their majority (self-consistency, arXiv:2203.11171).
    pub samples: usize,
    /// Sampling temperature; 0 is greedy decoding, of which one sample is enough.
    pub temperature: f64,
    /// The sampling seed, 42 by default.
    pub seed: u64,
    /// Longest completion in tokens.
    pub max_new_tokens: usize,
}

/// The published one-shot prompts of DePlot (arXiv:2212.10505).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptStyle {
    /// The model reasons in words, and answers after `answer is`.
    #[default]
    ChainOfThought,
    /// The model writes Python that assigns the answer to `ans`, which is evaluated.
    ProgramOfThought,
}

/// `[reader]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WireReader {
    style: PromptStyle,
    samples: usize,
    temperature: f64,
    seed: u64,
    max_new_tokens: usize,
}

impl Default for WireReader {
    fn default() -> Self {
        Self {
            style: PromptStyle::default(),
            samples: 1,
            temperature: 0.0,
            seed: 42,
            max_new_tokens: 256,
        }
    }
}

impl WireReader {
    pub(super) fn validate(self) -> Result<ReaderSpec> {
        let Self {
            style,
            samples,
            temperature,
            seed,
            max_new_tokens,
        } = self;
        count("reader.samples", Some(samples), MAX_SAMPLES)?;
        count("reader.max_new_tokens", Some(max_new_tokens), MAX_TOKENS)?;
        ensure!(
            (0.0..=2.0).contains(&temperature),
            "`reader.temperature` must be between 0 and 2"
        );
        ensure!(
            samples == 1 || temperature > 0.0,
            "`reader.samples` above 1 need a `reader.temperature` above 0"
        );
        Ok(ReaderSpec {
            style,
            named_prompt: None,
            extract: Vec::new(),
            samples,
            temperature,
            seed,
            max_new_tokens,
        })
    }
}
