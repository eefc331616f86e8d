//! Answering a question set with an adapter: what is left to ask, in which batches, and the loop that records each
//! answer as it comes. The runner sees only the adapter trait; what happens is told through [`Event`]s.

mod events;
mod plan;
pub mod store;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Result, ensure};
use rayon::prelude::*;

pub use events::Event;
pub use plan::{Answered, batches};

use crate::adapter::{Adapter, Answer, Failure, Usage};
use crate::run::store::{PredictionLog, PredictionRecord};
use chartbench_core::question::{Chart, ChartQuestions, Question, QuestionSource};

/// How an adapter's part of a run ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    pub questions: usize,
    /// Questions whose row holds an error, and the first such error.
    pub failed: usize,
    pub first_error: Option<String>,
    /// Why the adapter could not go on; the questions it left are not among `questions`.
    pub stopped: Option<String>,
    /// What all answers together took of a metered service.
    pub usage: Option<Usage>,
    /// Answers that the limit on tokens cut.
    pub cut: usize,
    /// Answers that are a whole reply, because the text they should follow (`answer.after`) is not in it.
    pub marker_missing: usize,
}

impl Outcome {
    fn count(&mut self, record: &PredictionRecord) {
        self.questions += 1;
        if let Some(error) = record.failure() {
            self.failed += 1;
            self.first_error.get_or_insert_with(|| error.to_owned());
        }
        self.usage = self.usage.into_iter().chain(record.usage).reduce(Usage::plus);
        self.cut += usize::from(record.finish_reason.as_deref().is_some_and(is_cut));
        self.marker_missing += usize::from(record.marker_missing);
    }
}

/// Whether one of these reasons (separated by commas) is a limit on tokens, under whichever name servers give it.
fn is_cut(finish_reasons: &str) -> bool {
    finish_reasons
        .split(',')
        .any(|reason| ["length", "max_tokens"].iter().any(|name| reason.eq_ignore_ascii_case(name)))
}

/// Asks `adapter` every one of the `questions` of `source` that `log` does not hold yet, at most `batch` at a time, and
/// appends each batch of answers to the log as soon as it is there. A question that fails is a row with its error.
///
/// # Errors
/// Questions that cannot be read; a log that holds others, or cannot be appended to.
pub fn answer_all(
    adapter: &mut dyn Adapter,
    source: &dyn QuestionSource,
    questions: usize,
    log: &mut PredictionLog,
    batch: usize,
    observe: &mut dyn FnMut(Event),
) -> Result<Outcome> {
    let id = adapter.identity().id.clone();
    let (mut answered, mut outcome) = (Answered::default(), Outcome::default());
    for piece in log.stored() {
        for record in piece? {
            outcome.count(&record);
            answered.add(record);
        }
    }
    let already_answered = outcome.questions;
    let work = batches(source, answered, batch)?;
    observe(Event::AdapterStarted { id: &id, questions, already_answered });
    let (mut known, mut stopped) = (Known::default(), None);
    // Of a run that is done nothing is read again.
    for charts in (already_answered < questions).then_some(work).into_iter().flatten() {
        let charts = charts?;
        let started = Instant::now();
        let answers = adapter.answer(&charts);
        let asked: usize = charts.iter().map(|entry| entry.questions.len()).sum();
        let latency_ms = started.elapsed().as_secs_f64() * 1e3 / asked as f64;
        let records = records(&charts, answers, latency_ms, &mut known, &mut stopped)?;
        observe(Event::Answered { questions: records.len() });
        log.append(&records)?;
        records.iter().for_each(|record| outcome.count(record));
        if stopped.is_some() {
            break;
        }
    }
    outcome.stopped = stopped.map(|error| format!("{error:#}"));
    observe(Event::AdapterFinished { id: &id, outcome: &outcome });
    Ok(outcome)
}

/// Pairs the charts of one call with its answers; the first reason why the adapter cannot go on goes to `stopped`.
fn records(
    charts: &[ChartQuestions],
    answers: Vec<Vec<Result<Answer, Failure>>>,
    latency_ms: f64,
    known: &mut Known,
    stopped: &mut Option<anyhow::Error>,
) -> Result<Vec<PredictionRecord>> {
    ensure!(
        answers.len() == charts.len()
            && charts.iter().zip(&answers).all(|(entry, answers)| entry.questions.len() == answers.len()),
        "the adapter did not answer every question of a call: a bug in the adapter"
    );
    let mut records = Vec::new();
    for ((entry, answers), slices) in charts.iter().zip(answers).zip(known.slices(charts)) {
        for (question, answer) in entry.questions.iter().zip(answers) {
            let answer = match answer {
                Ok(answer) => Ok(answer),
                Err(Failure::Question(error)) => Err(error),
                Err(Failure::Adapter(error)) => {
                    stopped.get_or_insert(error);
                    continue;
                }
            };
            records.push(record((&entry.chart, &slices), question, answer, latency_ms));
        }
    }
    Ok(records)
}

/// What the data of the chart last answered about tell of it: read once for all its questions, though calls cut them apart.
#[derive(Default)]
struct Known(Option<(String, BTreeMap<String, String>)>);

impl Known {
    /// Of each chart of a call.
    fn slices(&mut self, charts: &[ChartQuestions]) -> Vec<BTreeMap<String, String>> {
        let last = self.0.take();
        let of = |entry: &ChartQuestions| match &last {
            Some((id, slices)) if *id == entry.chart.id => slices.clone(),
            _ => entry.chart.slices(),
        };
        let slices: Vec<_> = charts.par_iter().map(of).collect();
        self.0 = charts.last().zip(slices.last()).map(|(entry, slices)| (entry.chart.id.clone(), slices.clone()));
        slices
    }
}

fn record(
    (chart, slices): (&Chart, &BTreeMap<String, String>),
    question: &Question,
    answer: Result<Answer>,
    latency_ms: f64,
) -> PredictionRecord {
    let (answer, error) = match answer {
        Ok(answer) => (Some(answer), None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    let prediction = answer.as_ref().map(|answer| answer.prediction.clone());
    let Answer { token_ids, completions, usage, finish_reason, marker_missing, .. } = answer.unwrap_or_default();
    PredictionRecord {
        id: question.id.clone(),
        chart: chart.id.clone(),
        question: question.text.clone(),
        gold: question.gold.clone(),
        answer_type: question.answer_type,
        taxonomy: question.taxonomy,
        chart_type: chart.chart_type.clone(),
        source: question.source.clone(),
        template: question.template.clone(),
        slices: slices.clone().into_iter().chain(question.slices.clone()).collect(),
        prediction,
        token_ids,
        completions,
        usage,
        finish_reason,
        marker_missing,
        error,
        // Microseconds are as far as a wall clock can be believed.
        latency_ms: (latency_ms * 1e3).round() / 1e3,
    }
}

#[cfg(test)]
mod tests;
