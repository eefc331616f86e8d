//! Charts of the train split that are kept out of training, to validate on.

use anyhow::{Result, ensure};

use super::lot::{Purpose, lot};
use crate::config::Validation;
use chartbench_core::question::{ChartQuestions, QuestionSet};

/// A train split in two parts without a common chart, each in the split's order.
#[derive(Clone, Debug)]
pub struct HeldOut {
    pub train: QuestionSet,
    pub validation: QuestionSet,
}

/// Holds a `share` (above 0 and below 1) of the charts out, each with all its questions. Whether a chart is held out
/// depends on `seed` and its id alone: more charts move none from one part to the other. At least one is held
/// out, and one stays.
///
/// # Errors
/// Fewer than two charts.
pub fn hold_out(set: QuestionSet, share: f64, seed: u64) -> Result<HeldOut> {
    let count = set.charts.len();
    ensure!(count >= 2, "the train split has {count} charts: one to train on and one to validate on are the least");
    let lots: Vec<u64> = set.charts.iter().map(|entry| lot(Purpose::HoldOut, seed, &entry.chart.id)).collect();
    let bound = (share * 2f64.powi(64)) as u64;
    let (lowest, highest) = (lots.iter().min().copied(), lots.iter().max().copied());
    let mut out = lots.iter().map(|&lot| (lot < bound || Some(lot) == lowest) && Some(lot) != highest);
    let (validation, train): (Vec<ChartQuestions>, Vec<ChartQuestions>) =
        set.charts.into_iter().partition(|_| out.next().unwrap_or(false));
    let part = |charts| QuestionSet { benchmark: set.benchmark.clone(), charts };
    Ok(HeldOut { train: part(train), validation: part(validation) })
}

/// The questions of `set` that a validation asks, in the set's order: so many a chart and so many in all, drawn by
/// `seed`. The draw of a question depends on no other chart but for the limit in all.
#[must_use]
pub fn validation_questions(set: QuestionSet, validation: &Validation, seed: u64) -> QuestionSet {
    let mut set = match validation.questions_per_chart {
        Some(count) => set.sample(count, seed),
        None => set,
    };
    let Some(count) = validation.questions.filter(|&count| count < set.len()) else { return set };
    let lot = |chart: &str, question: &str| (lot(Purpose::Validation, seed, question), chart.len(), chart.to_owned());
    let mut lots: Vec<_> = set.iter().map(|(chart, question)| lot(&chart.id, &question.id)).collect();
    lots.sort_unstable();
    let bound = lots.get(count).cloned();
    for entry in &mut set.charts {
        let chart = &entry.chart.id;
        entry.questions.retain(|question| Some(lot(chart, &question.id)) < bound);
    }
    set.charts.retain(|entry| !entry.questions.is_empty());
    set
}
