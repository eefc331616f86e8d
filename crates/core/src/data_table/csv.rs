//! Tables out of CSV files, such as those of ChartQA's `tables/`.

use anyhow::{Context, Result, ensure};

use super::DataTable;

impl DataTable {
    /// Reads comma-separated values, the header first. There is no title in them; rows may be ragged.
    ///
    /// # Errors
    /// A text without rows, or one that is no CSV, by line.
    pub fn from_csv(text: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.context("not a CSV table")?;
            rows.push(record.iter().map(|cell| cell.trim().to_owned()).collect::<Vec<_>>());
        }
        ensure!(rows.iter().flatten().any(|cell| !cell.is_empty()), "the table is empty");
        let header = rows.remove(0);
        Ok(Self { title: String::new(), header, rows })
    }
}
