//! Numbers of the page: texts of values and intervals, and their places on an axis as SVG lengths.

use serde::Serialize;

use crate::report::Aggregate;
use crate::report::plot::Scale;
use chartbench_score::stats::Interval;

/// An axis with its ticks.
#[derive(Debug, Serialize)]
pub(super) struct Axis {
    #[serde(skip)]
    scale: Scale,
    ticks: Vec<Tick>,
}

#[derive(Debug, Serialize)]
struct Tick {
    at: String,
    /// The same on an axis that goes up.
    from_top: String,
    text: String,
}

impl Axis {
    /// The shortest axis of round numbers around values and their intervals.
    pub(super) fn around<'a>(
        estimates: impl Iterator<Item = &'a Estimate>,
        within: (f64, f64),
    ) -> Self {
        let ends = |estimate: &Estimate| {
            let ends = estimate.range.map(|range| [range.low, range.high]);
            estimate
                .number
                .value
                .into_iter()
                .chain(ends.into_iter().flatten())
                .collect::<Vec<_>>()
        };
        Self::new(Scale::around(estimates.flat_map(ends), within))
    }

    pub(super) fn new(scale: Scale) -> Self {
        let tick = |tick: f64| Tick {
            at: percent(scale.place(tick)),
            from_top: percent(1.0 - scale.place(tick)),
            text: scale.text(tick),
        };
        Self {
            ticks: scale.ticks().into_iter().map(tick).collect(),
            scale,
        }
    }

    /// The place of a value on the axis.
    pub(super) fn place(&self, value: f64) -> String {
        percent(self.scale.place(value))
    }
}

fn percent(place: f64) -> String {
    format!("{:.2}%", 100.0 * place)
}

/// A number with its text; a missing one shows as `-`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Number {
    value: Option<f64>,
    pub(super) text: String,
}

impl Number {
    pub(super) fn new(value: Option<f64>, digits: usize) -> Self {
        let value = value.filter(|value| value.is_finite());
        Self {
            value,
            text: value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}")),
        }
    }
}

/// A value with its interval, and their places on an axis once it is on one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Estimate {
    number: Number,
    #[serde(skip)]
    range: Option<Interval>,
    interval: Option<String>,
    at: Option<String>,
    low: Option<String>,
    high: Option<String>,
}

impl Estimate {
    pub(super) fn new(mean: Option<f64>, range: Option<Interval>) -> Self {
        Self {
            number: Number::new(mean, 2),
            range,
            interval: range.map(|Interval { low, high }| format!("{low:.2} to {high:.2}")),
            at: None,
            low: None,
            high: None,
        }
    }

    /// A difference, with its sign.
    pub(super) fn difference(points: Option<f64>, range: Option<Interval>) -> Self {
        let mut estimate = Self::new(points, range);
        if let Some(points) = estimate.number.value {
            estimate.number.text = format!("{points:+.2}");
        }
        estimate.interval = range.map(|Interval { low, high }| format!("{low:+.2} to {high:+.2}"));
        estimate
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

    pub(super) fn value(&self) -> Option<f64> {
        self.number.value
    }

    /// Finds the places on `axis`.
    pub(super) fn put_on(&mut self, axis: &Axis) {
        self.at = self.number.value.map(|value| axis.place(value));
        self.low = self.range.map(|range| axis.place(range.low));
        self.high = self.range.map(|range| axis.place(range.high));
    }
}
