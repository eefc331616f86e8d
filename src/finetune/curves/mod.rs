//! How a training went, as lines over steps: from its log to SVG and to text.

mod svg;
mod text;

use std::collections::BTreeMap;

pub use svg::overlaid;

use super::log::Entry;

/// One line: step and value, in the order of the steps; finite values only.
pub type Line = Vec<(u64, f64)>;

/// The lines of one training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// Loss of each training batch.
    pub loss: Line,
    /// The same, the mean of the [`Curves::SMOOTHED`] steps up to each.
    pub smooth_loss: Line,
    pub validation_loss: Line,
    /// Validation scores by name, from 0 to 1.
    pub scores: BTreeMap<String, Line>,
}

impl Curves {
    /// Steps of a running mean: a batch of four questions says little.
    pub const SMOOTHED: usize = 20;

    /// From the lines of a log.
    pub fn new(entries: &[Entry]) -> Self {
        let mut curves = Self::default();
        for entry in entries {
            match entry {
                Entry::Step(entry) if entry.loss.is_finite() => curves.loss.push((entry.step, entry.loss)),
                Entry::Step(_) => {}
                Entry::Validation(entry) => {
                    for (name, &value) in entry.metrics.iter().filter(|(_, value)| value.is_finite()) {
                        let line = match name.as_str() {
                            "loss" => &mut curves.validation_loss,
                            name => curves.scores.entry(name.to_owned()).or_default(),
                        };
                        line.push((entry.step, value));
                    }
                }
            }
        }
        curves.smooth_loss = running_mean(&curves.loss, Self::SMOOTHED);
        curves
    }
}

fn running_mean(line: &Line, count: usize) -> Line {
    let mean = |end: usize| {
        let window = &line[(end + 1).saturating_sub(count)..=end];
        window.iter().map(|(_, value)| value).sum::<f64>() / window.len() as f64
    };
    line.iter().enumerate().map(|(index, &(step, _))| (step, mean(index))).collect()
}
