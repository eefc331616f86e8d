//! The geometry of a chart, measured so that no text overlaps another.

use super::recipe::{LegendPlace, Recipe};

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rect {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// The legend: its entries by row.
#[derive(Clone, Debug)]
pub(super) struct LegendBox {
    pub rect: Rect,
    /// Left end and baseline row of each entry, by series.
    pub entries: Vec<(f64, f64)>,
}

/// The chart's geometry.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub plot: Rect,
    pub legend: Option<LegendBox>,
    /// The angle of the texts under the plot in degrees: 0, 45 or 90.
    pub tilt: f64,
    /// Baselines of the titles.
    pub title_y: f64,
    pub x_title_y: f64,
    pub y_title_x: f64,
}

/// Width of the key in front of a legend entry's text, in pixels.
pub(super) const KEY_WIDTH: f64 = 22.0;
/// Distance from an axis to its texts, in pixels.
pub(super) const TICK_GAP: f64 = 8.0;
const PAD: f64 = 8.0;

/// The plot's edges while room is taken off for texts and the legend, in pixels.
struct Edges {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Layout {
    /// Measures a recipe.
    pub(super) fn from_recipe(recipe: &Recipe) -> Self {
        let style = &recipe.style;
        let (below, beside) = if recipe.horizontal() {
            (recipe.value_texts(), recipe.base_texts())
        } else {
            (recipe.base_texts(), recipe.value_texts())
        };
        let widest = widest_text(&below, recipe);
        let y_title = if recipe.y_title().is_some() {
            style.label_size * 1.65
        } else {
            0.0
        };
        let (title_y, top) = place_title(recipe);
        let mut edges = Edges {
            left: PAD + y_title + widest_text(&beside, recipe) + TICK_GAP,
            right: f64::from(recipe.width) - PAD - widest.min(60.0) / 2.0,
            top,
            bottom: f64::from(recipe.height) - PAD,
        };
        let legend = reserve_legend(recipe, &mut edges);
        let x_title_y = edges.bottom - style.label_size * 0.25;
        if recipe.x_title().is_some() {
            edges.bottom -= style.label_size * 1.45;
        }
        let tilt = tilt(&below, widest, edges.right - edges.left, recipe);
        if tilt == 45.0 {
            let first = (edges.right - edges.left) * recipe.base.fraction(0).min(0.5);
            edges.left = edges.left.max(PAD + widest * 0.71 - first);
        }
        let label_height = match tilt {
            0.0 => style.tick_size,
            45.0 => widest * 0.71 + style.tick_size * 0.6,
            _ => widest,
        };
        edges.bottom -= label_height + TICK_GAP;
        let plot = Rect {
            x: edges.left,
            y: edges.top,
            width: edges.right - edges.left,
            height: edges.bottom - edges.top,
        };
        Self {
            plot,
            legend: legend.map(|entries| place_legend(recipe, entries, plot)),
            tilt,
            title_y,
            x_title_y,
            y_title_x: PAD + style.label_size * 0.9,
        }
    }
}

/// The title's baseline (0 without a title) and the top edge below it.
fn place_title(recipe: &Recipe) -> (f64, f64) {
    let style = &recipe.style;
    if recipe.title.is_some() {
        let title_y = PAD + style.title_size;
        (title_y, title_y + style.title_size * 0.8)
    } else if recipe.panel.is_some() {
        (0.0, PAD + style.title_size * 1.2)
    } else {
        (0.0, PAD + style.tick_size * 0.7)
    }
}

/// Measures the legend and takes its room off the plot. One beside or inside the plot stays at the
/// origin until [`place_legend`].
fn reserve_legend(recipe: &Recipe, edges: &mut Edges) -> Option<LegendBox> {
    let style = &recipe.style;
    let page_width = f64::from(recipe.width);
    match recipe.legend {
        Some(LegendPlace::Right) => {
            let entries = column(recipe);
            edges.right = page_width - PAD - entries.rect.width - 10.0;
            Some(entries)
        }
        Some(LegendPlace::Top) => {
            let entries = rows(recipe, page_width - 2.0 * PAD);
            let entries = centred(entries, page_width, edges.top - style.tick_size * 0.4);
            edges.top = entries.rect.y + entries.rect.height + style.tick_size * 0.8;
            Some(entries)
        }
        Some(LegendPlace::Bottom) => {
            let entries = rows(recipe, page_width - 2.0 * PAD);
            edges.bottom -= entries.rect.height;
            let entries = centred(entries, page_width, edges.bottom);
            edges.bottom -= legend_size(recipe) * 0.4;
            Some(entries)
        }
        Some(LegendPlace::InsideLeft | LegendPlace::InsideRight) => Some(column(recipe)),
        None => None,
    }
}

/// Moves a legend beside or inside the plot to its place; one above or below is there already.
fn place_legend(recipe: &Recipe, entries: LegendBox, plot: Rect) -> LegendBox {
    match recipe.legend {
        Some(LegendPlace::Right) => {
            let y = plot.y + (plot.height - entries.rect.height) / 2.0;
            shifted(entries, f64::from(recipe.width) - PAD / 2.0, y, true)
        }
        Some(LegendPlace::InsideRight) => {
            shifted(entries, plot.x + plot.width - 6.0, plot.y + 6.0, true)
        }
        Some(LegendPlace::InsideLeft) => shifted(entries, plot.x + 8.0, plot.y + 6.0, false),
        _ => entries,
    }
}

/// Width of the widest tick label.
fn widest_text(labels: &[String], recipe: &Recipe) -> f64 {
    let style = &recipe.style;
    labels
        .iter()
        .map(|label| style.family.width(label, style.tick_size))
        .fold(0.0, f64::max)
}

/// The legend's font size.
pub(super) fn legend_size(recipe: &Recipe) -> f64 {
    recipe.style.tick_size.min(13.0)
}

fn entry_width(recipe: &Recipe, name: &str) -> f64 {
    KEY_WIDTH + 6.0 + recipe.style.family.width(name, legend_size(recipe))
}

/// One legend entry on each line, at the origin.
fn column(recipe: &Recipe) -> LegendBox {
    let pitch = legend_size(recipe) * 1.35;
    let width = recipe
        .series
        .iter()
        .map(|series| entry_width(recipe, &series.name))
        .fold(0.0, f64::max)
        + 10.0;
    let entries = (0..recipe.series.len())
        .map(|i| (5.0, 4.0 + pitch * (i as f64 + 0.75)))
        .collect();
    let height = pitch * recipe.series.len() as f64 + 6.0;
    LegendBox {
        rect: Rect {
            x: 0.0,
            y: 0.0,
            width,
            height,
        },
        entries,
    }
}

/// Legend entries side by side, in lines of width `room`, at the origin.
fn rows(recipe: &Recipe, room: f64) -> LegendBox {
    let pitch = legend_size(recipe) * 1.35;
    let (mut x, mut row, mut widest) = (5.0, 0.0, 0.0_f64);
    let mut entries = Vec::new();
    for series in &recipe.series {
        let width = entry_width(recipe, &series.name);
        if x > 5.0 && x + width + 5.0 > room {
            (x, row) = (5.0, row + 1.0);
        }
        entries.push((x, 4.0 + pitch * (row + 0.75)));
        x += width + 12.0;
        widest = widest.max(x - 7.0);
    }
    LegendBox {
        rect: Rect {
            x: 0.0,
            y: 0.0,
            width: widest,
            height: pitch * (row + 1.0) + 6.0,
        },
        entries,
    }
}

/// Centres the legend on the page at height `y`.
fn centred(legend: LegendBox, page_width: f64, y: f64) -> LegendBox {
    let x = (page_width - legend.rect.width) / 2.0;
    shifted(legend, x, y, false)
}

/// Moves the legend's left (or right) edge to `x` and its top to `y`.
fn shifted(mut legend: LegendBox, x: f64, y: f64, right_edge: bool) -> LegendBox {
    let x = if right_edge { x - legend.rect.width } else { x };
    legend.rect.x += x;
    legend.rect.y += y;
    for (left, baseline) in &mut legend.entries {
        *left += x;
        *baseline += y;
    }
    legend
}

/// The angle by which the texts under the plot must turn to fit beside each other.
fn tilt(labels: &[String], widest: f64, room: f64, recipe: &Recipe) -> f64 {
    let gaps = match (recipe.horizontal(), &recipe.base) {
        (false, super::recipe::Base::Categories(_)) => labels.len(),
        _ => labels.len().saturating_sub(1),
    };
    let pitch = room / gaps.max(1) as f64;
    if widest + recipe.style.tick_size * 0.5 <= pitch {
        0.0
    } else if pitch >= recipe.style.tick_size * 1.5 && widest > recipe.style.tick_size * 2.0 {
        45.0
    } else {
        90.0
    }
}
