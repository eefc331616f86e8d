//! The kinds of rows: what an adapter has seen when it answers.

use serde::Serialize;

use crate::run::store::AdapterEntry;

/// The kind of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    /// It answers from the chart.
    Model,
    /// It answers without seeing the chart: what a model scores above it, it has read.
    Blind,
    /// It answers from the data set's own tables.
    Oracle,
}

impl RowKind {
    /// The kind of an adapter's row; without an entry its name decides.
    pub fn new(adapter: &str, entry: Option<&AdapterEntry>) -> Self {
        let family = entry
            .and_then(|entry| entry.settings.get("family"))
            .and_then(toml::Value::as_str)
            .unwrap_or(adapter);
        if adapter.starts_with("blank+") || matches!(family, "majority" | "question-prior") {
            Self::Blind
        } else if adapter.starts_with("oracle+") || family == "oracle" {
            Self::Oracle
        } else {
            Self::Model
        }
    }
}
