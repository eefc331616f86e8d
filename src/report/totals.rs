//! What answers add up to, counted as they come: of an answer itself nothing is kept.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::CONFIDENCE;
use super::scored::add;
use crate::metric::{Convention, Scores, Summary};
use crate::record::PredictionRecord;
use crate::stats::{Bootstrap, Charts, Draws, Interval};

/// Under so many charts or questions a slice says too little: tables mark it.
const FEWEST: (usize, usize) = (10, 30);

/// What tables say of answers scored under one convention.
pub struct Totals {
    summary: Summary,
    failures: usize,
    /// Seconds that all questions took.
    seconds: f64,
    /// What the questions of each chart add up to; the charts by name.
    sums: Charts,
    charts: HashMap<String, usize>,
    /// How many answers there are, and hashes of the different texts among them.
    answers: usize,
    texts: HashSet<u64>,
}

impl Totals {
    /// Of no question yet.
    pub fn new(convention: &Convention) -> Self {
        Self {
            summary: Summary::new(convention.metrics),
            failures: 0,
            seconds: 0.0,
            sums: Charts::new(0, convention.metrics.len()),
            charts: HashMap::new(),
            answers: 0,
            texts: HashSet::new(),
        }
    }

    /// Counts one more question.
    pub fn add(&mut self, record: &PredictionRecord, scores: &Scores) {
        self.summary.add(scores);
        self.failures += usize::from(record.failure().is_some());
        self.seconds += record.latency_ms / 1e3;
        let chart = match self.charts.get(&record.chart) {
            Some(&chart) => chart,
            None => {
                let chart = self.sums.push();
                self.charts.insert(record.chart.clone(), chart);
                chart
            }
        };
        add(&mut self.sums, chart, 0, scores);
        if let Some(prediction) = &record.prediction {
            self.answers += 1;
            // Of fixed keys: the same answers give the same number each time.
            self.texts.insert(BuildHasherDefault::<DefaultHasher>::new().hash_one(&prediction.0));
        }
    }

    /// How many questions there are.
    pub fn questions(&self) -> usize {
        self.summary.count
    }

    /// How many of them failed.
    pub fn failures(&self) -> usize {
        self.failures
    }

    /// The metrics' means.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Questions over the sum of their latencies.
    pub fn per_second(&self) -> f64 {
        self.summary.count as f64 / self.seconds
    }

    /// How many charts the questions are on.
    pub fn charts(&self) -> usize {
        self.charts.len()
    }

    /// Whether these are too few to say anything.
    pub fn too_few(&self) -> bool {
        self.charts() < FEWEST.0 || self.summary.count < FEWEST.1
    }

    /// For each of the convention's metrics the interval of its mean, in percent, from charts drawn anew. The same for
    /// the same answers in any order of the charts.
    pub fn intervals(&self, bootstrap: &Bootstrap) -> Vec<Option<Interval>> {
        self.draws(bootstrap).iter().map(|draws| draws.interval(CONFIDENCE)).collect()
    }

    /// Likewise the standard errors.
    pub fn standard_errors(&self, bootstrap: &Bootstrap) -> Vec<Option<f64>> {
        self.draws(bootstrap).iter().map(Draws::standard_error).collect()
    }

    fn draws(&self, bootstrap: &Bootstrap) -> Vec<Draws> {
        let mut by_name: Vec<(&String, &usize)> = self.charts.iter().collect();
        by_name.sort_unstable();
        bootstrap.means(&self.sums.reordered(by_name.into_iter().map(|(_, &chart)| chart)))
    }

    /// How many different texts the answers are, by the number of answers; failed questions aside. `None` without an
    /// answer.
    pub fn distinct_rate(&self) -> Option<f64> {
        (self.answers > 0).then(|| self.texts.len() as f64 / self.answers as f64)
    }
}
