//! A recipe's numbers as CHART-Info annotates them.

use super::recipe::{Base, BoxPlot, Data, Recipe, Series};
use crate::data_series::{DataSeries, Point, Value};

/// The data series of a chart.
pub fn of(recipe: &Recipe) -> Vec<DataSeries> {
    let one = |series: &Series| DataSeries { data: data(recipe, series), name: Some(Value::Text(series.name.clone())) };
    recipe.series.iter().map(one).collect()
}

fn data(recipe: &Recipe, series: &Series) -> Vec<Point> {
    let number = |quanta: i64| Some(Value::Number(recipe.value.value(quanta).parse().unwrap_or(0.0)));
    let labels = recipe.base.labels();
    let named = |x: &String| Point { x: Some(Value::Text(x.clone())), ..Point::default() };
    match &series.data {
        Data::Values(values) => {
            labels.iter().zip(values).map(|(x, &value)| Point { y: number(value), ..named(x) }).collect()
        }
        Data::Points(points) => {
            let x = |x: f64| match &recipe.base {
                Base::Numbers(scale) => scale.number(x),
                Base::Categories(_) => x,
            };
            let point = |&(px, py): &(f64, f64)| Point {
                x: Some(Value::Number(x(px))),
                y: Some(Value::Number(recipe.value.number(py))),
                ..Point::default()
            };
            points.iter().map(point).collect()
        }
        Data::Boxes(boxes) => {
            let one = |(x, one): (&String, &BoxPlot)| Point {
                min: number(one.min),
                first_quartile: number(one.lower),
                median: number(one.median),
                third_quartile: number(one.upper),
                max: number(one.max),
                ..named(x)
            };
            labels.iter().zip(boxes).map(one).collect()
        }
    }
}
