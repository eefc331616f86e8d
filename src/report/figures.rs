//! Scores as figures: bars with intervals, and the tolerance curve.

use anyhow::Result;

use super::{Scored, Sensitivity};
use crate::report::plot::{Bar, Line, Panel, draw_bars, draw_panels};
use chartbench_score::metric::Metric;

/// A bar for each of `answers`, which have names, with its interval: the mean of `metric` in
/// percent. Bars of one run have one colour.
///
/// # Errors
/// Returns an error if there are no answers.
pub fn score_bars(title: &str, answers: &[(String, Scored<'_>)], metric: Metric) -> Result<String> {
    let mut runs: Vec<&str> = Vec::new();
    let mut drawn = Vec::new();
    for (name, scored) in answers {
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
        drawn.push(Bar {
            name: name.clone(),
            group: runs.iter().position(|run| *run == scored.run).unwrap_or(0),
            value: mean,
            interval: index
                .and_then(|index| scored.aggregate().intervals()[index])
                .map(|interval| (interval.low, interval.high)),
        });
    }
    draw_bars(
        title,
        &format!("{}, % (95 % interval)", metric.name()),
        100.0,
        &drawn,
    )
}

/// Right answers by tolerance, a line for each file.
///
/// # Errors
/// Returns an error if there are no answers.
pub fn tolerance_curve(title: &str, sensitivity: &Sensitivity) -> Result<String> {
    let line = |(name, points): &(String, Vec<(f64, f64)>)| Line {
        name: name.clone(),
        points: points.clone(),
        dots: true,
        faint: false,
    };
    let lines = sensitivity.curves().iter().map(line).collect();
    let (x, y) = (
        "tolerance, % of the gold value".to_owned(),
        "right, %".to_owned(),
    );
    draw_panels(
        title,
        &[Panel {
            x,
            y,
            lines,
            top: Some(100.0),
        }],
    )
}
