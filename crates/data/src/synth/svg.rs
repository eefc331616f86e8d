//! Writes the SVG of charts, and renders it as PNG.

use std::fmt::Write;
use std::io::Cursor;

use anyhow::{Context, Result};
use image::{DynamicImage, ImageFormat, RgbImage};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

use super::fonts::{self, Family};

/// The point of a text at its position.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A text to draw. `x`, `y` is the point on its baseline named by `anchor`; `turn` is clockwise
/// degrees about it.
pub(super) struct Text<'a> {
    pub x: f64,
    pub y: f64,
    pub anchor: Anchor,
    pub size: f64,
    pub turn: f64,
    pub bold: bool,
    pub text: &'a str,
}

/// A stroke: colour, width in pixels, SVG dash array (empty: solid).
#[derive(Clone, Copy)]
pub(super) struct Stroke<'a> {
    pub colour: &'a str,
    pub width: f64,
    pub dash: &'a str,
}

impl<'a> Stroke<'a> {
    /// A solid line.
    pub(super) fn solid(colour: &'a str, width: f64) -> Self {
        Self {
            colour,
            width,
            dash: "",
        }
    }
}

/// An SVG document being written. All lengths are pixels.
pub(super) struct Svg {
    body: String,
    family: Family,
}

impl Svg {
    /// An empty page.
    pub(super) fn new(width: u32, height: u32, page: &str, family: Family) -> Self {
        let body = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" {}>\
             <rect width=\"{width}\" height=\"{height}\" fill=\"{page}\"/>\n",
            family.attributes()
        );
        Self { body, family }
    }

    /// The width of a text.
    pub(super) fn width(&self, text: &str, size: f64) -> f64 {
        self.family.width(text, size)
    }

    /// Appends raw markup, for elements without a method.
    pub(super) fn raw(&mut self, markup: &str) {
        self.body.push_str(markup);
        self.body.push('\n');
    }

    /// A straight line.
    pub(super) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), stroke: Stroke) {
        let stroke = attributes(stroke);
        self.raw(&format!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"{stroke}/>"
        ));
    }

    /// A filled rectangle, outlined where there is a stroke.
    pub(super) fn rect(
        &mut self,
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        fill: &str,
        stroke: Option<Stroke>,
    ) {
        let stroke = stroke.map(attributes).unwrap_or_default();
        self.raw(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\"{stroke}/>"
        ));
    }

    /// An open line through points.
    pub(super) fn polyline(&mut self, points: &[(f64, f64)], stroke: Stroke) {
        let list = join(points);
        self.raw(&format!(
            "<polyline points=\"{list}\" fill=\"none\"{}/>",
            attributes(stroke)
        ));
    }

    /// A filled, outlined polygon.
    pub(super) fn polygon(&mut self, points: &[(f64, f64)], fill: &str, stroke: Stroke) {
        let list = join(points);
        self.raw(&format!(
            "<polygon points=\"{list}\" fill=\"{fill}\"{}/>",
            attributes(stroke)
        ));
    }

    /// A filled, outlined circle.
    pub(super) fn circle(&mut self, (x, y): (f64, f64), radius: f64, fill: &str, stroke: Stroke) {
        let stroke = attributes(stroke);
        self.raw(&format!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"{fill}\"{stroke}/>"
        ));
    }

    /// A text in the page's family.
    pub(super) fn text(&mut self, text: &Text) {
        let anchor = match text.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let (x, y, size) = (text.x, text.y, text.size);
        let turn = if text.turn == 0.0 {
            String::new()
        } else {
            format!(" transform=\"rotate({} {x:.1} {y:.1})\"", text.turn)
        };
        let weight = if text.bold {
            " font-weight=\"bold\""
        } else {
            ""
        };
        let content = text
            .text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        self.raw(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\"{weight}{turn}>{content}</text>"
        ));
    }

    /// The document.
    pub(super) fn finish(mut self) -> String {
        self.body.push_str("</svg>\n");
        self.body
    }
}

fn attributes(stroke: Stroke) -> String {
    let mut text = format!(
        " stroke=\"{}\" stroke-width=\"{:.1}\"",
        stroke.colour, stroke.width
    );
    if !stroke.dash.is_empty() {
        let _ = write!(text, " stroke-dasharray=\"{}\"", stroke.dash);
    }
    text
}

fn join(points: &[(f64, f64)]) -> String {
    points
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Renders an SVG with the embedded fonts as PNG: RGB, or 8-bit grey where `grey`.
pub(super) fn to_png(svg: &str, grey: bool) -> Result<Vec<u8>> {
    let options = Options {
        fontdb: fonts::database(),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).context("cannot read the drawn chart's SVG")?;
    let size = tree.size().to_int_size();
    let mut pixmap =
        Pixmap::new(size.width(), size.height()).context("the drawn chart has no pixels")?;
    resvg::render(&tree, Transform::identity(), &mut pixmap.as_mut());
    // The page is opaque, so premultiplied colours are the colours themselves.
    let rgb: Vec<u8> = pixmap
        .data()
        .chunks_exact(4)
        .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect();
    let image = RgbImage::from_raw(size.width(), size.height(), rgb)
        .context("the drawn chart's size is off")?;
    let image = DynamicImage::ImageRgb8(image);
    let image = if grey {
        DynamicImage::ImageLuma8(image.to_luma8())
    } else {
        image
    };
    let mut png = Vec::new();
    image
        .write_to(&mut Cursor::new(&mut png), ImageFormat::Png)
        .context("cannot encode the drawn chart")?;
    Ok(png)
}
