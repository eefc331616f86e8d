//! Results that others published for a benchmark, beside those of the runs.

use rayon::prelude::*;

use crate::config::Published;
use crate::metric::{Convention, Metric, Scores, Summary};
use crate::record::PredictionRecord;
use crate::report::Dimension;
use crate::report::scored::score;
use crate::report::table::{Cell, Column, Table};

/// A run's own value of a published result.
pub(super) struct Here {
    /// The result's place among those of its benchmark.
    place: usize,
    run: String,
    /// In percent.
    value: f64,
}

/// The answers of an adapter, as a result published about it was scored: the same convention, on the same part of the
/// questions.
pub(super) struct Tally {
    place: usize,
    convention: &'static Convention,
    metric: Metric,
    /// A dimension and its value.
    part: Option<(Dimension, String)>,
    summary: Summary,
}

impl Tally {
    /// One for each of `results` that is about `adapter`.
    pub(super) fn all(results: &[Published], adapter: &str) -> Vec<Self> {
        let own = results.iter().enumerate().filter(|(_, result)| result.adapter.as_deref() == Some(adapter));
        own.filter_map(|(place, result)| Self::new(place, result)).collect()
    }

    fn new(place: usize, result: &Published) -> Option<Self> {
        let (convention, metric) = (Convention::named(&result.convention).ok()?, Metric::named(&result.metric).ok()?);
        let part = match &result.part {
            None => None,
            Some(part) => {
                let (dimension, value) = part.split_once(" = ")?;
                Some((dimension.parse().ok()?, value.to_owned()))
            }
        };
        Some(Self { place, convention, metric, part, summary: Summary::new(convention.metrics) })
    }

    /// Counts more of the answers.
    pub(super) fn add(&mut self, records: &[PredictionRecord]) {
        let belongs = |record: &&PredictionRecord| match &self.part {
            None => true,
            Some((dimension, value)) => dimension.value(record).as_ref() == Some(value),
        };
        let scores: Vec<Scores> =
            records.par_iter().filter(belongs).map(|record| score(record, self.convention)).collect();
        scores.iter().for_each(|scores| self.summary.add(scores));
    }

    pub(super) fn here(&self, run: &str) -> Option<Here> {
        Some(Here { place: self.place, run: run.to_owned(), value: self.summary.mean(self.metric)? })
    }
}

/// A row for each published result; where a run holds the adapter it is about, its own result under the same convention
/// and on the same part of the questions, and the difference.
pub(super) fn table(results: &[Published], here: &[Here]) -> Option<Table> {
    let words = ["system", "on", "score"].map(Column::left);
    let numbers = ["published", "here", "difference"].map(Column::right);
    let notes = ["run", "source", "note"].map(Column::left);
    (!results.is_empty()).then(|| Table {
        title: "Published results, and the same here where a run has it".to_owned(),
        columns: words.into_iter().chain(numbers).chain(notes).collect(),
        rows: results.iter().enumerate().flat_map(|(place, result)| rows(place, result, here)).collect(),
    })
}

fn rows(place: usize, result: &Published, here: &[Here]) -> Vec<Vec<Cell>> {
    let ours: Vec<&Here> = here.iter().filter(|here| here.place == place).collect();
    let row = |here: Option<&Here>| {
        vec![
            Cell::text(&result.system),
            Cell::text(result.part.as_deref().unwrap_or("all questions")),
            Cell::text(format!("{}.{}", result.convention, result.metric)),
            Cell::Decimal(result.value, 2),
            here.map_or(Cell::Missing, |here| Cell::Decimal(here.value, 2)),
            here.map_or(Cell::Missing, |here| Cell::Decimal(here.value - result.value, 2)),
            here.map_or(Cell::Missing, |here| Cell::text(&here.run)),
            Cell::text(&result.source),
            result.note.as_ref().map_or(Cell::Missing, Cell::text),
        ]
    };
    if ours.is_empty() { vec![row(None)] } else { ours.into_iter().map(|one| row(Some(one))).collect() }
}
