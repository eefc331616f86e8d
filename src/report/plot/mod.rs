//! Figures as SVG: line charts, and bar charts with intervals. They are as wide as a column of a
//! paper, and their letters are as large as its text.

mod bars;
mod lines;
mod scale;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use chartbench_core::terminal::{shorten, visible_except};

pub use bars::{Bar, draw_bars};
pub use lines::{Line, Panel, common_x, draw_panels, thinned};
pub use scale::Scale;

const FONT: &str = "sans-serif";
/// A column of 85 mm is 1.4 times narrower, which leaves letters of 7 points.
const WIDTH: u32 = 450;
const MARGIN: u32 = 10;
/// The size of letters; SVG gets 1 / 1.24 of it.
const FONT_SIZE: u32 = 16;
const LINE_HEIGHT: u32 = 17;
/// Letters that fit in a line as wide as the figure.
const LINE_CHARS: usize = 54;
/// Most lines of one name; what is longer is cut.
const MAX_LINES: usize = 4;
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
/// The colour of blind rows.
const BLIND: RGBColor = RGBColor(125, 134, 146);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// A name in lines of at most `chars` characters, broken behind a blank or a slash where it has
/// one. Names of more than [`MAX_LINES`] lines are cut.
fn wrapped(name: &str, chars: usize) -> Vec<String> {
    let name = visible_except(name, &[]);
    let mut rest: Vec<char> = name.chars().collect();
    let mut lines = Vec::new();
    while rest.len() > chars && lines.len() + 1 < MAX_LINES {
        let mut head = rest.iter().take(chars).enumerate();
        let is_break = |letter: &char| matches!(letter, ' ' | '/' | '-' | '_');
        // A line of less than half is not worth a break at a word's end.
        let end = head.rfind(|(_, letter)| is_break(letter));
        let end = end.map_or(chars, |(place, _)| place + 1);
        let end = if end > chars / 2 { end } else { chars };
        let tail = rest.split_off(end);
        lines.push(std::mem::replace(&mut rest, tail).into_iter().collect());
    }
    if rest.len() > chars {
        rest.truncate(chars.saturating_sub(1));
        rest.push('\u{2026}');
    }
    lines.push(rest.into_iter().collect());
    lines
}

/// A text in the figures' letters.
fn letters(area: &Area<'_>) -> TextStyle<'static> {
    (FONT, FONT_SIZE).into_text_style(area)
}

/// The SVG of a height that `draw` fills below the title.
fn svg(height: u32, title: &str, draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
    let mut text = String::new();
    let title_lines = wrapped(title, LINE_CHARS - 12);
    let head = MARGIN + title_lines.len() as u32 * (LINE_HEIGHT + 2);
    let drawn = || -> Drawn {
        let area = SVGBackend::with_string(&mut text, (WIDTH, head + height)).into_drawing_area();
        area.fill(&WHITE)?;
        let style = (FONT, FONT_SIZE + 2)
            .into_font()
            .style(FontStyle::Bold)
            .into_text_style(&area);
        for (place, line) in title_lines.into_iter().enumerate() {
            let down = (MARGIN + place as u32 * (LINE_HEIGHT + 2)) as i32;
            area.draw(&Text::new(line, (MARGIN as i32, down), style.clone()))?;
        }
        draw(&area.split_vertically(head).1)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_broken_and_not_cut() {
        assert_eq!(wrapped("before/majority", 20), ["before/majority"]);
        assert_eq!(
            wrapped("a-run-with-a-long-name/matcha-base", 24),
            ["a-run-with-a-long-name/", "matcha-base"]
        );
        assert_eq!(
            wrapped(&"x".repeat(50), 20),
            ["x".repeat(20), "x".repeat(20), "x".repeat(10)]
        );
        let long = wrapped(&"x".repeat(1_000), 20);
        assert_eq!(long.len(), MAX_LINES);
        assert!(long[3].ends_with("x\u{2026}") && long[3].chars().count() == 20);
    }
}
