//! Two runs side by side: per adapter and metric both values, the difference, and the questions that changed.

use std::collections::HashMap;

use anyhow::{Result, ensure};

use super::leaderboard::summary;
use super::{Align, Cell, Column, Table};
use crate::metric::{Convention, Metric, Scores};
use crate::record::{PredictionRecord, StoredRun};

/// Compares every adapter that both runs hold.
///
/// *Fixed* counts the questions that score higher in the second run, *broken* those that score lower.
///
/// # Errors
/// Runs on different questions, runs without a common adapter, or an adapter that has not answered every question
/// in one of them.
pub fn compare(before: &StoredRun, after: &StoredRun, convention: Convention) -> Result<Table> {
    let (a, b) = (&before.manifest, &after.manifest);
    ensure!(
        a.benchmark.hash == b.benchmark.hash,
        "{} and {} were asked different questions ({} of {}, {} of {}): run both on the same benchmark, seed and limit",
        a.name,
        b.name,
        a.benchmark.questions,
        a.benchmark.name,
        b.benchmark.questions,
        b.benchmark.name
    );
    let mut rows = Vec::new();
    for (adapter, records) in &before.predictions {
        let Some((_, others)) = after.predictions.iter().find(|(other, _)| other == adapter) else { continue };
        for (run, answered) in [(a, records.len()), (b, others.len())] {
            let asked = run.benchmark.questions;
            ensure!(answered == asked, "{adapter} in {} answered {answered} of {asked}: finish that run first", run.name);
        }
        rows.extend(rows_of(adapter, records, others, convention));
    }
    ensure!(
        !rows.is_empty(),
        "{} and {} have no adapter in common ({}; {})",
        a.name,
        b.name,
        names(before),
        names(after)
    );
    Ok(Table { title: None, columns: columns(&a.name, &b.name), rows })
}

fn names(run: &StoredRun) -> String {
    run.predictions.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}

fn columns(before: &str, after: &str) -> Vec<Column> {
    let names = ["adapter", "metric"].map(|name| (name, Align::Left));
    // A run compared with itself, or one of the same name elsewhere: columns still need different names.
    let (before, after) = if before == after {
        (format!("{before} (A)"), format!("{after} (B)"))
    } else {
        (before.to_owned(), after.to_owned())
    };
    let numbers = [before.as_str(), &after, "difference", "fixed", "broken"].map(|name| (name, Align::Right));
    names.into_iter().chain(numbers).map(|(name, align)| Column { name: name.to_owned(), align }).collect()
}

fn rows_of(
    adapter: &str,
    before: &[PredictionRecord],
    after: &[PredictionRecord],
    convention: Convention,
) -> Vec<Vec<Cell>> {
    let means = [before, after].map(|records| summary(&records.iter().collect::<Vec<_>>(), convention));
    let score = |record: &PredictionRecord| convention.score_or_zero(&record.gold, record.prediction.as_ref());
    let by_id: HashMap<&str, Scores> = after.iter().map(|record| (record.id.as_str(), score(record))).collect();
    let pairs: Vec<(Scores, &Scores)> =
        before.iter().filter_map(|record| Some((score(record), by_id.get(record.id.as_str())?))).collect();
    let row = |metric: Metric| {
        let [a, b] = [&means[0], &means[1]].map(|summary| summary.get(metric) * 100.0);
        let changed = |is: fn(&f64, &f64) -> bool| {
            pairs.iter().filter(|(a, b)| is(&b.get(metric), &a.get(metric))).count() as i64
        };
        vec![
            Cell::Text(adapter.to_owned()),
            Cell::Text(metric.name().to_owned()),
            Cell::Decimal(a, 2),
            Cell::Decimal(b, 2),
            Cell::Decimal(b - a, 2),
            Cell::Integer(changed(f64::gt)),
            Cell::Integer(changed(f64::lt)),
        ]
    };
    Metric::ALL.into_iter().map(row).collect()
}
