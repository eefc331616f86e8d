//! Curves as SVG pictures: of one training, and of several in one figure.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use super::{Curves, Line as Points};
use crate::report::plot::{Line, Panel, draw_panels};

impl Curves {
    /// The picture of this training, for people and for `report`: losses above, validation scores below. `title` stands
    /// above it.
    ///
    /// # Errors
    /// Nothing to draw.
    pub fn svg(&self, title: &str) -> Result<String> {
        let losses = vec![
            line("mean of 20 steps", &self.smooth_loss, false),
            line("validation", &self.validation_loss, true),
            Line { faint: true, ..line("batch", &self.loss, false) },
        ];
        let scores = self.scores.iter().map(|(name, points)| line(name, points, true)).collect();
        draw_panels(title, &[losses_panel("loss", losses), scores_panel("validation score", scores)])
            .context("the training log is empty")
    }
}

/// Several trainings in one figure: a panel each for the training loss, the validation loss and every validation score, a
/// line each for the trainings.
///
/// # Errors
/// Nothing to draw.
pub fn overlaid(title: &str, trainings: &[(String, Curves)]) -> Result<String> {
    let lines = |points: &dyn Fn(&Curves) -> Points, dots: bool| -> Vec<Line> {
        trainings.iter().map(|(name, curves)| line(name, &points(curves), dots)).collect()
    };
    let mut all = vec![
        losses_panel("training loss, mean of 20 steps", lines(&|curves| curves.smooth_loss.clone(), false)),
        losses_panel("validation loss", lines(&|curves| curves.validation_loss.clone(), true)),
    ];
    let scores: BTreeSet<&String> = trainings.iter().flat_map(|(_, curves)| curves.scores.keys()).collect();
    for score in scores {
        let of_score = lines(&|curves| curves.scores.get(score).cloned().unwrap_or_default(), true);
        all.push(scores_panel(&format!("validation {score}"), of_score));
    }
    draw_panels(title, &all).context("the training logs are empty")
}

fn line(name: &str, points: &Points, dots: bool) -> Line {
    let points = points.iter().map(|&(step, value)| (step as f64, value)).collect();
    Line { name: name.to_owned(), points, dots, faint: false }
}

fn losses_panel(label: &str, lines: Vec<Line>) -> Panel {
    Panel { x: "step".to_owned(), y: label.to_owned(), lines, top: None }
}

fn scores_panel(label: &str, lines: Vec<Line>) -> Panel {
    Panel { x: "step".to_owned(), y: label.to_owned(), lines, top: Some(1.0) }
}
