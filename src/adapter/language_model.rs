//! The trait of language models that answer from tables.

use anyhow::Result;

use super::{GiveUp, Usage};

/// Sampling options.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Completions a prompt.
    pub samples: usize,
    /// 0 is greedy decoding.
    pub temperature: f64,
    /// The seed of the samples of every prompt; an endpoint may ignore it.
    pub seed: u64,
    /// Longest completion in tokens.
    pub max_new_tokens: usize,
    /// Texts at which a completion ends; they are not part of it.
    pub stop: Vec<String>,
}

/// A completion of a language model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// The generated text up to the first stop text.
    pub text: String,
    /// Empty if the service does not return them.
    pub token_ids: Vec<u32>,
    /// A service's usage; the first completion of a reply has that of all. `None` in this process.
    pub usage: Option<Usage>,
    /// Why the text ends, as the service names it; a model in this process gives `length` where its
    /// limit cut it.
    pub finish_reason: Option<String>,
}

/// A callback that takes the result of one prompt: its place in the call, and the completions, or why this
/// prompt failed.
pub type ReportCompletions<'a> = dyn FnMut(usize, Result<Vec<Completion>>) + 'a;

/// A language model that completes prompts: in this process, or behind an endpoint.
pub trait LanguageModel {
    /// Everything that can change its completions, as ordered key-value pairs; goes into the
    /// adapter's fingerprint.
    fn settings(&self) -> Vec<(String, String)>;

    /// The preferred number of prompts in a call.
    fn batch(&self) -> usize;

    /// Completes each prompt (one user message) `sampling.samples` times, and reports each result
    /// as it comes, once a prompt, in any order. Prompts of a call may share a long beginning: a
    /// model in this process evaluates that once. A completion must not depend on the other
    /// prompts.
    ///
    /// # Errors
    /// Returns why the model cannot go on; prompts that were not reported have no completion.
    fn complete(
        &mut self,
        prompts: &[String],
        sampling: &Sampling,
        report: &mut ReportCompletions<'_>,
    ) -> Result<()>;

    /// Ends the row, as [`Adapter::finish`](super::Adapter::finish) says.
    ///
    /// # Errors
    /// Returns an error if that cannot be noted.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    /// What gives up the call in hand, as [`Adapter::give_up`](super::Adapter::give_up) says.
    fn give_up(&self) -> Vec<GiveUp> {
        Vec::new()
    }
}
