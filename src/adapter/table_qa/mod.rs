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

use anyhow::{Result, anyhow};

pub use cache::TableCache;
pub use extract::{answer, majority};
pub use prompt::{STOP, prompt};

use super::language_model::{Completion, LanguageModel, Sampling};
use super::{Adapter, Answer, GiveUp, Identity, ReportAnswer, Usage, questions};
use crate::config::{PromptStyle, ReaderSpec};
use chartbench_core::question::ChartQuestions;
use tables::Tables;

/// An adapter that reads tables, and a language model that answers from them.
pub struct TableQa {
    identity: Identity,
    tables: Tables,
    model: Box<dyn LanguageModel>,
    style: PromptStyle,
    sampling: Sampling,
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
        let sampling = Sampling {
            samples: reader.samples,
            temperature: reader.temperature,
            seed: reader.seed,
            max_new_tokens: reader.max_new_tokens,
            stop: STOP.iter().map(|&stop| stop.to_owned()).collect(),
        };
        let tables_settings = tables.identity().settings.iter();
        let mut settings: Vec<(String, String)> = tables_settings
            .map(|(key, value)| (format!("table_{key}"), value.clone()))
            .collect();
        settings.extend(model.settings());
        let style = match reader.style {
            PromptStyle::ChainOfThought => "DePlot's one-shot chain of thought",
            PromptStyle::ProgramOfThought => "DePlot's one-shot program of thought",
        };
        let own = [
            ("prompt", style.to_owned()),
            ("samples", sampling.samples.to_string()),
            ("temperature", sampling.temperature.to_string()),
            ("seed", sampling.seed.to_string()),
            ("max_new_tokens", sampling.max_new_tokens.to_string()),
            ("stop", format!("{:?}", sampling.stop)),
        ];
        settings.extend(own.map(|(key, value)| (key.to_owned(), value)));
        let identity = Identity {
            id: id.to_owned(),
            settings,
        };
        Self {
            identity,
            tables: Tables::new(tables, cache),
            model,
            style: reader.style,
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
                Some(Ok(table)) => {
                    prompts.push(prompt(self.style, &table, &question.text));
                    places.push(index);
                }
                Some(Err(error)) => report(index, Err(anyhow!(error))),
                None => {}
            }
        }
        if !prompts.is_empty() {
            let mut completed = |index: usize, completions: Result<Vec<Completion>>| {
                if let Some(&place) = places.get(index) {
                    report(place, completions.map(voted));
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
