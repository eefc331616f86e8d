//! Which questions each step trains on: a function of the seed and the step's number alone, so that nothing has to be kept
//! for a training to go on where it stopped.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Result, ensure};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::lot::{Purpose, generator};
use crate::config::{Protocol, QuestionsPerEpoch};
use chartbench_core::question::{AnswerType, QuestionSet};

/// A question by its place: `set.charts[chart].questions[question]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    pub chart: usize,
    pub question: usize,
}

/// The order of a question set, epoch after epoch. Every epoch has the same number of items; batches go over their ends.
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
    /// A chart's questions with their weights; charts without any weight are left out.
    OnePerChart(Vec<Vec<(Item, f64)>>),
    All(Vec<Group>),
}

/// Questions of one weight.
#[derive(Clone, Debug)]
struct Group {
    items: Vec<Item>,
    /// How often each is in every epoch.
    copies: usize,
    /// How many are in an epoch once more, drawn anew each.
    extra: usize,
}

impl Order {
    /// The order of `set` under a protocol. A weight of 3 shows a question three times an epoch (or makes it three times as
    /// likely to be its chart's question of the epoch); of 2.5, two or three times, half of the questions each.
    ///
    /// # Errors
    /// Nothing to train on.
    pub fn new(set: &QuestionSet, protocol: &Protocol) -> Result<Self> {
        let weight =
            |kind: Option<AnswerType>| kind.and_then(|kind| protocol.weights.get(&kind)).copied().unwrap_or(1.0);
        let weighted = set.charts.iter().enumerate().map(|(chart, entry)| {
            let questions = entry.questions.iter().enumerate();
            let items = questions.map(|(question, asked)| (Item { chart, question }, weight(asked.answer_type)));
            items.filter(|&(_, weight)| weight > 0.0).collect::<Vec<_>>()
        });
        let plan = match protocol.questions_per_epoch {
            QuestionsPerEpoch::OnePerChart => Plan::OnePerChart(weighted.filter(|items| !items.is_empty()).collect()),
            QuestionsPerEpoch::All | QuestionsPerEpoch::AllByChart => Plan::All(groups(weighted.flatten())),
        };
        let by_chart = protocol.questions_per_epoch == QuestionsPerEpoch::AllByChart;
        let order = Self { seed: protocol.seed, batch: protocol.batch, plan, by_chart };
        ensure!(
            order.epoch_len() > 0,
            "there is no question to train on: the train split is empty or all weights are 0"
        );
        Ok(order)
    }

    /// Items of an epoch.
    pub fn epoch_len(&self) -> usize {
        match &self.plan {
            Plan::OnePerChart(charts) => charts.len(),
            Plan::All(groups) => groups.iter().map(|group| group.items.len() * group.copies + group.extra).sum(),
        }
    }

    /// The items of an epoch, in order.
    pub fn epoch(&self, number: u64) -> Vec<Item> {
        let mut random = generator(Purpose::Order, self.seed, number);
        let mut items: Vec<Item> = match &self.plan {
            Plan::OnePerChart(charts) => charts.iter().filter_map(|items| draw(items, &mut random)).collect(),
            Plan::All(groups) => groups.iter().flat_map(|group| group.epoch(&mut random)).collect(),
        };
        items.shuffle(&mut random);
        if self.by_chart {
            let mut first = HashMap::new();
            for (place, item) in items.iter().enumerate() {
                first.entry(item.chart).or_insert(place);
            }
            items.sort_by_key(|item| first.get(&item.chart).copied());
        }
        items
    }

    /// The batches from the step after `done` finished ones on, without end.
    pub fn batches(&self, done: u64) -> Batches<'_> {
        let length = self.epoch_len() as u64;
        let place = done * self.batch as u64;
        let epoch = place / length;
        Batches { order: self, epoch, items: self.epoch(epoch), next: (place % length) as usize }
    }
}

/// See [`Order::batches`].
pub struct Batches<'a> {
    order: &'a Order,
    epoch: u64,
    items: Vec<Item>,
    next: usize,
}

impl Batches<'_> {
    /// The epoch the next item is of, from 0.
    pub fn epoch(&self) -> u64 {
        self.epoch + u64::from(self.next == self.items.len())
    }
}

impl Iterator for Batches<'_> {
    type Item = Vec<Item>;

    fn next(&mut self) -> Option<Vec<Item>> {
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

/// One of the items, as likely as its weight says.
fn draw(items: &[(Item, f64)], random: &mut ChaCha8Rng) -> Option<Item> {
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

fn groups(items: impl Iterator<Item = (Item, f64)>) -> Vec<Group> {
    // Weights are positive, so their bits are ordered as they are.
    let mut by_weight: BTreeMap<u64, Vec<Item>> = BTreeMap::new();
    for (item, weight) in items {
        by_weight.entry(weight.to_bits()).or_default().push(item);
    }
    let group = |(bits, items): (u64, Vec<Item>)| {
        let weight = f64::from_bits(bits);
        let extra = (weight.fract() * items.len() as f64).round() as usize;
        Group { items, copies: weight as usize, extra }
    };
    by_weight.into_iter().map(group).collect()
}

impl Group {
    fn epoch(&self, random: &mut ChaCha8Rng) -> Vec<Item> {
        let mut epoch = self.items.repeat(self.copies);
        if self.extra > 0 {
            let drawn = rand::seq::index::sample(random, self.items.len(), self.extra);
            epoch.extend(drawn.into_iter().filter_map(|index| self.items.get(index)));
        }
        epoch
    }
}
