//! Retrieval and reasoning questions: what the data say.

use super::{Template, list, template, yes_no};
use crate::synth::dice::Dice;
use crate::synth::recipe::{BoxPlot, ChartType, Recipe, Series};
use crate::synth::scale::Scale;
use chartbench_core::question::AnswerType::{Binary, Numerical, RankedList, String as Text, UnrankedList};
use chartbench_core::question::Gold;

type Answer = Option<(String, Gold)>;

pub static TEMPLATES: &[Template] = &[
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

/// A series that a question can name: by its legend entry, or by being the only one.
fn named<'a>(recipe: &'a Recipe, dice: &mut Dice) -> Option<(&'a Series, String)> {
    let series = dice.pick(&recipe.series)?;
    match recipe.legend {
        Some(_) => Some((series, format!(" of {}", series.name))),
        None if recipe.series.len() == 1 => Some((series, String::new())),
        None => None,
    }
}

/// A nameable series of values, with its phrase and the texts of its places.
fn valued<'a>(recipe: &'a Recipe, dice: &mut Dice) -> Option<(&'a [i64], String, Vec<String>)> {
    let (series, of) = named(recipe, dice)?;
    Some((series.values()?, of, recipe.base.labels()))
}

/// A nameable box, with its phrase.
fn boxed<'a>(recipe: &'a Recipe, dice: &mut Dice) -> Option<(&'a BoxPlot, String)> {
    let (series, of) = named(recipe, dice)?;
    let slot = dice.count(0, recipe.base.len().saturating_sub(1));
    let place = recipe.base.labels().get(slot)?.clone();
    Some((series.boxes()?.get(slot)?, format!("{of} at {place}")))
}

/// The place of the only largest value.
fn peak(values: &[i64]) -> Option<usize> {
    let largest = values.iter().max()?;
    let mut places = values.iter().enumerate().filter(|(_, value)| *value == largest);
    let (place, _) = places.next()?;
    places.next().is_none().then_some(place)
}

/// A tick no value lies on, between the smallest and the largest value.
fn threshold(recipe: &Recipe, values: &[i64], dice: &mut Dice) -> Option<i64> {
    let ticks: Vec<i64> = (recipe.value.first..=recipe.value.last)
        .filter(|tick| {
            let quanta = tick * Scale::PER_TICK;
            !values.contains(&quanta) && values.iter().any(|&v| v < quanta) && values.iter().any(|&v| v > quanta)
        })
        .collect();
    dice.pick(&ticks).copied()
}

fn value_at(recipe: &Recipe, dice: &mut Dice) -> Answer {
    let (values, of, places) = valued(recipe, dice)?;
    let slot = dice.count(0, values.len().saturating_sub(1));
    let text = format!("What is the value{of} at {}?", places.get(slot)?);
    Some((text, Gold::Text(recipe.value.value(*values.get(slot)?))))
}

fn largest_place(recipe: &Recipe, dice: &mut Dice) -> Answer {
    if let Some((values, of, places)) = valued(recipe, dice) {
        return Some((format!("Where is the value{of} largest?"), Gold::Text(places.get(peak(values)?)?.clone())));
    }
    let (series, of) = named(recipe, dice)?;
    let medians: Vec<i64> = series.boxes()?.iter().map(|one| one.median).collect();
    let place = recipe.base.labels().get(peak(&medians)?)?.clone();
    Some((format!("Where is the median{of} largest?"), Gold::Text(place)))
}

fn above_tick(recipe: &Recipe, dice: &mut Dice) -> Answer {
    let (values, of, places) = valued(recipe, dice)?;
    let tick = threshold(recipe, values, dice)?;
    // Either answer is as likely, however the values lie.
    let above = dice.chance(0.5);
    let slots: Vec<usize> =
        (0..values.len()).filter(|&slot| (values[slot] > tick * Scale::PER_TICK) == above).collect();
    let place = places.get(*dice.pick(&slots)?)?;
    Some((format!("Is the value{of} at {place} above {}?", recipe.value.label(tick)), yes_no(above)))
}

fn median_at(recipe: &Recipe, dice: &mut Dice) -> Answer {
    let (one, phrase) = boxed(recipe, dice)?;
    Some((format!("What is the median{phrase}?"), Gold::Text(recipe.value.value(one.median))))
}

fn largest_value(recipe: &Recipe, dice: &mut Dice) -> Answer {
    let (values, of, _) = valued(recipe, dice)?;
    Some((format!("What is the largest value{of}?"), Gold::Text(recipe.value.value(*values.iter().max()?))))
}

/// Two places with different values, the larger first or second by a coin.
fn two_places(values: &[i64], dice: &mut Dice) -> Option<(usize, usize)> {
    let slots: Vec<usize> = (0..values.len()).collect();
    let [&a, &b] = dice.some(&slots, 2, false)[..] else { return None };
    (values[a] != values[b]).then_some((a, b))
}

fn larger_of_two(recipe: &Recipe, dice: &mut Dice) -> Answer {
    let (values, of, places) = valued(recipe, dice)?;
    let (a, b) = two_places(values, dice)?;
    let text = format!("Is the value{of} larger at {} than at {}?", places.get(a)?, places.get(b)?);
    Some((text, yes_no(values.get(a)? > values.get(b)?)))
}

fn difference(recipe: &Recipe, dice: &mut Dice) -> Answer {
    let (values, of, places) = valued(recipe, dice)?;
    let (a, b) = two_places(values, dice)?;
    let text = format!("By how much do the values{of} at {} and {} differ?", places.get(a)?, places.get(b)?);
    Some((text, Gold::Text(recipe.value.value((values.get(a)? - values.get(b)?).abs()))))
}

fn ranking(recipe: &Recipe, dice: &mut Dice) -> Answer {
    recipe.legend?;
    let slot = dice.count(0, recipe.base.len().saturating_sub(1));
    let mut order: Vec<(i64, &str)> = recipe
        .series
        .iter()
        .map(|series| Some((*series.values()?.get(slot)?, series.name.as_str())))
        .collect::<Option<_>>()?;
    order.sort_unstable_by_key(|&(value, _)| -value);
    let distinct = order.windows(2).all(|pair| pair[0].0 != pair[1].0);
    let place = recipe.base.labels().get(slot)?.clone();
    (order.len() > 1 && distinct).then(|| {
        let names = order.into_iter().map(|(_, name)| name.to_owned());
        (format!("Rank the legend labels by value at {place}, largest first."), list(names))
    })
}

fn places_above(recipe: &Recipe, dice: &mut Dice) -> Answer {
    let (values, of, places) = valued(recipe, dice)?;
    let tick = threshold(recipe, values, dice)?;
    let above = places.into_iter().zip(values).filter(|&(_, &value)| value > tick * Scale::PER_TICK);
    let names = above.map(|(place, _)| place);
    Some((format!("Where is the value{of} above {}?", recipe.value.label(tick)), list(names)))
}

fn count_above(recipe: &Recipe, dice: &mut Dice) -> Answer {
    let (values, of, _) = valued(recipe, dice)?;
    let tick = threshold(recipe, values, dice)?;
    let count = values.iter().filter(|&&value| value > tick * Scale::PER_TICK).count();
    let text = format!("How many values{of} are above {}?", recipe.value.label(tick));
    Some((text, Gold::Text(count.to_string())))
}

/// Scatter: the drift of the cloud. Line: from the first to the last point, where that is clear to see.
fn rise_or_fall(recipe: &Recipe, dice: &mut Dice) -> Answer {
    let (rising, of) = match recipe.chart_type {
        ChartType::Scatter => (recipe.rising?, String::new()),
        ChartType::Line => {
            let (values, of, _) = valued(recipe, dice)?;
            let change = values.last()? - values.first()?;
            if change.abs() * 5 < recipe.value.high() - recipe.value.low() {
                return None;
            }
            (change > 0, of)
        }
        _ => return None,
    };
    let answer = if rising { "rise" } else { "fall" };
    Some((format!("Do the values{of} rise or fall along the x-axis?"), answer.into()))
}

fn quartile_range(recipe: &Recipe, dice: &mut Dice) -> Answer {
    let (one, phrase) = boxed(recipe, dice)?;
    Some((format!("What is the interquartile range{phrase}?"), Gold::Text(recipe.value.value(one.upper - one.lower))))
}
