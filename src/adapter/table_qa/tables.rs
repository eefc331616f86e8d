//! The tables of charts, each read once.

use std::collections::HashMap;
use std::rc::Rc;

use anyhow::{Context, Result, anyhow};

use super::cache::{TableCache, image_sha256};
use crate::adapter::{Adapter, Failure};
use crate::sample::{AnswerType, Chart, ChartQuestions, Gold, Question};

/// An adapter that reads tables, and those it has read.
pub struct Tables {
    reader: Box<dyn Adapter>,
    cache: Option<TableCache>,
    /// By the chart's id.
    read: HashMap<String, Rc<str>>,
}

/// A table as its reader wrote it, or why there is none.
type Table = Result<Rc<str>, Failure>;

impl Tables {
    pub fn new(reader: Box<dyn Adapter>, cache: Option<TableCache>) -> Self {
        Self { reader, cache, read: HashMap::new() }
    }

    /// The table of each chart, in order: from memory, from the cache, or read now.
    pub fn of(&mut self, work: &[ChartQuestions]) -> Vec<Table> {
        let known: Vec<Option<Table>> = work.iter().map(|entry| self.known(&entry.chart)).collect();
        let missing: Vec<ChartQuestions> = work
            .iter()
            .zip(&known)
            .filter(|(_, known)| known.is_none())
            .map(|(entry, _)| request(&entry.chart))
            .collect();
        let batch = self.reader.batch().max(1);
        let mut read: Vec<Table> = Vec::new();
        for charts in missing.chunks(batch) {
            let answers = self.reader.answer(charts).into_iter().flatten();
            let answers: Vec<_> = answers.map(|answer| answer.map(|answer| answer.prediction.0.into())).collect();
            for (entry, table) in charts.iter().zip(answers) {
                read.push(table.and_then(|table: Rc<str>| self.keep(&entry.chart, table)));
            }
        }
        let mut read = read.into_iter();
        let mut next = || {
            let left_out = || Err(Failure::Question(anyhow!("the reader of tables left out a chart: a bug in it")));
            read.next().unwrap_or_else(left_out)
        };
        known.into_iter().map(|known| known.unwrap_or_else(&mut next)).collect()
    }

    fn known(&mut self, chart: &Chart) -> Option<Table> {
        if let Some(table) = self.read.get(&chart.id) {
            return Some(Ok(table.clone()));
        }
        let cache = self.cache.as_ref()?;
        match chart.image.bytes() {
            Ok(image) => {
                let table: Rc<str> = cache.get(&image_sha256(&image))?.into();
                self.read.insert(chart.id.clone(), table.clone());
                Some(Ok(table))
            }
            Err(error) => Some(Err(Failure::Question(error))),
        }
    }

    fn keep(&mut self, chart: &Chart, table: Rc<str>) -> Table {
        if let Some(cache) = &mut self.cache {
            let image = chart.image.bytes()?;
            cache.put(image_sha256(&image), &table).context("cannot keep the table of a chart")?;
        }
        self.read.insert(chart.id.clone(), table.clone());
        Ok(table)
    }
}

/// The question that is a request for the chart's table.
fn request(chart: &Chart) -> ChartQuestions {
    let question = Question {
        id: format!("{} (table)", chart.id),
        text: String::new(),
        gold: Gold::Text(String::new()),
        answer_type: Some(AnswerType::Table),
        taxonomy: None,
        template: None,
        source: None,
    };
    ChartQuestions { chart: chart.clone(), questions: vec![question] }
}
