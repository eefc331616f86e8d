//! The tables of charts, each read once.

use std::collections::HashMap;
use std::rc::Rc;

use anyhow::Result;

use super::cache::{TableCache, image_sha256};
use crate::adapter::{Adapter, GiveUp};
use chartbench_core::question::{AnswerType, Chart, ChartQuestions, Gold, Question};

/// An adapter that reads tables, and those it has read.
pub(super) struct Tables {
    reader: Box<dyn Adapter>,
    cache: Option<TableCache>,
    /// By the chart's id.
    read: HashMap<String, Rc<str>>,
}

/// A table as its reader wrote it, or why this chart's cannot be had.
type Table = Result<Rc<str>, String>;

impl Tables {
    pub(super) fn new(reader: Box<dyn Adapter>, cache: Option<TableCache>) -> Self {
        Self {
            reader,
            cache,
            read: HashMap::new(),
        }
    }

    /// The table of each chart, in order: from memory, from the cache, or read now; `None` where
    /// the reader did not get to it. Also why the reader cannot go on.
    pub(super) fn read_all(
        &mut self,
        charts: &[ChartQuestions],
    ) -> (Vec<Option<Table>>, Result<()>) {
        let mut tables = Vec::with_capacity(charts.len());
        // The charts to read: their place, what asks for their table, and the hash of their image.
        let (mut places, mut requests, mut images) = (Vec::new(), Vec::new(), Vec::new());
        for (place, entry) in charts.iter().enumerate() {
            tables.push(match self.look_up(&entry.chart) {
                CachedTable::Table(table) => Some(table),
                CachedTable::Missing { image } => {
                    places.push(place);
                    requests.push(request(&entry.chart));
                    images.push(image);
                    None
                }
            });
        }
        let batch = self.reader.batch().max(1);
        let mut stopped = Ok(());
        for (call, (places, images)) in requests
            .chunks(batch)
            .zip(places.chunks(batch).zip(images.chunks(batch)))
        {
            let mut read: Vec<Option<Table>> = vec![None; call.len()];
            stopped = self.reader.answer(call, &mut |index, answer| {
                if let Some(slot) = read.get_mut(index) {
                    let table = answer.map(|answer| answer.prediction.0.into());
                    *slot = Some(table.map_err(|error| format!("{error:#}")));
                }
            });
            for (table, ((request, &place), image)) in
                read.into_iter().zip(call.iter().zip(places).zip(images))
            {
                if let Some(Ok(table)) = &table {
                    self.keep(&request.chart, image.clone(), table);
                }
                if let Some(slot) = tables.get_mut(place) {
                    *slot = table;
                }
            }
            if stopped.is_err() {
                break;
            }
        }
        (tables, stopped)
    }

    /// Ends the row.
    ///
    /// # Errors
    /// Returns an error if the reader does.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.reader.finish()
    }

    /// What gives up the reader's call in hand.
    pub(super) fn give_up(&self) -> Vec<GiveUp> {
        self.reader.give_up()
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
            Err(error) => return CachedTable::Table(Err(format!("{error:#}"))),
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
        context: None,
    };
    ChartQuestions {
        chart: chart.clone(),
        questions: vec![question],
    }
}
