//! The settings at the page's foot: each run's benchmark, and each row's adapter.

use serde::Serialize;

use super::rows::Row;
use crate::run::store::{BenchmarkEntry, StoredRun};

#[derive(Debug, Serialize)]
pub(super) struct RunSettings {
    name: String,
    program: String,
    benchmark: BenchmarkEntry,
}

impl RunSettings {
    pub(super) fn new(run: &StoredRun) -> Self {
        let manifest = &run.manifest;
        Self {
            name: manifest.name.clone(),
            program: manifest.program.clone(),
            benchmark: manifest.benchmark.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct RowSettings {
    label: String,
    fingerprint: String,
    /// Settings that decide the answers, then settings that decide the speed.
    settings: Vec<(String, String)>,
    execution: Vec<(String, String)>,
}

impl RowSettings {
    pub(super) fn new(row: &Row<'_>) -> Option<Self> {
        let entry = row.entry?;
        Some(Self {
            label: row.label.clone(),
            fingerprint: entry.fingerprint.clone(),
            settings: entry.shown_settings(),
            execution: pairs(&entry.execution),
        })
    }
}

fn pairs(table: &toml::Table) -> Vec<(String, String)> {
    let text = |value: &toml::Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    table
        .iter()
        .map(|(key, value)| (key.clone(), text(value)))
        .collect()
}
