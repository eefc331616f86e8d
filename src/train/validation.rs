//! What a validation asks and how it is scored.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::feed::{Feeder, Skipped};
use super::log::ValidationEntry;
use crate::adapter::training::{LabelRule, Trainable};
use crate::adapter::{Adapter, Failure};
use crate::config::{Keep, Preset, Protocol};
use crate::runner::{Answered, batches};
use chartbench_core::question::{Prediction, QuestionSet, YearFlags};
use chartbench_nn::Source;
use chartbench_nn::training::Pass;
use chartbench_score::metric::{Convention, Metric, Pair, Summary};

/// Metrics by the names of [`ValidationEntry`].
const METRICS: [(&str, Metric); 3] =
    [("exact_match", Metric::ExactMatch), ("relaxed", Metric::RelaxedAccuracy), ("anls", Metric::Anls)];
/// The metric of the convention `chartbench`, likewise.
const STRICT: [(&str, Metric); 1] = [("strict", Metric::Strict)];

/// What one validation found.
pub(super) struct Validated {
    pub(super) entry: ValidationEntry,
    /// All questions got one answer.
    pub(super) collapsed: bool,
    /// Questions without an answer, which count as wrong, and those that the loss leaves out.
    pub(super) failed: Vec<Skipped>,
}

/// Asks the questions of `set` with the weights as they are, `done` steps finished.
///
/// # Errors
/// As [`answers`]; examples that are not the model's.
pub(super) fn validate(
    model: &dyn Trainable,
    set: &QuestionSet,
    protocol: &Protocol,
    rule: LabelRule,
    done: u64,
) -> Result<Validated> {
    let started = Instant::now();
    let answers = answers(model.adapter()?.as_mut(), set)?;
    let mut metrics = metrics(protocol, set, &answers)?;
    let loss = mean_loss((model, model.variables()), set, rule, protocol.micro_batch())?;
    metrics.extend(loss.mean.map(|loss| ("loss".to_owned(), loss)));
    let mut failed = failures(set, &answers);
    let unanswered: HashSet<String> = failed.iter().map(|failure| failure.question.clone()).collect();
    failed.extend(loss.skipped.into_iter().filter(|skipped| !unanswered.contains(&skipped.question)));
    let distinct: HashSet<&Prediction> = answers.iter().flatten().collect();
    let collapsed = collapsed(set, distinct.len());
    metrics.insert("distinct_answers".to_owned(), distinct.len() as f64 / answers.len() as f64);
    let seconds = started.elapsed().as_secs_f64();
    let entry = ValidationEntry { step: done, questions: set.len() as u64, metrics, seconds };
    Ok(Validated { entry, collapsed, failed })
}

/// The scores by name: those of the preset's convention, and strict accuracy where the protocol chooses by it.
fn metrics(protocol: &Protocol, set: &QuestionSet, answers: &[Answer]) -> Result<BTreeMap<String, f64>> {
    let convention = match protocol.preset {
        Preset::Study => "study",
        Preset::Chartbench => "pix2struct",
    };
    let strict = protocol.preset == Preset::Chartbench || protocol.validation.keep == Keep::Strict;
    let mut metrics = BTreeMap::new();
    for (convention, names) in [(convention, &METRICS[..]), ("chartbench", if strict { &STRICT[..] } else { &[] })] {
        let summary = summary(Convention::by_name(convention)?, set, answers)?;
        let scores = names.iter().filter_map(|&(name, metric)| Some((name.to_owned(), summary.mean(metric)? / 100.0)));
        metrics.extend(scores);
    }
    Ok(metrics)
}

/// One answer to everything, where the golds are many.
fn collapsed(set: &QuestionSet, distinct: usize) -> bool {
    /// Fewer questions may well have one answer.
    const ENOUGH: usize = 8;
    let golds: HashSet<_> = set.iter().map(|(_, question)| &question.gold).collect();
    set.len() >= ENOUGH && golds.len() > 2 && distinct <= 1
}

/// An answer, or why there is none.
pub type Answer = Result<Prediction, String>;

/// The answers in the set's order.
///
/// # Errors
/// A call that cannot be made, an adapter that cannot go on, or questions all of which fail: nothing can be measured then.
pub fn answers(adapter: &mut dyn Adapter, set: &QuestionSet) -> Result<Vec<Answer>> {
    let mut answers: Vec<Answer> = Vec::new();
    for call in batches(set, Answered::default(), adapter.batch())? {
        for answer in adapter.answer(&call?).into_iter().flatten() {
            answers.push(match answer {
                Ok(answer) => Ok(answer.prediction),
                Err(Failure::Question(error)) => Err(format!("{error:#}")),
                Err(Failure::Adapter(error)) => return Err(error.context("validation")),
            });
        }
    }
    if let Some(first) = failures(set, &answers).first()
        && answers.iter().all(Result::is_err)
    {
        bail!(
            "none of the {} validation questions can be answered; {}: {}; try `chartbench data check`",
            answers.len(),
            first.question,
            first.error
        );
    }
    Ok(answers)
}

/// The questions of the set that have no answer.
pub fn failures(set: &QuestionSet, answers: &[Answer]) -> Vec<Skipped> {
    let failed = set.iter().zip(answers).filter_map(|((_, question), answer)| Some((question, answer.as_ref().err()?)));
    failed.map(|(question, error)| Skipped { question: question.id.clone(), error: error.clone() }).collect()
}

/// The scores of the set's answers under a convention.
///
/// # Errors
/// A set without questions.
pub fn summary(convention: &Convention, set: &QuestionSet, answers: &[Answer]) -> Result<Summary> {
    let pairs = set.iter().zip(answers).map(|((_, question), answer)| {
        let (gold, text) = (&question.gold, Some(question.text.as_str()));
        let year_flags = YearFlags::from_slices(|name| question.slices.get(name).map(String::as_str));
        Pair { gold, prediction: answer.as_ref().ok(), question: text, answer_type: question.answer_type, year_flags }
    });
    Summary::from_scores(pairs.map(|pair| convention.score(&pair))).context("nothing to validate on")
}

/// A loss over questions.
pub struct MeanLoss {
    /// Over their label tokens; none where no question can be learned from.
    pub mean: Option<f64>,
    /// Questions that are left out of it.
    pub skipped: Vec<Skipped>,
}

/// The mean loss over the labels of the set's questions with the weights of a source, `micro_batch` questions at a time.
///
/// # Errors
/// Examples that are not the model's.
pub fn mean_loss(
    (model, weights): (&dyn Trainable, &dyn Source),
    set: &QuestionSet,
    rule: LabelRule,
    micro_batch: usize,
) -> Result<MeanLoss> {
    let (mut sum, mut labels, mut skipped) = (0.0, 0, Vec::new());
    for entry in set.charts.chunks(micro_batch.max(1)) {
        let set = &QuestionSet { benchmark: set.benchmark.clone(), charts: entry.to_vec() };
        let fed = Feeder { model, set, rule }.all();
        skipped.extend(fed.skipped);
        for batch in fed.examples.chunks(micro_batch.max(1)) {
            let loss = model.loss_over(weights, batch, Pass::default())?;
            sum += f64::from(loss.sum.to_scalar::<f32>()?);
            labels += loss.labels;
        }
    }
    Ok(MeanLoss { mean: (labels > 0).then(|| sum / labels as f64), skipped })
}
