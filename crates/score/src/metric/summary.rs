//! Means over questions.

use super::{Metric, Score, Scores};

/// A convention's metrics over many questions: the mean of each, in percent.
///
/// The same questions give the same bits in any order, and in any grouping: values are added as
/// integers.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    metrics: &'static [Metric],
    /// The number of questions.
    pub count: usize,
    /// The number of questions on which the convention's original raises; they count as 0 in the
    /// means.
    pub errors: usize,
    sums: [Sum; Scores::MAX_METRICS],
}

impl Summary {
    /// An empty summary for a convention with these metrics.
    pub fn new(metrics: &'static [Metric]) -> Self {
        Self {
            metrics,
            count: 0,
            errors: 0,
            sums: [Sum::default(); Scores::MAX_METRICS],
        }
    }

    /// The means over all `scores`, which must be of one convention; `None` without scores.
    ///
    /// ```
    /// use chartbench_score::metric::{Convention, Metric, Pair, Summary};
    /// use chartbench_core::question::{Gold, Prediction};
    /// let (convention, gold) = (Convention::by_name("study").unwrap(), Gold::from("100"));
    /// let score = |text: &str| convention.score(&Pair::new(&gold, &Prediction(text.to_owned())));
    /// let summary = Summary::from_scores([score("100"), score("105")]).unwrap();
    /// assert_eq!((summary.count, summary.mean(Metric::ExactMatch)), (2, Some(50.0)));
    /// assert_eq!(summary.mean(Metric::RelaxedAccuracy), Some(100.0));
    /// assert!(Summary::from_scores([]).is_none());
    /// ```
    pub fn from_scores(scores: impl IntoIterator<Item = Scores>) -> Option<Self> {
        let mut scores = scores.into_iter();
        let first = scores.next()?;
        let mut summary = Self::new(first.metrics());
        summary.add(&first);
        scores.for_each(|scores| summary.add(&scores));
        Some(summary)
    }

    /// Counts one more question.
    pub fn add(&mut self, scores: &Scores) {
        let mut raised = false;
        for ((_, score), sum) in scores.iter().zip(&mut self.sums) {
            raised |= matches!(score, Score::Raises(_));
            if let Some(value) = score.counted() {
                sum.add(value);
            }
        }
        self.count += 1;
        self.errors += usize::from(raised);
    }

    /// Counts all questions of `other`, which is of the same convention.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.errors += other.errors;
        for (sum, other) in self.sums.iter_mut().zip(&other.sums) {
            sum.total += other.total;
            sum.count += other.count;
        }
    }

    /// One metric's mean over the questions it applies to, in percent.
    pub fn mean(&self, metric: Metric) -> Option<f64> {
        let index = self.metrics.iter().position(|listed| *listed == metric)?;
        self.sums[index].percent()
    }

    /// Every metric's mean, in the convention's order.
    pub fn means(&self) -> impl Iterator<Item = (Metric, Option<f64>)> + '_ {
        self.metrics
            .iter()
            .zip(&self.sums)
            .map(|(metric, sum)| (*metric, sum.percent()))
    }
}

/// A sum of non-negative values in units of 2^-64: exact for 0 and for every float from 2^-12 up,
/// and so for every similarity that a convention keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    total: u128,
    count: usize,
}

impl Sum {
    const UNIT: f64 = (1_u128 << 64) as f64;

    fn add(&mut self, value: f64) {
        self.total += (value * Self::UNIT) as u128;
        self.count += 1;
    }

    fn percent(&self) -> Option<f64> {
        (self.count > 0).then(|| 100.0 * (self.total as f64 / Self::UNIT) / self.count as f64)
    }
}
