//! Values with intervals, one bar below the other.

use anyhow::{Result, ensure};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{COLOURS, Drawn, FONT, svg, truncate};

/// One bar, from 0 to its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Label left of the bar, cut to 44 characters.
    pub name: String,
    /// Bars of one group have one colour.
    pub group: usize,
    /// Value in the axis's unit; the bar stays within the axis.
    pub value: f64,
    /// Drawn as a line across the bar's end.
    pub interval: Option<(f64, f64)>,
}

const WIDTH: u32 = 900;
const BAR_HEIGHT: u32 = 30;
/// Title, axis and margins.
const FRAME_HEIGHT: u32 = 130;
/// Pixels of a letter, on average.
const CHAR_WIDTH: usize = 8;
const MAX_LABEL_CHARS: usize = 44;

/// The bars below each other on an axis from 0 to `top`; negative values are drawn as 0.
///
/// # Errors
/// Returns an error if there is no bar.
pub fn draw_bars(title: &str, axis: &str, top: f64, bars: &[Bar]) -> Result<String> {
    ensure!(!bars.is_empty(), "there is nothing to draw");
    let height = BAR_HEIGHT * u32::try_from(bars.len())? + FRAME_HEIGHT;
    let longest = bars
        .iter()
        .map(|bar| bar.name.chars().count())
        .max()
        .unwrap_or(0)
        .min(MAX_LABEL_CHARS);
    svg((WIDTH, height), title, |area| -> Drawn {
        let count = bars.len() as f64;
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .margin_right(28)
            .x_label_area_size(40)
            .y_label_area_size((longest * CHAR_WIDTH + 16) as u32)
            .build_cartesian_2d(0.0..top, 0.0..count)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .light_line_style(TRANSPARENT)
            .x_desc(axis)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .label_style((FONT, 14))
            .draw()?;
        for (place, bar) in bars.iter().enumerate() {
            let middle = count - place as f64 - 0.5;
            let colour = COLOURS[bar.group % COLOURS.len()];
            let corners = [
                (0.0, middle - 0.3),
                (bar.value.clamp(0.0, top), middle + 0.3),
            ];
            chart.draw_series([Rectangle::new(corners, colour.mix(0.75).filled())])?;
            if let Some((low, high)) = bar.interval {
                let whisker =
                    |x: f64| PathElement::new([(x, middle - 0.15), (x, middle + 0.15)], BLACK);
                let (low, high) = (low.clamp(0.0, top), high.clamp(0.0, top));
                let across = PathElement::new([(low, middle), (high, middle)], BLACK);
                chart.draw_series([across, whisker(low), whisker(high)])?;
            }
            let shown = truncate(&bar.name, MAX_LABEL_CHARS);
            let style = (FONT, 14)
                .into_text_style(area)
                .pos(Pos::new(HPos::Right, VPos::Center));
            chart.draw_series([
                EmptyElement::at((0.0, middle)) + Text::new(shown, (-8, 0), style)
            ])?;
        }
        Ok(())
    })
}
