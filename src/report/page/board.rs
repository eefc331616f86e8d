//! The leaderboard of the page, with its scores on the axes that they need.

use std::collections::HashSet;

use serde::Serialize;

use super::axis::{Axis, Estimate, Number};
use super::differences::Differences;
use super::rows::{Kind, Row};

/// A model whose answers are this much less varied than the gold ones has collapsed.
const COLLAPSED: f64 = 0.1;

#[derive(Debug, Serialize)]
pub(super) struct Board {
    metrics: Vec<&'static str>,
    rows: Vec<BoardRow>,
    /// A plot for each metric that is not in every row what an earlier one is.
    plots: Vec<Plot>,
    /// Distinct gold answers per hundred questions.
    gold_distinct: String,
}

/// The rows' scores by one metric on an axis.
#[derive(Debug, Serialize)]
struct Plot {
    /// The metric, with those that score every row the same.
    title: String,
    axis: Axis,
    scores: Vec<Estimate>,
    /// The place of the best blind row.
    blind: Option<String>,
}

#[derive(Debug, Serialize)]
struct BoardRow {
    label: String,
    run: String,
    adapter: String,
    kind: Kind,
    unfinished: bool,
    remark: Option<&'static str>,
    collapsed: bool,
    questions: usize,
    failures: usize,
    scores: Vec<Estimate>,
    /// A model's paired difference from the best blind row.
    above_blind: Option<Estimate>,
    distinct: Number,
    per_second: Number,
}

impl Board {
    pub(super) fn new(rows: &[Row<'_>], differences: &Differences) -> Self {
        let metrics = rows
            .first()
            .map_or(&[][..], |row| row.scored.convention.metrics);
        let metrics: Vec<&'static str> = metrics.iter().map(|metric| metric.name()).collect();
        let golds = gold_distinct_rate(rows);
        let rows: Vec<BoardRow> = rows
            .iter()
            .map(|row| board_row(row, golds, differences))
            .collect();
        Self {
            plots: plots(&metrics, &rows),
            metrics,
            gold_distinct: Number::new(golds.map(|rate| 100.0 * rate), 1).text,
            rows,
        }
    }
}

/// A plot for each metric; metrics under which every row scores the same share theirs.
fn plots(metrics: &[&'static str], rows: &[BoardRow]) -> Vec<Plot> {
    let mut plots: Vec<Plot> = Vec::new();
    for (place, metric) in metrics.iter().enumerate() {
        let mut scores: Vec<Estimate> = rows
            .iter()
            .filter_map(|row| row.scores.get(place).cloned())
            .collect();
        let axis = Axis::around(scores.iter(), (0.0, 100.0));
        scores.iter_mut().for_each(|score| score.put_on(&axis));
        let same = plots.iter_mut().find(|plot| plot.scores == scores);
        if let Some(same) = same {
            same.title = format!("{}, {metric}", same.title);
            continue;
        }
        let blind = rows
            .iter()
            .zip(&scores)
            .filter(|(row, _)| row.kind == Kind::Blind)
            .filter_map(|(_, score)| score.value())
            .max_by(f64::total_cmp)
            .map(|value| axis.place(value));
        plots.push(Plot {
            title: (*metric).to_owned(),
            axis,
            scores,
            blind,
        });
    }
    plots
}

fn board_row(row: &Row<'_>, golds: Option<f64>, differences: &Differences) -> BoardRow {
    let Row { scored, kind, .. } = row;
    let aggregate = scored.aggregate();
    let distinct = aggregate.distinct_rate();
    BoardRow {
        label: row.label.clone(),
        run: if row.shared { "several" } else { scored.run }.to_owned(),
        adapter: scored.adapter.to_owned(),
        kind: *kind,
        unfinished: scored.unfinished,
        remark: row.remark,
        collapsed: collapsed(*kind, distinct, golds),
        questions: scored.records.len(),
        failures: aggregate.failures(),
        scores: Estimate::all(&aggregate),
        above_blind: differences.above_blind(&row.label),
        distinct: Number::new(distinct.map(|rate| 100.0 * rate), 1),
        per_second: Number::new(aggregate.per_second(), 2),
    }
}

/// Whether a model has collapsed to few distinct answers. Blind rows are exempt.
fn collapsed(kind: Kind, distinct: Option<f64>, golds: Option<f64>) -> bool {
    kind != Kind::Blind
        && distinct
            .zip(golds)
            .is_some_and(|(own, golds)| own < COLLAPSED * golds)
}

/// Distinct gold answers over the number of questions.
fn gold_distinct_rate(rows: &[Row<'_>]) -> Option<f64> {
    let records = &rows
        .iter()
        .max_by_key(|row| row.scored.records.len())?
        .scored
        .records;
    let distinct: HashSet<_> = records.iter().map(|record| record.gold.text()).collect();
    Some(distinct.len() as f64 / records.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_with_a_tenth_of_the_golds_variety_has_collapsed() {
        let of = |kind, distinct| collapsed(kind, Some(distinct), Some(0.5));
        assert!(of(Kind::Model, 0.049) && !of(Kind::Model, 0.05) && !of(Kind::Blind, 0.0));
        assert!(
            !collapsed(Kind::Model, None, Some(0.5)) && !collapsed(Kind::Model, Some(0.0), None)
        );
    }
}
