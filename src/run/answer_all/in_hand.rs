//! What one adapter's part of a run has in hand: its log, its counts, and the call that is being
//! answered. A stop may end it from another thread at any moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Error, Result, bail};

use super::{Answers, Outcome, records};
use crate::run::store::{PredictionLog, PredictionRecord};
use crate::run::{RowProgress, Stopped};
use chartbench_core::answer::Answer;
use chartbench_core::question::ChartQuestions;

/// Records that are appended at a time while a call is in hand: more are encoded by the thread pool.
const APPEND_CHUNK: usize = 32;

/// How long answers of a call wait until they are stored. A call that takes longer stores those of
/// its first questions before it ends, so that a process that is killed loses few.
pub(super) const STORE_INTERVAL: Duration = Duration::from_secs(2);

/// A row whose adapter is asked.
pub(in crate::run) struct RowInHand {
    adapter: String,
    questions: usize,
    log: PredictionLog,
    outcome: Outcome,
    call: Option<Call>,
    /// Whether a stop has ended it: nothing is stored from then on.
    is_ended: bool,
    /// Why answers of the call in hand could not be stored before its end.
    not_stored: Option<Error>,
}

/// A call that an adapter is answering.
struct Call {
    charts: Arc<Vec<ChartQuestions>>,
    /// The slice values of each chart.
    slices: Vec<BTreeMap<String, String>>,
    answers: Answers,
    started: Instant,
    /// When answers of it were last stored.
    stored: Instant,
}

impl Call {
    /// The time of the call so far, shared out among its results.
    fn latency_ms(&self) -> f64 {
        let reported = self.answers.reported().max(1) as f64;
        self.started.elapsed().as_secs_f64() * 1e3 / reported
    }
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
            not_stored: None,
        }
    }

    /// Begins a call.
    pub(super) fn begin(
        &mut self,
        charts: &Arc<Vec<ChartQuestions>>,
        slices: Vec<BTreeMap<String, String>>,
    ) {
        let now = Instant::now();
        self.call = Some(Call {
            charts: Arc::clone(charts),
            slices,
            answers: Answers::new(charts),
            started: now,
            stored: now,
        });
    }

    /// Takes the result of a question of the call in hand; it is lost once a stop has ended the
    /// row.
    pub(super) fn add(&mut self, index: usize, answer: Result<Answer>) {
        let Some(call) = &mut self.call else {
            return;
        };
        call.answers.add(index, answer);
        if call.stored.elapsed() < STORE_INTERVAL || self.not_stored.is_some() {
            return;
        }
        call.stored = Instant::now();
        let latency_ms = call.latency_ms();
        let answers = call.answers.take_first();
        let records = records(&call.charts, &call.slices, answers, latency_ms);
        self.not_stored = self.append_in_chunks(&records).err();
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
        if let Some(error) = self.not_stored.take() {
            return Err(error);
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
        if let Some(error) = self.not_stored.take() {
            return Err(error);
        }
        let records = self.take_records(false)?;
        self.append_in_chunks(&records)?;
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
        let latency_ms = call.latency_ms();
        let answers = call.answers.finish(is_whole)?;
        Ok(records(&call.charts, &call.slices, answers, latency_ms))
    }

    /// Appends without the thread pool, whose threads the call in hand may keep busy.
    fn append_in_chunks(&mut self, records: &[PredictionRecord]) -> Result<()> {
        records
            .chunks(APPEND_CHUNK)
            .try_for_each(|records| self.append(records))
    }

    fn append(&mut self, records: &[PredictionRecord]) -> Result<()> {
        self.log.append(records)?;
        records.iter().for_each(|record| self.outcome.count(record));
        Ok(())
    }
}
