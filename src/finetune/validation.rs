//! Validation: answers the validation questions and scores them.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::interrupt::InterruptibleAdapter;
use super::log::ValidationEntry;
use super::prefetch::{Prefetcher, SkippedQuestion};
use crate::adapter::training::{LabelRule, Trainable};
use crate::adapter::{Adapter, Answer, questions};
use crate::config::{Keep, Preset, Protocol};
use crate::run::{AnsweredIds, batches};
use chartbench_core::question::{Prediction, QuestionKind, QuestionSet, YearFlags};
use chartbench_nn::TensorSource;
use chartbench_nn::training::LossOptions;
use chartbench_score::metric::{Convention, Counterparts, Metric, Pair, Summary};

/// Metrics by the names of [`ValidationEntry`].
const METRICS: [(&str, Metric); 3] = [
    ("exact_match", Metric::ExactMatch),
    ("relaxed", Metric::RelaxedAccuracy),
    ("anls", Metric::Anls),
];
/// The metric of the convention `chartbench`, likewise.
const STRICT: [(&str, Metric); 1] = [("strict", Metric::Strict)];

/// The outcome of a validation.
pub(super) struct ValidationOutcome {
    pub(super) entry: ValidationEntry,
    /// Whether every question got the same answer.
    pub(super) collapsed: bool,
    /// Questions without an answer, which count as wrong, and questions left out of the loss.
    pub(super) failed: Vec<SkippedQuestion>,
}

/// Validates the current weights on `set`, after `done` steps.
///
/// # Errors
/// As [`answer_questions`]; returns an error if the examples do not fit the model, and
/// [`Interrupted`](super::Interrupted) once `stop` is set.
pub(super) fn validate(
    model: &dyn Trainable,
    set: &QuestionSet,
    protocol: &Protocol,
    rule: LabelRule,
    done: u64,
    stop: &AtomicBool,
) -> Result<ValidationOutcome> {
    let started = Instant::now();
    let mut adapter = model.adapter()?;
    let mut adapter = InterruptibleAdapter {
        inner: adapter.as_mut(),
        stop,
        step: done,
    };
    let answers = answer_questions(&mut adapter, set)?;
    let mut metrics = metrics(protocol, set, &answers)?;
    let loss = mean_loss(model, model.variables(), set, rule, protocol.micro_batch())?;
    metrics.extend(loss.mean.map(|loss| ("loss".to_owned(), loss)));
    let mut failed = failed_questions(set, &answers);
    let unanswered: HashSet<String> = failed
        .iter()
        .map(|failure| failure.question.clone())
        .collect();
    failed.extend(
        loss.skipped
            .into_iter()
            .filter(|skipped| !unanswered.contains(&skipped.question)),
    );
    let distinct: HashSet<&Prediction> = answers.iter().flatten().collect();
    let collapsed = collapsed(set, distinct.len());
    metrics.insert(
        "distinct_answers".to_owned(),
        distinct.len() as f64 / answers.len() as f64,
    );
    let seconds = started.elapsed().as_secs_f64();
    let entry = ValidationEntry {
        step: done,
        questions: set.len() as u64,
        metrics,
        seconds,
    };
    Ok(ValidationOutcome {
        entry,
        collapsed,
        failed,
    })
}

/// The scores by name: those of the preset's convention, and strict accuracy if the protocol
/// selects by it.
fn metrics(
    protocol: &Protocol,
    set: &QuestionSet,
    answers: &[ValidationAnswer],
) -> Result<BTreeMap<String, f64>> {
    let convention = match protocol.preset {
        Preset::Study => "study",
        Preset::Chartbench => "pix2struct",
    };
    let strict = protocol.preset == Preset::Chartbench || protocol.validation.keep == Keep::Strict;
    let mut metrics = BTreeMap::new();
    for (convention, names) in [
        (convention, &METRICS[..]),
        ("chartbench", if strict { &STRICT[..] } else { &[] }),
    ] {
        let summary = summarize(Convention::by_name(convention)?, set, answers)?;
        let scores = names
            .iter()
            .filter_map(|&(name, metric)| Some((name.to_owned(), summary.mean(metric)? / 100.0)));
        metrics.extend(scores);
    }
    Ok(metrics)
}

/// Whether one answer is given to everything, though there are several golds.
fn collapsed(set: &QuestionSet, distinct: usize) -> bool {
    /// Fewer questions may share one answer by chance.
    const ENOUGH: usize = 8;
    let golds: HashSet<_> = set.iter().map(|(_, question)| &question.gold).collect();
    set.len() >= ENOUGH && golds.len() > 2 && distinct <= 1
}

/// An answer, or the error of the question.
pub type ValidationAnswer = Result<Prediction, String>;

/// Answers the questions of `set`, in its order.
///
/// # Errors
/// Returns an error if a call fails, the adapter cannot go on, or every question fails, so that
/// nothing can be measured.
pub fn answer_questions(
    adapter: &mut dyn Adapter,
    set: &QuestionSet,
) -> Result<Vec<ValidationAnswer>> {
    let mut answers: Vec<ValidationAnswer> = Vec::new();
    for call in batches(set, AnsweredIds::default(), adapter.batch())? {
        let call = call?;
        let first = answers.len();
        let unanswered = || Err("the adapter gave no answer: a bug in it".to_owned());
        answers.extend(questions(&call).map(|_| unanswered()));
        let mut report = |index: usize, answer: Result<Answer>| {
            if let Some(slot) = answers.get_mut(first + index) {
                *slot = match answer {
                    Ok(answer) => Ok(answer.prediction),
                    Err(error) => Err(format!("{error:#}")),
                };
            }
        };
        adapter.answer(&call, &mut report).context("validation")?;
    }
    if let Some(first) = failed_questions(set, &answers).first()
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

/// The questions of the set without an answer.
pub fn failed_questions(set: &QuestionSet, answers: &[ValidationAnswer]) -> Vec<SkippedQuestion> {
    let failed = set
        .iter()
        .zip(answers)
        .filter_map(|((_, question), answer)| Some((question, answer.as_ref().err()?)));
    failed
        .map(|(question, error)| SkippedQuestion {
            question: question.id.clone(),
            error: error.clone(),
        })
        .collect()
}

/// Scores the set's answers under a convention.
///
/// # Errors
/// Returns an error if the set has no questions.
pub fn summarize(
    convention: &Convention,
    set: &QuestionSet,
    answers: &[ValidationAnswer],
) -> Result<Summary> {
    let asked = || set.iter().map(|(_, question)| question).zip(answers);
    let counterparts = Counterparts::new(asked().map(|(question, answer)| {
        let id = question.id.as_str();
        (id, &question.gold, answer.as_ref().ok())
    }));
    let pairs = asked().map(|(question, answer)| {
        let slice = |name: &str| question.slices.get(name).map(String::as_str);
        Pair {
            gold: &question.gold,
            prediction: answer.as_ref().ok(),
            question: Some(question.text.as_str()),
            answer_type: question.answer_type,
            year_flags: YearFlags::from_slices(slice),
            kind: QuestionKind::from_slices(slice),
            counterpart: counterparts.get(&question.id),
            judgements: &[],
        }
    });
    Summary::from_scores(pairs.map(|pair| convention.score(&pair)))
        .context("nothing to validate on")
}

/// The mean loss over questions.
pub struct MeanLoss {
    /// Mean over the label tokens; `None` if no question can be trained on.
    pub mean: Option<f64>,
    /// Questions left out of the mean.
    pub skipped: Vec<SkippedQuestion>,
}

/// Computes the mean loss over the labels of the set's questions with the given weights, in
/// micro-batches.
///
/// # Errors
/// Returns an error if the examples do not fit the model.
pub fn mean_loss(
    model: &dyn Trainable,
    weights: &dyn TensorSource,
    set: &QuestionSet,
    rule: LabelRule,
    micro_batch: usize,
) -> Result<MeanLoss> {
    let (mut sum, mut labels, mut skipped) = (0.0, 0, Vec::new());
    for entry in set.charts.chunks(micro_batch.max(1)) {
        let set = &QuestionSet {
            benchmark: set.benchmark.clone(),
            charts: entry.to_vec(),
        };
        let prepared = Prefetcher { model, set, rule }.all();
        skipped.extend(prepared.skipped);
        for batch in prepared.examples.chunks(micro_batch.max(1)) {
            let loss = model.loss_over(weights, batch, LossOptions::default())?;
            sum += f64::from(loss.sum.to_scalar::<f32>()?);
            labels += loss.labels;
        }
    }
    Ok(MeanLoss {
        mean: (labels > 0).then(|| sum / labels as f64),
        skipped,
    })
}
