//! Figures as SVG: line charts, and bar charts with intervals.

mod bars;
mod lines;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use chartbench_core::terminal::{shorten, visible_except};

pub use bars::{Bar, draw_bars};
pub use lines::{Line, Panel, draw_panels};

const FONT: &str = "sans-serif";
/// Colours that are distinct under colour blindness (Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];
const PALE: RGBColor = RGBColor(200, 215, 230);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Truncates a name to at most `most` characters.
fn truncate(name: &str, most: usize) -> String {
    let mut letters = name.chars();
    let start: String = letters.by_ref().take(most).collect();
    if letters.next().is_some() {
        start + "\u{2026}"
    } else {
        start
    }
}

/// The SVG of `size` that `draw` fills, under a title.
fn svg(size: (u32, u32), title: &str, draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
    let mut text = String::new();
    let drawn = || -> Drawn {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE)?;
        let area = area.titled(title, (FONT, 22))?;
        draw(&area)?;
        area.present()?;
        Ok(())
    };
    drawn().map_err(|error| anyhow!("cannot draw {}: {error}", shorten(title)))?;
    Ok(well_formed(&text))
}

/// Makes the characters visible that XML 1.0 forbids, and the other hidden ones: names and titles
/// come from outside.
fn well_formed(svg: &str) -> String {
    visible_except(svg, &['\n', '\t']).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}
