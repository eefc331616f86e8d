//! Root and structural questions: the chart type and the parts of the chart.

use super::{Template, list, template, yes_no};
use crate::synth::recipe::{Base, ChartType, Recipe};
use crate::synth::style::Grid;
use chartbench_core::question::AnswerType::{
    Binary, Numerical, RankedList, String as Text, UnrankedList,
};
use chartbench_core::question::Gold;
use chartbench_core::seeded_draw::SeededRng;

type Answer = Option<(String, Gold)>;

pub(super) static TEMPLATES: &[Template] = &[
    // The weight asks this question about nearly every chart: it is half of the RealCQA study's
    // test questions.
    template("1", "1a", Text, 500, chart_type),
    template("2", "1b", Binary, 6, has_legend),
    template("3", "1c", Binary, 2, has_title),
    template("4", "2a", Text, 12, legend_place),
    template("5", "2b", Numerical, 10, series_count),
    template("6", "2c", Binary, 6, grid_lines),
    template("7", "2d", Binary, 5, negative_ticks),
    template("8", "2e", Binary, 5, error_bars),
    template("9", "2f", Numerical, 8, largest_tick),
    template("10", "2g", Numerical, 3, smallest_tick),
    template("11", "2h", Numerical, 5, tick_count),
    template("12", "2i", Numerical, 8, category_count),
    template("13", "2j", Text, 2, x_title),
    template("14", "2j", Text, 2, y_title),
    template("15", "2k", Text, 2, chart_title),
    template("16", "2l", UnrankedList, 3, legend_names),
    template("17", "2m", RankedList, 3, tick_labels),
    template("18", "2n", Text, 4, axis_kind),
];

fn chart_type(recipe: &Recipe, _: &mut SeededRng) -> Answer {
    Some((
        "What is the type of the chart?".into(),
        recipe.chart_type.answer().into(),
    ))
}

fn has_legend(recipe: &Recipe, _: &mut SeededRng) -> Answer {
    Some((
        "Is there a legend in the chart?".into(),
        yes_no(recipe.legend.is_some()),
    ))
}

fn has_title(recipe: &Recipe, _: &mut SeededRng) -> Answer {
    Some((
        "Does the chart have a title?".into(),
        yes_no(recipe.title.is_some()),
    ))
}

fn legend_place(recipe: &Recipe, _: &mut SeededRng) -> Answer {
    Some((
        "Where is the legend placed?".into(),
        recipe.legend?.answer().into(),
    ))
}

fn series_count(recipe: &Recipe, _: &mut SeededRng) -> Answer {
    Some((
        "How many data series are plotted?".into(),
        Gold::Text(recipe.series.len().to_string()),
    ))
}

fn grid_lines(recipe: &Recipe, _: &mut SeededRng) -> Answer {
    Some((
        "Are grid lines drawn?".into(),
        yes_no(recipe.style.grid != Grid::None),
    ))
}

fn negative_ticks(recipe: &Recipe, _: &mut SeededRng) -> Answer {
    let (axis, _) = recipe.axis_names();
    Some((
        format!("Does the {axis} have negative ticks?"),
        yes_no(recipe.value.first < 0),
    ))
}

fn error_bars(recipe: &Recipe, _: &mut SeededRng) -> Answer {
    let bars_or_lines =
        matches!(recipe.base, Base::Categories(_)) && recipe.chart_type != ChartType::VerticalBox;
    bars_or_lines.then(|| {
        (
            "Are error bars drawn?".into(),
            yes_no(recipe.style.error_bars),
        )
    })
}

fn largest_tick(recipe: &Recipe, _: &mut SeededRng) -> Answer {
    let (axis, _) = recipe.axis_names();
    Some((
        format!("What is the largest tick of the {axis}?"),
        Gold::Text(recipe.value.label(recipe.value.last)),
    ))
}

/// Most axes begin at zero: of those it is asked now and then only.
fn smallest_tick(recipe: &Recipe, rng: &mut SeededRng) -> Answer {
    let (axis, _) = recipe.axis_names();
    let asked = rng.chance(0.3) || recipe.value.first != 0;
    asked.then(|| {
        (
            format!("What is the smallest tick of the {axis}?"),
            Gold::Text(recipe.value.label(recipe.value.first)),
        )
    })
}

fn tick_count(recipe: &Recipe, _: &mut SeededRng) -> Answer {
    let (axis, _) = recipe.axis_names();
    Some((
        format!("How many tick labels does the {axis} have?"),
        Gold::Text(recipe.value.ticks().to_string()),
    ))
}

fn category_count(recipe: &Recipe, _: &mut SeededRng) -> Answer {
    let Base::Categories(names) = &recipe.base else {
        return None;
    };
    let (_, axis) = recipe.axis_names();
    Some((
        format!("How many categories are on the {axis}?"),
        Gold::Text(names.len().to_string()),
    ))
}

fn x_title(recipe: &Recipe, _: &mut SeededRng) -> Answer {
    Some((
        "What is the title of the x-axis?".into(),
        recipe.x_title()?.into(),
    ))
}

fn y_title(recipe: &Recipe, _: &mut SeededRng) -> Answer {
    Some((
        "What is the title of the y-axis?".into(),
        recipe.y_title()?.into(),
    ))
}

fn chart_title(recipe: &Recipe, _: &mut SeededRng) -> Answer {
    Some((
        "What is the title of the chart?".into(),
        recipe.title.as_deref()?.into(),
    ))
}

fn legend_names(recipe: &Recipe, _: &mut SeededRng) -> Answer {
    recipe.legend?;
    Some((
        "What are the legend labels?".into(),
        list(recipe.series.iter().map(|series| series.name.clone())),
    ))
}

fn tick_labels(recipe: &Recipe, _: &mut SeededRng) -> Answer {
    let (_, axis) = recipe.axis_names();
    let order = if recipe.horizontal() {
        "from top to bottom"
    } else {
        "from left to right"
    };
    Some((
        format!("List the tick labels of the {axis} {order}."),
        list(recipe.base.labels()),
    ))
}

fn axis_kind(recipe: &Recipe, _: &mut SeededRng) -> Answer {
    let kind = match recipe.base {
        Base::Categories(_) if recipe.horizontal() => return None,
        // Years and doses on evenly spaced slots could be called either.
        Base::Categories(_) if recipe.chart_type == ChartType::Line => return None,
        Base::Categories(_) => "categorical",
        Base::Numbers(_) => "numerical",
    };
    Some((
        "Is the x-axis categorical or numerical?".into(),
        kind.into(),
    ))
}
