//! What answers add up to, counted as they come: of an answer itself nothing is kept.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::CONFIDENCE;
use super::scored::add;
use crate::record::PredictionRecord;
use chartbench_score::metric::{Convention, Scores, Summary};
use chartbench_score::stats::{ChartSums, Interval};

/// With fewer charts or questions a slice says too little: tables mark it, and a comparison concludes nothing.
const MIN_CHARTS: usize = 10;
const MIN_QUESTIONS: usize = 30;
/// Seconds a question under which there is no rate. Latencies are stored in microseconds, so that a shorter one says more of
/// the clock than of the adapter: rows that look an answer up would have a million questions a second.
const MIN_SECONDS: f64 = 1e-4;

/// What tables say of answers scored under one convention.
pub struct Totals {
    summary: Summary,
    failures: usize,
    /// Seconds that all questions took.
    seconds: f64,
    /// What the questions of each chart add up to; the charts by name.
    sums: ChartSums,
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
            sums: ChartSums::new(0, convention.metrics.len()),
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
        add(&mut self.sums, chart, scores);
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

    /// Questions over the sum of their latencies; `None` where these are too short to measure.
    pub fn per_second(&self) -> Option<f64> {
        let questions = self.summary.count as f64;
        (self.seconds >= MIN_SECONDS * questions && self.seconds > 0.0).then(|| questions / self.seconds)
    }

    /// How many charts the questions are on.
    pub fn charts(&self) -> usize {
        self.charts.len()
    }

    /// Whether these are too few to say anything.
    pub fn too_few(&self) -> bool {
        too_few(self.charts(), self.summary.count)
    }

    /// For each of the convention's metrics the interval of its mean, in percent. The same for the same answers in any order
    /// of the charts.
    pub fn intervals(&self) -> Vec<Option<Interval>> {
        let charts = self.by_name();
        (0..charts.statistics()).map(|metric| charts.interval(metric, 100.0, CONFIDENCE)).collect()
    }

    /// Likewise the standard errors.
    pub fn standard_errors(&self) -> Vec<Option<f64>> {
        let charts = self.by_name();
        (0..charts.statistics()).map(|metric| charts.standard_error(metric)).collect()
    }

    fn by_name(&self) -> ChartSums {
        let mut by_name: Vec<(&String, &usize)> = self.charts.iter().collect();
        by_name.sort_unstable();
        self.sums.reordered(by_name.into_iter().map(|(_, &chart)| chart))
    }

    /// How many different texts the answers are, by the number of answers; failed questions aside. `None` without an
    /// answer.
    pub fn distinct_rate(&self) -> Option<f64> {
        (self.answers > 0).then(|| self.texts.len() as f64 / self.answers as f64)
    }
}

/// Whether so many charts and questions are too few to conclude anything.
pub(super) fn too_few(charts: usize, questions: usize) -> bool {
    charts < MIN_CHARTS || questions < MIN_QUESTIONS
}
