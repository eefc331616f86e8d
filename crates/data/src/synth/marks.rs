//! Renders the data: bars, lines, points and boxes, and their keys in the legend.

use super::layout::{KEY_WIDTH, Rect};
use super::recipe::{BoxPlot, ChartType, Data, Recipe, Series};
use super::render::Canvas;
use super::scale::Scale;
use super::style::Marker;
use super::svg::{Anchor, Stroke, Svg, Text};

const INK: &str = "#000000";

/// Draws all series.
pub(super) fn draw_series(svg: &mut Svg, recipe: &Recipe, canvas: &Canvas) {
    for (index, series) in recipe.series.iter().enumerate() {
        match &series.data {
            Data::Values(values) if recipe.chart_type == ChartType::Line => {
                line(svg, canvas, index, values)
            }
            Data::Values(values) => bars(svg, canvas, index, values),
            Data::Points(points) => self::points(svg, canvas, index, points),
            Data::Boxes(boxes) => self::boxes(svg, canvas, index, boxes),
        }
    }
}

/// The key of series `index`, its middle line at `y`.
pub(super) fn draw_key(svg: &mut Svg, recipe: &Recipe, index: usize, (x, y): (f64, f64)) {
    match recipe.chart_type {
        ChartType::Line => {
            svg.line((x, y), (x + KEY_WIDTH, y), line_stroke(recipe, index));
            if recipe.style.show_markers {
                marker(svg, recipe, index, (x + KEY_WIDTH / 2.0, y));
            }
        }
        ChartType::Scatter => marker(svg, recipe, index, (x + KEY_WIDTH / 2.0, y)),
        _ => svg.rect(
            x + 4.0,
            y - 5.0,
            KEY_WIDTH - 8.0,
            10.0,
            &fill(recipe, index),
            Some(outline(recipe, index)),
        ),
    }
}

fn fill(recipe: &Recipe, index: usize) -> String {
    let paint = recipe.style.paint(index);
    if paint.hatch.is_some() {
        format!("url(#h{index})")
    } else {
        paint.fill.to_owned()
    }
}

fn outline(recipe: &Recipe, index: usize) -> Stroke<'static> {
    let plain = !recipe.style.outlines && !recipe.style.greyscale;
    Stroke::solid(
        if plain {
            recipe.style.paint(index).fill
        } else {
            INK
        },
        1.0,
    )
}

fn line_stroke(recipe: &Recipe, index: usize) -> Stroke<'static> {
    let style = &recipe.style;
    Stroke {
        colour: style.paint(index).ink,
        width: style.line_width,
        dash: style.dash(index),
    }
}

fn marker(svg: &mut Svg, recipe: &Recipe, index: usize, (x, y): (f64, f64)) {
    let paint = recipe.style.paint(index);
    let r = recipe.style.marker_size;
    let fill = paint.fill;
    let stroke = Stroke::solid(paint.ink, 1.0);
    match recipe.style.marker(index) {
        Marker::Circle => svg.circle((x, y), r, fill, stroke),
        Marker::Square => svg.rect(x - r, y - r, 2.0 * r, 2.0 * r, fill, Some(stroke)),
        Marker::Diamond => {
            let r = r * 1.3;
            svg.polygon(
                &[(x, y - r), (x + r, y), (x, y + r), (x - r, y)],
                fill,
                stroke,
            );
        }
        Marker::Triangle => {
            let r = r * 1.2;
            svg.polygon(
                &[(x, y - r), (x + r, y + r * 0.8), (x - r, y + r * 0.8)],
                fill,
                stroke,
            );
        }
        Marker::Cross => {
            let stroke = Stroke::solid(paint.ink, 1.5);
            svg.line((x - r, y - r), (x + r, y + r), stroke);
            svg.line((x - r, y + r), (x + r, y - r), stroke);
        }
    }
}

/// The length of an error bar in quanta; it does not leave the axis.
fn error(slot: usize, index: usize, value: i64, scale: &Scale) -> f64 {
    let reach = (4 + (slot * 5 + index * 3 + value.unsigned_abs() as usize) % 7) as f64 / 4.0;
    reach
        .min((scale.high() - value) as f64)
        .min((value - scale.low()) as f64)
        .max(0.2)
}

/// An error bar between two fractions of the value axis, with caps.
fn error_bar(svg: &mut Svg, canvas: &Canvas, base: f64, (from, to): (f64, f64), cap: f64) {
    let stroke = Stroke::solid(INK, 1.0);
    svg.line(canvas.point(base, from), canvas.point(base, to), stroke);
    let cap = cap / canvas.base_length();
    svg.line(
        canvas.point(base - cap, to),
        canvas.point(base + cap, to),
        stroke,
    );
}

fn line(svg: &mut Svg, canvas: &Canvas, index: usize, values: &[i64]) {
    let recipe = canvas.recipe;
    let scale = &recipe.value;
    let mut points = Vec::with_capacity(values.len());
    for (slot, &value) in values.iter().enumerate() {
        points.push(canvas.point(recipe.base.fraction(slot), scale.fraction_of(value)));
    }
    svg.polyline(&points, line_stroke(recipe, index));
    if recipe.style.error_bars {
        for (slot, &value) in values.iter().enumerate() {
            let reach = error(slot, index, value, scale) / Scale::PER_TICK as f64;
            let middle = value as f64 / Scale::PER_TICK as f64;
            for end in [middle - reach, middle + reach] {
                let span = (scale.fraction(middle), scale.fraction(end));
                error_bar(svg, canvas, recipe.base.fraction(slot), span, 4.0);
            }
        }
    }
    if recipe.style.show_markers {
        for point in points {
            marker(svg, recipe, index, point);
        }
    }
}

fn points(svg: &mut Svg, canvas: &Canvas, index: usize, points: &[(f64, f64)]) {
    let recipe = canvas.recipe;
    let super::recipe::Base::Numbers(base) = &recipe.base else {
        return;
    };
    let fractions: Vec<_> = points
        .iter()
        .map(|&(x, y)| (base.fraction(x), recipe.value.fraction(y)))
        .collect();
    let pixels: Vec<_> = fractions.iter().map(|&(x, y)| canvas.point(x, y)).collect();
    if recipe.style.show_lines {
        svg.polyline(&pixels, line_stroke(recipe, index));
        return;
    }
    for &pixel in &pixels {
        marker(svg, recipe, index, pixel);
    }
    if recipe.style.trend_line {
        let (slope, start) = least_squares(&fractions);
        let end = |x: f64| canvas.point(x, (start + slope * x).clamp(0.0, 1.0));
        svg.line(
            end(0.03),
            end(0.97),
            Stroke::solid(recipe.style.paint(index).ink, 1.4),
        );
    }
}

/// Slope and intercept.
fn least_squares(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len().max(1) as f64;
    let (mean_x, mean_y) = points.iter().fold((0.0, 0.0), |sum, p| {
        (sum.0 + p.0 / count, sum.1 + p.1 / count)
    });
    let covariance: f64 = points.iter().map(|p| (p.0 - mean_x) * (p.1 - mean_y)).sum();
    let variance: f64 = points.iter().map(|p| (p.0 - mean_x).powi(2)).sum();
    let slope = if variance > 0.0 {
        covariance / variance
    } else {
        0.0
    };
    (slope, mean_y - slope * mean_x)
}

/// The middle of a series' bar or box in a slot and its width, both as fractions of the base axis.
fn bar_span(recipe: &Recipe, index: usize, slot: usize) -> (f64, f64) {
    let slot_width = 1.0 / recipe.base.len().max(1) as f64;
    let width = slot_width * recipe.style.fill_ratio / recipe.series.len().max(1) as f64;
    let offset = (index as f64 - (recipe.series.len() as f64 - 1.0) / 2.0) * width;
    (recipe.base.fraction(slot) + offset, width)
}

/// The pixels between two corners given as (base, value) fractions.
fn area(canvas: &Canvas, a: (f64, f64), b: (f64, f64)) -> Rect {
    let ((x1, y1), (x2, y2)) = (canvas.point(a.0, a.1), canvas.point(b.0, b.1));
    Rect {
        x: x1.min(x2),
        y: y1.min(y2),
        width: (x1 - x2).abs(),
        height: (y1 - y2).abs(),
    }
}

fn bars(svg: &mut Svg, canvas: &Canvas, index: usize, values: &[i64]) {
    let recipe = canvas.recipe;
    let scale = &recipe.value;
    let zero = scale.fraction_of(0);
    for (slot, &value) in values.iter().enumerate() {
        let (middle, width) = bar_span(recipe, index, slot);
        let top = scale.fraction_of(value);
        let Rect {
            x,
            y,
            width: w,
            height: h,
        } = area(
            canvas,
            (middle - width / 2.0, zero),
            (middle + width / 2.0, top),
        );
        svg.rect(
            x,
            y,
            w,
            h,
            &fill(recipe, index),
            Some(outline(recipe, index)),
        );
        let mut end = top;
        if recipe.style.error_bars {
            let reach = error(slot, index, value, scale) * if value < 0 { -1.0 } else { 1.0 };
            end = scale.fraction((value as f64 + reach) / Scale::PER_TICK as f64);
            error_bar(
                svg,
                canvas,
                middle,
                (top, end),
                (width * canvas.base_length() * 0.2).min(5.0),
            );
        }
        if recipe.style.stars && (slot * 7 + index * 4 + recipe.width as usize).is_multiple_of(3) {
            let (x, y) = canvas.point(middle, end);
            let (size, text) = (
                recipe.style.tick_size,
                if slot % 2 == 0 { "*" } else { "**" },
            );
            svg.text(&Text {
                x,
                y: y + size * 0.1 - 1.0,
                anchor: Anchor::Middle,
                size,
                turn: 0.0,
                bold: false,
                text,
            });
        }
    }
    if recipe.style.value_labels {
        value_labels(svg, canvas, index, values);
    }
}

/// The values at the ends of the bars, if they fit.
fn value_labels(svg: &mut Svg, canvas: &Canvas, index: usize, values: &[i64]) {
    let recipe = canvas.recipe;
    let size = (recipe.style.tick_size * 0.85).round();
    let longest = recipe
        .series
        .iter()
        .filter_map(Series::values)
        .flatten()
        .map(|&value| recipe.value.value(value));
    let widest = longest
        .map(|text| svg.width(&text, size))
        .fold(0.0, f64::max);
    for (slot, &value) in values.iter().enumerate() {
        let (middle, width) = bar_span(recipe, index, slot);
        let room = width * canvas.base_length();
        if room < if recipe.horizontal() { size } else { widest } {
            return;
        }
        let (x, y) = canvas.point(middle, recipe.value.fraction_of(value));
        let (x, y, anchor) = match (recipe.horizontal(), value < 0) {
            (true, false) => (x + 3.0, y + size * 0.35, Anchor::Start),
            (true, true) => (x - 3.0, y + size * 0.35, Anchor::End),
            (false, false) => (x, y - 3.0, Anchor::Middle),
            (false, true) => (x, y + size, Anchor::Middle),
        };
        svg.text(&Text {
            x,
            y,
            anchor,
            size,
            turn: 0.0,
            bold: false,
            text: &recipe.value.value(value),
        });
    }
}

fn boxes(svg: &mut Svg, canvas: &Canvas, index: usize, boxes: &[BoxPlot]) {
    let recipe = canvas.recipe;
    let fraction = |value: i64| recipe.value.fraction_of(value);
    for (slot, box_plot) in boxes.iter().enumerate() {
        let (middle, slot_width) = bar_span(recipe, index, slot);
        let half = slot_width * 0.4;
        let cap = half * canvas.base_length() * 0.5;
        error_bar(
            svg,
            canvas,
            middle,
            (fraction(box_plot.upper), fraction(box_plot.max)),
            cap,
        );
        error_bar(
            svg,
            canvas,
            middle,
            (fraction(box_plot.lower), fraction(box_plot.min)),
            cap,
        );
        let Rect {
            x,
            y,
            width,
            height,
        } = area(
            canvas,
            (middle - half, fraction(box_plot.lower)),
            (middle + half, fraction(box_plot.upper)),
        );
        svg.rect(
            x,
            y,
            width,
            height,
            &fill(recipe, index),
            Some(Stroke::solid(INK, 1.0)),
        );
        let dark = matches!(
            recipe.style.paint(index).fill,
            "#000000" | "#505050" | "#000080" | "#333333"
        );
        let median = Stroke::solid(if dark { "#ffffff" } else { INK }, 2.0);
        svg.line(
            canvas.point(middle - half, fraction(box_plot.median)),
            canvas.point(middle + half, fraction(box_plot.median)),
            median,
        );
        for &value in &box_plot.outliers {
            svg.circle(
                canvas.point(middle, fraction(value)),
                2.5,
                "none",
                Stroke::solid(INK, 1.0),
            );
        }
    }
}
