//! What one chart shows: everything the picture and the answers are made from.

use super::scale::Scale;
use super::style::Style;

/// RealCQA's five chart types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChartType {
    Line,
    Scatter,
    VerticalBar,
    HorizontalBar,
    VerticalBox,
}

impl ChartType {
    pub const ALL: [Self; 5] = [Self::Line, Self::Scatter, Self::VerticalBar, Self::HorizontalBar, Self::VerticalBox];

    /// As the annotations spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Scatter => "scatter",
            Self::VerticalBar => "vertical bar",
            Self::HorizontalBar => "horizontal bar",
            Self::VerticalBox => "vertical box",
        }
    }

    /// As RealCQA's answers spell it.
    pub fn answer(self) -> &'static str {
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
pub enum Base {
    /// Named slots.
    Categories(Vec<String>),
    /// A second numeric axis.
    Numbers(Scale),
}

impl Base {
    /// The texts along the axis.
    pub fn labels(&self) -> Vec<String> {
        match self {
            Self::Categories(names) => names.clone(),
            Self::Numbers(scale) => scale.labels(),
        }
    }

    /// How many texts there are along the axis.
    pub fn len(&self) -> usize {
        match self {
            Self::Categories(names) => names.len(),
            Self::Numbers(scale) => scale.ticks(),
        }
    }

    /// Where text `index` lies on the axis, from 0 to 1.
    pub fn fraction(&self, index: usize) -> f64 {
        match self {
            Self::Categories(names) => (index as f64 + 0.5) / names.len().max(1) as f64,
            Self::Numbers(scale) => scale.fraction((scale.first + index as i64) as f64),
        }
    }
}

/// One box of a box plot, in quanta of the value axis.
#[derive(Clone, Debug)]
pub struct BoxPlot {
    pub min: i64,
    pub lower: i64,
    pub median: i64,
    pub upper: i64,
    pub max: i64,
    pub outliers: Vec<i64>,
}

/// What a series holds.
#[derive(Clone, Debug)]
pub enum Data {
    /// One value per text of the base axis, in quanta.
    Values(Vec<i64>),
    /// Free points in tick units of the base and the value axis; joined on a line chart.
    Points(Vec<(f64, f64)>),
    /// One box per category.
    Boxes(Vec<BoxPlot>),
}

/// One data series.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub data: Data,
}

/// Where the legend stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegendPlace {
    Right,
    Top,
    Bottom,
    InsideLeft,
    InsideRight,
}

impl LegendPlace {
    /// As RealCQA's answers spell it.
    pub fn answer(self) -> &'static str {
        match self {
            Self::Right => "Center Right",
            Self::Top => "Upper Center",
            Self::Bottom => "Lower Center",
            Self::InsideLeft => "Upper Left",
            Self::InsideRight => "Upper Right",
        }
    }

    /// Whether it takes room from the plot.
    pub fn inside(self) -> bool {
        matches!(self, Self::InsideLeft | Self::InsideRight)
    }
}

/// One chart, whole.
#[derive(Clone, Debug)]
pub struct Recipe {
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
    /// A scatter chart's drift: rising, falling, or none to speak of.
    pub rising: Option<bool>,
    pub style: Style,
}

impl Recipe {
    /// Whether the value axis runs from left to right.
    pub fn horizontal(&self) -> bool {
        self.chart_type == ChartType::HorizontalBar
    }

    /// The title under the plot.
    pub fn x_title(&self) -> Option<&str> {
        if self.horizontal() { self.value_title.as_deref() } else { self.base_title.as_deref() }
    }

    /// The title beside the plot.
    pub fn y_title(&self) -> Option<&str> {
        if self.horizontal() { self.base_title.as_deref() } else { self.value_title.as_deref() }
    }

    /// The texts along the value axis as they are drawn.
    pub fn value_texts(&self) -> Vec<String> {
        self.drawn(self.value.labels())
    }

    /// The texts along the base axis as they are drawn.
    pub fn base_texts(&self) -> Vec<String> {
        match &self.base {
            Base::Categories(names) => names.clone(),
            Base::Numbers(scale) => self.drawn(scale.labels()),
        }
    }

    fn drawn(&self, numbers: Vec<String>) -> Vec<String> {
        let minus = if self.style.long_minus { "\u{2212}" } else { "-" };
        numbers.into_iter().map(|number| number.replace('-', minus)).collect()
    }

    /// Value and base axis as the questions call them.
    pub fn axis_names(&self) -> (&'static str, &'static str) {
        if self.horizontal() { ("x-axis", "y-axis") } else { ("y-axis", "x-axis") }
    }
}
