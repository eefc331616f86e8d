//! Tables plus a reader: one adapter reads a chart's table, and a language model answers every
//! question from it (DePlot, arXiv:2212.10505), or rules do.
//!
//! A table is read once a chart: kept in memory for the charts to come back, and on disk for the
//! next run, under the fingerprint of what read it and the image's hash. A language model's
//! prompts, the cut of the answer out of what it writes and the vote over several samples are the
//! published ones.

mod cache;
mod extract;
mod program;
mod prompt;
mod prompted_model;
mod reader;
mod tables;

use anyhow::{Result, anyhow};

pub use cache::TableCache;
pub use extract::{answer, majority};
pub use prompt::{STOP, prompt};
pub(super) use prompted_model::PromptedModel;
pub use reader::{TableQuestion, TableReader};

use super::language_model::LanguageModel;
use super::{Adapter, Answer, GiveUp, Identity, ReportAnswer, questions};
use crate::config::ReaderSpec;
use chartbench_core::question::ChartQuestions;
use tables::Tables;

/// An adapter that reads tables, and what answers from them.
pub struct TableQa {
    identity: Identity,
    tables: Tables,
    reader: Box<dyn TableReader>,
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
        let reader = Box::new(PromptedModel::new(model, reader));
        Self::with_reader(id, tables, cache, reader)
    }

    /// The row `id`: `tables` reads the charts, `reader` answers. Tables are kept in `cache` where
    /// there is one.
    pub fn with_reader(
        id: &str,
        tables: Box<dyn Adapter>,
        cache: Option<TableCache>,
        reader: Box<dyn TableReader>,
    ) -> Self {
        let tables_settings = tables.identity().settings.iter();
        let mut settings: Vec<(String, String)> = tables_settings
            .map(|(key, value)| (format!("table_{key}"), value.clone()))
            .collect();
        settings.extend(reader.settings());
        let identity = Identity {
            id: id.to_owned(),
            settings,
        };
        Self {
            identity,
            tables: Tables::new(tables, cache),
            reader,
        }
    }
}

impl Adapter for TableQa {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn batch(&self) -> usize {
        self.reader.batch()
    }

    fn answer(&mut self, charts: &[ChartQuestions], report: &mut ReportAnswer<'_>) -> Result<()> {
        let (tables, stopped) = self.tables.read_all(charts);
        let tables = charts
            .iter()
            .zip(&tables)
            .flat_map(|(entry, table)| entry.questions.iter().map(move |_| table));
        // The places of the reader's questions in the call.
        let (mut asked, mut places) = (Vec::new(), Vec::new());
        for (index, ((_, question), table)) in questions(charts).zip(tables).enumerate() {
            match table {
                Some(Ok(table)) => {
                    asked.push(TableQuestion { table, question });
                    places.push(index);
                }
                Some(Err(error)) => report(index, Err(anyhow!(error.clone()))),
                None => {}
            }
        }
        if !asked.is_empty() {
            let mut answered = |index: usize, answer: Result<Answer>| {
                if let Some(&place) = places.get(index) {
                    report(place, answer);
                }
            };
            self.reader.answer(&asked, &mut answered)?;
        }
        stopped
    }

    fn finish(&mut self) -> Result<()> {
        self.tables.finish()?;
        self.reader.finish()
    }

    fn give_up(&self) -> Vec<GiveUp> {
        let (tables, reader) = (self.tables.give_up(), self.reader.give_up());
        tables.into_iter().chain(reader).collect()
    }
}
