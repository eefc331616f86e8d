//! Values with intervals, one bar below the other.

use anyhow::{Result, ensure};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{
    Area, BLIND, COLOURS, Drawn, LINE_CHARS, LINE_HEIGHT, MARGIN, Scale, WIDTH, letters, svg,
    wrapped,
};

/// One bar, from 0 to its value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bar {
    /// Label above the bar.
    pub name: String,
    /// Bars of one group have one colour.
    pub group: usize,
    /// Value in the axis's unit; the bar stays within the axis.
    pub value: f64,
    /// Drawn as a line across the bar's end.
    pub interval: Option<(f64, f64)>,
    /// Whether the bar is of a blind row: hollow and grey.
    pub blind: bool,
}

const BAR_HEIGHT: i32 = 14;
const GAP: i32 = 8;
const AXIS_HEIGHT: i32 = 46;
/// Letters of a name beside its value and interval.
const NAME_CHARS: usize = LINE_CHARS - 20;

/// The bars below each other on an axis from 0, which goes no farther than `top`; negative values
/// are drawn as 0.
///
/// # Errors
/// Returns an error if there is no bar.
pub fn draw_bars(title: &str, axis: &str, top: f64, bars: &[Bar]) -> Result<String> {
    ensure!(!bars.is_empty(), "there is nothing to draw");
    let ends = |bar: &Bar| [bar.value, bar.interval.map_or(0.0, |(_, high)| high)];
    let scale = Scale::around(bars.iter().flat_map(ends).chain([0.0]), (0.0, top));
    let names: Vec<Vec<String>> = bars
        .iter()
        .map(|bar| wrapped(&bar.name, NAME_CHARS))
        .collect();
    let height: i32 = names.iter().map(|lines| bar_height(lines)).sum();
    let height = height + AXIS_HEIGHT;
    svg(u32::try_from(height)?, title, |area| {
        draw_axis(area, axis, scale, height - AXIS_HEIGHT)?;
        let mut down = 0;
        for (bar, lines) in bars.iter().zip(&names) {
            draw_bar(area, bar, lines, scale, down)?;
            down += bar_height(lines);
        }
        Ok(())
    })
}

/// Height of a bar with the lines of its name.
fn bar_height(lines: &[String]) -> i32 {
    lines.len() as i32 * LINE_HEIGHT as i32 + BAR_HEIGHT + GAP
}

/// The x-position of a value.
fn across(scale: Scale, value: f64) -> i32 {
    let width = f64::from(WIDTH - 2 * MARGIN);
    MARGIN as i32 + (scale.place(value) * width).round() as i32
}

fn draw_axis(area: &Area<'_>, label: &str, scale: Scale, down: i32) -> Drawn {
    let middle = letters(area).pos(Pos::new(HPos::Center, VPos::Top));
    for tick in scale.ticks() {
        let x = across(scale, tick);
        area.draw(&PathElement::new([(x, 0), (x, down)], BLACK.mix(0.12)))?;
        area.draw(&Text::new(scale.text(tick), (x, down + 4), middle.clone()))?;
    }
    let ends = [
        (across(scale, scale.low), down),
        (across(scale, scale.high), down),
    ];
    area.draw(&PathElement::new(ends, BLACK))?;
    let at = (WIDTH as i32 / 2, down + 4 + LINE_HEIGHT as i32);
    area.draw(&Text::new(wrapped(label, LINE_CHARS).remove(0), at, middle))?;
    Ok(())
}

fn draw_bar(area: &Area<'_>, bar: &Bar, lines: &[String], scale: Scale, down: i32) -> Drawn {
    let (left, right) = (across(scale, 0.0), (WIDTH - MARGIN) as i32);
    let line_height = LINE_HEIGHT as i32;
    for (place, line) in lines.iter().enumerate() {
        let at = (left, down + place as i32 * line_height);
        area.draw(&Text::new(line.as_str(), at, letters(area)))?;
    }
    let value = match bar.interval {
        Some((low, high)) => format!("{:.1} ({low:.1} to {high:.1})", bar.value),
        None => format!("{:.1}", bar.value),
    };
    let at_right = letters(area).pos(Pos::new(HPos::Right, VPos::Top));
    area.draw(&Text::new(value, (right, down), at_right))?;
    let top = down + lines.len() as i32 * line_height;
    let colour = if bar.blind {
        BLIND
    } else {
        COLOURS[bar.group % COLOURS.len()]
    };
    let corners = [(left, top), (across(scale, bar.value), top + BAR_HEIGHT)];
    let fill = if bar.blind { 0.2 } else { 0.8 };
    area.draw(&Rectangle::new(corners, colour.mix(fill).filled()))?;
    area.draw(&Rectangle::new(corners, colour.stroke_width(1)))?;
    if let Some((low, high)) = bar.interval {
        let middle = top + BAR_HEIGHT / 2;
        let (low, high) = (across(scale, low), across(scale, high));
        for ends in [
            [(low, middle), (high, middle)],
            [(low, middle - 4), (low, middle + 4)],
            [(high, middle - 4), (high, middle + 4)],
        ] {
            area.draw(&PathElement::new(ends, BLACK))?;
        }
    }
    Ok(())
}
