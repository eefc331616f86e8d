//! Means over questions.

use super::{Metric, Scores};

/// A convention's metrics over many questions: the mean of each, in percent.
///
/// The same questions give the same bits in any order: values are added as integers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// How many questions.
    pub count: usize,
    pub exact_match: f64,
    pub relaxed: f64,
    pub anls: f64,
    /// On how many questions the convention's original raises; what it raises on counts as 0 in the means.
    pub errors: usize,
}

impl Summary {
    /// The means over all `scores`; `None` when there is none.
    ///
    /// ```
    /// use chartbench::metric::{Scores, Summary};
    /// let hit = Scores { exact_match: 1.0, relaxed: 1.0, anls: 1.0, raised: None };
    /// let miss = Scores { exact_match: 0.0, relaxed: 0.0, anls: 0.75, raised: None };
    /// let summary = Summary::of([hit, miss]).unwrap();
    /// assert_eq!((summary.count, summary.exact_match, summary.anls), (2, 50.0, 87.5));
    /// assert!(Summary::of([]).is_none());
    /// ```
    pub fn of(scores: impl IntoIterator<Item = Scores>) -> Option<Self> {
        let (mut count, mut errors) = (0, 0);
        let (mut exact_match, mut relaxed, mut anls) = (Sum(0), Sum(0), Sum(0));
        for scores in scores {
            count += 1;
            errors += usize::from(scores.raised.is_some());
            exact_match.add(scores.exact_match);
            relaxed.add(scores.relaxed);
            anls.add(scores.anls);
        }
        (count > 0).then(|| Self {
            count,
            exact_match: exact_match.percent(count),
            relaxed: relaxed.percent(count),
            anls: anls.percent(count),
            errors,
        })
    }
}

impl Summary {
    /// One metric's mean, in percent.
    pub fn get(&self, metric: Metric) -> f64 {
        match metric {
            Metric::ExactMatch => self.exact_match,
            Metric::RelaxedAccuracy => self.relaxed,
            Metric::Anls => self.anls,
        }
    }
}

/// A sum of values in 0..=1, in units of 2^-64: exact for 0, for every float from 2^-12 up, and so for every
/// similarity a convention keeps.
struct Sum(u128);

impl Sum {
    const UNIT: f64 = (1_u128 << 64) as f64;

    fn add(&mut self, value: f64) {
        self.0 += (value * Self::UNIT) as u128;
    }

    fn percent(&self, count: usize) -> f64 {
        100.0 * (self.0 as f64 / Self::UNIT) / count as f64
    }
}
