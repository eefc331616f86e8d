//! The plan of one chart: everything that the image and the answers are made from.

use super::scale::Scale;
use super::style::Style;
use crate::data_series::{DataSeries, Point, Value};

/// RealCQA's five chart types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ChartType {
    Line,
    Scatter,
    VerticalBar,
    HorizontalBar,
    VerticalBox,
}

impl ChartType {
    pub(super) const ALL: [Self; 5] = [
        Self::Line,
        Self::Scatter,
        Self::VerticalBar,
        Self::HorizontalBar,
        Self::VerticalBox,
    ];

    /// The spelling of the annotations.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Scatter => "scatter",
            Self::VerticalBar => "vertical bar",
            Self::HorizontalBar => "horizontal bar",
            Self::VerticalBox => "vertical box",
        }
    }

    /// The spelling of RealCQA's answers.
    pub(super) fn answer(self) -> &'static str {
        match self {
            Self::Line => "Line chart",
            Self::Scatter => "Scatter chart",
            Self::VerticalBar => "Vertical Bar chart",
            Self::HorizontalBar => "Horizontal Bar chart",
            Self::VerticalBox => "Vertical Boxplots",
        }
    }
}

/// The axis that is not the value axis.
#[derive(Clone, Debug)]
pub(super) enum Base {
    /// Named slots.
    Categories(Vec<String>),
    /// A second numeric axis.
    Numbers(Scale),
}

impl Base {
    /// The texts along the axis.
    pub(super) fn labels(&self) -> Vec<String> {
        match self {
            Self::Categories(names) => names.clone(),
            Self::Numbers(scale) => scale.labels(),
        }
    }

    /// The number of texts along the axis.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Categories(names) => names.len(),
            Self::Numbers(scale) => scale.ticks(),
        }
    }

    /// The position of text `index` on the axis, from 0 to 1.
    pub(super) fn fraction(&self, index: usize) -> f64 {
        match self {
            Self::Categories(names) => (index as f64 + 0.5) / names.len().max(1) as f64,
            Self::Numbers(scale) => scale.fraction((scale.first + index as i64) as f64),
        }
    }
}

/// One box of a box plot, in quanta of the value axis.
#[derive(Clone, Debug)]
pub(super) struct BoxPlot {
    pub min: i64,
    pub lower: i64,
    pub median: i64,
    pub upper: i64,
    pub max: i64,
    pub outliers: Vec<i64>,
}

/// The data of a series.
#[derive(Clone, Debug)]
pub(super) enum Data {
    /// One value for each text of the base axis, in quanta.
    Values(Vec<i64>),
    /// Free points in tick units of the base and the value axis; joined on a line chart.
    Points(Vec<(f64, f64)>),
    /// One box for each category.
    Boxes(Vec<BoxPlot>),
}

/// One data series.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub name: String,
    pub data: Data,
}

/// The position of the legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LegendPlace {
    Right,
    Top,
    Bottom,
    InsideLeft,
    InsideRight,
}

impl LegendPlace {
    /// The spelling of RealCQA's answers.
    pub(super) fn answer(self) -> &'static str {
        match self {
            Self::Right => "Center Right",
            Self::Top => "Upper Center",
            Self::Bottom => "Lower Center",
            Self::InsideLeft => "Upper Left",
            Self::InsideRight => "Upper Right",
        }
    }

    /// Whether it lies inside the plot.
    pub(super) fn inside(self) -> bool {
        matches!(self, Self::InsideLeft | Self::InsideRight)
    }
}

/// The whole plan of a chart.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub chart_type: ChartType,
    /// Pixels.
    pub width: u32,
    pub height: u32,
    pub value: Scale,
    pub base: Base,
    pub series: Vec<Series>,
    pub value_title: Option<String>,
    pub base_title: Option<String>,
    pub title: Option<String>,
    /// "A", "(b)": the figure's part.
    pub panel: Option<String>,
    pub legend: Option<LegendPlace>,
    /// A scatter chart's trend: rising, falling, or none.
    pub rising: Option<bool>,
    pub style: Style,
}

impl Recipe {
    /// Whether the value axis runs from left to right.
    pub(super) fn horizontal(&self) -> bool {
        self.chart_type == ChartType::HorizontalBar
    }

    /// The title under the plot.
    pub(super) fn x_title(&self) -> Option<&str> {
        if self.horizontal() {
            self.value_title.as_deref()
        } else {
            self.base_title.as_deref()
        }
    }

    /// The title beside the plot.
    pub(super) fn y_title(&self) -> Option<&str> {
        if self.horizontal() {
            self.base_title.as_deref()
        } else {
            self.value_title.as_deref()
        }
    }

    /// The texts along the value axis as they are drawn.
    pub(super) fn value_texts(&self) -> Vec<String> {
        self.with_drawn_minus(self.value.labels())
    }

    /// The texts along the base axis as they are drawn.
    pub(super) fn base_texts(&self) -> Vec<String> {
        match &self.base {
            Base::Categories(names) => names.clone(),
            Base::Numbers(scale) => self.with_drawn_minus(scale.labels()),
        }
    }

    fn with_drawn_minus(&self, numbers: Vec<String>) -> Vec<String> {
        let minus = if self.style.long_minus {
            "\u{2212}"
        } else {
            "-"
        };
        numbers
            .into_iter()
            .map(|number| number.replace('-', minus))
            .collect()
    }

    /// The names of the value axis and the base axis in questions.
    pub(super) fn axis_names(&self) -> (&'static str, &'static str) {
        if self.horizontal() {
            ("x-axis", "y-axis")
        } else {
            ("y-axis", "x-axis")
        }
    }

    /// The chart's numbers as CHART-Info annotates them.
    pub(super) fn data_series(&self) -> Vec<DataSeries> {
        let mut all = Vec::new();
        for series in &self.series {
            all.push(DataSeries {
                data: self.points(series),
                name: Some(Value::Text(series.name.clone())),
            });
        }
        all
    }

    fn points(&self, series: &Series) -> Vec<Point> {
        let labels = self.base.labels();
        match &series.data {
            Data::Values(values) => labels
                .iter()
                .zip(values)
                .map(|(label, &value)| Point {
                    y: self.annotated(value),
                    ..labelled_point(label)
                })
                .collect(),
            Data::Points(points) => points
                .iter()
                .map(|&(x, y)| {
                    let x = match &self.base {
                        Base::Numbers(scale) => scale.number(x),
                        Base::Categories(_) => x,
                    };
                    let y = Value::Number(self.value.number(y));
                    Point {
                        x: Some(Value::Number(x)),
                        y: Some(y),
                        ..Point::default()
                    }
                })
                .collect(),
            Data::Boxes(boxes) => labels
                .iter()
                .zip(boxes)
                .map(|(label, box_plot)| Point {
                    min: self.annotated(box_plot.min),
                    first_quartile: self.annotated(box_plot.lower),
                    median: self.annotated(box_plot.median),
                    third_quartile: self.annotated(box_plot.upper),
                    max: self.annotated(box_plot.max),
                    ..labelled_point(label)
                })
                .collect(),
        }
    }

    fn annotated(&self, quanta: i64) -> Option<Value> {
        Some(Value::Number(
            self.value.value(quanta).parse().unwrap_or(0.0),
        ))
    }
}

fn labelled_point(label: &str) -> Point {
    Point {
        x: Some(Value::Text(label.to_owned())),
        ..Point::default()
    }
}
