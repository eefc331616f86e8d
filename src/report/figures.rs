//! Scores as figures: bars with intervals, and the tolerance curve.

use anyhow::Result;
use rayon::prelude::*;

use super::RowKind;
use super::plot::{Bar, Line, Panel, draw_bars, draw_panels};
use super::score_all::NamedPair;
use super::scored::{CONFIDENCE, Scored, numbered};
use super::sensitivity::{TOLERANCE, TOLERANCES, answers_right};
use chartbench_score::metric::{Metric, Notation};
use chartbench_score::stats::{ChartSums, Interval};

/// One adapter's answers in the figures.
pub struct Answers<'a> {
    /// The label.
    pub name: String,
    /// Blind rows are told apart.
    pub kind: RowKind,
    /// The answers.
    pub scored: Scored<'a>,
}

/// A bar for each of `answers` with its interval: the mean of `metric` in percent, the highest
/// first. Bars of one run have one colour.
///
/// # Errors
/// Returns an error if there are no answers.
pub fn score_bars(title: &str, answers: &[Answers<'_>], metric: Metric) -> Result<String> {
    let mut runs: Vec<&str> = Vec::new();
    let mut bars = Vec::new();
    for Answers { name, kind, scored } in answers {
        if !runs.contains(&scored.run) {
            runs.push(scored.run);
        }
        let index = scored
            .convention
            .metrics
            .iter()
            .position(|other| *other == metric);
        let Some(mean) = scored.summary().and_then(|summary| summary.mean(metric)) else {
            continue;
        };
        bars.push(Bar {
            name: name.clone(),
            group: runs.iter().position(|run| *run == scored.run).unwrap_or(0),
            value: mean,
            interval: index
                .and_then(|index| scored.aggregate().intervals().get(index).copied().flatten())
                .map(|interval| (interval.low, interval.high)),
            blind: *kind == RowKind::Blind,
        });
    }
    bars.sort_by(|a, b| b.value.total_cmp(&a.value));
    draw_bars(
        title,
        &format!("{}, % (95 % interval)", metric.name()),
        100.0,
        &bars,
    )
}

/// Right answers by tolerance with their bands, a line for each of `answers`, the highest at 5 %
/// first.
///
/// # Errors
/// Returns an error if there are no answers.
pub fn tolerance_curve(title: &str, answers: &[Answers<'_>]) -> Result<String> {
    let line = |answers: &Answers<'_>| {
        let estimates = tolerance_estimates(&answers.scored);
        let usual = estimates
            .iter()
            .find(|(tolerance, ..)| *tolerance == TOLERANCE)
            .map_or(0.0, |(_, right, _)| *right);
        let across = |tolerance: f64| 100.0 * tolerance;
        let points = estimates
            .iter()
            .map(|(tolerance, right, _)| (across(*tolerance), *right));
        let band = estimates.iter().filter_map(|(tolerance, _, interval)| {
            let interval = (*interval)?;
            Some((across(*tolerance), interval.low, interval.high))
        });
        let drawn = Line {
            name: format!("{}: {usual:.1}", answers.name),
            points: points.collect(),
            band: band.collect(),
            dots: true,
            blind: answers.kind == RowKind::Blind,
            ..Line::default()
        };
        (usual, drawn)
    };
    let mut lines: Vec<(f64, Line)> = answers.iter().map(line).collect();
    lines.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let panel = Panel {
        x: "tolerance, % of the gold value".to_owned(),
        y: "right, % (band: 95 % interval; legend: at 5 %)".to_owned(),
        lines: lines.into_iter().map(|(_, line)| line).collect(),
        top: Some(100.0),
        marker: Some((100.0 * TOLERANCE, "5 %".to_owned())),
    };
    draw_panels(title, &[panel])
}

/// The points of an adapter's tolerance curve: tolerance, right answers in % with every notation
/// evened out, and the interval of that share.
fn tolerance_estimates(scored: &Scored<'_>) -> Vec<(f64, f64, Option<Interval>)> {
    let entries = scored.entries();
    let numbers = numbered(scored.records.iter().map(|record| record.chart.as_str()));
    let estimate = |tolerance: f64| {
        let right = |entry: &NamedPair<'_>| answers_right(&entry.pair, &Notation::ALL, tolerance);
        let rights: Vec<bool> = entries.par_iter().map(right).collect();
        let mut charts = ChartSums::new(numbers.len(), 1);
        for (record, right) in scored.records.iter().zip(&rights) {
            if let Some(&chart) = numbers.get(record.chart.as_str()) {
                charts.add(chart, 0, if *right { 100.0 } else { 0.0 });
            }
        }
        let count = rights.iter().filter(|right| **right).count();
        let share = 100.0 * count as f64 / rights.len().max(1) as f64;
        (tolerance, share, charts.interval(0, 100.0, CONFIDENCE))
    };
    TOLERANCES.into_iter().map(estimate).collect()
}
