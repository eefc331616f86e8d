//! What the questions of each chart add up to.

use super::cluster::Cluster;

/// Sums and counts of several statistics over the questions of each chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Charts {
    statistics: usize,
    /// For each chart the sums of its questions' values, then their counts: `2 * statistics` numbers.
    values: Vec<f64>,
}

impl Charts {
    /// `charts` without a question yet, with `statistics` numbers a question.
    pub fn new(charts: usize, statistics: usize) -> Self {
        Self { statistics, values: vec![0.0; charts * 2 * statistics] }
    }

    /// One more chart, without a question yet; returns its number.
    pub fn push(&mut self) -> usize {
        let number = self.len();
        self.values.resize(self.values.len() + 2 * self.statistics, 0.0);
        number
    }

    /// The same charts in another order: `order` has each chart's number once.
    #[must_use]
    pub fn reordered(&self, order: impl IntoIterator<Item = usize>) -> Self {
        let row = 2 * self.statistics;
        let values = order.into_iter().flat_map(|chart| &self.values[chart * row..][..row]).copied().collect();
        Self { statistics: self.statistics, values }
    }

    /// One more question of `chart`, whose value of `statistic` is `value`.
    ///
    /// # Panics
    /// On a chart or statistic beyond those it was made for.
    pub fn add(&mut self, chart: usize, statistic: usize, value: f64) {
        assert!(statistic < self.statistics, "there are {} statistics", self.statistics);
        let row = chart * 2 * self.statistics;
        self.values[row + statistic] += value;
        self.values[row + self.statistics + statistic] += 1.0;
    }

    /// How many charts there are.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(2 * self.statistics).unwrap_or(0)
    }

    /// Whether there is no chart.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many numbers a question has.
    pub fn statistics(&self) -> usize {
        self.statistics
    }

    /// The charts that have a question of `statistic`.
    pub(super) fn clusters(&self, statistic: usize) -> impl Iterator<Item = Cluster> {
        let cluster = move |row: &[f64]| Cluster { sum: row[statistic], count: row[self.statistics + statistic] };
        self.rows().map(cluster).filter(|chart| chart.count > 0.0)
    }

    /// How many charts have a question of `statistic`, and how many questions these are.
    pub fn counts(&self, statistic: usize) -> (usize, usize) {
        let counts = self.clusters(statistic).map(|chart| chart.count as usize);
        counts.fold((0, 0), |(charts, questions), count| (charts + 1, questions + count))
    }

    /// Each chart's sums and counts, `2 * statistics` numbers.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact((2 * self.statistics).max(1))
    }
}

#[cfg(test)]
impl Charts {
    /// One statistic, by the sum and the count of each chart's questions.
    pub(super) fn from_sums(sums: &[f64], counts: &[f64]) -> Self {
        let values = sums.iter().zip(counts).flat_map(|(sum, count)| [*sum, *count]).collect();
        Self { statistics: 1, values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_are_counted_not_their_numbers() {
        assert_eq!([Charts::new(3, 2).len(), Charts::new(0, 2).len(), Charts::new(3, 0).len()], [3, 0, 0]);
        assert!(Charts::new(0, 2).is_empty() && !Charts::new(3, 2).is_empty());
    }

    #[test]
    fn charts_that_come_one_by_one_are_as_those_that_were_counted_first() {
        let (mut counted, mut pushed) = (Charts::new(3, 3), Charts::new(0, 3));
        assert_eq!([pushed.push(), pushed.push(), pushed.push()], [0, 1, 2]);
        for (chart, statistic, value) in [(0, 0, 1.0), (2, 1, 5.0), (2, 2, 7.0)] {
            counted.add(chart, statistic, value);
            pushed.add(2 - chart, statistic, value);
        }
        assert_ne!(counted, pushed);
        assert_eq!(counted, pushed.reordered([2, 1, 0]));
    }
}
