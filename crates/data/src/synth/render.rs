//! Renders a recipe as SVG: page, axes, texts and legend; [`super::marks`] renders the data.

use super::layout::{self, KEY_WIDTH, Layout, Rect, TICK_GAP};
use super::marks;
use super::recipe::{Base, ChartType, Recipe};
use super::style::{Frame, Grid, Hatch, TickMarks};
use super::svg::{Anchor, Stroke, Svg, Text};

const INK: &str = "#000000";

/// The chart as an SVG document.
pub(super) fn render_svg(recipe: &Recipe) -> String {
    let layout = Layout::from_recipe(recipe);
    let style = &recipe.style;
    let mut svg = Svg::new(recipe.width, recipe.height, style.page, style.family);
    patterns(&mut svg, recipe);
    let Rect {
        x,
        y,
        width,
        height,
    } = layout.plot;
    if style.plot != style.page {
        svg.rect(x, y, width, height, style.plot, None);
    }
    grid(&mut svg, recipe, &layout);
    marks::draw_series(
        &mut svg,
        recipe,
        &Canvas {
            recipe,
            plot: layout.plot,
        },
    );
    frame(&mut svg, recipe, layout.plot);
    value_axis(&mut svg, recipe, &layout);
    base_axis(&mut svg, recipe, &layout);
    titles(&mut svg, recipe, &layout);
    legend(&mut svg, recipe, &layout);
    if style.outer_border {
        let (width, height) = (
            f64::from(recipe.width) - 1.0,
            f64::from(recipe.height) - 1.0,
        );
        svg.rect(
            0.5,
            0.5,
            width,
            height,
            "none",
            Some(Stroke::solid("#808080", 1.0)),
        );
    }
    svg.finish()
}

/// Converts positions on the axes into pixels.
pub(super) struct Canvas<'a> {
    pub recipe: &'a Recipe,
    pub plot: Rect,
}

impl Canvas<'_> {
    /// The pixel at fraction `value` of the value axis and fraction `base` of the base axis.
    pub(super) fn point(&self, base: f64, value: f64) -> (f64, f64) {
        let Rect {
            x,
            y,
            width,
            height,
        } = self.plot;
        if self.recipe.horizontal() {
            (x + value * width, y + base * height)
        } else {
            (x + base * width, y + (1.0 - value) * height)
        }
    }

    /// The length of the base axis.
    pub(super) fn base_length(&self) -> f64 {
        if self.recipe.horizontal() {
            self.plot.height
        } else {
            self.plot.width
        }
    }
}

fn patterns(svg: &mut Svg, recipe: &Recipe) {
    for index in 0..recipe.series.len() {
        let paint = recipe.style.paint(index);
        let lines = match paint.hatch {
            None => continue,
            Some(Hatch::Rising) => "M0 6 L6 0",
            Some(Hatch::Cross) => "M0 6 L6 0 M0 0 L6 6",
            Some(Hatch::Dots) => "M2 3 L4 3",
            Some(Hatch::Level) => "M0 3 L6 3",
        };
        let width = if paint.hatch == Some(Hatch::Dots) {
            2.0
        } else {
            1.1
        };
        svg.raw(&format!(
            "<defs><pattern id=\"h{index}\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
             <rect width=\"6\" height=\"6\" fill=\"{}\"/><path d=\"{lines}\" stroke=\"{}\" stroke-width=\"{width}\"/>\
             </pattern></defs>",
            paint.fill, paint.ink
        ));
    }
}

/// Fractions of the value axis at its ticks.
fn value_ticks(recipe: &Recipe) -> impl Iterator<Item = f64> {
    let scale = recipe.value.clone();
    (scale.first..=scale.last).map(move |tick| scale.fraction(tick as f64))
}

fn grid(svg: &mut Svg, recipe: &Recipe, layout: &Layout) {
    let style = &recipe.style;
    let canvas = Canvas {
        recipe,
        plot: layout.plot,
    };
    let colour = if style.plot == "#ebebeb" {
        "#ffffff"
    } else {
        style.grid_colour
    };
    let stroke = Stroke {
        colour,
        width: 1.0,
        dash: style.grid_dash,
    };
    if style.grid != Grid::None {
        for fraction in value_ticks(recipe) {
            svg.line(
                canvas.point(0.0, fraction),
                canvas.point(1.0, fraction),
                stroke,
            );
        }
    }
    if style.grid == Grid::Both {
        for index in 0..recipe.base.len() {
            let fraction = recipe.base.fraction(index);
            svg.line(
                canvas.point(fraction, 0.0),
                canvas.point(fraction, 1.0),
                stroke,
            );
        }
    }
}

fn frame(svg: &mut Svg, recipe: &Recipe, plot: Rect) {
    let Rect {
        x,
        y,
        width,
        height,
    } = plot;
    let stroke = Stroke::solid(
        INK,
        if recipe.style.line_width > 2.0 {
            1.6
        } else {
            1.0
        },
    );
    match recipe.style.frame {
        Frame::Boxed => svg.rect(x, y, width, height, "none", Some(stroke)),
        Frame::LeftBottom => {
            svg.polyline(&[(x, y), (x, y + height), (x + width, y + height)], stroke)
        }
        Frame::BottomOnly if recipe.horizontal() => svg.line((x, y), (x, y + height), stroke),
        Frame::BottomOnly => svg.line((x, y + height), (x + width, y + height), stroke),
    }
    if recipe.value.first < 0 {
        let canvas = Canvas { recipe, plot };
        let zero = recipe.value.fraction(0.0);
        let dash = if matches!(recipe.chart_type, ChartType::Line | ChartType::Scatter) {
            "5 4"
        } else {
            ""
        };
        svg.line(
            canvas.point(0.0, zero),
            canvas.point(1.0, zero),
            Stroke {
                colour: INK,
                width: 1.0,
                dash,
            },
        );
    }
}

/// A tick mark of `length` at a point of the bottom axis or, where `beside`, of the left one.
fn tick_mark(svg: &mut Svg, recipe: &Recipe, (x, y): (f64, f64), beside: bool, length: f64) {
    let reach = match recipe.style.tick_marks {
        TickMarks::None => return,
        TickMarks::Outside => length,
        TickMarks::Inside => -length,
    };
    let end = if beside {
        (x - reach, y)
    } else {
        (x, y + reach)
    };
    svg.line((x, y), end, Stroke::solid(INK, 1.0));
}

fn value_axis(svg: &mut Svg, recipe: &Recipe, layout: &Layout) {
    let canvas = Canvas {
        recipe,
        plot: layout.plot,
    };
    let beside = !recipe.horizontal();
    let marked = recipe.style.frame != Frame::BottomOnly;
    let ticks: Vec<f64> = value_ticks(recipe).collect();
    for (&fraction, label) in ticks.iter().zip(recipe.value_texts()) {
        let point = canvas.point(0.0, fraction);
        let point = if beside {
            point
        } else {
            (point.0, layout.plot.y + layout.plot.height)
        };
        if marked {
            tick_mark(svg, recipe, point, beside, 4.0);
        }
        axis_label(svg, recipe, layout, point, beside, &label);
    }
    if marked && recipe.style.minor_ticks {
        for pair in ticks.windows(2) {
            let point = canvas.point(0.0, (pair[0] + pair[1]) / 2.0);
            let point = if beside {
                point
            } else {
                (point.0, layout.plot.y + layout.plot.height)
            };
            tick_mark(svg, recipe, point, beside, 2.5);
        }
    }
}

fn base_axis(svg: &mut Svg, recipe: &Recipe, layout: &Layout) {
    let canvas = Canvas {
        recipe,
        plot: layout.plot,
    };
    let beside = recipe.horizontal();
    for (index, label) in recipe.base_texts().iter().enumerate() {
        let point = canvas.point(recipe.base.fraction(index), 0.0);
        if matches!(recipe.base, Base::Numbers(_)) || recipe.chart_type != ChartType::VerticalBar {
            tick_mark(svg, recipe, point, beside, 4.0);
        }
        axis_label(svg, recipe, layout, point, beside, label);
    }
}

fn axis_label(
    svg: &mut Svg,
    recipe: &Recipe,
    layout: &Layout,
    (x, y): (f64, f64),
    beside: bool,
    label: &str,
) {
    let size = recipe.style.tick_size;
    let text = |x, y, anchor, turn| Text {
        x,
        y,
        anchor,
        size,
        turn,
        bold: false,
        text: label,
    };
    if beside {
        svg.text(&text(x - TICK_GAP + 1.0, y + size * 0.35, Anchor::End, 0.0));
    } else if layout.tilt == 0.0 {
        svg.text(&text(x, y + TICK_GAP + size * 0.75, Anchor::Middle, 0.0));
    } else if layout.tilt == 45.0 {
        svg.text(&text(
            x + size * 0.3,
            y + TICK_GAP + size * 0.4,
            Anchor::End,
            -45.0,
        ));
    } else {
        svg.text(&text(x + size * 0.35, y + TICK_GAP, Anchor::End, -90.0));
    }
}

fn titles(svg: &mut Svg, recipe: &Recipe, layout: &Layout) {
    let style = &recipe.style;
    let plot = layout.plot;
    let middle = plot.x + plot.width / 2.0;
    let centred = |x, y, size, turn, bold, text| Text {
        x,
        y,
        anchor: Anchor::Middle,
        size,
        turn,
        bold,
        text,
    };
    if let Some(title) = &recipe.title {
        svg.text(&centred(
            middle,
            layout.title_y,
            style.title_size,
            0.0,
            style.title_bold,
            title,
        ));
    }
    if let Some(title) = recipe.x_title() {
        svg.text(&centred(
            middle,
            layout.x_title_y,
            style.label_size,
            0.0,
            false,
            title,
        ));
    }
    if let Some(title) = recipe.y_title() {
        // A title longer than the plot's height may use the height of the whole page.
        let half = svg.width(title, style.label_size) / 2.0 + 4.0;
        let page = f64::from(recipe.height);
        let y =
            (plot.y + plot.height / 2.0).clamp(half.min(page / 2.0), (page - half).max(page / 2.0));
        svg.text(&centred(
            layout.y_title_x,
            y,
            style.label_size,
            -90.0,
            false,
            title,
        ));
    }
    if let Some(panel) = &recipe.panel {
        let size = style.title_size + 2.0;
        let (x, y) = (5.0, 4.0 + size * 0.8);
        svg.text(&Text {
            x,
            y,
            anchor: Anchor::Start,
            size,
            turn: 0.0,
            bold: true,
            text: panel,
        });
    }
}

fn legend(svg: &mut Svg, recipe: &Recipe, layout: &Layout) {
    let Some(legend) = &layout.legend else { return };
    let Rect {
        x,
        y,
        width,
        height,
    } = legend.rect;
    if recipe.style.legend_border {
        svg.rect(
            x,
            y,
            width,
            height,
            "#ffffff",
            Some(Stroke::solid("#606060", 1.0)),
        );
    }
    let size = layout::legend_size(recipe);
    for (index, (series, &(x, y))) in recipe.series.iter().zip(&legend.entries).enumerate() {
        marks::draw_key(svg, recipe, index, (x, y - size * 0.35));
        let (x, text) = (x + KEY_WIDTH + 5.0, series.name.as_str());
        svg.text(&Text {
            x,
            y,
            anchor: Anchor::Start,
            size,
            turn: 0.0,
            bold: false,
            text,
        });
    }
}
