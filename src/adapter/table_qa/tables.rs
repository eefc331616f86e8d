//! The tables of charts, each read once.

use std::collections::HashMap;
use std::rc::Rc;

use anyhow::{Result, anyhow};

use super::cache::{TableCache, image_sha256};
use crate::adapter::{Adapter, Failure};
use chartbench_core::question::{AnswerType, Chart, ChartQuestions, Gold, Question};

/// An adapter that reads tables, and those it has read.
pub struct Tables {
    reader: Box<dyn Adapter>,
    cache: Option<TableCache>,
    /// By the chart's id.
    read: HashMap<String, Rc<str>>,
}

/// A table as its reader wrote it, or the failure.
type Table = Result<Rc<str>, Failure>;

impl Tables {
    pub fn new(reader: Box<dyn Adapter>, cache: Option<TableCache>) -> Self {
        Self {
            reader,
            cache,
            read: HashMap::new(),
        }
    }

    /// The table of each chart, in order: from memory, from the cache, or read now.
    pub fn read_all(&mut self, work: &[ChartQuestions]) -> Vec<Table> {
        let cached: Vec<CachedTable> = work
            .iter()
            .map(|entry| self.look_up(&entry.chart))
            .collect();
        let missing: Vec<(ChartQuestions, Option<String>)> = work
            .iter()
            .zip(&cached)
            .filter_map(|(entry, cached)| match cached {
                CachedTable::Missing { image } => Some((request(&entry.chart), image.clone())),
                CachedTable::Table(_) => None,
            })
            .collect();
        let (missing, images): (Vec<ChartQuestions>, Vec<Option<String>>) =
            missing.into_iter().unzip();
        let batch = self.reader.batch().max(1);
        let mut read: Vec<Table> = Vec::new();
        for (charts, images) in missing.chunks(batch).zip(images.chunks(batch)) {
            let answers = self.reader.answer(charts).into_iter().flatten();
            let answers: Vec<Table> = answers
                .map(|answer| answer.map(|answer| answer.prediction.0.into()))
                .collect();
            for ((entry, image), table) in charts.iter().zip(images).zip(answers) {
                if let Ok(table) = &table {
                    self.keep(&entry.chart, image.clone(), table);
                }
                read.push(table);
            }
        }
        let mut read = read.into_iter();
        let mut next = || {
            let left_out = || {
                Err(Failure::Question(anyhow!(
                    "the reader of tables left out a chart: a bug in it"
                )))
            };
            read.next().unwrap_or_else(left_out)
        };
        let table = |cached| match cached {
            CachedTable::Table(table) => table,
            CachedTable::Missing { .. } => next(),
        };
        cached.into_iter().map(table).collect()
    }

    fn look_up(&mut self, chart: &Chart) -> CachedTable {
        if let Some(table) = self.read.get(&chart.id) {
            return CachedTable::Table(Ok(table.clone()));
        }
        let Some(cache) = &self.cache else {
            return CachedTable::Missing { image: None };
        };
        let image = match chart.image.bytes() {
            Ok(image) => image_sha256(&image),
            Err(error) => return CachedTable::Table(Err(Failure::Question(error))),
        };
        let Some(table) = cache.get(&image) else {
            return CachedTable::Missing { image: Some(image) };
        };
        let table: Rc<str> = table.into();
        self.read.insert(chart.id.clone(), table.clone());
        CachedTable::Table(Ok(table))
    }

    /// Keeps a table that was read; `image` is the hash under which the cache keeps it.
    fn keep(&mut self, chart: &Chart, image: Option<String>, table: &Rc<str>) {
        if let Some((cache, image)) = self.cache.as_mut().zip(image) {
            cache.put(image, table);
        }
        self.read.insert(chart.id.clone(), Rc::clone(table));
    }
}

/// The cached table of a chart.
enum CachedTable {
    /// It was read before, or cannot be.
    Table(Table),
    /// It is to be read; `image` is the hash of the chart's image where there is a cache.
    Missing { image: Option<String> },
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
        slices: Default::default(),
    };
    ChartQuestions {
        chart: chart.clone(),
        questions: vec![question],
    }
}
