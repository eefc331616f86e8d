//! The data behind a chart as a table: DePlot and UniChart read it off a picture, data sets
//! annotate it.
//!
//! [`DataTable::linearized`] writes a table as DePlot does, [`DataTable::parse`] reads the tables
//! that models write, and [`DataTable::from_csv`] those of data sets and spreadsheets.

mod parse;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

/// A titled table of text cells. Rows may be ragged, because models write ragged tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DataTable {
    /// Empty for a table without a title.
    pub title: String,
    /// The first row: the name of the row keys, then a name for each column.
    pub header: Vec<String>,
    /// The rows below the header, each a row key and its values.
    pub rows: Vec<Vec<String>>,
}

impl DataTable {
    /// The table as DePlot writes it:
    /// `TITLE | title <0x0A> header cells <0x0A> a row of cells ...`, cells separated by ` | `.
    ///
    /// Characters that would end a cell are replaced: a run of white space by one space, `|` by
    /// `/`.
    pub fn linearized(&self) -> String {
        let mut lines = vec![format!("TITLE | {}", cell(&self.title))];
        for row in std::iter::once(&self.header).chain(&self.rows) {
            lines.push(
                row.iter()
                    .map(|text| cell(text))
                    .collect::<Vec<_>>()
                    .join(" | "),
            );
        }
        lines.join(" <0x0A> ")
    }

    /// The number of cells of the widest row, the header included.
    pub fn width(&self) -> usize {
        self.rows
            .iter()
            .map(Vec::len)
            .fold(self.header.len(), usize::max)
    }

    /// The number of data series: one for each column behind the row keys, or for each name in a
    /// table of points (`series | x | y`). `None` for the boxes of a box plot, whose rows do not
    /// name their series.
    pub fn series(&self) -> Option<usize> {
        let names: Vec<&str> = self.header.iter().map(String::as_str).collect();
        match names.as_slice() {
            ["series", "x", "y"] => Some(
                self.rows
                    .iter()
                    .filter_map(|row| row.first())
                    .collect::<std::collections::HashSet<_>>()
                    .len(),
            ),
            [
                _,
                "min",
                "first quartile",
                "median",
                "third quartile",
                "max",
            ] => None,
            _ => Some(self.width().saturating_sub(1)),
        }
    }

    /// Reads comma-separated values, such as ChartQA's `tables/`: the header first, no title, rows
    /// may be ragged.
    ///
    /// # Errors
    /// Returns an error if the text has no rows, or is not CSV; the error names the line.
    pub fn from_csv(text: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.context("not a CSV table")?;
            rows.push(
                record
                    .iter()
                    .map(|cell| cell.trim().to_owned())
                    .collect::<Vec<_>>(),
            );
        }
        ensure!(
            rows.iter().flatten().any(|cell| !cell.is_empty()),
            "the table is empty"
        );
        let header = rows.remove(0);
        Ok(Self {
            title: String::new(),
            header,
            rows,
        })
    }

    /// Whether a value behind the row keys is a negative number.
    pub fn has_negative(&self) -> bool {
        let mut values = self.rows.iter().flat_map(|row| row.iter().skip(1));
        values.any(|value| {
            value
                .trim_end_matches('%')
                .trim()
                .parse::<f64>()
                .is_ok_and(|number| number < 0.0)
        })
    }
}

fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "/")
}
