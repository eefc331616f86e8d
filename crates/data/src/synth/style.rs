//! The appearance of a chart, independent of its data.

use super::fonts::Family;
use chartbench_core::seeded_draw::SeededRng;

/// The colours and pattern of a mark.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    /// Fill of bars, boxes and markers.
    pub fill: &'static str,
    /// Colour of lines and outlines.
    pub ink: &'static str,
    /// A pattern over the fill.
    pub hatch: Option<Hatch>,
}

/// Patterns of black-and-white figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hatch {
    Rising,
    Cross,
    Dots,
    Level,
}

/// Marker shapes of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    Circle,
    Square,
    Diamond,
    Triangle,
    Cross,
}

/// Which lines surround the plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Boxed,
    LeftBottom,
    BottomOnly,
}

/// Which grid lines are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grid {
    None,
    Value,
    Both,
}

/// The side of the axes on which tick marks are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TickMarks {
    None,
    Outside,
    Inside,
}

/// The whole appearance. Lengths are pixels.
#[derive(Clone, Debug)]
pub(super) struct Style {
    pub family: Family,
    pub tick_size: f64,
    pub label_size: f64,
    pub title_size: f64,
    pub title_bold: bool,
    pub greyscale: bool,
    pub paints: Vec<Paint>,
    pub markers: Vec<Marker>,
    pub marker_size: f64,
    /// SVG dash arrays by series; empty for a solid line.
    pub dashes: Vec<&'static str>,
    pub line_width: f64,
    pub show_markers: bool,
    pub show_lines: bool,
    pub frame: Frame,
    pub grid: Grid,
    pub grid_dash: &'static str,
    pub grid_colour: &'static str,
    pub tick_marks: TickMarks,
    pub minor_ticks: bool,
    pub page: &'static str,
    pub plot: &'static str,
    pub outer_border: bool,
    pub legend_border: bool,
    /// Bars and boxes: the part of a slot they fill.
    pub fill_ratio: f64,
    pub outlines: bool,
    pub error_bars: bool,
    pub stars: bool,
    pub value_labels: bool,
    /// Scatter: a straight line through the points.
    pub trend_line: bool,
    /// The typographic minus in tick labels.
    pub long_minus: bool,
}

const COLOURS: [[&str; 5]; 12] = [
    ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd"],
    ["#4f81bd", "#c0504d", "#9bbb59", "#8064a2", "#f79646"],
    ["#5b9bd5", "#ed7d31", "#a5a5a5", "#ffc000", "#70ad47"],
    ["#f8766d", "#00ba38", "#619cff", "#c77cff", "#b79f00"],
    ["#0000ff", "#ff0000", "#00aa00", "#ff00ff", "#000000"],
    ["#000080", "#993366", "#cccc66", "#669999", "#660066"],
    ["#3b87a0", "#7fb6cf", "#1b4f66", "#b6d5e3", "#5f9ea0"],
    ["#1b9e77", "#d95f02", "#7570b3", "#e7298a", "#66a61e"],
    ["#0072bd", "#d95319", "#edb120", "#7e2f8e", "#77ac30"],
    ["#1a476f", "#90353b", "#55752f", "#e37e00", "#6e8e84"],
    ["#66c2a5", "#fc8d62", "#8da0cb", "#e78ac3", "#a6d854"],
    ["#cc0000", "#333333", "#3366cc", "#ff9900", "#109618"],
];
const GREYS: [&str; 5] = ["#000000", "#8c8c8c", "#ffffff", "#c8c8c8", "#505050"];
const GREY_INKS: [&str; 5] = ["#000000", "#707070", "#000000", "#909090", "#404040"];
const DASHES: [&str; 5] = ["", "6 3", "2 2", "8 3 2 3", "4 4"];
const HATCHES: [Option<Hatch>; 5] = [
    None,
    Some(Hatch::Rising),
    Some(Hatch::Dots),
    Some(Hatch::Cross),
    Some(Hatch::Level),
];
const MARKERS: [Marker; 5] = [
    Marker::Circle,
    Marker::Square,
    Marker::Triangle,
    Marker::Diamond,
    Marker::Cross,
];

impl Style {
    /// Draws the appearance of a chart with `series` data series.
    pub(super) fn plan(rng: &mut SeededRng, series: usize) -> Self {
        let greyscale = rng.chance(0.3);
        let paints = if greyscale {
            grey_paints(rng)
        } else {
            colour_paints(rng)
        };
        let tick_size = rng.real(11.0, 15.0).round();
        let label_size = (tick_size + rng.real(0.0, 3.0)).round();
        let markers = series_markers(rng);
        let dashes = series_dashes(rng, greyscale);
        let paints = rotated_paints(rng, paints, series);
        // The order of the fields is the order of the draws: another order draws other charts.
        Self {
            family: rng.choose(Family::ALL),
            tick_size,
            label_size,
            title_size: (label_size + rng.real(0.0, 3.0)).round(),
            title_bold: rng.chance(0.5),
            greyscale,
            paints,
            markers,
            marker_size: rng.real(2.5, 5.0),
            dashes,
            line_width: rng.real(1.0, 2.8),
            show_markers: rng.chance(0.6),
            show_lines: true,
            frame: rng.choose([
                Frame::Boxed,
                Frame::LeftBottom,
                Frame::LeftBottom,
                Frame::Boxed,
                Frame::BottomOnly,
            ]),
            grid: rng.choose([Grid::None, Grid::Value, Grid::None, Grid::Both]),
            grid_dash: rng.choose(["", "", "4 3", "1 3"]),
            grid_colour: rng.choose(["#b0b0b0", "#808080", "#c8c8c8", "#909090"]),
            tick_marks: rng.choose([
                TickMarks::Outside,
                TickMarks::Inside,
                TickMarks::None,
                TickMarks::Outside,
            ]),
            minor_ticks: rng.chance(0.2),
            page: page_colour(rng, greyscale),
            plot: plot_colour(rng),
            outer_border: rng.chance(0.1),
            legend_border: rng.chance(0.45),
            fill_ratio: rng.real(0.5, 0.92),
            outlines: rng.chance(0.6),
            error_bars: rng.chance(0.5),
            stars: rng.chance(0.15),
            value_labels: rng.chance(0.5),
            trend_line: rng.chance(0.3),
            long_minus: rng.chance(0.5),
        }
    }

    /// The paint of series `index`.
    pub(super) fn paint(&self, index: usize) -> Paint {
        self.paints
            .get(index % self.paints.len().max(1))
            .copied()
            .unwrap_or(Paint {
                fill: "#000000",
                ink: "#000000",
                hatch: None,
            })
    }

    /// The marker of series `index`.
    pub(super) fn marker(&self, index: usize) -> Marker {
        self.markers
            .get(index % self.markers.len().max(1))
            .copied()
            .unwrap_or(Marker::Circle)
    }

    /// The dash array of series `index`.
    pub(super) fn dash(&self, index: usize) -> &'static str {
        self.dashes
            .get(index % self.dashes.len().max(1))
            .copied()
            .unwrap_or("")
    }
}

fn colour_paints(rng: &mut SeededRng) -> Vec<Paint> {
    let colours = rng.choose(COLOURS);
    colours
        .iter()
        .map(|&fill| Paint {
            fill,
            ink: fill,
            hatch: None,
        })
        .collect()
}

fn grey_paints(rng: &mut SeededRng) -> Vec<Paint> {
    let hatched = rng.chance(0.35);
    (0..5)
        .map(|i| match (hatched, HATCHES[i]) {
            (true, Some(hatch)) => Paint {
                fill: "#ffffff",
                ink: GREY_INKS[i],
                hatch: Some(hatch),
            },
            _ => Paint {
                fill: GREYS[i],
                ink: GREY_INKS[i],
                hatch: None,
            },
        })
        .collect()
}

/// Five paints; a chart with fewer than four series begins at a drawn one.
fn rotated_paints(rng: &mut SeededRng, paints: Vec<Paint>, series: usize) -> Vec<Paint> {
    let offset = rng.count(0, MARKERS.len() - 1);
    paints
        .into_iter()
        .cycle()
        .skip(offset * usize::from(series < 4))
        .take(5)
        .collect()
}

/// Markers by series: one for all, or another for each.
fn series_markers(rng: &mut SeededRng) -> Vec<Marker> {
    let same = rng.chance(0.3);
    let first = rng.count(0, 3);
    (0..5)
        .map(|i| MARKERS[if same { first } else { (first + i) % 5 }])
        .collect()
}

/// Dash arrays by series, the first one solid; all are solid where colours tell the lines apart.
fn series_dashes(rng: &mut SeededRng, greyscale: bool) -> Vec<&'static str> {
    let dashed = greyscale || rng.chance(0.2);
    DASHES
        .iter()
        .map(|&dash| if dashed { dash } else { "" })
        .collect()
}

fn page_colour(rng: &mut SeededRng, greyscale: bool) -> &'static str {
    if greyscale {
        "#ffffff"
    } else {
        rng.choose(["#ffffff", "#ffffff", "#ffffff", "#ffffff", "#eaf2f3"])
    }
}

fn plot_colour(rng: &mut SeededRng) -> &'static str {
    if rng.chance(0.15) {
        rng.choose(["#ebebeb", "#f4f4f4"])
    } else {
        "#ffffff"
    }
}
