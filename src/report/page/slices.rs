//! The rows' scores along each property that the data set knows.

use std::collections::BTreeMap;

use serde::Serialize;

use super::board::Estimate;
use super::rows::{Kind, Row};
use crate::report::{Aggregate, SliceBy, SliceValue};

/// One property with its values.
#[derive(Debug, Serialize)]
pub(super) struct Slicing {
    name: String,
    values: Vec<Slice>,
}

/// One value of a property with the rows' scores on its questions.
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
    /// The score of the convention's first metric.
    score: Estimate,
}

impl Slicing {
    /// Those that some question has a value of.
    pub(super) fn all(rows: &[Row<'_>]) -> Vec<Self> {
        let slices_by = SliceBy::recorded(
            rows.iter()
                .flat_map(|row| row.scored.records.iter().copied()),
        );
        let slicings = slices_by.into_iter().map(|slice_by| {
            let mut values: BTreeMap<SliceValue, Slice> = BTreeMap::new();
            for row in rows {
                for (key, part) in slice_by.parts(&row.scored) {
                    let value = key.as_str().to_owned();
                    values
                        .entry(key)
                        .or_insert_with(|| Slice::empty(value))
                        .add(row, &part.aggregate());
                }
            }
            Self {
                name: slice_by.to_string(),
                values: values.into_values().collect(),
            }
        });
        slicings
            .filter(|slicing| !slicing.values.is_empty())
            .collect()
    }
}

impl Slice {
    fn empty(value: String) -> Self {
        Self {
            value,
            questions: 0,
            charts: 0,
            too_few: true,
            rows: Vec::new(),
        }
    }

    fn add(&mut self, row: &Row<'_>, part: &Aggregate) {
        let score = Estimate::all(part).into_iter().next();
        self.rows.extend(score.map(|score| SliceRow {
            label: row.label.clone(),
            kind: row.kind,
            score,
        }));
        // Unfinished rows have fewer questions.
        self.questions = self.questions.max(part.questions());
        self.charts = self.charts.max(part.charts());
        self.too_few &= part.too_few();
    }
}
