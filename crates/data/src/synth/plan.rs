//! From dice to a recipe: which chart, which words, which axes.

use super::dice::Dice;
use super::recipe::{Base, ChartType, LegendPlace, Recipe, Series};
use super::scale::Scale;
use super::style::Style;
use super::{values, vocab};

/// Plans one chart.
pub fn plan(dice: &mut Dice) -> Recipe {
    let chart_type = dice.one(ChartType::ALL);
    let count = [1, 2, 3, 4][dice.weighted(&[30, 26, 24, 20]).unwrap_or(0)];
    let style = Style::plan(dice, count);
    let legend = legend(dice, chart_type, count);
    let value_title = dice.pick(&vocab::VALUE_TITLES).copied().unwrap_or_default();
    let value = value_scale(dice, chart_type, value_title);
    let (base, base_title) = base(dice, chart_type, count);
    let rising = (chart_type == ChartType::Scatter && dice.chance(0.8)).then(|| dice.chance(0.5));
    let mut recipe = Recipe {
        chart_type,
        width: dice.int(95, 160) as u32 * 4,
        height: 0,
        value,
        base,
        series: series_names(dice, count).into_iter().map(|name| Series { name, data: values::none() }).collect(),
        value_title: Some(value_title.to_owned()).filter(|_| dice.chance(0.9)),
        base_title: Some(base_title.to_owned()).filter(|_| dice.chance(0.85)),
        title: dice.pick(&vocab::TITLES).filter(|_| dice.chance(0.4)).map(|&title| title.to_owned()),
        panel: dice.chance(0.2).then(|| dice.one(["A", "B", "C", "(a)", "(b)", "(c)", "a", "b"]).to_owned()),
        legend,
        rising,
        style,
    };
    recipe.height = (f64::from(recipe.width) * dice.real(0.64, 0.92)).round() as u32;
    values::fill(dice, &mut recipe);
    recipe
}

/// With one series a legend is rare, with several it is usual: over all charts about as many have one as have none.
fn legend(dice: &mut Dice, chart_type: ChartType, series: usize) -> Option<LegendPlace> {
    let outside = [LegendPlace::Right, LegendPlace::Top, LegendPlace::Bottom];
    let inside = [LegendPlace::InsideLeft, LegendPlace::InsideRight];
    if !dice.chance(if series == 1 { 0.2 } else { 0.66 }) {
        return None;
    }
    // Bars to the right leave no corner free.
    if chart_type != ChartType::HorizontalBar && dice.chance(0.4) {
        Some(dice.one(inside))
    } else {
        Some(dice.one(outside))
    }
}

fn value_scale(dice: &mut Dice, chart_type: ChartType, title: &str) -> Scale {
    let counts = ["Number", "Count", "Reads", "Cases", "Frequency"].iter().any(|word| title.starts_with(word));
    let negative = !counts && dice.chance(0.45);
    let ticks = dice.int(4, 8);
    let bars = matches!(chart_type, ChartType::VerticalBar | ChartType::HorizontalBar);
    let first = match (negative, bars) {
        (true, _) => -dice.int(1, ticks - 2),
        (false, false) if dice.chance(0.25) => dice.int(1, 4),
        _ => 0,
    };
    let last = first + ticks - 1;
    let (mantissa, exponent) = if title.contains('%') {
        // Up to a hundred per cent.
        dice.one(if last > 5 { [(5, 0), (1, 1), (2, 0)] } else { [(5, 0), (1, 1), (2, 1)] })
    } else if counts {
        (dice.one([1, 2, 5, 25, 5]), dice.one([0, 0, 1, 1, 2, 3]))
    } else {
        (dice.one([1, 2, 2, 5, 5, 25, 1]), dice.one([-3, -2, -2, -1, -1, -1, 0, 0, 0, 1, 1, 1, 2, 3]))
    };
    Scale { mantissa, exponent, first, last }
}

/// The base axis and its title.
fn base(dice: &mut Dice, chart_type: ChartType, series: usize) -> (Base, &'static str) {
    let numbers = match chart_type {
        ChartType::Scatter => true,
        ChartType::Line => dice.chance(0.55),
        _ => false,
    };
    if numbers {
        let first = if dice.chance(0.25) { dice.int(1, 4) } else { 0 };
        let scale = Scale {
            mantissa: dice.one([1, 2, 5, 1]),
            exponent: dice.one([-1, 0, 0, 0, 1, 1, 2]),
            first,
            last: first + dice.int(3, 7),
        };
        return (Base::Numbers(scale), dice.pick(&vocab::NUMBER_TITLES).copied().unwrap_or_default());
    }
    let most = match (chart_type, series) {
        (ChartType::Line, _) => 8,
        (_, 1) => 7,
        (_, 2) => 6,
        (_, 3) => 5,
        _ => 4,
    };
    let count = dice.count(2 + usize::from(chart_type == ChartType::Line), most);
    // Lines join things that follow each other.
    let orders: Vec<&vocab::Names> =
        vocab::CATEGORIES.iter().filter(|names| names.ordered || chart_type != ChartType::Line).collect();
    let Some(names) = dice.pick(&orders) else { return (Base::Categories(Vec::new()), "") };
    let picked = dice.some(names.names, count, names.ordered).into_iter().map(|&name| name.to_owned()).collect();
    (Base::Categories(picked), names.title)
}

fn series_names(dice: &mut Dice, count: usize) -> Vec<String> {
    let enough: Vec<&vocab::Names> = vocab::SERIES.iter().filter(|names| names.names.len() >= count).collect();
    let Some(names) = dice.pick(&enough) else { return Vec::new() };
    dice.some(names.names, count, names.ordered).into_iter().map(|&name| name.to_owned()).collect()
}
