//! Retrieval and reasoning questions: the data.

use super::{Template, list, template, yes_no};
use crate::synth::recipe::{BoxPlot, ChartType, Recipe, Series};
use crate::synth::scale::Scale;
use chartbench_core::question::AnswerType::{
    Binary, Numerical, RankedList, String as Text, UnrankedList,
};
use chartbench_core::question::Gold;
use chartbench_core::seeded_draw::SeededRng;

type Answer = Option<(String, Gold)>;

pub(super) static TEMPLATES: &[Template] = &[
    template("19", "3a", Numerical, 4, value_at),
    template("20", "3b", Text, 4, largest_place),
    template("21", "3c", Binary, 3, above_tick),
    template("22", "3d", Numerical, 3, median_at),
    template("23", "3e", Numerical, 2, largest_value),
    template("24", "4a", Binary, 4, larger_of_two),
    template("25", "4b", Numerical, 2, difference),
    template("26", "4c", RankedList, 3, ranking),
    template("27", "4d", UnrankedList, 2, places_above),
    template("28", "4d", Numerical, 3, count_above),
    template("29", "4e", Text, 6, rise_or_fall),
    template("30", "4f", Numerical, 1, quartile_range),
];

/// A series that a question can name, with its phrase: by its legend entry, or as the only series.
fn pick_series<'a>(recipe: &'a Recipe, rng: &mut SeededRng) -> Option<(&'a Series, String)> {
    let series = rng.pick(&recipe.series)?;
    match recipe.legend {
        Some(_) => Some((series, format!(" of {}", series.name))),
        None if recipe.series.len() == 1 => Some((series, String::new())),
        None => None,
    }
}

/// A nameable series of values, with its phrase and the labels of its slots.
fn pick_values<'a>(
    recipe: &'a Recipe,
    rng: &mut SeededRng,
) -> Option<(&'a [i64], String, Vec<String>)> {
    let (series, of_series) = pick_series(recipe, rng)?;
    Some((series.values()?, of_series, recipe.base.labels()))
}

/// A nameable box, with its phrase.
fn pick_box<'a>(recipe: &'a Recipe, rng: &mut SeededRng) -> Option<(&'a BoxPlot, String)> {
    let (series, of_series) = pick_series(recipe, rng)?;
    let slot = rng.count(0, recipe.base.len().saturating_sub(1));
    let label = recipe.base.labels().get(slot)?.clone();
    Some((
        series.boxes()?.get(slot)?,
        format!("{of_series} at {label}"),
    ))
}

/// The slot of the largest value; `None` if several values are largest.
fn peak(values: &[i64]) -> Option<usize> {
    let largest = values.iter().max()?;
    let mut slots = values
        .iter()
        .enumerate()
        .filter(|(_, value)| *value == largest);
    let (slot, _) = slots.next()?;
    slots.next().is_none().then_some(slot)
}

/// A tick without a value on it, between the smallest and the largest value.
fn threshold(recipe: &Recipe, values: &[i64], rng: &mut SeededRng) -> Option<i64> {
    let ticks: Vec<i64> = (recipe.value.first..=recipe.value.last)
        .filter(|tick| {
            let quanta = tick * Scale::PER_TICK;
            !values.contains(&quanta)
                && values.iter().any(|&v| v < quanta)
                && values.iter().any(|&v| v > quanta)
        })
        .collect();
    rng.pick(&ticks).copied()
}

fn value_at(recipe: &Recipe, rng: &mut SeededRng) -> Answer {
    let (values, of_series, labels) = pick_values(recipe, rng)?;
    let slot = rng.count(0, values.len().saturating_sub(1));
    let text = format!("What is the value{of_series} at {}?", labels.get(slot)?);
    Some((text, Gold::Text(recipe.value.value(*values.get(slot)?))))
}

fn largest_place(recipe: &Recipe, rng: &mut SeededRng) -> Answer {
    if let Some((values, of_series, labels)) = pick_values(recipe, rng) {
        return Some((
            format!("Where is the value{of_series} largest?"),
            Gold::Text(labels.get(peak(values)?)?.clone()),
        ));
    }
    let (series, of_series) = pick_series(recipe, rng)?;
    let medians: Vec<i64> = series
        .boxes()?
        .iter()
        .map(|box_plot| box_plot.median)
        .collect();
    let label = recipe.base.labels().get(peak(&medians)?)?.clone();
    Some((
        format!("Where is the median{of_series} largest?"),
        Gold::Text(label),
    ))
}

fn above_tick(recipe: &Recipe, rng: &mut SeededRng) -> Answer {
    let (values, of_series, labels) = pick_values(recipe, rng)?;
    let tick = threshold(recipe, values, rng)?;
    // Both answers are equally likely for all values.
    let above = rng.chance(0.5);
    let slots: Vec<usize> = (0..values.len())
        .filter(|&slot| (values[slot] > tick * Scale::PER_TICK) == above)
        .collect();
    let label = labels.get(*rng.pick(&slots)?)?;
    Some((
        format!(
            "Is the value{of_series} at {label} above {}?",
            recipe.value.label(tick)
        ),
        yes_no(above),
    ))
}

fn median_at(recipe: &Recipe, rng: &mut SeededRng) -> Answer {
    let (box_plot, phrase) = pick_box(recipe, rng)?;
    Some((
        format!("What is the median{phrase}?"),
        Gold::Text(recipe.value.value(box_plot.median)),
    ))
}

fn largest_value(recipe: &Recipe, rng: &mut SeededRng) -> Answer {
    let (values, of_series, _) = pick_values(recipe, rng)?;
    Some((
        format!("What is the largest value{of_series}?"),
        Gold::Text(recipe.value.value(*values.iter().max()?)),
    ))
}

/// Two slots with different values, in random order.
fn two_slots(values: &[i64], rng: &mut SeededRng) -> Option<(usize, usize)> {
    let slots: Vec<usize> = (0..values.len()).collect();
    let [&a, &b] = rng.subset(&slots, 2, false)[..] else {
        return None;
    };
    (values[a] != values[b]).then_some((a, b))
}

fn larger_of_two(recipe: &Recipe, rng: &mut SeededRng) -> Answer {
    let (values, of_series, labels) = pick_values(recipe, rng)?;
    let (a, b) = two_slots(values, rng)?;
    let text = format!(
        "Is the value{of_series} larger at {} than at {}?",
        labels.get(a)?,
        labels.get(b)?
    );
    Some((text, yes_no(values.get(a)? > values.get(b)?)))
}

fn difference(recipe: &Recipe, rng: &mut SeededRng) -> Answer {
    let (values, of_series, labels) = pick_values(recipe, rng)?;
    let (a, b) = two_slots(values, rng)?;
    let text = format!(
        "By how much do the values{of_series} at {} and {} differ?",
        labels.get(a)?,
        labels.get(b)?
    );
    Some((
        text,
        Gold::Text(recipe.value.value((values.get(a)? - values.get(b)?).abs())),
    ))
}

fn ranking(recipe: &Recipe, rng: &mut SeededRng) -> Answer {
    recipe.legend?;
    let slot = rng.count(0, recipe.base.len().saturating_sub(1));
    let mut order: Vec<(i64, &str)> = recipe
        .series
        .iter()
        .map(|series| Some((*series.values()?.get(slot)?, series.name.as_str())))
        .collect::<Option<_>>()?;
    order.sort_unstable_by_key(|&(value, _)| -value);
    let distinct = order.windows(2).all(|pair| pair[0].0 != pair[1].0);
    let label = recipe.base.labels().get(slot)?.clone();
    (order.len() > 1 && distinct).then(|| {
        let names = order.into_iter().map(|(_, name)| name.to_owned());
        (
            format!("Rank the legend labels by value at {label}, largest first."),
            list(names),
        )
    })
}

fn places_above(recipe: &Recipe, rng: &mut SeededRng) -> Answer {
    let (values, of_series, labels) = pick_values(recipe, rng)?;
    let tick = threshold(recipe, values, rng)?;
    let above = labels
        .into_iter()
        .zip(values)
        .filter(|&(_, &value)| value > tick * Scale::PER_TICK);
    let names = above.map(|(label, _)| label);
    Some((
        format!(
            "Where is the value{of_series} above {}?",
            recipe.value.label(tick)
        ),
        list(names),
    ))
}

fn count_above(recipe: &Recipe, rng: &mut SeededRng) -> Answer {
    let (values, of_series, _) = pick_values(recipe, rng)?;
    let tick = threshold(recipe, values, rng)?;
    let count = values
        .iter()
        .filter(|&&value| value > tick * Scale::PER_TICK)
        .count();
    let text = format!(
        "How many values{of_series} are above {}?",
        recipe.value.label(tick)
    );
    Some((text, Gold::Text(count.to_string())))
}

/// Scatter charts: the trend of the points. Line charts: the change from the first to the last
/// point, if it is clearly visible.
fn rise_or_fall(recipe: &Recipe, rng: &mut SeededRng) -> Answer {
    let (rising, of_series) = match recipe.chart_type {
        ChartType::Scatter => (recipe.rising?, String::new()),
        ChartType::Line => {
            let (values, of_series, _) = pick_values(recipe, rng)?;
            let change = values.last()? - values.first()?;
            if change.abs() * 5 < recipe.value.high() - recipe.value.low() {
                return None;
            }
            (change > 0, of_series)
        }
        _ => return None,
    };
    let answer = if rising { "rise" } else { "fall" };
    Some((
        format!("Do the values{of_series} rise or fall along the x-axis?"),
        answer.into(),
    ))
}

fn quartile_range(recipe: &Recipe, rng: &mut SeededRng) -> Answer {
    let (box_plot, phrase) = pick_box(recipe, rng)?;
    Some((
        format!("What is the interquartile range{phrase}?"),
        Gold::Text(recipe.value.value(box_plot.upper - box_plot.lower)),
    ))
}
