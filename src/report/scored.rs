//! One adapter's answers with their scores: what tables, comparisons and the page are made of.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::Entry;
use crate::metric::{Convention, Metric, Pair, Scores, Summary};
use crate::record::PredictionRecord;
use crate::stats::{Bootstrap, Charts, Draws, Interval};

/// The confidence of every interval in tables and on the page.
pub const CONFIDENCE: f64 = 0.95;

/// Answers of one adapter in one run, scored under one convention.
#[derive(Clone)]
pub struct Scored<'a> {
    pub run: &'a str,
    pub adapter: &'a str,
    pub convention: &'static Convention,
    pub records: Vec<&'a PredictionRecord>,
    /// Of the records, in their order; a failed question's are 0.
    pub scores: Vec<Scores>,
}

impl<'a> Scored<'a> {
    /// Scores all of `records`.
    pub fn new(
        run: &'a str,
        adapter: &'a str,
        records: &'a [PredictionRecord],
        convention: &'static Convention,
    ) -> Self {
        let scores = records.par_iter().map(|record| score(record, convention)).collect();
        Self { run, adapter, convention, records: records.iter().collect(), scores }
    }

    /// The same answers under another convention.
    #[must_use]
    pub fn under(&self, convention: &'static Convention) -> Self {
        let scores = self.records.par_iter().map(|record| score(record, convention)).collect();
        Self { convention, records: self.records.clone(), scores, ..*self }
    }

    /// Those of the answers at `places`.
    #[must_use]
    pub(super) fn at(&self, places: &[usize]) -> Self {
        let (records, scores) = places.iter().map(|&place| (self.records[place], self.scores[place])).unzip();
        Self { records, scores, ..*self }
    }

    /// The means; `None` without an answer.
    pub fn summary(&self) -> Option<Summary> {
        Summary::of(self.scores.iter().copied())
    }

    /// How many questions failed.
    pub fn failures(&self) -> usize {
        self.records.iter().filter(|record| record.error.is_some()).count()
    }

    /// Questions over the sum of their latencies.
    pub fn per_second(&self) -> f64 {
        self.records.len() as f64 / self.records.iter().map(|record| record.latency_ms / 1e3).sum::<f64>()
    }

    /// How many charts the questions are on.
    pub fn charts(&self) -> usize {
        numbered(self.records.iter().map(|record| record.chart.as_str())).len()
    }

    /// For each of the convention's metrics the interval of its mean, in percent, from charts drawn anew. The same for
    /// the same answers in any order.
    pub fn intervals(&self, bootstrap: &Bootstrap) -> Vec<Option<Interval>> {
        self.draws(bootstrap).iter().map(|draws| draws.interval(CONFIDENCE)).collect()
    }

    /// Likewise the standard errors.
    pub fn standard_errors(&self, bootstrap: &Bootstrap) -> Vec<Option<f64>> {
        self.draws(bootstrap).iter().map(Draws::standard_error).collect()
    }

    fn draws(&self, bootstrap: &Bootstrap) -> Vec<Draws> {
        let numbers = numbered(self.records.iter().map(|record| record.chart.as_str()));
        let mut charts = Charts::new(numbers.len(), self.convention.metrics.len());
        for (record, scores) in self.records.iter().zip(&self.scores) {
            add(&mut charts, numbers[record.chart.as_str()], 0, scores);
        }
        bootstrap.means(&charts)
    }

    /// How many different texts the answers are, by the number of answers; failed questions aside. `None` without an
    /// answer.
    pub fn distinct_rate(&self) -> Option<f64> {
        let texts = self.records.iter().filter_map(|record| Some(record.prediction.as_ref()?.0.as_str()));
        let (mut count, mut distinct) = (0, std::collections::HashSet::new());
        for text in texts {
            count += 1;
            distinct.insert(text);
        }
        (count > 0).then(|| distinct.len() as f64 / f64::from(count))
    }

    /// The answers as the matrix and the sensitivity take them.
    pub fn entries(&self) -> Vec<Entry<'a>> {
        self.records.iter().map(|record| Entry { id: &record.id, pair: pair(record) }).collect()
    }

    /// Scores of question `index` under `metric`, as it counts in the mean.
    pub fn value(&self, index: usize, metric: Metric) -> Option<f64> {
        self.scores[index].get(metric).counted()
    }
}

/// Counts one more question of `chart`, its scores in percent from the statistic `first` on.
pub(super) fn add(charts: &mut Charts, chart: usize, first: usize, scores: &Scores) {
    for (statistic, (_, score)) in scores.iter().enumerate() {
        if let Some(value) = score.counted() {
            charts.add(chart, first + statistic, 100.0 * value);
        }
    }
}

/// The names in alphabetical order, each with its number.
pub(super) fn numbered<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut numbers: BTreeMap<&str, usize> = names.map(|name| (name, 0)).collect();
    numbers.values_mut().enumerate().for_each(|(number, value)| *value = number);
    numbers
}

/// One prediction's scores; a failed question's are 0.
fn score(record: &PredictionRecord, convention: &Convention) -> Scores {
    convention.score(&pair(record))
}

/// What of a prediction is scored.
fn pair(record: &PredictionRecord) -> Pair<'_> {
    Pair {
        gold: &record.gold,
        prediction: record.prediction.as_ref(),
        question: Some(&record.question),
        answer_type: record.answer_type,
    }
}
