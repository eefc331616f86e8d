//! Aggregates of answers: sums that are updated answer by answer, without keeping the answers.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::CONFIDENCE;
use super::scored::add;
use crate::run::store::PredictionRecord;
use chartbench_score::metric::{Convention, Scores, Summary};
use chartbench_score::stats::{ChartSums, Interval};

/// Minimum sizes of a slice: tables mark smaller ones, and comparisons conclude nothing from them.
const MIN_CHARTS: usize = 10;
const MIN_QUESTIONS: usize = 30;
/// Minimum latency in seconds for a speed. Latencies are stored in microseconds; shorter ones
/// measure the clock rather than the adapter.
const MIN_SECONDS: f64 = 1e-4;

/// The aggregate of answers scored under one convention.
pub struct Aggregate {
    summary: Summary,
    failures: usize,
    /// Sum of the questions' latencies in seconds.
    seconds: f64,
    /// Sums per chart, and the charts' indices by name.
    sums: ChartSums,
    charts: HashMap<String, usize>,
    /// Number of answers, and hashes of their distinct texts.
    answers: usize,
    texts: HashSet<u64>,
}

impl Aggregate {
    /// An aggregate of no questions.
    pub fn new(convention: &Convention) -> Self {
        Self {
            summary: Summary::new(convention.metrics),
            failures: 0,
            seconds: 0.0,
            sums: ChartSums::new(0, convention.metrics.len()),
            charts: HashMap::new(),
            answers: 0,
            texts: HashSet::new(),
        }
    }

    /// Adds one question.
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
        add(&mut self.sums, chart, scores);
        if let Some(prediction) = &record.prediction {
            self.answers += 1;
            // Fixed hash keys: the same answers give the same number each time.
            self.texts
                .insert(BuildHasherDefault::<DefaultHasher>::new().hash_one(&prediction.0));
        }
    }

    /// Number of questions.
    pub fn questions(&self) -> usize {
        self.summary.count
    }

    /// Number of failed questions.
    pub fn failures(&self) -> usize {
        self.failures
    }

    /// The metrics' means.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Questions over the sum of their latencies; `None` where these are too short to measure.
    pub fn per_second(&self) -> Option<f64> {
        let questions = self.summary.count as f64;
        (self.seconds >= MIN_SECONDS * questions && self.seconds > 0.0)
            .then(|| questions / self.seconds)
    }

    /// Number of charts.
    pub fn charts(&self) -> usize {
        self.charts.len()
    }

    /// Whether charts or questions are too few for a conclusion.
    pub fn too_few(&self) -> bool {
        too_few(self.charts(), self.summary.count)
    }

    /// The interval of each metric's mean, in percent. It does not depend on the order of the
    /// charts.
    pub fn intervals(&self) -> Vec<Option<Interval>> {
        let charts = self.by_name();
        (0..charts.statistics())
            .map(|metric| charts.interval(metric, 100.0, CONFIDENCE))
            .collect()
    }

    /// The standard error of each metric's mean.
    pub fn standard_errors(&self) -> Vec<Option<f64>> {
        let charts = self.by_name();
        (0..charts.statistics())
            .map(|metric| charts.standard_error(metric))
            .collect()
    }

    fn by_name(&self) -> ChartSums {
        let mut by_name: Vec<(&String, &usize)> = self.charts.iter().collect();
        by_name.sort_unstable();
        self.sums
            .reordered(by_name.into_iter().map(|(_, &chart)| chart))
    }

    /// Distinct texts over answers, without failed questions; `None` without an answer.
    pub fn distinct_rate(&self) -> Option<f64> {
        (self.answers > 0).then(|| self.texts.len() as f64 / self.answers as f64)
    }
}

/// Whether charts or questions are too few for a conclusion.
pub(super) fn too_few(charts: usize, questions: usize) -> bool {
    charts < MIN_CHARTS || questions < MIN_QUESTIONS
}
