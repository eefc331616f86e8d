//! Two runs side by side: per adapter and metric both values, the difference, and the questions that changed.

use std::collections::HashMap;

use anyhow::{Result, ensure};

use super::scored::score;
use super::table::{Cell, Column, Table};
use crate::metric::{Convention, Metric, Scores, Summary};
use crate::record::{PredictionRecord, StoredRun};

/// Compares every adapter that both runs hold.
///
/// *Fixed* counts the questions that score higher in the second run, *broken* those that score lower.
///
/// # Errors
/// Runs on different questions, runs without a common adapter, or an adapter that has not answered every question
/// in one of them.
pub fn compare(before: &StoredRun, after: &StoredRun, convention: &Convention) -> Result<Table> {
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
            ensure!(
                answered == asked,
                "{adapter} in {} answered {answered} of {asked}: finish that run first",
                run.name
            );
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
    Ok(Table { title: String::new(), columns: columns(&a.name, &b.name), rows })
}

fn names(run: &StoredRun) -> String {
    run.predictions.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}

fn columns(before: &str, after: &str) -> Vec<Column> {
    // Runs of one name, from different folders: columns still need different names.
    let (before, after) = if before == after {
        (format!("{before} (A)"), format!("{after} (B)"))
    } else {
        (before.to_owned(), after.to_owned())
    };
    let words = ["adapter", "metric"].map(Column::left);
    let numbers = [before.as_str(), &after, "difference", "fixed", "broken"].map(Column::right);
    words.into_iter().chain(numbers).collect()
}

fn rows_of(
    adapter: &str,
    before: &[PredictionRecord],
    after: &[PredictionRecord],
    convention: &Convention,
) -> Vec<Vec<Cell>> {
    let of_id: HashMap<&str, Scores> =
        after.iter().map(|record| (record.id.as_str(), score(record, convention))).collect();
    let pairs: Vec<(Scores, Scores)> =
        before.iter().filter_map(|record| Some((score(record, convention), *of_id.get(record.id.as_str())?))).collect();
    let (Some(a), Some(b)) =
        (Summary::of(pairs.iter().map(|pair| pair.0)), Summary::of(pairs.iter().map(|pair| pair.1)))
    else {
        return Vec::new();
    };
    let row = |metric: Metric| {
        let changed = |is: fn(&f64, &f64) -> bool| {
            let values = |(a, b): &(Scores, Scores)| Some((a.get(metric).counted()?, b.get(metric).counted()?));
            Cell::count(pairs.iter().filter_map(values).filter(|(a, b)| is(b, a)).count())
        };
        let (a, b) = (a.mean(metric), b.mean(metric));
        let decimal = |value: Option<f64>| value.map_or(Cell::Missing, |value| Cell::Decimal(value, 2));
        vec![
            Cell::text(adapter),
            Cell::text(metric.name()),
            decimal(a),
            decimal(b),
            decimal(a.zip(b).map(|(a, b)| b - a)),
            changed(f64::gt),
            changed(f64::lt),
        ]
    };
    convention.metrics.iter().copied().map(row).collect()
}
