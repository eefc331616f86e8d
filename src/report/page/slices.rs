//! The rows' scores along each dimension that the data set knows.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::board::Estimate;
use super::rows::{Kind, Row};
use crate::report::{Dimension, Scored};
use crate::stats::Bootstrap;

/// Under so many charts or questions a slice says too little: it is marked.
const FEWEST_CHARTS: usize = 10;
const FEWEST_QUESTIONS: usize = 30;

/// One dimension with its values.
#[derive(Debug, Serialize)]
pub(super) struct Slicing {
    name: String,
    values: Vec<Slice>,
}

/// One value of a dimension with the rows' scores on its questions.
#[derive(Debug, Serialize)]
pub(super) struct Slice {
    value: String,
    questions: usize,
    charts: usize,
    too_few: bool,
    rows: Vec<SliceRow>,
}

#[derive(Debug, Serialize)]
struct SliceRow {
    label: String,
    kind: Kind,
    /// Of the convention's first metric.
    score: Estimate,
}

impl Slicing {
    /// Those that some question has a value of.
    pub(super) fn all(rows: &[Row<'_>], bootstrap: &Bootstrap) -> Vec<Self> {
        let slicings = Dimension::ALL.iter().map(|dimension| {
            let mut values: BTreeMap<String, Slice> = BTreeMap::new();
            for row in rows {
                for (value, part) in parts(*dimension, &row.scored) {
                    let slice = values.entry(value.clone()).or_insert_with(|| Slice::empty(value));
                    slice.add(row, &part, bootstrap);
                }
            }
            Self { name: dimension.name().to_owned(), values: values.into_values().collect() }
        });
        slicings.filter(|slicing| !slicing.values.is_empty()).collect()
    }
}

impl Slice {
    fn empty(value: String) -> Self {
        Self { value, questions: 0, charts: 0, too_few: true, rows: Vec::new() }
    }

    fn add(&mut self, row: &Row<'_>, part: &Scored<'_>, bootstrap: &Bootstrap) {
        let score = Estimate::all(part, bootstrap).into_iter().next();
        self.rows.extend(score.map(|score| SliceRow { label: row.label.clone(), kind: row.kind, score }));
        // Of unfinished rows there are fewer.
        self.questions = self.questions.max(part.records.len());
        self.charts = self.charts.max(part.charts());
        self.too_few = self.charts < FEWEST_CHARTS || self.questions < FEWEST_QUESTIONS;
    }
}

/// The answers by value; those without one are in none.
fn parts<'a>(dimension: Dimension, scored: &Scored<'a>) -> BTreeMap<String, Scored<'a>> {
    let values: BTreeSet<String> = scored.records.iter().filter_map(|record| dimension.value(record)).collect();
    let part = |value: String| {
        let part = scored.part(|record| dimension.value(record).as_ref() == Some(&value));
        (value, part)
    };
    values.into_iter().map(part).collect()
}
