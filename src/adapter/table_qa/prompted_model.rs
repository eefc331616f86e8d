//! A language model as a reader of tables: prompted as published, its completions voted on.

use anyhow::Result;

use super::extract::{self, majority};
use super::prompt::{STOP, prompt};
use super::reader::{TableQuestion, TableReader};
use crate::adapter::language_model::{Completion, LanguageModel, Sampling};
use crate::adapter::{Answer, GiveUp, ReportAnswer, Usage};
use crate::config::{PromptStyle, ReaderSpec};

/// A language model with the prompt and the sampling of its adapter file.
pub(in crate::adapter) struct PromptedModel {
    model: Box<dyn LanguageModel>,
    style: PromptStyle,
    sampling: Sampling,
}

impl PromptedModel {
    /// `model`, asked as `reader` says.
    pub(in crate::adapter) fn new(model: Box<dyn LanguageModel>, reader: &ReaderSpec) -> Self {
        Self {
            model,
            style: reader.style,
            sampling: Sampling {
                samples: reader.samples,
                temperature: reader.temperature,
                seed: reader.seed,
                max_new_tokens: reader.max_new_tokens,
                stop: STOP.iter().map(|&stop| stop.to_owned()).collect(),
            },
        }
    }
}

impl TableReader for PromptedModel {
    fn settings(&self) -> Vec<(String, String)> {
        let style = match self.style {
            PromptStyle::ChainOfThought => "DePlot's one-shot chain of thought",
            PromptStyle::ProgramOfThought => "DePlot's one-shot program of thought",
        };
        let sampling = &self.sampling;
        let own = [
            ("prompt", style.to_owned()),
            ("samples", sampling.samples.to_string()),
            ("temperature", sampling.temperature.to_string()),
            ("seed", sampling.seed.to_string()),
            ("max_new_tokens", sampling.max_new_tokens.to_string()),
            ("stop", format!("{:?}", sampling.stop)),
        ];
        let own = own.map(|(key, value)| (key.to_owned(), value));
        self.model.settings().into_iter().chain(own).collect()
    }

    fn batch(&self) -> usize {
        self.model.batch()
    }

    fn answer(
        &mut self,
        questions: &[TableQuestion<'_>],
        report: &mut ReportAnswer<'_>,
    ) -> Result<()> {
        let prompts: Vec<String> = questions
            .iter()
            .map(|question| prompt(self.style, question.table, question.text))
            .collect();
        let mut completed = |index: usize, completions: Result<Vec<Completion>>| {
            report(index, completions.map(voted));
        };
        self.model
            .complete(&prompts, &self.sampling, &mut completed)
    }

    fn give_up(&self) -> Vec<GiveUp> {
        self.model.give_up()
    }
}

/// The majority of what the completions say.
fn voted(completions: Vec<Completion>) -> Answer {
    let answers: Vec<String> = completions
        .iter()
        .map(|completion| extract::answer(&completion.text))
        .collect();
    let usage = completions
        .iter()
        .filter_map(|completion| completion.usage)
        .reduce(Usage::plus);
    let token_ids = match completions.as_slice() {
        [only] => only.token_ids.clone(),
        _ => Vec::new(),
    };
    let finish_reason = finish_reasons(&completions);
    let completions = completions
        .into_iter()
        .map(|completion| completion.text)
        .collect();
    Answer {
        token_ids,
        completions,
        usage,
        finish_reason,
        ..Answer::from_text(majority(&answers))
    }
}

/// Why the completions end: each reason once, in the order they come.
fn finish_reasons(completions: &[Completion]) -> Option<String> {
    let mut reasons: Vec<&str> = Vec::new();
    for reason in completions
        .iter()
        .filter_map(|completion| completion.finish_reason.as_deref())
    {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    Some(reasons.join(",")).filter(|reasons| !reasons.is_empty())
}
