//! The answers to questions from a table.

use super::question::{Measure, TemplateQuestion as Q};
use super::table::{Cells, ChartTable, Form, nearest, number};

/// The answer; `None` where the table does not say it.
pub(super) fn answer(asked: Q<'_>, table: &ChartTable<'_>) -> Option<String> {
    Some(match asked {
        Q::ChartType => chart_type(table).to_owned(),
        Q::ChartTitle => some_text(table.title)?,
        Q::XTitle => some_text(table.x_title)?,
        Q::HasTitle => yes_no(!table.title.is_empty()),
        // A legend tells several series apart.
        Q::HasLegend => yes_no(table.series.len() > 1),
        Q::LegendNames => list(&table.series)?,
        Q::SeriesCount => table.series.len().to_string(),
        Q::CategoryCount => Some(table.places().len())
            .filter(|&count| count > 0)?
            .to_string(),
        Q::TickLabels => list(table.places())?,
        Q::AxisKind => axis_kind(table).to_owned(),
        Q::HasNegativeTicks => yes_no(has_negative(table)),
        // The axis of a chart without negative values mostly begins at 0.
        Q::SmallestTick => (!has_negative(table)).then(|| "0".to_owned())?,
        Q::NotInTable => return None,
        Q::At {
            measure,
            series,
            label,
        } => at(table, measure, series, label)?,
        Q::WhereLargest { measure, series } => {
            let cells = column(table, measure, series)?;
            let index = largest(&cells)?;
            some_text(table.places().get(index)?)?
        }
        Q::LargestValue { series } => {
            let cells = column(table, Measure::Value, series)?;
            (*cells.get(largest(&cells)?)?).to_owned()
        }
        Q::IsAbove {
            series,
            label,
            threshold,
        } => yes_no(value(table, series, label)?.number > number(threshold)?),
        Q::WhereAbove { series, threshold } => {
            let cells = column(table, Measure::Value, series)?;
            let threshold = number(threshold)?;
            let places = table.places().iter().zip(&cells);
            let above = places.filter(|(_, cell)| number(cell).is_some_and(|x| x > threshold));
            list(&above.map(|(place, _)| *place).collect::<Vec<_>>())?
        }
        Q::CountAbove { series, threshold } => {
            let cells = column(table, Measure::Value, series)?;
            let threshold = number(threshold)?;
            let numbers = cells.iter().filter_map(|cell| number(cell));
            numbers.filter(|&x| x > threshold).count().to_string()
        }
        Q::IsLarger {
            series,
            first,
            second,
        } => {
            let [first, second] = [first, second].map(|label| value(table, series, label));
            yes_no(first?.number > second?.number)
        }
        Q::Difference {
            series,
            first,
            second,
        } => {
            let [first, second] = [first, second].map(|label| value(table, series, label));
            difference(first?.cell, second?.cell)?
        }
        Q::Ranking { label } => ranking(table, label)?,
        Q::Trend { series } => trend(table, series)?,
    })
}

fn yes_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The names that are not empty, as one answer.
fn list(names: &[&str]) -> Option<String> {
    let names: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| !name.is_empty())
        .collect();
    some_text(&names.join(", "))
}

fn chart_type(table: &ChartTable<'_>) -> &'static str {
    match table.form {
        Form::Boxes { .. } => "Vertical Boxplots",
        Form::Points(_) => "Scatter chart",
        Form::Values { .. } if table.has_numeric_places() => "Line chart",
        Form::Values { .. } => "Vertical Bar chart",
    }
}

fn axis_kind(table: &ChartTable<'_>) -> &'static str {
    let is_numerical = match table.form {
        Form::Points(_) => true,
        Form::Values { .. } => table.has_numeric_places(),
        Form::Boxes { .. } => false,
    };
    if is_numerical {
        "numerical"
    } else {
        "categorical"
    }
}

/// Whether a number on the value axis is below 0.
fn has_negative(table: &ChartTable<'_>) -> bool {
    let is_negative = |cell: &&str| number(cell).is_some_and(|number| number < 0.0);
    match &table.form {
        Form::Values { values, .. } => values.iter().flatten().any(is_negative),
        Form::Boxes { boxes, .. } => boxes
            .iter()
            .flat_map(|boxes| &boxes.minima)
            .any(is_negative),
        Form::Points(points) => points.iter().any(|&(_, y)| y < 0.0),
    }
}

/// The cells of a series.
fn column<'t>(table: &ChartTable<'t>, measure: Measure, series: Option<&str>) -> Option<Cells<'t>> {
    let index = table.series_index(series)?;
    match (&table.form, measure) {
        (Form::Values { values, .. }, Measure::Value) => values.get(index).cloned(),
        (Form::Boxes { boxes, .. }, Measure::Median) => Some(boxes.get(index)?.medians.clone()),
        _ => None,
    }
}

/// A cell with its number.
struct Reading<'t> {
    cell: &'t str,
    number: f64,
}

fn value<'t>(table: &ChartTable<'t>, series: Option<&str>, label: &str) -> Option<Reading<'t>> {
    let cells = column(table, Measure::Value, series)?;
    let cell = *cells.get(nearest(label, table.places())?)?;
    Some(Reading {
        cell,
        number: number(cell)?,
    })
}

fn at(
    table: &ChartTable<'_>,
    measure: Measure,
    series: Option<&str>,
    label: &str,
) -> Option<String> {
    let place = nearest(label, table.places())?;
    if measure == Measure::InterquartileRange {
        let Form::Boxes { boxes, .. } = &table.form else {
            return None;
        };
        let boxes = boxes.get(table.series_index(series)?)?;
        return difference(
            boxes.third_quartiles.get(place)?,
            boxes.first_quartiles.get(place)?,
        );
    }
    some_text(column(table, measure, series)?.get(place)?)
}

/// The index of the largest number, the first of several.
fn largest(cells: &[&str]) -> Option<usize> {
    let numbers = cells
        .iter()
        .enumerate()
        .filter_map(|(index, cell)| Some((index, number(cell)?)));
    let largest = numbers.reduce(|best, next| if next.1 > best.1 { next } else { best });
    largest.map(|(index, _)| index)
}

/// How far two numbers are apart, with no more decimals than they have.
fn difference(first: &str, second: &str) -> Option<String> {
    /// Beyond these decimals an f64 holds no more of a number of a chart.
    const MAX_DECIMALS: usize = 12;
    let decimals = |cell: &str| {
        let decimals = cell.split_once('.').map_or("", |(_, decimals)| decimals);
        decimals.chars().take_while(char::is_ascii_digit).count()
    };
    let places = decimals(first).max(decimals(second)).min(MAX_DECIMALS);
    let apart = (number(first)? - number(second)?).abs();
    let text = Some(format!("{apart:.places$}")).filter(|_| apart.is_finite())?;
    Some(if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    })
}

/// The series by their value at a place, the largest first; a series without a number has no rank.
fn ranking(table: &ChartTable<'_>, label: &str) -> Option<String> {
    let Form::Values { places, values } = &table.form else {
        return None;
    };
    let place = nearest(label, places)?;
    let series = table.series.iter().zip(values);
    let mut ranked: Vec<(f64, &str)> = series
        .filter_map(|(name, cells)| Some((number(cells.get(place)?)?, *name)))
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    list(&ranked.into_iter().map(|(_, name)| name).collect::<Vec<_>>())
}

/// Of values, the change from the first to the last; of points, the sign of their covariance.
fn trend(table: &ChartTable<'_>, series: Option<&str>) -> Option<String> {
    let change = match &table.form {
        Form::Points(points) => {
            let count = points.len() as f64;
            let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
            let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
            points
                .iter()
                .map(|(x, y)| (x - mean_x) * (y - mean_y))
                .sum::<f64>()
        }
        Form::Values { .. } => {
            let cells = column(table, Measure::Value, series)?;
            let mut numbers = cells.iter().filter_map(|cell| number(cell));
            let first = numbers.next()?;
            numbers.next_back()? - first
        }
        Form::Boxes { .. } => return None,
    };
    if change > 0.0 {
        Some("rise".to_owned())
    } else if change < 0.0 {
        Some("fall".to_owned())
    } else {
        None
    }
}
