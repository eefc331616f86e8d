//! Training curves: a training log as lines over steps, drawn as SVG and as text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use textplots::{Chart, Plot, Shape};

use super::log::{LogEntry, TRAINING_LOG, read_log};
use crate::config::Keep;
use crate::report::plot::{Line, Panel, draw_panels};
use chartbench_core::files::write_file;

/// The picture of a training, in its folder.
const PICTURE: &str = "training.svg";

/// One line: step and value, in the order of the steps; finite values only.
pub type Points = Vec<(u64, f64)>;

/// The lines of one training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// Loss of each training batch.
    pub loss: Points,
    /// The same, the mean of the [`Curves::SMOOTHED`] steps up to each.
    pub smooth_loss: Points,
    /// Mean loss of each validation, the log's metric `loss`.
    pub validation_loss: Points,
    /// Validation scores by name, from 0 to 1.
    pub scores: BTreeMap<String, Points>,
    /// The step whose weights were kept, where it is known: no log says so.
    pub kept: Option<u64>,
}

impl Curves {
    /// Window of the running mean in steps: the loss of a single small batch is noisy.
    pub const SMOOTHED: usize = 20;

    /// Builds the curves of a log.
    pub fn new(entries: &[LogEntry]) -> Self {
        let mut curves = Self::default();
        for entry in entries {
            match entry {
                LogEntry::Step(entry) if entry.loss.is_finite() => {
                    curves.loss.push((entry.step, entry.loss))
                }
                LogEntry::Step(_) => {}
                LogEntry::Validation(entry) => {
                    for (name, &value) in
                        entry.metrics.iter().filter(|(_, value)| value.is_finite())
                    {
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

fn running_mean(line: &Points, count: usize) -> Points {
    let mean = |end: usize| {
        let window = &line[(end + 1).saturating_sub(count)..=end];
        window.iter().map(|(_, value)| value).sum::<f64>() / window.len() as f64
    };
    line.iter()
        .enumerate()
        .map(|(index, &(step, _))| (step, mean(index)))
        .collect()
}

impl Curves {
    /// The panels of this training: losses, and below them validation scores in %.
    pub fn panels(&self) -> Vec<Panel> {
        let losses = vec![
            line("mean of 20 steps", &self.smooth_loss, false),
            line("validation", &self.validation_loss, true),
            Line {
                faint: true,
                ..line("batch", &self.loss, false)
            },
        ];
        let scores = self
            .scores
            .iter()
            .map(|(name, points)| line(name, &percent(points), true))
            .collect();
        let kept = self.kept.map(|step| (step as f64, "kept".to_owned()));
        let mut panels = vec![
            losses_panel("loss", losses),
            scores_panel("validation score, %", scores),
        ];
        for panel in &mut panels {
            panel.marker.clone_from(&kept);
        }
        panels
    }

    /// The picture of this training, under `title`.
    ///
    /// # Errors
    /// Returns an error if there is nothing to draw.
    pub fn svg(&self, title: &str) -> Result<String> {
        draw_panels(title, &self.panels()).context("the training log is empty")
    }

    /// Draws the log so far of the training in `folder` as its `training.svg`, under `title`;
    /// returns the curves.
    ///
    /// # Errors
    /// Returns an error if the log cannot be read or is empty, or the picture cannot be written.
    pub fn draw_log(folder: &Path, title: &str) -> Result<Self> {
        let curves = Self::new(&read_log(&folder.join(TRAINING_LOG))?);
        write_file(&folder.join(PICTURE), curves.svg(title)?.as_bytes())?;
        Ok(curves)
    }
}

/// Several trainings in one figure: a panel each for the training loss, the validation loss and
/// every validation score, a line each for the trainings.
///
/// # Errors
/// Returns an error if there is nothing to draw.
pub fn overlaid(title: &str, trainings: &[(String, Curves)]) -> Result<String> {
    let lines = |points: &dyn Fn(&Curves) -> Points, dots: bool| -> Vec<Line> {
        trainings
            .iter()
            .map(|(name, curves)| line(name, &points(curves), dots))
            .collect()
    };
    let mut all = vec![
        losses_panel(
            "training loss, mean of 20 steps",
            lines(&|curves| curves.smooth_loss.clone(), false),
        ),
        losses_panel(
            "validation loss",
            lines(&|curves| curves.validation_loss.clone(), true),
        ),
    ];
    let scores: BTreeSet<&String> = trainings
        .iter()
        .flat_map(|(_, curves)| curves.scores.keys())
        .collect();
    for score in scores {
        let of_score = lines(
            &|curves| percent(curves.scores.get(score).unwrap_or(&Vec::new())),
            true,
        );
        all.push(scores_panel(&format!("validation {score}, %"), of_score));
    }
    draw_panels(title, &all).context("the training logs are empty")
}

fn line(name: &str, points: &Points, dots: bool) -> Line {
    let points = points
        .iter()
        .map(|&(step, value)| (step as f64, value))
        .collect();
    Line {
        dots,
        ..Line::new(name, points)
    }
}

/// Scores from 0 to 1 in percent, the unit of every other score.
fn percent(points: &Points) -> Points {
    let percent = |&(step, value): &(u64, f64)| (step, 100.0 * value);
    points.iter().map(percent).collect()
}

fn losses_panel(label: &str, lines: Vec<Line>) -> Panel {
    Panel {
        x: "step".to_owned(),
        y: label.to_owned(),
        lines,
        ..Panel::default()
    }
}

fn scores_panel(label: &str, lines: Vec<Line>) -> Panel {
    Panel {
        top: Some(100.0),
        ..losses_panel(label, lines)
    }
}

/// Dots across and down; a character has two by four.
const TEXT_WIDTH: u32 = 120;
const TEXT_HEIGHT: u32 = 24;

impl Curves {
    /// The losses and the score that selects the step, one under the other; empty where there is
    /// nothing to draw.
    pub fn text(&self, keep: Keep) -> String {
        let losses = [
            ("loss, mean of 20 steps", &self.smooth_loss),
            ("validation loss", &self.validation_loss),
        ];
        let score = keep.metric().and_then(|(name, _)| {
            let (name, line) = self.scores.get_key_value(name)?;
            Some((name.as_str(), line))
        });
        losses
            .into_iter()
            .chain(score)
            .filter_map(|(name, line)| plot_text(name, line))
            .collect()
    }
}

/// The range of a line of two points at least, and its picture where it is not flat.
fn plot_text(name: &str, line: &Points) -> Option<String> {
    let (&(first, _), &(last, value)) = (line.first()?, line.last()?);
    if first == last {
        return None;
    }
    let values = line.iter().map(|&(_, value)| value);
    let (least, most) = values.fold((f64::MAX, f64::MIN), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    if least == most {
        return Some(format!(
            "{name}: {value:.4} from step {first} to step {last}\n"
        ));
    }
    let points: Vec<(f32, f32)> = line
        .iter()
        .map(|&(step, value)| (step as f32, value as f32))
        .collect();
    let shape = Shape::Lines(&points);
    let mut chart = Chart::new(TEXT_WIDTH, TEXT_HEIGHT, first as f32, last as f32);
    let chart = chart.lineplot(&shape);
    chart.axis();
    chart.figures();
    Some(format!(
        "{name}: {least:.4} to {most:.4}, {value:.4} at step {last}\n{chart}\n"
    ))
}
