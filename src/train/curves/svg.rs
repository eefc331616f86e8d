//! Curves as an SVG picture: losses above, validation scores below.

use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::{Curves, Line};

const SIZE: (u32, u32) = (900, 720);
const FONT: &str = "sans-serif";
/// Of the lines: told apart by those who see no red or green, too (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
const PALE: RGBColor = RGBColor(200, 215, 230);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One panel's line.
struct Drawn<'a> {
    name: &'a str,
    line: &'a Line,
    colour: RGBColor,
    /// Few points far apart are marked.
    dots: bool,
}

impl Curves {
    /// The picture, for people and for `report`. `title` stands above it.
    ///
    /// # Errors
    /// Nothing to draw.
    pub fn svg(&self, title: &str) -> Result<String> {
        let steps = self.steps().context("there is no step to draw: the training log is empty")?;
        let mut text = String::new();
        {
            let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
            self.draw(&area, title, steps).map_err(|error| anyhow!("cannot draw the curves: {error}"))?;
        }
        Ok(text)
    }

    fn draw(&self, area: &Area<'_>, title: &str, steps: (u64, u64)) -> Result<(), Box<dyn std::error::Error>> {
        area.fill(&WHITE)?;
        let area = area.titled(title, (FONT, 22))?;
        let losses = [
            Drawn { name: "batch", line: &self.loss, colour: PALE, dots: false },
            Drawn { name: "mean of 20 steps", line: &self.smooth_loss, colour: COLOURS[0], dots: false },
            Drawn { name: "validation", line: &self.validation_loss, colour: COLOURS[1], dots: true },
        ];
        let highest = losses.iter().flat_map(|drawn| drawn.line).map(|&(_, value)| value).fold(0.0, f64::max);
        let scores: Vec<Drawn<'_>> = self
            .scores
            .iter()
            .zip(COLOURS.into_iter().cycle())
            .map(|((name, line), colour)| Drawn { name, line, colour, dots: true })
            .collect();
        if scores.is_empty() {
            panel(&area, "loss", &losses, steps, highest, SeriesLabelPosition::UpperRight)?;
        } else {
            let (above, below) = area.split_vertically((area.dim_in_pixel().1 / 2) as i32);
            panel(&above, "loss", &losses, steps, highest, SeriesLabelPosition::UpperRight)?;
            panel(&below, "validation score", &scores, steps, 1.0, SeriesLabelPosition::LowerRight)?;
        }
        area.present()?;
        Ok(())
    }
}

/// `names` is the corner that the lines leave free: losses fall, scores rise.
fn panel(
    area: &Area<'_>,
    label: &str,
    lines: &[Drawn<'_>],
    (first, last): (u64, u64),
    highest: f64,
    names: SeriesLabelPosition,
) -> Result<(), Box<dyn std::error::Error>> {
    // An axis without extent cannot be drawn.
    let top = if highest > 0.0 { highest * 1.02 } else { 1.0 };
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(first as f64..last.max(first + 1) as f64, 0.0..top)?;
    chart
        .configure_mesh()
        .x_desc("step")
        .y_desc(label)
        .label_style((FONT, 14))
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|step| format!("{step:.0}"))
        .draw()?;
    for drawn in lines.iter().filter(|drawn| !drawn.line.is_empty()) {
        let points = drawn.line.iter().map(|&(step, value)| (step as f64, value));
        let style = drawn.colour.stroke_width(2);
        chart
            .draw_series(LineSeries::new(points.clone(), style))?
            .label(drawn.name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], style));
        if drawn.dots {
            chart.draw_series(points.map(|point| Circle::new(point, 3, drawn.colour.filled())))?;
        }
    }
    chart
        .configure_series_labels()
        .position(names)
        .background_style(WHITE.mix(0.8))
        .border_style(PALE)
        .label_font((FONT, 14))
        .draw()?;
    Ok(())
}
