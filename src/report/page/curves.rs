//! A training's curves, drawn in the page's colours.

use serde::Serialize;

use super::Curves;
use super::axis::Axis;
use crate::report::plot::{Line, Panel, Scale, common_x, thinned};

/// Colours of lines in the page's style.
const COLOURS: usize = 5;
/// The box that lines are drawn in, stretched over the panel.
const BOX: f64 = 1000.0;

#[derive(Debug, Serialize)]
pub(super) struct CurvesView {
    name: String,
    /// The step whose weights were kept.
    kept: Option<u64>,
    panels: Vec<PanelView>,
}

#[derive(Debug, Serialize)]
struct PanelView {
    title: String,
    across: String,
    x: Axis,
    y: Axis,
    /// The place of the kept step.
    kept: Option<String>,
    lines: Vec<LineView>,
}

#[derive(Debug, Serialize)]
struct LineView {
    name: String,
    faint: bool,
    /// The number of its colour among the panel's lines.
    colour: usize,
    /// Few points far apart are marked.
    dots: bool,
    /// The points of an SVG `polyline`.
    points: String,
    /// An SVG path with a line without length at each point: its round ends are a dot, which no
    /// stretching makes oval.
    marks: String,
    /// The last value.
    last: String,
}

impl CurvesView {
    pub(super) fn new(curves: &Curves) -> Self {
        let panels = curves.panels.iter();
        let x = common_x(&curves.panels);
        Self {
            name: format!("{} ({})", curves.adapter, curves.run),
            kept: curves.kept,
            panels: panels
                .filter(|panel| panel.has_points())
                .map(|panel| PanelView::new(panel, x, curves.kept))
                .collect(),
        }
    }
}

impl PanelView {
    fn new(panel: &Panel, x: Scale, kept: Option<u64>) -> Self {
        let y = panel.y_scale();
        let kept = kept.map(|step| step as f64);
        let is_inside = |step: &f64| (x.low..=x.high).contains(step);
        let line = |(colour, line): (usize, &Line)| {
            let place = |(across, up): (f64, f64)| {
                let (across, up) = (BOX * x.place(across), BOX * (1.0 - y.place(up)));
                format!("{across:.1},{up:.1}")
            };
            let points: Vec<String> = thinned(&line.points).map(place).collect();
            LineView {
                name: line.name.clone(),
                faint: line.faint,
                colour: colour % COLOURS,
                dots: line.dots,
                marks: points
                    .iter()
                    .filter(|_| line.dots)
                    .map(|point| format!("M{point}h0"))
                    .collect(),
                points: points.join(" "),
                last: line.points.last().map_or_else(String::new, |(_, value)| {
                    format!("{value:.*}", y.digits() + 1)
                }),
            }
        };
        let drawn = panel.lines.iter().filter(|line| !line.points.is_empty());
        Self {
            title: panel.y.clone(),
            across: panel.x.clone(),
            kept: kept
                .filter(is_inside)
                .map(|step| format!("{:.2}%", 100.0 * x.place(step))),
            lines: drawn.enumerate().map(line).collect(),
            x: Axis::new(x),
            y: Axis::new(y),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kept_step_is_marked_where_the_axis_has_it() {
        let panel = Panel {
            x: "step".to_owned(),
            y: "validation score, %".to_owned(),
            lines: vec![Line::new("relaxed", vec![(0.0, 10.0), (100.0, 40.0)])],
            ..Panel::default()
        };
        let x = common_x(std::slice::from_ref(&panel));
        let view = PanelView::new(&panel, x, Some(50));
        assert_eq!(view.kept.as_deref(), Some("50.00%"));
        assert_eq!(view.lines[0].points, "0.0,750.0 1000.0,0.0");
        assert_eq!(PanelView::new(&panel, x, Some(500)).kept, None);
    }
}
