//! The matrix of the page: the same answers under every convention.

use serde::Serialize;

use super::rows::Row;
use super::table_view::TableView;
use crate::report::Sensitivity;
use crate::report::matrix::{Matrix, score_name};
use crate::report::table::{Cell, Table};
use chartbench_score::metric::Convention;

#[derive(Debug, Serialize)]
pub(super) struct Conventions {
    columns: Vec<String>,
    rows: Vec<ConventionRow>,
    flips: TableView,
    /// A table a row of the page.
    differences: Vec<Differences>,
    /// Sensitivity to notation and tolerance, and the mistakes of numbers.
    sensitivity: Vec<TableView>,
}

/// One convention's metric of every row.
#[derive(Debug, Serialize)]
struct ConventionRow {
    score: String,
    /// Whether the score is of the page's own convention.
    own: bool,
    cells: Vec<Placed>,
}

/// A score with its place among the row's.
#[derive(Debug, Serialize)]
struct Placed {
    value: Option<f64>,
    text: String,
    place: Option<usize>,
    /// A row that the leaderboard has below is above, or the reverse; ties move nobody.
    moved: bool,
}

#[derive(Debug, Serialize)]
struct Differences {
    label: String,
    questions: i64,
    table: TableView,
}

impl Conventions {
    /// Against `reference`, the page's own convention.
    pub(super) fn new(rows: &[Row<'_>], reference: &'static Convention) -> Self {
        let files: Vec<_> = rows
            .iter()
            .map(|row| (row.label.clone(), row.scored.entries()))
            .collect();
        let matrix = Matrix::new(&files, reference);
        let [values, flips, differences] = matrix.tables();
        let leaderboard = reference
            .metrics
            .first()
            .map(|&metric| score_name(reference, metric));
        let base = values.rows.iter().find(|row| {
            leaderboard
                .as_ref()
                .is_some_and(|name| row[0].format_display() == *name)
        });
        let base: Vec<Option<f64>> =
            base.map_or_else(Vec::new, |row| row[1..].iter().map(value).collect());
        let of_reference = format!("{}.", reference.name);
        let row = |row: &Vec<Cell>| ConventionRow {
            score: row[0].format_display(),
            own: row[0].format_display().starts_with(&of_reference),
            cells: placed(&row[1..], &base),
        };
        Self {
            columns: values
                .columns
                .iter()
                .skip(1)
                .map(|column| column.name.clone())
                .collect(),
            rows: values.rows.iter().map(row).collect(),
            flips: TableView::new(flips, 0, |_| true),
            differences: rows
                .iter()
                .filter_map(|row| Differences::new(&row.label, differences))
                .collect(),
            sensitivity: Sensitivity::new(&files)
                .tables()
                .map(|table| TableView::new(table, 0, |_| true))
                .into(),
        }
    }
}

impl Differences {
    /// Those of one row of the page, the most questions first.
    fn new(label: &str, differences: &Table) -> Option<Self> {
        let count = |row: &Vec<Cell>| {
            if let Cell::Integer(count) = row[3] {
                count
            } else {
                0
            }
        };
        let own = |row: &Vec<Cell>| matches!(&row[0], Cell::Text(name) if name == label);
        let mut sorted = differences.clone();
        sorted.rows.sort_by_key(|row| std::cmp::Reverse(count(row)));
        // The name is in the heading.
        let table = TableView::new(&sorted, 1, own);
        let questions = differences
            .rows
            .iter()
            .filter(|row| own(row))
            .map(count)
            .sum();
        (!table.rows.is_empty()).then(|| Self {
            label: label.to_owned(),
            questions,
            table,
        })
    }
}

fn value(cell: &Cell) -> Option<f64> {
    if let Cell::Decimal(value, _) = cell {
        Some(*value).filter(|value| value.is_finite())
    } else {
        None
    }
}

/// Values this close are a tie: sums in another order differ by less.
const NEAR: f64 = 1e-9;

/// Each value with its place, 1 the highest; ties share theirs. `base` are the leaderboard's values.
fn placed(cells: &[Cell], base: &[Option<f64>]) -> Vec<Placed> {
    let values: Vec<Option<f64>> = cells.iter().map(value).collect();
    let place = |own: f64| {
        1 + values
            .iter()
            .flatten()
            .filter(|other| **other > own + NEAR)
            .count()
    };
    cells
        .iter()
        .zip(&values)
        .enumerate()
        .map(|(index, (cell, own))| Placed {
            value: *own,
            text: cell.format_display(),
            place: own.map(place),
            moved: has_moved(&values, base, index),
        })
        .collect()
}

/// Whether some row is on the other side of row `index` than in `base`.
pub(super) fn has_moved(values: &[Option<f64>], base: &[Option<f64>], index: usize) -> bool {
    let lead = |values: &[Option<f64>], other: usize| {
        let lead = values.get(index).copied()?? - values.get(other).copied()??;
        (lead.abs() > NEAR).then_some(lead)
    };
    (0..values.len()).any(|other| {
        lead(values, other)
            .zip(lead(base, other))
            .is_some_and(|(own, base)| own * base < 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_a_place_and_move_nobody() {
        let marks = |values: &[f64], base: &[f64]| -> Vec<(Option<usize>, bool)> {
            let cells: Vec<Cell> = values
                .iter()
                .map(|value| Cell::Decimal(*value, 2))
                .collect();
            let base: Vec<_> = base.iter().map(|value| Some(*value)).collect();
            let placed = placed(&cells, &base);
            placed.iter().map(|cell| (cell.place, cell.moved)).collect()
        };
        let [first, second, third] = [1, 2, 3].map(|place| (Some(place), false));
        assert_eq!(
            marks(&[30.0, 30.0, 10.0], &[30.0, 20.0, 10.0]),
            [first, first, third]
        );
        assert_eq!(
            marks(&[30.0, 20.0, 10.0], &[30.0, 30.0, 10.0]),
            [first, second, third]
        );
        let swapped = marks(&[20.0, 30.0, 10.0], &[30.0, 20.0, 10.0]);
        assert_eq!(swapped, [(Some(2), true), (Some(1), true), third]);
    }
}
