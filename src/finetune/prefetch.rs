//! Prefetching: a thread prepares the examples of the next batches while the model trains.

use std::collections::HashSet;
use std::sync::mpsc::SyncSender;

use super::{Order, QuestionIndex};
use crate::adapter::training::{LabelRule, Trainable};
use chartbench_core::question::QuestionSet;
use chartbench_nn::training::Example;

/// The examples of one step.
#[derive(Default)]
pub(super) struct PreparedBatch {
    pub(super) examples: Vec<Example>,
    /// Questions left out; a training reports each once.
    pub(super) skipped: Vec<SkippedQuestion>,
    /// Number of labels cut to the longest allowed length.
    pub(super) cut: usize,
}

/// A question that cannot be trained on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedQuestion {
    /// The question's id.
    pub question: String,
    /// The error message, causes included.
    pub error: String,
}

/// Prepares examples from the questions of a set.
#[derive(Clone, Copy)]
pub(super) struct Prefetcher<'a> {
    pub(super) model: &'a dyn Trainable,
    pub(super) set: &'a QuestionSet,
    pub(super) rule: LabelRule,
}

impl Prefetcher<'_> {
    /// Sends the batches of the steps from `done` to `steps`; ends early when the receiver is gone.
    pub(super) fn send(
        self,
        order: &Order,
        done: u64,
        steps: u64,
        sender: &SyncSender<PreparedBatch>,
    ) {
        let mut reported = HashSet::new();
        for batch in order
            .batches(done)
            .take(steps.saturating_sub(done) as usize)
        {
            if sender.send(self.prepare(&batch, &mut reported)).is_err() {
                return;
            }
        }
    }

    /// Prepares the examples of every question of the set.
    pub(super) fn all(self) -> PreparedBatch {
        let charts = self.set.charts.iter().enumerate();
        let items = charts.flat_map(|(chart, entry)| {
            (0..entry.questions.len()).map(move |question| QuestionIndex { chart, question })
        });
        self.prepare(&items.collect::<Vec<_>>(), &mut HashSet::new())
    }

    fn prepare(
        self,
        items: &[QuestionIndex],
        reported: &mut HashSet<QuestionIndex>,
    ) -> PreparedBatch {
        let mut batch = PreparedBatch::default();
        for &item in items {
            let entry = &self.set.charts[item.chart];
            let question = &entry.questions[item.question];
            match self.model.prepare(&entry.chart, question, self.rule) {
                Ok(prepared) => {
                    batch.cut += usize::from(prepared.cut);
                    batch.examples.push(prepared.example);
                }
                Err(error) => {
                    if reported.insert(item) {
                        batch.skipped.push(SkippedQuestion {
                            question: question.id.clone(),
                            error: format!("{error:#}"),
                        });
                    }
                }
            }
        }
        batch
    }
}
