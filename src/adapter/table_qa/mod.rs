//! Tables plus a reader: one adapter reads a chart's table, a language model answers every question
//! from it (DePlot, arXiv:2212.10505).
//!
//! A table is read once a chart: kept in memory for the charts to come back, and on disk for the
//! next run, under the fingerprint of what read it and the image's hash. The prompts, the cut of
//! the answer out of what the model writes and the vote over several samples are the published
//! ones.

mod cache;
mod extract;
mod program;
mod prompt;
mod tables;

use anyhow::{Context, Result, anyhow};

pub use cache::TableCache;
pub use extract::{answer, majority};
pub use prompt::{STOP, prompt};

use super::extraction::extract as extract_by_rules;
use super::language_model::{Completion, LanguageModel, Sampling};
use super::prompt::about_table;
use super::{Adapter, Answer, GiveUp, Identity, ReportAnswer, Usage, questions};
use crate::config::{Extraction, PromptSpec, PromptStyle, ReaderSpec};
use chartbench_core::question::{ChartQuestions, Question};
use tables::Tables;

/// An adapter that reads tables, and a language model that answers from them.
pub struct TableQa {
    identity: Identity,
    tables: Tables,
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
    fn prompt(&self, table: &str, question: &Question) -> Result<String> {
        match self {
            Self::DePlot(style) => Ok(prompt(*style, table, &question.text)),
            Self::Named(named) => about_table(named, table, question)
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

impl TableQa {
    /// The row `id`: `tables` reads the charts, `model` answers as `reader` says. Tables are kept
    /// in `cache` where there is one.
    pub fn new(
        id: &str,
        tables: Box<dyn Adapter>,
        cache: Option<TableCache>,
        model: Box<dyn LanguageModel>,
        reader: &ReaderSpec,
    ) -> Self {
        let words = match &reader.named_prompt {
            Some(named) => Words::Named(Box::new(named.clone())),
            None => Words::DePlot(reader.style),
        };
        // The stop texts are those of DePlot's prompt.
        let stop: &[&str] = match words {
            Words::DePlot(_) => &STOP,
            Words::Named(_) => &[],
        };
        let sampling = Sampling {
            samples: reader.samples,
            temperature: reader.temperature,
            seed: reader.seed,
            max_new_tokens: reader.max_new_tokens,
            stop: stop.iter().map(|&stop| stop.to_owned()).collect(),
        };
        let tables_settings = tables.identity().settings.iter();
        let mut settings: Vec<(String, String)> = tables_settings
            .map(|(key, value)| (format!("table_{key}"), value.clone()))
            .collect();
        settings.extend(model.settings());
        settings.extend(words.settings());
        let own = [
            ("samples", sampling.samples.to_string()),
            ("temperature", sampling.temperature.to_string()),
            ("seed", sampling.seed.to_string()),
            ("max_new_tokens", sampling.max_new_tokens.to_string()),
            ("stop", format!("{:?}", sampling.stop)),
        ];
        settings.extend(own.map(|(key, value)| (key.to_owned(), value)));
        if !reader.extract.is_empty() {
            let rules = Extraction::describe(&reader.extract);
            settings.push(("answer".to_owned(), format!("extracted: {rules}")));
        }
        let identity = Identity {
            id: id.to_owned(),
            settings,
        };
        Self {
            identity,
            tables: Tables::new(tables, cache),
            model,
            words,
            extract: reader.extract.clone(),
            sampling,
        }
    }
}

impl Adapter for TableQa {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn batch(&self) -> usize {
        self.model.batch()
    }

    fn answer(&mut self, charts: &[ChartQuestions], report: &mut ReportAnswer<'_>) -> Result<()> {
        let (tables, stopped) = self.tables.read_all(charts);
        let tables = charts
            .iter()
            .zip(tables)
            .flat_map(|(entry, table)| entry.questions.iter().map(move |_| table.clone()));
        // The places of the prompts' questions in the call.
        let (mut prompts, mut places) = (Vec::new(), Vec::new());
        for (index, ((_, question), table)) in questions(charts).zip(tables).enumerate() {
            match table {
                Some(Ok(table)) => match self.words.prompt(&table, question) {
                    Ok(prompt) => {
                        prompts.push(prompt);
                        places.push(index);
                    }
                    Err(error) => report(index, Err(error)),
                },
                Some(Err(error)) => report(index, Err(anyhow!(error))),
                None => {}
            }
        }
        if !prompts.is_empty() {
            let (named, rules) = (matches!(self.words, Words::Named(_)), &self.extract);
            let cut = |completion: &str| match rules.as_slice() {
                [] if named => completion.trim().to_owned(),
                [] => extract::answer(completion),
                rules => extract_by_rules(rules, completion).unwrap_or_default(),
            };
            let mut completed = |index: usize, completions: Result<Vec<Completion>>| {
                if let Some(&place) = places.get(index) {
                    report(
                        place,
                        completions.map(|completions| voted(completions, &cut)),
                    );
                }
            };
            self.model
                .complete(&prompts, &self.sampling, &mut completed)?;
        }
        stopped
    }

    fn give_up(&self) -> Vec<GiveUp> {
        let (tables, model) = (self.tables.give_up(), self.model.give_up());
        tables.into_iter().chain(model).collect()
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
