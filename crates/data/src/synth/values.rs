//! Draws the numbers of a chart, and drops the extras (error bars, stars, printed values) that do
//! not fit them.

use super::recipe::{Base, BoxPlot, ChartType, Data, Recipe, Series};
use super::scale::Scale;
use chartbench_core::seeded_draw::SeededRng;

/// The part of the value axis that data may fill, in quanta.
struct Room {
    low: i64,
    high: i64,
}

impl Room {
    /// Leaves space at the top for a legend or a mark above the data.
    fn from_recipe(recipe: &Recipe) -> Self {
        let (low, high) = (recipe.value.low(), recipe.value.high());
        let inside = recipe.legend.is_some_and(|place| place.inside());
        let share = if inside { 0.34 } else { 0.08 };
        Self {
            low,
            high: high - ((high - low) as f64 * share).ceil() as i64,
        }
    }

    fn clamp(&self, value: i64) -> i64 {
        value.clamp(self.low, self.high)
    }

    fn at_fraction(&self, fraction: f64) -> i64 {
        self.clamp(self.low + ((self.high - self.low) as f64 * fraction).round() as i64)
    }
}

/// Draws the numbers of every series.
pub(super) fn fill(rng: &mut SeededRng, recipe: &mut Recipe) {
    let room = Room::from_recipe(recipe);
    let slots = recipe.base.len();
    let count = recipe.series.len();
    let curves = recipe.chart_type == ChartType::Line
        && matches!(recipe.base, Base::Numbers(_))
        && rng.chance(0.35);
    for index in 0..count {
        let data = match recipe.chart_type {
            ChartType::VerticalBar | ChartType::HorizontalBar => {
                Data::Values(bars(rng, &room, slots))
            }
            ChartType::Line if curves => Data::Points(curve(rng, recipe, &room, index)),
            ChartType::Line => Data::Values(walk(rng, &room, slots)),
            ChartType::Scatter => Data::Points(cloud(rng, recipe, &room, index)),
            ChartType::VerticalBox => {
                Data::Boxes((0..slots).map(|_| box_plot(rng, &room)).collect())
            }
        };
        if let Some(series) = recipe.series.get_mut(index) {
            series.data = data;
        }
    }
    settle_extras(recipe, curves);
}

/// Drops the extras that would collide or be meaningless.
fn settle_extras(recipe: &mut Recipe, curves: bool) {
    let bars = matches!(
        recipe.chart_type,
        ChartType::VerticalBar | ChartType::HorizontalBar
    );
    let marks = recipe.series.len() * recipe.base.len();
    let style = &mut recipe.style;
    if curves {
        style.show_markers = false;
    }
    style.show_lines = recipe.chart_type == ChartType::Line;
    style.error_bars &= bars || (recipe.chart_type == ChartType::Line && !curves);
    style.value_labels &= bars && marks <= 9 && !style.error_bars;
    style.stars &= !style.value_labels
        && recipe.chart_type == ChartType::VerticalBar
        && recipe.value.first == 0;
    style.trend_line &= recipe.chart_type == ChartType::Scatter && recipe.rising.is_some();
    if recipe.chart_type == ChartType::Line && recipe.series.len() == 1 && style.error_bars {
        style.show_markers = true;
    }
}

fn bars(rng: &mut SeededRng, room: &Room, slots: usize) -> Vec<i64> {
    let mut values: Vec<i64> = (0..slots)
        .map(|_| {
            let high = room.high.max(1);
            // Error bars and printed values need space below the bars.
            if room.low < 0 && rng.chance(0.45) {
                rng.int(room.low + 2, -1)
            } else {
                rng.int(1, high)
            }
        })
        .collect();
    // An axis with negative ticks shows at least one negative value.
    if room.low < 0
        && values.iter().all(|&value| value > 0)
        && let Some(first) = values.first_mut()
    {
        *first = rng.int(room.low + 2, -1);
    }
    values
}

fn walk(rng: &mut SeededRng, room: &Room, slots: usize) -> Vec<i64> {
    let span = (room.high - room.low) as f64;
    let start = rng.real(0.05, 0.95);
    let end = rng.real(0.05, 0.95);
    let bend = rng.real(-0.25, 0.25);
    let noise = rng.choose([0.02, 0.06, 0.12]);
    (0..slots)
        .map(|slot| {
            let t = slot as f64 / slots.saturating_sub(1).max(1) as f64;
            let level =
                start + (end - start) * t + bend * 4.0 * t * (1.0 - t) + rng.real(-noise, noise);
            room.clamp(room.low + (span * level).round() as i64)
        })
        .collect()
}

/// A smooth curve: saturating, decaying, S-shaped or peaked.
fn curve(rng: &mut SeededRng, recipe: &Recipe, room: &Room, index: usize) -> Vec<(f64, f64)> {
    let Base::Numbers(base) = &recipe.base else {
        return Vec::new();
    };
    let shape = rng.count(0, 3);
    let (rate, middle) = (rng.real(2.0, 6.0), rng.real(0.3, 0.7));
    let (floor, top) = (
        rng.real(0.0, 0.15),
        rng.real(0.5, 1.0) - 0.08 * index as f64,
    );
    (0..=40)
        .map(|i| {
            let t = f64::from(i) / 40.0;
            let level = match shape {
                0 => 1.0 - (-rate * t).exp(),
                1 => (-rate * t).exp(),
                2 => 1.0 / (1.0 + (-3.0 * rate * (t - middle)).exp()),
                _ => (-(rate * 2.0 * (t - middle)).powi(2)).exp(),
            };
            let value = to_ticks(room.low)
                + to_ticks(room.high - room.low) * (floor + (top - floor) * level);
            (
                hundredth(base.first as f64 + (base.last - base.first) as f64 * t),
                hundredth(value),
            )
        })
        .collect()
}

fn cloud(rng: &mut SeededRng, recipe: &Recipe, room: &Room, index: usize) -> Vec<(f64, f64)> {
    let Base::Numbers(base) = &recipe.base else {
        return Vec::new();
    };
    let points = rng.count(8, 40);
    let noise = if recipe.rising.is_some() {
        rng.real(0.03, 0.14)
    } else {
        0.5
    };
    let shift = 0.06 * index as f64;
    (0..points)
        .map(|_| {
            let t = rng.real(0.04, 0.96);
            let level = match recipe.rising {
                Some(true) => 0.1 + 0.75 * t + shift,
                Some(false) => 0.88 - 0.75 * t - shift,
                None => 0.5,
            };
            let level = (level + rng.real(-noise, noise)).clamp(0.02, 0.98);
            let value = to_ticks(room.low) + to_ticks(room.high - room.low) * level;
            (
                hundredth(base.first as f64 + (base.last - base.first) as f64 * t),
                hundredth(value),
            )
        })
        .collect()
}

fn box_plot(rng: &mut SeededRng, room: &Room) -> BoxPlot {
    let span = room.high - room.low;
    let median = rng.int(room.at_fraction(0.25), room.at_fraction(0.75));
    let mut reach = |from: i64, to: i64, part: f64| {
        from + ((to - from) as f64 * part * rng.real(0.3, 1.0)).round() as i64
    };
    let lower = reach(median, room.low, 0.5).min(median - 1);
    let upper = reach(median, room.high, 0.5).max(median + 1);
    let min = room.clamp(reach(lower, room.low, 0.6));
    let max = room.clamp(reach(upper, room.high, 0.6));
    let mut outliers = Vec::new();
    for _ in 0..rng.count(0, 2) {
        let value = if rng.chance(0.5) {
            max + rng.int(2, span / 5 + 2)
        } else {
            min - rng.int(2, span / 5 + 2)
        };
        if (room.low..=room.high).contains(&value) {
            outliers.push(value);
        }
    }
    BoxPlot {
        min: min.min(lower),
        lower,
        median,
        upper,
        max: max.max(upper),
        outliers,
    }
}

fn to_ticks(quanta: i64) -> f64 {
    quanta as f64 / Scale::PER_TICK as f64
}

fn hundredth(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

impl Series {
    /// The values for each text of the base axis; `None` for other data.
    pub(super) fn values(&self) -> Option<&[i64]> {
        match &self.data {
            Data::Values(values) => Some(values),
            _ => None,
        }
    }

    /// The boxes; `None` for other data.
    pub(super) fn boxes(&self) -> Option<&[BoxPlot]> {
        match &self.data {
            Data::Boxes(boxes) => Some(boxes),
            _ => None,
        }
    }
}
