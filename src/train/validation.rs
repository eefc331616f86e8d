//! What a validation asks and how it is scored.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use anyhow::{Context, Result};

use super::feed::Feeder;
use super::log::ValidationEntry;
use crate::adapter::Adapter;
use crate::adapter::training::{LabelRule, Trainable};
use crate::config::{Preset, Protocol};
use crate::metric::{Convention, Metric, Pair, Summary};
use crate::nn::Source;
use crate::nn::training::Pass;
use crate::runner::{Answered, batches};
use crate::sample::{Prediction, QuestionSet, YearFlags};

/// Metrics by the names of [`ValidationEntry`].
const METRICS: [(&str, Metric); 3] =
    [("exact_match", Metric::ExactMatch), ("relaxed", Metric::RelaxedAccuracy), ("anls", Metric::Anls)];

/// Asks the questions of `set` with the weights as they are, `done` steps finished.
///
/// # Errors
/// An adapter that cannot go on, examples that are not the model's.
pub(super) fn validate(
    model: &dyn Trainable,
    set: &QuestionSet,
    protocol: &Protocol,
    rule: LabelRule,
    done: u64,
) -> Result<(ValidationEntry, bool)> {
    let started = Instant::now();
    let convention = match protocol.preset {
        Preset::Study => "study",
        Preset::Chartbench => "pix2struct",
    };
    let answers = answers(model.adapter()?.as_mut(), set)?;
    let summary = summary(Convention::named(convention)?, set, &answers)?;
    let scores = METRICS.iter().filter_map(|&(name, metric)| Some((name.to_owned(), summary.mean(metric)? / 100.0)));
    let mut metrics: BTreeMap<String, f64> = scores.collect();
    if let Some(loss) = mean_loss((model, model.variables()), set, rule, protocol.micro_batch())? {
        metrics.insert("loss".to_owned(), loss);
    }
    let distinct: HashSet<&Prediction> = answers.iter().flatten().collect();
    let collapsed = collapsed(set, distinct.len());
    metrics.insert("distinct_answers".to_owned(), distinct.len() as f64 / answers.len() as f64);
    let seconds = started.elapsed().as_secs_f64();
    Ok((ValidationEntry { step: done, questions: set.len() as u64, metrics, seconds }, collapsed))
}

/// One answer to everything, where the golds are many.
fn collapsed(set: &QuestionSet, distinct: usize) -> bool {
    /// Fewer questions may well have one answer.
    const ENOUGH: usize = 8;
    let golds: HashSet<_> = set.iter().map(|(_, question)| &question.gold).collect();
    set.len() >= ENOUGH && golds.len() > 2 && distinct <= 1
}

/// The answers in the set's order; a question that fails has none.
///
/// # Errors
/// A call that cannot be made.
pub fn answers(adapter: &mut dyn Adapter, set: &QuestionSet) -> Result<Vec<Option<Prediction>>> {
    let mut predictions = Vec::new();
    for call in batches(set, Answered::default(), adapter.batch())? {
        let answers = adapter.answer(&call?).into_iter().flatten();
        predictions.extend(answers.map(|answer| answer.ok().map(|answer| answer.prediction)));
    }
    Ok(predictions)
}

/// The scores of the set's answers under a convention.
///
/// # Errors
/// A set without questions.
pub fn summary(convention: &Convention, set: &QuestionSet, answers: &[Option<Prediction>]) -> Result<Summary> {
    let pairs = set.iter().zip(answers).map(|((_, question), prediction)| {
        let (gold, text) = (&question.gold, Some(question.text.as_str()));
        let year_flags = YearFlags::from_slices(|name| question.slices.get(name).map(String::as_str));
        Pair { gold, prediction: prediction.as_ref(), question: text, answer_type: question.answer_type, year_flags }
    });
    Summary::of(pairs.map(|pair| convention.score(&pair))).context("nothing to validate on")
}

/// The mean loss over the labels of the set's questions with the weights of a source, so many questions at a time; none
/// where none of them can be read.
///
/// # Errors
/// Examples that are not the model's.
pub fn mean_loss(
    (model, weights): (&dyn Trainable, &dyn Source),
    set: &QuestionSet,
    rule: LabelRule,
    micro_batch: usize,
) -> Result<Option<f64>> {
    let (mut sum, mut labels) = (0.0, 0);
    for entry in set.charts.chunks(micro_batch.max(1)) {
        let set = &QuestionSet { benchmark: set.benchmark.clone(), charts: entry.to_vec() };
        let examples = Feeder { model, set, rule }.all().examples;
        for batch in examples.chunks(micro_batch.max(1)) {
            let loss = model.loss_over(weights, batch, Pass::default())?;
            sum += f64::from(loss.sum.to_scalar::<f32>()?);
            labels += loss.labels;
        }
    }
    Ok((labels > 0).then(|| sum / labels as f64))
}
