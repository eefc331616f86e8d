//! The part of a run that one shard asks.

use anyhow::Result;

use super::{OpenRun, RunRequest, blind_rows};
use crate::config::Family;
use crate::jobs::SelectedAdapter;
use crate::run::RunEvent;
use chartbench_core::question::ChartQuestions;
use chartbench_core::shard::Shard;

/// How a shard of a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardReport {
    /// Which shard.
    pub shard: Shard,
    /// Its charts.
    pub charts: usize,
    /// Its questions.
    pub questions: usize,
    /// The rows that it asked, in this order.
    pub rows: Vec<AskedRow>,
}

/// A row that a process asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedRow {
    /// The row's name, e.g. `matcha-base`.
    pub adapter: String,
    /// The shard whose questions it was asked; all questions of the run where it is absent.
    pub shard: Option<Shard>,
    /// How many these are.
    pub questions: usize,
    /// How many of them have an answer, those of earlier starts included.
    pub answered: usize,
}

/// A shard with the number of its charts and questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::jobs) struct ShardPart {
    pub shard: Shard,
    pub charts: usize,
    pub questions: usize,
}

impl ShardPart {
    /// The shard before any chart is counted.
    pub(in crate::jobs) fn new(shard: Shard) -> Self {
        Self {
            shard,
            charts: 0,
            questions: 0,
        }
    }

    /// Counts those of the charts that are in the shard.
    pub(in crate::jobs) fn count(&mut self, charts: &[ChartQuestions]) {
        for charts in charts {
            if self.shard.holds(&charts.chart.id) {
                self.charts += 1;
                self.questions += charts.questions.len();
            }
        }
    }

    /// Describes it in a few words.
    pub(in crate::jobs) fn describe(&self) -> String {
        let Self {
            shard,
            charts,
            questions,
        } = self;
        format!("shard {shard}: {questions} questions on {charts} charts")
    }
}

/// The questions that this process asks a row: those of its shard, or of the whole run where there
/// is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::jobs) struct RowShare {
    pub shard: Option<Shard>,
    /// How many; 0 where the row is not asked.
    pub questions: usize,
}

impl OpenRun {
    /// The questions that this process asks `row`. A row that looks at no chart is cheap, and fitted
    /// on the whole train split: the first shard asks it everything.
    pub(in crate::jobs) fn share(&self, row: &SelectedAdapter) -> RowShare {
        match &self.part {
            Some(part) if looks_at_no_chart(row) => RowShare {
                shard: None,
                questions: if part.shard.is_first() {
                    self.questions
                } else {
                    0
                },
            },
            _ => self.model_share(),
        }
    }

    /// The questions that this process asks a row that looks at the charts.
    pub(super) fn model_share(&self) -> RowShare {
        RowShare {
            shard: self.part.map(|part| part.shard),
            questions: self.part.map_or(self.questions, |part| part.questions),
        }
    }

    /// Names the rows that are left to the first shard; `None` where all are asked here.
    pub(in crate::jobs) fn left_to_first(&self, rows: &[SelectedAdapter]) -> Option<String> {
        self.part.filter(|part| !part.shard.is_first())?;
        let left = rows.iter().filter(|row| looks_at_no_chart(row));
        let left: Vec<&str> = left.map(|row| row.name.as_str()).collect();
        (!left.is_empty()).then(|| format!("{}: the first shard asks them", left.join(", ")))
    }

    /// Where a shard is asked: the run's folder gets the order of all rows, and those that are left
    /// to the first shard are reported.
    ///
    /// # Errors
    /// Returns an error if the adapter files of the blind rows cannot be read.
    pub(super) fn begin_shard(
        &mut self,
        request: &RunRequest,
        observe: &mut dyn FnMut(RunEvent<'_>),
    ) -> Result<()> {
        if self.part.is_none() {
            return Ok(());
        }
        let rows = [&request.adapters[..], &blind_rows(request, self)?].concat();
        let names = rows.iter().map(|row| row.name.clone());
        self.dir.set_order(names.collect());
        if let Some(reason) = self.left_to_first(&rows) {
            observe(RunEvent::RowsLeftOut { reason: &reason });
        }
        Ok(())
    }
}

fn looks_at_no_chart(row: &SelectedAdapter) -> bool {
    matches!(
        row.model.spec.family,
        Family::Majority | Family::QuestionPrior
    )
}
