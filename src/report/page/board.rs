//! The leaderboard of the page, with its scores on a scale.

use std::collections::HashSet;

use serde::Serialize;

use super::rows::{Kind, Row};
use crate::report::Aggregate;
use chartbench_score::stats::Interval;

/// A model whose answers are this much less varied than the gold ones has collapsed.
const COLLAPSED: f64 = 0.1;

#[derive(Debug, Serialize)]
pub(super) struct Board {
    pub(super) metrics: Vec<&'static str>,
    pub(super) rows: Vec<BoardRow>,
    /// The best blind row's score of each metric.
    blind: Vec<Option<Estimate>>,
    /// Distinct gold answers per hundred questions.
    gold_distinct: String,
}

#[derive(Debug, Serialize)]
pub(super) struct BoardRow {
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
    distinct: Number,
    per_second: Number,
}

/// A number with its text; a missing one shows as `-`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Number {
    value: Option<f64>,
    text: String,
}

impl Number {
    fn new(value: Option<f64>, digits: usize) -> Self {
        let value = value.filter(|value| value.is_finite());
        Self {
            value,
            text: value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}")),
        }
    }
}

/// A score in percent with its interval, and their places on a scale from 0 to 100 as SVG lengths.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Estimate {
    number: Number,
    interval: Option<String>,
    at: Option<String>,
    low: Option<String>,
    high: Option<String>,
}

impl Estimate {
    pub(super) fn new(mean: Option<f64>, interval: Option<Interval>) -> Self {
        let place = |value: f64| format!("{:.2}%", value.clamp(0.0, 100.0));
        Self {
            number: Number::new(mean, 2),
            interval: interval.map(|Interval { low, high }| format!("{low:.2} to {high:.2}")),
            at: mean.map(place),
            low: interval.map(|interval| place(interval.low)),
            high: interval.map(|interval| place(interval.high)),
        }
    }

    /// One for each of the convention's metrics.
    pub(super) fn all(aggregate: &Aggregate) -> Vec<Self> {
        aggregate
            .summary()
            .means()
            .zip(aggregate.intervals())
            .map(|((_, mean), interval)| Self::new(mean, interval))
            .collect()
    }
}

impl Board {
    pub(super) fn new(rows: &[Row<'_>]) -> Self {
        let metrics = rows
            .first()
            .map_or(&[][..], |row| row.scored.convention.metrics);
        let golds = gold_distinct_rate(rows);
        let rows: Vec<BoardRow> = rows.iter().map(|row| board_row(row, golds)).collect();
        let best = |metric: usize| {
            let blind = rows.iter().filter(|row| row.kind == Kind::Blind);
            let scores = blind.filter_map(|row| row.scores.get(metric));
            scores
                .max_by(|a, b| {
                    a.number
                        .value
                        .unwrap_or(-1.0)
                        .total_cmp(&b.number.value.unwrap_or(-1.0))
                })
                .cloned()
        };
        Self {
            metrics: metrics.iter().map(|metric| metric.name()).collect(),
            blind: (0..metrics.len()).map(best).collect(),
            gold_distinct: Number::new(golds.map(|rate| 100.0 * rate), 1).text,
            rows,
        }
    }
}

fn board_row(row: &Row<'_>, golds: Option<f64>) -> BoardRow {
    let Row { scored, kind, .. } = row;
    let aggregate = scored.aggregate();
    let distinct = aggregate.distinct_rate();
    BoardRow {
        label: row.label.clone(),
        run: scored.run.to_owned(),
        adapter: scored.adapter.to_owned(),
        kind: *kind,
        unfinished: scored.unfinished,
        remark: row.remark,
        collapsed: collapsed(*kind, distinct, golds),
        questions: scored.records.len(),
        failures: aggregate.failures(),
        scores: Estimate::all(&aggregate),
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
