//! A language model as a reader of tables: prompted as published, its completions voted on.

use anyhow::{Context, Result};

use super::extract::{self, majority};
use super::prompt::{STOP, prompt};
use super::reader::{TableQuestion, TableReader};
use crate::adapter::extraction::extract as extract_by_rules;
use crate::adapter::language_model::{Completion, LanguageModel, Sampling};
use crate::adapter::prompt::about_table;
use crate::adapter::{Answer, GiveUp, ReportAnswer, Usage};
use crate::config::{Extraction, PromptSpec, PromptStyle, ReaderSpec};

/// A language model with the words and the sampling of its adapter file or flags.
pub(in crate::adapter) struct PromptedModel {
    model: Box<dyn LanguageModel>,
    words: Words,
    /// The rules that cut out an answer; empty: those of DePlot.
    extract: Vec<Extraction>,
    sampling: Sampling,
}

/// The words around a table and a question.
enum Words {
    /// Those of DePlot.
    DePlot(PromptStyle),
    /// Those of a named prompt.
    Named(Box<PromptSpec>),
}

impl Words {
    /// The prompt.
    ///
    /// # Errors
    /// Returns an error if the named prompt has no words for tables.
    fn prompt(&self, asked: &TableQuestion<'_>) -> Result<String> {
        match self {
            Self::DePlot(style) => Ok(prompt(*style, asked.table, &asked.question.text)),
            Self::Named(named) => about_table(named, asked.table, asked.question)
                .with_context(|| format!("the prompt {} has no `table`", named.name)),
        }
    }

    /// The settings that describe them.
    fn settings(&self) -> Vec<(String, String)> {
        let style = match self {
            Self::DePlot(PromptStyle::ChainOfThought) => "DePlot's one-shot chain of thought",
            Self::DePlot(PromptStyle::ProgramOfThought) => "DePlot's one-shot program of thought",
            Self::Named(named) => {
                let table = named.table.clone().unwrap_or_default();
                return vec![
                    ("prompt_name".to_owned(), named.name.clone()),
                    ("prompt".to_owned(), table),
                ];
            }
        };
        vec![("prompt".to_owned(), style.to_owned())]
    }
}

impl PromptedModel {
    /// `model`, asked as `reader` says.
    pub(in crate::adapter) fn new(model: Box<dyn LanguageModel>, reader: &ReaderSpec) -> Self {
        let words = match &reader.named_prompt {
            Some(named) => Words::Named(Box::new(named.clone())),
            None => Words::DePlot(reader.style),
        };
        // The stop texts are those of DePlot's prompt.
        let stop: &[&str] = match words {
            Words::DePlot(_) => &STOP,
            Words::Named(_) => &[],
        };
        Self {
            model,
            words,
            extract: reader.extract.clone(),
            sampling: Sampling {
                samples: reader.samples,
                temperature: reader.temperature,
                seed: reader.seed,
                max_new_tokens: reader.max_new_tokens,
                stop: stop.iter().map(|&stop| stop.to_owned()).collect(),
            },
        }
    }
}

impl TableReader for PromptedModel {
    fn settings(&self) -> Vec<(String, String)> {
        let sampling = &self.sampling;
        let own = [
            ("samples", sampling.samples.to_string()),
            ("temperature", sampling.temperature.to_string()),
            ("seed", sampling.seed.to_string()),
            ("max_new_tokens", sampling.max_new_tokens.to_string()),
            ("stop", format!("{:?}", sampling.stop)),
        ];
        let own = own.map(|(key, value)| (key.to_owned(), value));
        let mut settings = self.model.settings();
        settings.extend(self.words.settings().into_iter().chain(own));
        if !self.extract.is_empty() {
            let rules = Extraction::describe(&self.extract);
            settings.push(("answer".to_owned(), format!("extracted: {rules}")));
        }
        settings
    }

    fn batch(&self) -> usize {
        self.model.batch()
    }

    fn finish(&mut self) -> Result<()> {
        self.model.finish()
    }

    fn answer(
        &mut self,
        questions: &[TableQuestion<'_>],
        report: &mut ReportAnswer<'_>,
    ) -> Result<()> {
        // The places of the prompts among the questions.
        let (mut prompts, mut places) = (Vec::new(), Vec::new());
        for (index, question) in questions.iter().enumerate() {
            match self.words.prompt(question) {
                Ok(prompt) => {
                    prompts.push(prompt);
                    places.push(index);
                }
                Err(error) => report(index, Err(error)),
            }
        }
        if prompts.is_empty() {
            return Ok(());
        }
        let (named, rules) = (matches!(self.words, Words::Named(_)), &self.extract);
        let cut = |completion: &str| match rules.as_slice() {
            [] if named => completion.trim().to_owned(),
            [] => extract::answer(completion),
            rules => extract_by_rules(rules, completion).unwrap_or_default(),
        };
        let mut completed = |index: usize, completions: Result<Vec<Completion>>| {
            if let Some(&place) = places.get(index) {
                report(place, completions.map(|all| voted(all, &cut)));
            }
        };
        self.model
            .complete(&prompts, &self.sampling, &mut completed)
    }

    fn give_up(&self) -> Vec<GiveUp> {
        self.model.give_up()
    }
}

/// The majority of the answers that `cut` finds in completions.
fn voted(completions: Vec<Completion>, cut: &dyn Fn(&str) -> String) -> Answer {
    let answers: Vec<String> = completions
        .iter()
        .map(|completion| cut(&completion.text))
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
