//! What a row of a leaderboard sees: the chart, nothing, or the data set's own tables.

use serde::Serialize;

use crate::run::store::Manifest;

/// The kind of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    /// It sees the chart.
    Model,
    /// It answers without seeing the chart: what a model scores above it, it has read.
    Blind,
    /// It answers from the data set's own tables.
    Oracle,
}

impl RowKind {
    /// The kind of an adapter of a run: by its name, and by its family where the manifest has it.
    pub fn new(run: &Manifest, adapter: &str) -> Self {
        let family = run
            .adapters
            .iter()
            .find(|entry| entry.id == adapter)
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
