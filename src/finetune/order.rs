//! The order of the training questions. It depends on the seed and the step number alone, so that a
//! training resumes without a stored order.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Result, ensure};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::draw_purpose::{DrawPurpose, generator};
use crate::config::{Protocol, QuestionsPerEpoch};
use chartbench_core::question::{AnswerType, QuestionSet};

/// The index of a question: `set.charts[chart].questions[question]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionIndex {
    /// Index into the set's charts.
    pub chart: usize,
    /// Index into the questions of that chart.
    pub question: usize,
}

/// The order of a question set over the epochs. Every epoch has the same number of items; batches
/// may span two epochs.
#[derive(Clone, Debug)]
pub struct Order {
    seed: u64,
    batch: usize,
    plan: Plan,
    /// Whether the questions about a chart follow one another.
    by_chart: bool,
}

#[derive(Clone, Debug)]
enum Plan {
    /// Each chart's questions with their weights; charts without weighted questions are left out.
    OnePerChart(Vec<Vec<(QuestionIndex, f64)>>),
    All(Vec<Group>),
}

/// Questions of one weight.
#[derive(Clone, Debug)]
struct Group {
    items: Vec<QuestionIndex>,
    /// Occurrences of each item in every epoch.
    copies: usize,
    /// Number of items that occur once more, drawn anew each epoch.
    extra: usize,
}

impl Order {
    /// The order of `set` under a protocol. A weight of 3 shows a question three times an epoch (or
    /// makes it three times as likely to be its chart's question of the epoch); of 2.5, two or
    /// three times, half of the questions each.
    ///
    /// # Errors
    /// Returns an error if there is nothing to train on.
    pub fn new(set: &QuestionSet, protocol: &Protocol) -> Result<Self> {
        let weight = |kind: Option<AnswerType>| {
            kind.and_then(|kind| protocol.weights.get(&kind))
                .copied()
                .unwrap_or(1.0)
        };
        let weighted = set.charts.iter().enumerate().map(|(chart, entry)| {
            let questions = entry.questions.iter().enumerate();
            let items = questions.map(|(question, asked)| {
                (QuestionIndex { chart, question }, weight(asked.answer_type))
            });
            items
                .filter(|&(_, weight)| weight > 0.0)
                .collect::<Vec<_>>()
        });
        let plan = match protocol.questions_per_epoch {
            QuestionsPerEpoch::OnePerChart => {
                Plan::OnePerChart(weighted.filter(|items| !items.is_empty()).collect())
            }
            QuestionsPerEpoch::All | QuestionsPerEpoch::AllByChart => {
                Plan::All(groups(weighted.flatten()))
            }
        };
        let by_chart = protocol.questions_per_epoch == QuestionsPerEpoch::AllByChart;
        let order = Self {
            seed: protocol.seed,
            batch: protocol.batch,
            plan,
            by_chart,
        };
        ensure!(
            order.epoch_len() > 0,
            "there is no question to train on: the train split is empty or all weights are 0"
        );
        Ok(order)
    }

    /// Number of items of an epoch.
    pub fn epoch_len(&self) -> usize {
        match &self.plan {
            Plan::OnePerChart(charts) => charts.len(),
            Plan::All(groups) => groups
                .iter()
                .map(|group| group.items.len() * group.copies + group.extra)
                .sum(),
        }
    }

    /// The items of an epoch, in order.
    pub fn epoch(&self, number: u64) -> Vec<QuestionIndex> {
        let mut random = generator(DrawPurpose::Order, self.seed, number);
        let mut items: Vec<QuestionIndex> = match &self.plan {
            Plan::OnePerChart(charts) => charts
                .iter()
                .filter_map(|items| draw(items, &mut random))
                .collect(),
            Plan::All(groups) => groups
                .iter()
                .flat_map(|group| group.epoch(&mut random))
                .collect(),
        };
        items.shuffle(&mut random);
        if self.by_chart {
            let mut first = HashMap::new();
            for (position, item) in items.iter().enumerate() {
                first.entry(item.chart).or_insert(position);
            }
            items.sort_by_key(|item| first.get(&item.chart).copied());
        }
        items
    }

    /// The endless sequence of batches after `done` finished steps.
    pub fn batches(&self, done: u64) -> Batches<'_> {
        let length = self.epoch_len() as u64;
        let position = done * self.batch as u64;
        let epoch = position / length;
        Batches {
            order: self,
            epoch,
            items: self.epoch(epoch),
            next: (position % length) as usize,
        }
    }
}

/// See [`Order::batches`].
pub struct Batches<'a> {
    order: &'a Order,
    epoch: u64,
    items: Vec<QuestionIndex>,
    next: usize,
}

impl Batches<'_> {
    /// The epoch of the next item, from 0.
    pub fn epoch(&self) -> u64 {
        self.epoch + u64::from(self.next == self.items.len())
    }
}

impl Iterator for Batches<'_> {
    type Item = Vec<QuestionIndex>;

    fn next(&mut self) -> Option<Vec<QuestionIndex>> {
        let mut batch = Vec::with_capacity(self.order.batch);
        while batch.len() < self.order.batch {
            match self.items.get(self.next) {
                Some(&item) => {
                    batch.push(item);
                    self.next += 1;
                }
                None => {
                    self.epoch += 1;
                    self.items = self.order.epoch(self.epoch);
                    self.next = 0;
                }
            }
        }
        Some(batch)
    }
}

/// Draws one of the items with a probability proportional to its weight.
fn draw(items: &[(QuestionIndex, f64)], random: &mut ChaCha8Rng) -> Option<QuestionIndex> {
    let sum: f64 = items.iter().map(|(_, weight)| weight).sum();
    let mut left = random.random::<f64>() * sum;
    for &(item, weight) in items {
        left -= weight;
        if left < 0.0 {
            return Some(item);
        }
    }
    items.last().map(|&(item, _)| item)
}

fn groups(items: impl Iterator<Item = (QuestionIndex, f64)>) -> Vec<Group> {
    // Weights are positive, so their bits are ordered as they are.
    let mut by_weight: BTreeMap<u64, Vec<QuestionIndex>> = BTreeMap::new();
    for (item, weight) in items {
        by_weight.entry(weight.to_bits()).or_default().push(item);
    }
    let group = |(bits, items): (u64, Vec<QuestionIndex>)| {
        let weight = f64::from_bits(bits);
        let extra = (weight.fract() * items.len() as f64).round() as usize;
        Group {
            items,
            copies: weight as usize,
            extra,
        }
    };
    by_weight.into_iter().map(group).collect()
}

impl Group {
    fn epoch(&self, random: &mut ChaCha8Rng) -> Vec<QuestionIndex> {
        let mut epoch = self.items.repeat(self.copies);
        if self.extra > 0 {
            let drawn = rand::seq::index::sample(random, self.items.len(), self.extra);
            epoch.extend(drawn.into_iter().filter_map(|index| self.items.get(index)));
        }
        epoch
    }
}
