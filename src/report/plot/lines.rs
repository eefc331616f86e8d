//! Lines over a number, in panels below each other.

use anyhow::{Result, ensure};
use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::{
    Area, BLIND, COLOURS, Drawn, FONT, FONT_SIZE, LINE_CHARS, LINE_HEIGHT, MARGIN, PALE, Scale,
    letters, svg, wrapped,
};

/// One line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Label in the legend below the panel.
    pub name: String,
    /// Points `(x, y)` in the order in which they are joined.
    pub points: Vec<(f64, f64)>,
    /// The band around the line: `(x, low, high)`.
    pub band: Vec<(f64, f64, f64)>,
    /// Few points far apart are marked.
    pub dots: bool,
    /// Whether the line is drawn pale, in the background of its mean.
    pub faint: bool,
    /// Whether the line is of a blind row: grey, each with dashes of its own.
    pub blind: bool,
}

impl Line {
    /// A line without a band.
    pub fn new(name: &str, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.to_owned(),
            points,
            ..Self::default()
        }
    }
}

/// Lines with common axes. Lines with the same index in several panels share a colour.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    /// Label of the x-axis.
    pub x: String,
    /// Label of the y-axis.
    pub y: String,
    /// The lines; those without a point are not drawn.
    pub lines: Vec<Line>,
    /// The largest value that there can be: the y-axis, which begins at 0, does not go beyond it.
    pub top: Option<f64>,
    /// A place on the x-axis that is marked, with its label.
    pub marker: Option<(f64, String)>,
}

/// Most points that are drawn of a line; more than a figure has columns show nothing more.
const MAX_POINTS: usize = 800;
/// Height of a panel without its legend.
const PANEL_HEIGHT: u32 = 250;
/// Height of the axis below the lines, and of the axis' label above them.
const AXIS_HEIGHT: u32 = 42;
const LABEL_HEIGHT: u32 = 20;

/// Dashes and the gaps between them: of lines beyond the colours, and of blind rows.
const DASHES: [(u32, u32); 3] = [(6, 4), (2, 3), (12, 3)];

/// How a line is drawn.
#[derive(Clone, Copy)]
struct Style {
    colour: RGBColor,
    dashes: Option<(u32, u32)>,
}

/// The x-axis of all panels, which begins at 0.
pub fn common_x(panels: &[Panel]) -> Scale {
    let points = panels.iter().flat_map(Panel::points);
    Scale::around(points.map(|(x, _)| x).chain([0.0]), (f64::MIN, f64::MAX))
}

/// The panels below each other, in one range of x. Panels without a point are left out.
///
/// # Errors
/// Returns an error if there is no point.
pub fn draw_panels(title: &str, panels: &[Panel]) -> Result<String> {
    let x = common_x(panels);
    let panels: Vec<&Panel> = panels.iter().filter(|panel| panel.has_points()).collect();
    ensure!(!panels.is_empty(), "there is nothing to draw");
    let height = panels.iter().map(|panel| panel.height()).sum();
    svg(height, title, |area| {
        let mut rest = area.clone();
        for panel in &panels {
            let (own, below) = rest.split_vertically(panel.height());
            panel.draw(&own, x)?;
            rest = below;
        }
        Ok(())
    })
}

/// The points that are drawn: at most [`MAX_POINTS`], evenly over the line, the last one among
/// them.
pub fn thinned(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> + Clone {
    let every = points.len().div_ceil(MAX_POINTS).max(1);
    let last = points.len().saturating_sub(1) % every;
    points.iter().skip(last).step_by(every).copied()
}

impl Panel {
    /// Whether there is something to draw.
    pub fn has_points(&self) -> bool {
        self.points().next().is_some()
    }

    /// The y-axis, which begins at 0.
    pub fn y_scale(&self) -> Scale {
        let bands = self.lines.iter().flat_map(|line| &line.band);
        let values = self.points().map(|(_, y)| y);
        let values = values.chain(bands.map(|(_, _, high)| *high)).chain([0.0]);
        Scale::around(values, (0.0, self.top.unwrap_or(f64::MAX)))
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.lines
            .iter()
            .flat_map(|line| line.points.iter().copied())
    }

    /// The lines that are drawn, pale ones first.
    fn styled(&self) -> Vec<(&Line, Style)> {
        let strong = self.lines.iter().filter(|line| !line.faint && !line.blind);
        let strong = strong.enumerate().map(|(place, line)| {
            let colour = COLOURS[place % COLOURS.len()];
            let dashes = (place >= COLOURS.len()).then_some(DASHES[0]);
            (line, Style { colour, dashes })
        });
        let pale = Style {
            colour: PALE,
            dashes: None,
        };
        let faint = self.lines.iter().filter(|line| line.faint);
        let blind = self.lines.iter().filter(|line| line.blind);
        let blind = blind.enumerate().map(|(place, line)| {
            let dashes = Some(DASHES[place % DASHES.len()]);
            let colour = BLIND;
            (line, Style { colour, dashes })
        });
        faint
            .zip(std::iter::repeat(pale))
            .chain(strong)
            .chain(blind)
            .filter(|(line, _)| !line.points.is_empty())
            .collect()
    }

    fn legend(&self) -> impl Iterator<Item = (Style, Vec<String>)> {
        let styled = self.styled().into_iter();
        styled.map(|(line, style)| (style, wrapped(&line.name, LINE_CHARS - 6)))
    }

    fn height(&self) -> u32 {
        let lines: usize = self.legend().map(|(_, lines)| lines.len()).sum();
        PANEL_HEIGHT + lines as u32 * LINE_HEIGHT + MARGIN
    }

    fn draw(&self, area: &Area<'_>, x: Scale) -> Drawn {
        let (lines, legend) = area.split_vertically(PANEL_HEIGHT);
        let y = self.y_scale();
        for (place, label) in wrapped(&self.y, LINE_CHARS).into_iter().take(1).enumerate() {
            let at = (MARGIN as i32, place as i32 * LINE_HEIGHT as i32);
            lines.draw(&Text::new(label, at, letters(area)))?;
        }
        let mut chart = ChartBuilder::on(&lines)
            .margin_top(LABEL_HEIGHT)
            .margin_right(2 * MARGIN)
            .x_label_area_size(AXIS_HEIGHT)
            .y_label_area_size(46)
            .build_cartesian_2d(x.low..x.high, y.low..y.high)?;
        chart
            .configure_mesh()
            .x_desc(wrapped(&self.x, LINE_CHARS).remove(0))
            .label_style((FONT, FONT_SIZE))
            .axis_desc_style((FONT, FONT_SIZE))
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.12))
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&|tick| x.text(*tick))
            .y_label_formatter(&|tick| y.text(*tick))
            .draw()?;
        for (line, Style { colour, .. }) in self.styled() {
            let low = line.band.iter().map(|&(x, low, _)| (x, low));
            let high = line.band.iter().rev().map(|&(x, _, high)| (x, high));
            let around: Vec<_> = low.chain(high).collect();
            chart.draw_series(
                (!around.is_empty()).then(|| Polygon::new(around, colour.mix(0.12))),
            )?;
        }
        if let Some((at, label)) = &self.marker {
            let style = BLACK.mix(0.6).stroke_width(1);
            let ends = [(*at, y.low), (*at, y.high)];
            chart.draw_series(DashedLineSeries::new(ends, 3, 3, style))?;
            let label = wrapped(label, LINE_CHARS / 2).remove(0);
            let text = Text::new(label, (4, 0), letters(area));
            chart.draw_series([EmptyElement::at((*at, y.high)) + text])?;
        }
        for (line, Style { colour, dashes }) in self.styled() {
            let (points, style) = (thinned(&line.points), colour.stroke_width(2));
            if let Some((dash, gap)) = dashes {
                chart.draw_series(DashedLineSeries::new(points.clone(), dash, gap, style))?;
            } else {
                chart.draw_series(LineSeries::new(points.clone(), style))?;
            }
            if line.dots {
                chart.draw_series(points.map(|point| Circle::new(point, 3, colour.filled())))?;
            }
        }
        self.draw_legend(&legend)
    }

    fn draw_legend(&self, area: &Area<'_>) -> Drawn {
        let mut down = 0;
        for (Style { colour, dashes }, lines) in self.legend() {
            let middle = down + LINE_HEIGHT as i32 / 2;
            let sample = vec![(MARGIN as i32, middle), (MARGIN as i32 + 24, middle)];
            let style = colour.stroke_width(2);
            if let Some((dash, gap)) = dashes {
                area.draw(&DashedPathElement::new(sample, dash, gap, style))?;
            } else {
                area.draw(&PathElement::new(sample, style))?;
            }
            for line in lines {
                area.draw(&Text::new(line, (MARGIN as i32 + 32, down), letters(area)))?;
                down += LINE_HEIGHT as i32;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_thinned_and_keep_their_last_point() {
        let points: Vec<(f64, f64)> = (0..2_001).map(|step| (f64::from(step), 0.0)).collect();
        let thin: Vec<_> = thinned(&points).collect();
        assert_eq!(thin.len(), 667);
        assert_eq!(thin.last(), Some(&(2_000.0, 0.0)));
        assert_eq!(thinned(&points[..3]).count(), 3);
        assert_eq!(thinned(&[]).count(), 0);
    }

    #[test]
    fn a_long_line_makes_no_longer_figure() {
        let figure = |count: i32| {
            let points = (0..count).map(|step| (f64::from(step), f64::from(step % 7)));
            let panel = Panel {
                lines: vec![Line::new("loss", points.collect())],
                ..Panel::default()
            };
            draw_panels("a training", &[panel]).unwrap().len()
        };
        assert!(figure(20_000) < figure(800) + 2_000);
        assert!(figure(800) > figure(400) + 2_000);
    }
}
