//! Sums over the questions of each chart, and the standard error of a mean over questions that are
//! clustered by chart.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The power that [`ChartSums::detectable`] is for.
const POWER: f64 = 0.8;

/// Sums and counts of several statistics over the questions of each chart.
#[derive(Clone, Debug, PartialEq)]
pub struct ChartSums {
    statistics: usize,
    /// For each chart the sums of its questions' values, then their counts: `2 * statistics`
    /// numbers.
    values: Vec<f64>,
}

impl ChartSums {
    /// Sums of `charts` charts without questions, with `statistics` numbers for each question.
    pub fn new(charts: usize, statistics: usize) -> Self {
        Self {
            statistics,
            values: vec![0.0; charts * 2 * statistics],
        }
    }

    /// Adds a chart without questions, and returns its index.
    pub fn push(&mut self) -> usize {
        let number = self.len();
        self.values
            .resize(self.values.len() + 2 * self.statistics, 0.0);
        number
    }

    /// The same charts in another order: `order` has each chart's index once.
    #[must_use]
    pub fn reordered(&self, order: impl IntoIterator<Item = usize>) -> Self {
        let row = 2 * self.statistics;
        let values = order
            .into_iter()
            .flat_map(|chart| &self.values[chart * row..][..row])
            .copied()
            .collect();
        Self {
            statistics: self.statistics,
            values,
        }
    }

    /// Adds a question of `chart` with the value `value` of `statistic`.
    ///
    /// # Panics
    /// Panics if the chart or the statistic is out of range.
    pub fn add(&mut self, chart: usize, statistic: usize, value: f64) {
        assert!(
            statistic < self.statistics,
            "there are {} statistics",
            self.statistics
        );
        let row = chart * 2 * self.statistics;
        self.values[row + statistic] += value;
        self.values[row + self.statistics + statistic] += 1.0;
    }

    /// The number of charts.
    pub fn len(&self) -> usize {
        self.values
            .len()
            .checked_div(2 * self.statistics)
            .unwrap_or(0)
    }

    /// Whether the sums have no chart.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The number of statistics of each question.
    pub fn statistics(&self) -> usize {
        self.statistics
    }

    /// The charts with a question of `statistic`.
    pub(super) fn clusters(&self, statistic: usize) -> impl Iterator<Item = Cluster> {
        let cluster = move |row: &[f64]| Cluster {
            sum: row[statistic],
            count: row[self.statistics + statistic],
        };
        self.rows().map(cluster).filter(|chart| chart.count > 0.0)
    }

    /// The numbers of charts with a question of `statistic`, and of those questions.
    pub fn counts(&self, statistic: usize) -> (usize, usize) {
        let counts = self.clusters(statistic).map(|chart| chart.count as usize);
        counts.fold((0, 0), |(charts, questions), count| {
            (charts + 1, questions + count)
        })
    }

    /// The mean of `statistic` over all questions; `None` without one.
    pub fn mean(&self, statistic: usize) -> Option<f64> {
        let (sum, count) = self
            .clusters(statistic)
            .fold((0.0, 0.0), |(sum, count), chart| {
                (sum + chart.sum, count + chart.count)
            });
        (count > 0.0).then(|| sum / count)
    }

    /// Each chart's sums and counts, `2 * statistics` numbers.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact((2 * self.statistics).max(1))
    }
}

/// One chart's questions: the sum of their values, and their count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cluster {
    pub(super) sum: f64,
    pub(super) count: f64,
}

impl ChartSums {
    /// The cluster-robust standard error of the mean over all questions. Each chart's residual is
    /// divided by one minus its share of the questions (the jackknife, known as CR3), which the
    /// plain one falls short of where charts are few or of different sizes. `None` where fewer than
    /// two charts have a question.
    pub fn standard_error(&self, statistic: usize) -> Option<f64> {
        let clusters: Vec<Cluster> = self.clusters(statistic).collect();
        variance(&clusters).map(f64::sqrt)
    }

    /// The smallest true difference that a two-sided test at `1 - confidence` finds in 80 % of such
    /// samples; `None` where the charts do not differ.
    pub fn detectable(&self, statistic: usize, confidence: f64) -> Option<f64> {
        let student = student(self.clusters(statistic).count())?;
        let errors = student.inverse_cdf((1.0 + confidence) / 2.0) + student.inverse_cdf(POWER);
        let detectable = errors * self.standard_error(statistic)?;
        (detectable > 0.0).then_some(detectable)
    }
}

/// Student's t with one degree of freedom fewer than charts; `None` for fewer than two charts.
pub(super) fn student(charts: usize) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, charts as f64 - 1.0).ok()
}

/// The square of [`ChartSums::standard_error`]; every cluster has a question.
pub(super) fn variance(clusters: &[Cluster]) -> Option<f64> {
    if clusters.len() < 2 {
        return None;
    }
    let total: f64 = clusters.iter().map(|chart| chart.count).sum();
    let mean = clusters.iter().map(|chart| chart.sum).sum::<f64>() / total;
    let residual = |chart: &Cluster| (chart.sum - mean * chart.count) / (total - chart.count);
    let squares: f64 = clusters.iter().map(|chart| residual(chart).powi(2)).sum();
    Some(squares * (1.0 - 1.0 / clusters.len() as f64))
}

#[cfg(test)]
impl ChartSums {
    /// One statistic, by the sum and the count of each chart's questions.
    pub(super) fn from_sums(sums: &[f64], counts: &[f64]) -> Self {
        let values = sums
            .iter()
            .zip(counts)
            .flat_map(|(sum, count)| [*sum, *count])
            .collect();
        Self {
            statistics: 1,
            values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_are_counted_not_their_numbers() {
        assert_eq!(
            [
                ChartSums::new(3, 2).len(),
                ChartSums::new(0, 2).len(),
                ChartSums::new(3, 0).len()
            ],
            [3, 0, 0]
        );
        assert!(ChartSums::new(0, 2).is_empty() && !ChartSums::new(3, 2).is_empty());
    }

    #[test]
    fn charts_that_come_one_by_one_are_as_those_that_were_counted_first() {
        let (mut counted, mut pushed) = (ChartSums::new(3, 3), ChartSums::new(0, 3));
        assert_eq!([pushed.push(), pushed.push(), pushed.push()], [0, 1, 2]);
        for (chart, statistic, value) in [(0, 0, 1.0), (2, 1, 5.0), (2, 2, 7.0)] {
            counted.add(chart, statistic, value);
            pushed.add(2 - chart, statistic, value);
        }
        assert_ne!(counted, pushed);
        assert_eq!(counted, pushed.reordered([2, 1, 0]));
    }

    #[test]
    fn charts_of_one_question_have_the_usual_standard_error() {
        // The values 0, 1, 1, 4: their variance is 3, and the mean's is a quarter of it.
        let charts = ChartSums::from_sums(&[0.0, 1.0, 1.0, 4.0], &[1.0; 4]);
        assert!((charts.standard_error(0).unwrap() - 0.75_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn one_chart_has_no_standard_error_and_equal_ones_nothing_to_detect() {
        assert_eq!(ChartSums::from_sums(&[3.0], &[4.0]).standard_error(0), None);
        // A chart without a question does not count.
        assert_eq!(
            ChartSums::from_sums(&[3.0, 0.0], &[4.0, 0.0]).standard_error(0),
            None
        );
        assert_eq!(
            ChartSums::from_sums(&[1.0, 2.0], &[2.0, 4.0]).detectable(0, 0.95),
            None
        );
    }
}
