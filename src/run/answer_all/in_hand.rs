//! What one adapter's part of a run has in hand: its log, its counts, and the call that is being
//! answered. A stop may end it from another thread at any moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};

use super::{Answers, Outcome, records};
use crate::run::store::{PredictionLog, PredictionRecord};
use crate::run::{RowProgress, Stopped};
use chartbench_core::answer::Answer;
use chartbench_core::question::ChartQuestions;

/// Records that a stop appends at a time: more are encoded by the thread pool, whose threads the
/// call in hand may keep busy.
const APPEND_CHUNK: usize = 32;

/// A row whose adapter is asked.
pub(in crate::run) struct RowInHand {
    adapter: String,
    questions: usize,
    log: PredictionLog,
    outcome: Outcome,
    call: Option<Call>,
    /// Whether a stop has ended it: nothing is stored from then on.
    is_ended: bool,
}

/// A call that an adapter is answering.
struct Call {
    charts: Arc<Vec<ChartQuestions>>,
    /// The slice values of each chart.
    slices: Vec<BTreeMap<String, String>>,
    answers: Answers,
    started: Instant,
}

impl RowInHand {
    /// The row of `adapter` with the answers of `log`, which `outcome` counts, and no call in hand.
    pub(super) fn new(
        adapter: &str,
        questions: usize,
        log: PredictionLog,
        outcome: Outcome,
    ) -> Self {
        Self {
            adapter: adapter.to_owned(),
            questions,
            log,
            outcome,
            call: None,
            is_ended: false,
        }
    }

    /// Begins a call.
    pub(super) fn begin(
        &mut self,
        charts: &Arc<Vec<ChartQuestions>>,
        slices: Vec<BTreeMap<String, String>>,
    ) {
        self.call = Some(Call {
            charts: Arc::clone(charts),
            slices,
            answers: Answers::new(charts),
            started: Instant::now(),
        });
    }

    /// Takes the result of a question of the call in hand; it is lost once a stop has ended the
    /// row.
    pub(super) fn add(&mut self, index: usize, answer: Result<Answer>) {
        if let Some(call) = &mut self.call {
            call.answers.add(index, answer);
        }
    }

    /// Stores the answers of the call, which the adapter has ended: in full if `is_whole`.
    ///
    /// # Errors
    /// Returns an error if the adapter did not report each question once, if the log cannot be
    /// appended to, or if a stop has ended the row.
    pub(super) fn store(&mut self, is_whole: bool) -> Result<()> {
        if self.is_ended {
            bail!(self.stopped());
        }
        let records = self.take_records(is_whole)?;
        self.append(&records)
    }

    /// Stores what the call in hand has reported so far, and nothing from then on. Uses no other
    /// thread.
    ///
    /// # Errors
    /// As [`Self::store`].
    pub(in crate::run) fn end(&mut self) -> Result<RowProgress> {
        self.is_ended = true;
        let records = self.take_records(false)?;
        for records in records.chunks(APPEND_CHUNK) {
            self.append(records)?;
        }
        Ok(self.progress())
    }

    /// The counts over all stored answers.
    pub(super) fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The error of a row that was stopped, with its progress.
    pub(in crate::run) fn stopped(&self) -> Stopped {
        Stopped {
            progress: Some(self.progress()),
        }
    }

    fn progress(&self) -> RowProgress {
        RowProgress {
            adapter: self.adapter.clone(),
            answered: self.outcome.questions,
            questions: self.questions,
        }
    }

    fn take_records(&mut self, is_whole: bool) -> Result<Vec<PredictionRecord>> {
        let Some(call) = self.call.take() else {
            return Ok(Vec::new());
        };
        let reported = call.answers.reported().max(1) as f64;
        let latency_ms = call.started.elapsed().as_secs_f64() * 1e3 / reported;
        let answers = call.answers.finish(is_whole)?;
        Ok(records(&call.charts, &call.slices, answers, latency_ms))
    }

    fn append(&mut self, records: &[PredictionRecord]) -> Result<()> {
        self.log.append(records)?;
        records.iter().for_each(|record| self.outcome.count(record));
        Ok(())
    }
}
