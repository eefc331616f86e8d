//! Results that others published for a benchmark, beside those of the runs.

use crate::config::Published;
use crate::metric::{Convention, Metric};
use crate::report::table::{Cell, Column, Table};
use crate::report::{Dimension, Scored};

/// A row for each published result; where a run holds the adapter it is about, its own result under the same convention
/// and on the same part of the questions, and the difference.
pub(super) fn table(results: &[Published], answers: &[Scored<'_>]) -> Option<Table> {
    let words = ["system", "on", "score"].map(Column::left);
    let numbers = ["published", "here", "difference"].map(Column::right);
    let notes = ["run", "source", "note"].map(Column::left);
    (!results.is_empty()).then(|| Table {
        title: "Published results, and the same here where a run has it".to_owned(),
        columns: words.into_iter().chain(numbers).chain(notes).collect(),
        rows: results.iter().flat_map(|result| rows(result, answers)).collect(),
    })
}

fn rows(result: &Published, answers: &[Scored<'_>]) -> Vec<Vec<Cell>> {
    let ours = answers.iter().filter(|scored| result.adapter.as_deref() == Some(scored.adapter));
    let ours: Vec<(&str, f64)> = ours.filter_map(|scored| Some((scored.run, here(result, scored)?))).collect();
    let row = |run: Option<(&str, f64)>| {
        vec![
            Cell::text(&result.system),
            Cell::text(result.part.as_deref().unwrap_or("all questions")),
            Cell::text(format!("{}.{}", result.convention, result.metric)),
            Cell::Decimal(result.value, 2),
            run.map_or(Cell::Missing, |(_, value)| Cell::Decimal(value, 2)),
            run.map_or(Cell::Missing, |(_, value)| Cell::Decimal(value - result.value, 2)),
            run.map_or(Cell::Missing, |(name, _)| Cell::text(name)),
            Cell::text(&result.source),
            result.note.as_ref().map_or(Cell::Missing, Cell::text),
        ]
    };
    if ours.is_empty() { vec![row(None)] } else { ours.into_iter().map(|one| row(Some(one))).collect() }
}

/// The run's value, in percent.
fn here(result: &Published, scored: &Scored<'_>) -> Option<f64> {
    let (convention, metric) = (Convention::named(&result.convention).ok()?, Metric::named(&result.metric).ok()?);
    let again = scored.under(convention);
    let part = match &result.part {
        None => again,
        Some(part) => {
            let (dimension, value) = part.split_once(" = ")?;
            let dimension: Dimension = dimension.parse().ok()?;
            dimension.parts(&again).into_iter().find(|(key, _)| key.as_str() == value)?.1
        }
    };
    part.summary()?.mean(metric)
}
