//! Curves for the terminal, in Braille dots.

use textplots::{Chart, Plot, Shape};

use super::{Curves, Line};

/// Dots across and down; a character has two by four.
const WIDTH: u32 = 120;
const HEIGHT: u32 = 24;

impl Curves {
    /// The training loss and each validation score, one under the other; empty where there is nothing to draw.
    pub fn text(&self) -> String {
        let loss = [("loss, mean of 20 steps", &self.smooth_loss), ("validation loss", &self.validation_loss)];
        let scores = self.scores.iter().map(|(name, line)| (name.as_str(), line));
        loss.into_iter().chain(scores).filter_map(|(name, line)| plot(name, line)).collect()
    }
}

/// A line of two points at least: one is better told in words.
fn plot(name: &str, line: &Line) -> Option<String> {
    let (&(first, _), &(last, value)) = (line.first()?, line.last()?);
    if first == last {
        return None;
    }
    let points: Vec<(f32, f32)> = line.iter().map(|&(step, value)| (step as f32, value as f32)).collect();
    let shape = Shape::Lines(&points);
    let mut chart = Chart::new(WIDTH, HEIGHT, first as f32, last as f32);
    let chart = chart.lineplot(&shape);
    chart.axis();
    chart.figures();
    let values = line.iter().map(|&(_, value)| value);
    let (least, most) = values.fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)));
    Some(format!("{name}: {least:.4} to {most:.4}, {value:.4} at step {last}\n{chart}\n"))
}
