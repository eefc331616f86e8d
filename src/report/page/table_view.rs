//! Tables as the templates draw them.

use serde::Serialize;

use crate::report::table::{Align, Cell, Table};

/// A table as the template draws it.
#[derive(Debug, Serialize)]
pub(super) struct TableView {
    title: String,
    columns: Vec<ColumnView>,
    pub(super) rows: Vec<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct ColumnView {
    name: String,
    number: bool,
}

impl TableView {
    /// `table` without its first columns, and with the rows that `keep` says yes to.
    pub(super) fn new(table: &Table, skip: usize, keep: impl Fn(&Vec<Cell>) -> bool) -> Self {
        let columns = table.columns.iter().skip(skip);
        Self {
            title: table.title.clone(),
            columns: columns
                .map(|column| ColumnView {
                    name: column.name.clone(),
                    number: column.align == Align::Right,
                })
                .collect(),
            rows: table
                .rows
                .iter()
                .filter(|row| keep(row))
                .map(|row| row[skip..].iter().map(Cell::format_display).collect())
                .collect(),
        }
    }
}
