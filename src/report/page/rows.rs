//! The rows of the page: each adapter of each run, in the leaderboard's order.

use std::collections::HashSet;

pub(super) use crate::report::RowKind as Kind;
use crate::report::Scored;
use crate::run::store::{AdapterEntry, PredictionRecord, StoredRun};
use chartbench_score::metric::Convention;

/// One adapter in one run.
pub(super) struct Row<'a> {
    /// The adapter's name, with the run's where there are several runs that differ; unique.
    pub(super) label: String,
    /// The remark beside its scores ([`crate::run::store::Manifest::remark`]); in the label too.
    pub(super) remark: Option<&'static str>,
    pub(super) kind: Kind,
    /// The run's place in the command: of two runs with one adapter the first is the earlier.
    pub(super) run: usize,
    /// Whether another run has the same row.
    pub(super) shared: bool,
    pub(super) entry: Option<&'a AdapterEntry>,
    pub(super) scored: Scored<'a>,
}

impl<'a> Row<'a> {
    /// The rows of `runs` that have answers: the best of the convention's first metric first; names
    /// decide ties.
    pub(super) fn all(runs: &'a [StoredRun], convention: &'static Convention) -> Vec<Self> {
        let mut rows: Vec<Self> = Vec::new();
        for (run, stored) in runs.iter().enumerate() {
            let name = stored.manifest.name.as_str();
            for (adapter, records) in stored
                .predictions
                .iter()
                .filter(|(_, records)| !records.is_empty())
            {
                let entry = stored
                    .manifest
                    .adapters
                    .iter()
                    .find(|entry| entry.id == *adapter);
                let kind = Kind::new(adapter, entry);
                // A blind row that is the same in another run is one row, of no run.
                let same = |row: &&mut Self| {
                    row.kind == kind
                        && row.scored.adapter == adapter
                        && has_answers(&row.scored.records, records)
                };
                if kind == Kind::Blind
                    && let Some(row) = rows.iter_mut().find(same)
                {
                    row.label.clone_from(adapter);
                    row.shared = true;
                    continue;
                }
                let label = if runs.len() > 1 {
                    format!("{adapter} ({name})")
                } else {
                    adapter.clone()
                };
                rows.push(Self {
                    label: stored.manifest.remarked(adapter, &label),
                    remark: stored.manifest.remark(adapter),
                    kind,
                    run,
                    shared: false,
                    entry,
                    scored: Scored::new(&stored.manifest, adapter, records, convention),
                });
            }
        }
        rows.sort_by(|a, b| {
            let names = |row: &Self| (row.scored.adapter, row.scored.run, row.run);
            b.first()
                .total_cmp(&a.first())
                .then_with(|| names(a).cmp(&names(b)))
        });
        number_doubles(&mut rows);
        rows
    }

    /// The row of the same adapter in the last run before that of `row`.
    pub(super) fn earlier(rows: &[Self], row: usize) -> Option<usize> {
        let own = rows.get(row)?;
        let same = |other: &Self| other.scored.adapter == own.scored.adapter && other.run < own.run;
        rows.iter()
            .enumerate()
            .filter(|(_, other)| same(other))
            .max_by_key(|(_, other)| other.run)
            .map(|(place, _)| place)
    }

    /// The best blind row.
    pub(super) fn best_blind(rows: &[Self]) -> Option<usize> {
        rows.iter().position(|row| row.kind == Kind::Blind)
    }

    /// Each model's last row, the best first.
    pub(super) fn last_models(rows: &[Self]) -> Vec<usize> {
        let is_last = |row: &Self| {
            !rows
                .iter()
                .any(|other| other.scored.adapter == row.scored.adapter && other.run > row.run)
        };
        rows.iter()
            .enumerate()
            .filter(|(_, row)| row.kind == Kind::Model && is_last(row))
            .map(|(place, _)| place)
            .collect()
    }

    /// The mean of the convention's first metric, by which rows are ordered.
    fn first(&self) -> f64 {
        self.scored
            .summary()
            .and_then(|summary| summary.means().next()?.1)
            .unwrap_or(0.0)
    }
}

/// Whether both are the same answers to the same questions, in the same order.
fn has_answers(left: &[&PredictionRecord], right: &[PredictionRecord]) -> bool {
    let same = |(left, right): (&&PredictionRecord, &PredictionRecord)| {
        left.id == right.id && left.prediction == right.prediction
    };
    left.len() == right.len() && left.iter().zip(right).all(same)
}

/// Runs of one name, from different folders: their rows still need different labels.
fn number_doubles(rows: &mut [Row<'_>]) {
    let mut labels = HashSet::new();
    for row in rows {
        let label = row.label.clone();
        let mut number = 1;
        while !labels.insert(row.label.clone()) {
            number += 1;
            row.label = format!("{label} [{number}]");
        }
    }
}
