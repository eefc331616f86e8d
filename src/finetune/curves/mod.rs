//! Training curves: a training log as lines over steps, drawn as SVG and as text.

mod svg;
mod text;

use std::collections::BTreeMap;

pub use svg::overlaid;

use super::log::LogEntry;

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
    /// Window of the running mean in steps: the loss of a single small batch is noisy.
    pub const SMOOTHED: usize = 20;

    /// Builds the curves of a log.
    pub fn new(entries: &[LogEntry]) -> Self {
        let mut curves = Self::default();
        for entry in entries {
            match entry {
                LogEntry::Step(entry) if entry.loss.is_finite() => curves.loss.push((entry.step, entry.loss)),
                LogEntry::Step(_) => {}
                LogEntry::Validation(entry) => {
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
