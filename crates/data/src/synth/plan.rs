//! Draws a recipe: the chart type, the words, the axes.

use super::recipe::{Base, ChartType, Data, LegendPlace, Recipe, Series};
use super::scale::Scale;
use super::style::Style;
use super::{values, vocab};
use chartbench_core::seeded_draw::SeededRng;

/// Plans one chart.
pub(super) fn plan(rng: &mut SeededRng) -> Recipe {
    let chart_type = rng.choose(ChartType::ALL);
    let count = [1, 2, 3, 4][rng.weighted(&[30, 26, 24, 20]).unwrap_or(0)];
    let style = Style::plan(rng, count);
    let legend = legend(rng, chart_type, count);
    let value_title = rng.pick(&vocab::VALUE_TITLES).copied().unwrap_or_default();
    let value = value_scale(rng, chart_type, value_title);
    let (base, base_title) = base(rng, chart_type, count);
    let rising = (chart_type == ChartType::Scatter && rng.chance(0.8)).then(|| rng.chance(0.5));
    let mut recipe = Recipe {
        chart_type,
        width: rng.int(95, 160) as u32 * 4,
        height: 0,
        value,
        base,
        series: series_names(rng, count)
            .into_iter()
            .map(|name| Series {
                name,
                data: Data::Values(Vec::new()),
            })
            .collect(),
        value_title: Some(value_title.to_owned()).filter(|_| rng.chance(0.9)),
        base_title: Some(base_title.to_owned()).filter(|_| rng.chance(0.85)),
        title: rng
            .pick(&vocab::TITLES)
            .filter(|_| rng.chance(0.4))
            .map(|&title| title.to_owned()),
        panel: rng.chance(0.2).then(|| {
            rng.choose(["A", "B", "C", "(a)", "(b)", "(c)", "a", "b"])
                .to_owned()
        }),
        legend,
        rising,
        style,
    };
    recipe.height = (f64::from(recipe.width) * rng.real(0.64, 0.92)).round() as u32;
    values::fill(rng, &mut recipe);
    recipe
}

/// Charts with one series rarely have a legend, those with several usually do; about half of all
/// charts have one.
fn legend(rng: &mut SeededRng, chart_type: ChartType, series: usize) -> Option<LegendPlace> {
    let outside = [LegendPlace::Right, LegendPlace::Top, LegendPlace::Bottom];
    let inside = [LegendPlace::InsideLeft, LegendPlace::InsideRight];
    if !rng.chance(if series == 1 { 0.2 } else { 0.66 }) {
        return None;
    }
    // Horizontal bars leave no corner free.
    if chart_type != ChartType::HorizontalBar && rng.chance(0.4) {
        Some(rng.choose(inside))
    } else {
        Some(rng.choose(outside))
    }
}

fn value_scale(rng: &mut SeededRng, chart_type: ChartType, title: &str) -> Scale {
    let counts = ["Number", "Count", "Reads", "Cases", "Frequency"]
        .iter()
        .any(|word| title.starts_with(word));
    let negative = !counts && rng.chance(0.45);
    let ticks = rng.int(4, 8);
    let bars = matches!(
        chart_type,
        ChartType::VerticalBar | ChartType::HorizontalBar
    );
    let first = match (negative, bars) {
        (true, _) => -rng.int(1, ticks - 2),
        (false, false) if rng.chance(0.25) => rng.int(1, 4),
        _ => 0,
    };
    let last = first + ticks - 1;
    let (mantissa, exponent) = if title.contains('%') {
        // Up to a hundred per cent.
        rng.choose(if last > 5 {
            [(5, 0), (1, 1), (2, 0)]
        } else {
            [(5, 0), (1, 1), (2, 1)]
        })
    } else if counts {
        (rng.choose([1, 2, 5, 25, 5]), rng.choose([0, 0, 1, 1, 2, 3]))
    } else {
        (
            rng.choose([1, 2, 2, 5, 5, 25, 1]),
            rng.choose([-3, -2, -2, -1, -1, -1, 0, 0, 0, 1, 1, 1, 2, 3]),
        )
    };
    Scale {
        mantissa,
        exponent,
        first,
        last,
    }
}

/// The base axis and its title.
fn base(rng: &mut SeededRng, chart_type: ChartType, series: usize) -> (Base, &'static str) {
    let numbers = match chart_type {
        ChartType::Scatter => true,
        ChartType::Line => rng.chance(0.55),
        _ => false,
    };
    if numbers {
        let first = if rng.chance(0.25) { rng.int(1, 4) } else { 0 };
        let scale = Scale {
            mantissa: rng.choose([1, 2, 5, 1]),
            exponent: rng.choose([-1, 0, 0, 0, 1, 1, 2]),
            first,
            last: first + rng.int(3, 7),
        };
        return (
            Base::Numbers(scale),
            rng.pick(&vocab::NUMBER_TITLES).copied().unwrap_or_default(),
        );
    }
    let most = match (chart_type, series) {
        (ChartType::Line, _) => 8,
        (_, 1) => 7,
        (_, 2) => 6,
        (_, 3) => 5,
        _ => 4,
    };
    let count = rng.count(2 + usize::from(chart_type == ChartType::Line), most);
    // The categories of a line chart have an order.
    let orders: Vec<&vocab::Names> = vocab::CATEGORIES
        .iter()
        .filter(|names| names.ordered || chart_type != ChartType::Line)
        .collect();
    let Some(names) = rng.pick(&orders) else {
        return (Base::Categories(Vec::new()), "");
    };
    let picked = rng
        .subset(names.names, count, names.ordered)
        .into_iter()
        .map(|&name| name.to_owned())
        .collect();
    (Base::Categories(picked), names.title)
}

fn series_names(rng: &mut SeededRng, count: usize) -> Vec<String> {
    let enough: Vec<&vocab::Names> = vocab::SERIES
        .iter()
        .filter(|names| names.names.len() >= count)
        .collect();
    let Some(names) = rng.pick(&enough) else {
        return Vec::new();
    };
    rng.subset(names.names, count, names.ordered)
        .into_iter()
        .map(|&name| name.to_owned())
        .collect()
}
