//! Lines over a number, in panels below each other.

use anyhow::{Context, Result};
use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::{Area, COLOURS, Drawn, FONT, PALE, svg, truncate};

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Label in the legend, cut to 28 characters.
    pub name: String,
    /// Points `(x, y)` in the order in which they are joined.
    pub points: Vec<(f64, f64)>,
    /// Few points far apart are marked.
    pub dots: bool,
    /// Whether the line is drawn pale, in the background of its mean.
    pub faint: bool,
}

/// Lines with common axes. Lines with the same index in several panels share a colour.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Label of the x-axis.
    pub x: String,
    /// Label of the y-axis.
    pub y: String,
    /// The lines; those without a point are not drawn.
    pub lines: Vec<Line>,
    /// The end of the y-axis, which begins at 0; by default the highest point.
    pub top: Option<f64>,
}

const WIDTH: u32 = 900;
/// Height of one panel.
const PANEL_HEIGHT: u32 = 330;
const TITLE: u32 = 60;
/// The x-position of the legend, right of the axes.
const LEGEND_X: i32 = 670;
const MAX_LABEL_CHARS: usize = 28;

/// The panels below each other, in one range of x. Panels without a point are left out.
///
/// # Errors
/// Returns an error if there is no point.
pub fn draw_panels(title: &str, panels: &[Panel]) -> Result<String> {
    let panels: Vec<&Panel> = panels
        .iter()
        .filter(|panel| panel.points().next().is_some())
        .collect();
    let all = || {
        panels
            .iter()
            .flat_map(|panel| panel.points())
            .map(|(x, _)| x)
    };
    let (first, last) = (
        all().fold(f64::INFINITY, f64::min),
        all().fold(f64::NEG_INFINITY, f64::max),
    );
    let count = u32::try_from(panels.len())
        .ok()
        .filter(|count| *count > 0)
        .context("there is nothing to draw")?;
    svg((WIDTH, TITLE + PANEL_HEIGHT * count), title, |area| {
        let areas = area.split_evenly((panels.len(), 1));
        panels
            .iter()
            .zip(&areas)
            .try_for_each(|(panel, area)| panel.draw(area, first, last))
    })
}

impl Panel {
    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.lines
            .iter()
            .flat_map(|line| line.points.iter().copied())
    }

    fn draw(&self, area: &Area<'_>, first: f64, last: f64) -> Drawn {
        let highest = self.points().map(|(_, y)| y).fold(0.0, f64::max);
        // An axis without extent cannot be drawn.
        let top = self
            .top
            .unwrap_or(if highest > 0.0 { highest * 1.02 } else { 1.0 });
        let last = if last > first { last } else { first + 1.0 };
        let (area, names) = area.split_horizontally(LEGEND_X);
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(first..last, 0.0..top)?;
        chart
            .configure_mesh()
            .x_desc(&self.x)
            .y_desc(&self.y)
            .label_style((FONT, 14))
            .light_line_style(TRANSPARENT)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .draw()?;
        let strong = self.lines.iter().filter(|line| !line.faint).enumerate();
        let strong = strong
            .map(|(place, line)| (line, COLOURS[place % COLOURS.len()], place >= COLOURS.len()));
        let faint = self
            .lines
            .iter()
            .filter(|line| line.faint)
            .map(|line| (line, PALE, false));
        let drawn = faint
            .chain(strong)
            .filter(|(line, ..)| !line.points.is_empty());
        for (place, (line, colour, dashed)) in drawn.enumerate() {
            let (points, style) = (line.points.iter().copied(), colour.stroke_width(2));
            let height = 24 + 20 * place as i32;
            let sample = vec![(4, height), (26, height)];
            if dashed {
                chart.draw_series(DashedLineSeries::new(points.clone(), 6, 4, style))?;
                names.draw(&DashedPathElement::new(sample, 6, 4, style))?;
            } else {
                chart.draw_series(LineSeries::new(points.clone(), style))?;
                names.draw(&PathElement::new(sample, style))?;
            }
            if line.dots {
                chart.draw_series(points.map(|point| Circle::new(point, 3, colour.filled())))?;
            }
            names.draw(&Text::new(
                truncate(&line.name, MAX_LABEL_CHARS),
                (32, height - 7),
                (FONT, 14),
            ))?;
        }
        Ok(())
    }
}
