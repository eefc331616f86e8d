//! Examples made ahead of the steps that need them, in a thread of their own.

use std::collections::HashSet;
use std::sync::mpsc::SyncSender;

use super::{Item, Order};
use crate::adapter::training::{LabelRule, Trainable};
use chartbench_core::question::QuestionSet;
use chartbench_nn::training::Example;

/// What one step trains on.
#[derive(Default)]
pub(super) struct Fed {
    pub(super) examples: Vec<Example>,
    /// Questions left out, each told once in a training.
    pub(super) skipped: Vec<Skipped>,
    /// Labels that were cut to the longest allowed.
    pub(super) cut: usize,
}

/// A question that cannot be trained on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub question: String,
    pub error: String,
}

/// What examples are made of.
#[derive(Clone, Copy)]
pub(super) struct Feeder<'a> {
    pub(super) model: &'a dyn Trainable,
    pub(super) set: &'a QuestionSet,
    pub(super) rule: LabelRule,
}

impl Feeder<'_> {
    /// Sends the batches of the steps after `done` finished ones up to `steps`, until nobody takes them any more.
    pub(super) fn send(self, order: &Order, done: u64, steps: u64, to: &SyncSender<Fed>) {
        let mut told = HashSet::new();
        for batch in order.batches(done).take(steps.saturating_sub(done) as usize) {
            if to.send(self.fed(&batch, &mut told)).is_err() {
                return;
            }
        }
    }

    /// The examples of every question of the set.
    pub(super) fn all(self) -> Fed {
        let charts = self.set.charts.iter().enumerate();
        let items =
            charts.flat_map(|(chart, entry)| (0..entry.questions.len()).map(move |question| Item { chart, question }));
        self.fed(&items.collect::<Vec<_>>(), &mut HashSet::new())
    }

    fn fed(self, items: &[Item], told: &mut HashSet<Item>) -> Fed {
        let mut fed = Fed::default();
        for &item in items {
            let entry = &self.set.charts[item.chart];
            let question = &entry.questions[item.question];
            match self.model.prepare(&entry.chart, question, self.rule) {
                Ok(prepared) => {
                    fed.cut += usize::from(prepared.cut);
                    fed.examples.push(prepared.example);
                }
                Err(error) => {
                    if told.insert(item) {
                        fed.skipped.push(Skipped { question: question.id.clone(), error: format!("{error:#}") });
                    }
                }
            }
        }
        fed
    }
}
