//! The rows' scores along each dimension that the data set knows.

use std::collections::BTreeMap;

use serde::Serialize;

use super::board::Estimate;
use super::rows::{Kind, Row};
use crate::report::{Dimension, Key, Totals};

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
    pub(super) fn all(rows: &[Row<'_>]) -> Vec<Self> {
        let dimensions = Dimension::recorded(rows.iter().flat_map(|row| row.scored.records.iter().copied()));
        let slicings = dimensions.into_iter().map(|dimension| {
            let mut values: BTreeMap<Key, Slice> = BTreeMap::new();
            for row in rows {
                for (key, part) in dimension.parts(&row.scored) {
                    let value = key.as_str().to_owned();
                    values.entry(key).or_insert_with(|| Slice::empty(value)).add(row, &part.totals());
                }
            }
            Self { name: dimension.to_string(), values: values.into_values().collect() }
        });
        slicings.filter(|slicing| !slicing.values.is_empty()).collect()
    }
}

impl Slice {
    fn empty(value: String) -> Self {
        Self { value, questions: 0, charts: 0, too_few: true, rows: Vec::new() }
    }

    fn add(&mut self, row: &Row<'_>, part: &Totals) {
        let score = Estimate::all(part).into_iter().next();
        self.rows.extend(score.map(|score| SliceRow { label: row.label.clone(), kind: row.kind, score }));
        // Of unfinished rows there are fewer.
        self.questions = self.questions.max(part.questions());
        self.charts = self.charts.max(part.charts());
        self.too_few &= part.too_few();
    }
}
