//! The loop that answers: it calls an adapter batch by batch, and records the answers of each
//! batch. It sees only the adapter trait and reports its progress as [`RunEvent`]s.

pub(super) mod in_hand;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, ensure};
use rayon::prelude::*;

use self::in_hand::RowInHand;
use super::Stop;
use super::plan::{AnsweredIds, batches};
use crate::adapter::{self, Adapter};
use crate::run::store::{PredictionLog, PredictionRecord};
use chartbench_core::answer::{Answer, Usage};
use chartbench_core::question::{Chart, ChartQuestions, Question, QuestionSource};

/// How one adapter's run ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Questions with a row, failed ones and those of earlier starts included.
    pub questions: usize,
    /// Questions whose row holds an error.
    pub failed: usize,
    /// The error of the first failed row; `None` if no row failed.
    pub first_error: Option<String>,
    /// Why the adapter could not go on; the questions it left are not among `questions`.
    pub stopped: Option<String>,
    /// Usage of a metered service, summed over all answers.
    pub usage: Option<Usage>,
    /// Answers that the token limit cut.
    pub cut: usize,
    /// Answers that are the whole reply because `answer.after` does not occur in it.
    pub marker_missing: usize,
}

impl Outcome {
    fn count(&mut self, record: &PredictionRecord) {
        self.questions += 1;
        if let Some(error) = record.failure() {
            self.failed += 1;
            self.first_error.get_or_insert_with(|| error.to_owned());
        }
        self.usage = self
            .usage
            .into_iter()
            .chain(record.usage)
            .reduce(Usage::plus);
        self.cut += usize::from(record.finish_reason.as_deref().is_some_and(is_cut));
        self.marker_missing += usize::from(record.marker_missing);
    }
}

/// Whether one of these comma-separated reasons is a token limit, under any of the names that
/// servers use.
fn is_cut(finish_reasons: &str) -> bool {
    finish_reasons.split(',').any(|reason| {
        ["length", "max_tokens"]
            .iter()
            .any(|name| reason.eq_ignore_ascii_case(name))
    })
}

/// The events of a run.
#[derive(Clone, Copy, Debug)]
pub enum RunEvent<'a> {
    /// These questions are about to be asked; no adapter is loaded yet.
    QuestionsChosen {
        /// One line: number of questions and charts, benchmark, data.
        description: &'a str,
    },
    /// Rows that the user did not name are not asked.
    RowsLeftOut {
        /// Which, and why, in one line.
        reason: &'a str,
    },
    /// Something of the data set is left out or read otherwise than it is written.
    DataNote {
        /// One line: what, how often and the first place.
        line: &'a str,
    },
    /// The adapter cannot tell what memory it takes: a limit on memory does not change its batches.
    MemoryUnknown {
        /// The row's name.
        id: &'a str,
    },
    /// An adapter is ready to answer the questions that are left.
    AdapterStarted {
        /// The row's name, e.g. `matcha-base`.
        id: &'a str,
        /// Questions of the whole set.
        questions: usize,
        /// Questions whose row an earlier start stored.
        already_answered: usize,
    },
    /// One more question is answered, or has failed.
    Answered,
    /// The adapter has answered what it could: every question has its row, or [`Outcome::stopped`]
    /// says why not.
    AdapterFinished {
        /// The row's name.
        id: &'a str,
        /// Counts over all rows of the adapter, earlier starts included.
        outcome: &'a Outcome,
    },
}

/// Asks `adapter` those of the `questions` of `source` that `log` does not hold yet, at most
/// `batch` in a call. Each batch of answers is appended to the log at once. A failed question
/// becomes a row with its error.
///
/// # Errors
/// Returns an error if the questions cannot be read, or if the log holds other questions or cannot
/// be appended to, and [`Stopped`](super::Stopped) if `stop` is requested while questions are left.
pub fn answer_all(
    adapter: &mut dyn Adapter,
    source: &dyn QuestionSource,
    questions: usize,
    log: PredictionLog,
    batch: usize,
    stop: &Stop,
    observe: &mut dyn FnMut(RunEvent),
) -> Result<Outcome> {
    let id = adapter.identity().id.clone();
    let (mut answered, mut outcome) = (AnsweredIds::default(), Outcome::default());
    for chunk in log.stored() {
        for record in chunk? {
            outcome.count(&record);
            answered.add(record);
        }
    }
    let already_answered = outcome.questions;
    let calls = batches(source, answered, batch)?;
    observe(RunEvent::AdapterStarted {
        id: &id,
        questions,
        already_answered,
    });
    let row = RowInHand::new(&id, questions, log, outcome);
    let asking = stop.asking(row, adapter.give_up())?;
    let (mut slice_cache, mut stopped) = (SliceCache::default(), None);
    // Skip reading the questions when every one is already answered.
    for charts in (already_answered < questions)
        .then_some(calls)
        .into_iter()
        .flatten()
    {
        asking.check()?;
        let charts = Arc::new(charts?);
        let slices = slice_cache.slices(&charts);
        asking.row().begin(&charts, slices);
        let ended = adapter.answer(&charts, &mut |index, answer| {
            asking.row().add(index, answer);
            observe(RunEvent::Answered);
        });
        asking.row().store(ended.is_ok())?;
        if let Err(error) = ended {
            // A call that was given up says nothing of the adapter.
            asking.check()?;
            stopped = Some(error);
            break;
        }
    }
    let mut outcome = asking.row().outcome().clone();
    outcome.stopped = stopped.map(|error| format!("{error:#}"));
    drop(asking);
    if outcome.stopped.is_none() && outcome.questions >= questions {
        adapter.finish()?;
    }
    observe(RunEvent::AdapterFinished {
        id: &id,
        outcome: &outcome,
    });
    Ok(outcome)
}

/// The results of one call by the places of its questions, as an adapter reports them.
struct Answers {
    slots: Vec<Option<Result<Answer>>>,
    /// How many of the first questions' results were taken out already.
    taken: usize,
    /// Whether a result came for a question that has one, or is not of the call.
    out_of_place: bool,
}

impl Answers {
    fn new(charts: &[ChartQuestions]) -> Self {
        let slots = adapter::questions(charts).map(|_| None).collect();
        Self {
            slots,
            taken: 0,
            out_of_place: false,
        }
    }

    /// How many results have come.
    fn reported(&self) -> usize {
        self.taken + self.slots.iter().flatten().count()
    }

    fn add(&mut self, index: usize, answer: Result<Answer>) {
        match self.slots.get_mut(index) {
            Some(slot @ None) if index >= self.taken => *slot = Some(answer),
            _ => self.out_of_place = true,
        }
    }

    /// Takes out the results of the first questions, up to one that has none yet; in the order of
    /// the questions, `None` for all others.
    fn take_first(&mut self) -> Vec<Option<Result<Answer>>> {
        let waiting = self.slots.iter().skip(self.taken);
        let end = self.taken + waiting.take_while(|slot| slot.is_some()).count();
        let mut first: Vec<_> = self.slots.iter().map(|_| None).collect();
        for (slot, place) in self.slots.iter_mut().zip(&mut first).take(end) {
            *place = slot.take();
        }
        self.taken = end;
        first
    }

    /// The results in the order of the questions, `None` for those that were taken out before and
    /// those that an adapter left when it stopped.
    ///
    /// # Errors
    /// Returns an error if the adapter did not report each question once; where it did not `end`,
    /// some may be missing.
    fn finish(self, ended: bool) -> Result<Vec<Option<Result<Answer>>>> {
        let mut waiting = self.slots.iter().skip(self.taken);
        let left_out = ended && waiting.any(Option::is_none);
        ensure!(
            !self.out_of_place && !left_out,
            "the adapter did not answer every question of a call once: a bug in the adapter"
        );
        Ok(self.slots)
    }
}

/// The records of the questions of one call that were answered or failed; `slices` are the slice
/// values of each chart.
fn records(
    charts: &[ChartQuestions],
    slices: &[BTreeMap<String, String>],
    answers: Vec<Option<Result<Answer>>>,
    latency_ms: f64,
) -> Vec<PredictionRecord> {
    let slices = charts
        .iter()
        .zip(slices)
        .flat_map(|(entry, slices)| entry.questions.iter().map(move |_| slices));
    adapter::questions(charts)
        .zip(slices)
        .zip(answers)
        .filter_map(|(((chart, question), slices), answer)| {
            Some(record(chart, slices, question, answer?, latency_ms))
        })
        .collect()
}

/// Records without an answer, one for each question: what a run will tell of them.
pub fn unanswered(charts: &[ChartQuestions]) -> Vec<PredictionRecord> {
    let answers = adapter::questions(charts)
        .map(|_| Some(Ok(Answer::default())))
        .collect();
    records(charts, &SliceCache::default().slices(charts), answers, 0.0)
}

/// Caches the slice values of the last chart, so that a chart split across calls is read once.
#[derive(Default)]
struct SliceCache(Option<(String, BTreeMap<String, String>)>);

impl SliceCache {
    /// Returns the slice values of each chart of a call.
    fn slices(&mut self, charts: &[ChartQuestions]) -> Vec<BTreeMap<String, String>> {
        let last = self.0.take();
        let slices: Vec<_> = charts
            .par_iter()
            .map(|entry| match &last {
                Some((id, slices)) if *id == entry.chart.id => slices.clone(),
                _ => entry.chart.slices(),
            })
            .collect();
        self.0 = charts
            .last()
            .zip(slices.last())
            .map(|(entry, slices)| (entry.chart.id.clone(), slices.clone()));
        slices
    }
}

fn record(
    chart: &Chart,
    slices: &BTreeMap<String, String>,
    question: &Question,
    answer: Result<Answer>,
    latency_ms: f64,
) -> PredictionRecord {
    let (answer, error) = match answer {
        Ok(answer) => (Some(answer), None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    let prediction = answer.as_ref().map(|answer| answer.prediction.clone());
    let Answer {
        token_ids,
        completions,
        usage,
        finish_reason,
        marker_missing,
        ..
    } = answer.unwrap_or_default();
    PredictionRecord {
        prediction,
        token_ids,
        completions,
        usage,
        finish_reason,
        marker_missing,
        error,
        // A wall clock is accurate to microseconds at best.
        latency_ms: (latency_ms * 1e3).round() / 1e3,
        ..PredictionRecord::unanswered(chart, slices, question)
    }
}

#[cfg(test)]
mod tests;
