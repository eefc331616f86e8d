//! Charts of the train split that are kept out of training, to validate on.

use anyhow::{Result, ensure};

use super::draw_purpose::{DrawPurpose, draw};
use crate::config::Validation;
use chartbench_core::question::{ChartQuestions, QuestionSet};

/// A train split in two parts without a common chart, each in the split's order.
#[derive(Clone, Debug)]
pub struct HeldOut {
    /// The questions to train on, grouped by chart.
    pub train: QuestionSet,
    /// The questions to validate on; [`hold_out`] makes them share no chart with `train`.
    pub validation: QuestionSet,
}

/// Holds out a `share` (above 0 and below 1) of the charts, each with all its questions. Whether a
/// chart is held out depends on `seed` and its id alone, so that further charts move none from one
/// part to the other. At least one chart is held out, and one stays.
///
/// # Errors
/// Returns an error if there are fewer than two charts.
pub fn hold_out(set: QuestionSet, share: f64, seed: u64) -> Result<HeldOut> {
    let count = set.charts.len();
    ensure!(
        count >= 2,
        "the train split has {count} charts: one to train on and one to validate on are the least"
    );
    let draws: Vec<u64> = set
        .charts
        .iter()
        .map(|entry| draw(DrawPurpose::HoldOut, seed, &entry.chart.id))
        .collect();
    let bound = (share * 2f64.powi(64)) as u64;
    let (lowest, highest) = (draws.iter().min().copied(), draws.iter().max().copied());
    let mut out = draws
        .iter()
        .map(|&draw| (draw < bound || Some(draw) == lowest) && Some(draw) != highest);
    let (validation, train): (Vec<ChartQuestions>, Vec<ChartQuestions>) = set
        .charts
        .into_iter()
        .partition(|_| out.next().unwrap_or(false));
    let part = |charts| QuestionSet {
        benchmark: set.benchmark.clone(),
        charts,
    };
    Ok(HeldOut {
        train: part(train),
        validation: part(validation),
    })
}

/// Samples the validation questions: at most N per chart and M in total, reproducibly from `seed`,
/// in the set's order. Whether a question is drawn depends on other charts only through the total
/// limit.
#[must_use]
pub fn validation_questions(set: QuestionSet, validation: &Validation, seed: u64) -> QuestionSet {
    let mut set = match validation.questions_per_chart {
        Some(count) => set.sample(count, seed),
        None => set,
    };
    let Some(count) = validation.questions.filter(|&count| count < set.len()) else {
        return set;
    };
    let rank = |chart: &str, question: &str| {
        (
            draw(DrawPurpose::Validation, seed, question),
            chart.len(),
            chart.to_owned(),
        )
    };
    let mut ranks: Vec<_> = set
        .iter()
        .map(|(chart, question)| rank(&chart.id, &question.id))
        .collect();
    ranks.sort_unstable();
    let bound = ranks.get(count).cloned();
    for entry in &mut set.charts {
        let chart = &entry.chart.id;
        entry
            .questions
            .retain(|question| Some(rank(chart, &question.id)) < bound);
    }
    set.charts.retain(|entry| !entry.questions.is_empty());
    set
}
