//! The interval of a score: Wilson's, on the number of independent questions that the charts are
//! worth.

use statrs::distribution::ContinuousCDF;

use super::chart_sums::{Cluster, student, variance};
use super::{ChartSums, Interval};

impl ChartSums {
    /// The interval of the mean over all questions of a statistic whose values lie between 0 and
    /// `whole`; `None` where fewer than two charts have a question.
    ///
    /// It is Wilson's score interval (Brown, Cai and DasGupta, "Interval Estimation for a Binomial
    /// Proportion", 2001), which is honest where all questions or none are right, with Student's t
    /// of charts - 1 degrees of freedom, and with as many questions as independent ones would have
    /// the same cluster-robust variance (the design effect; Franco, Little, Louis and Slud,
    /// "Comparative Study of Confidence Intervals for Proportions in Complex Sample Surveys",
    /// 2019).
    ///
    /// Near either end the few charts with the rarer outcome say little about that variance. So it
    /// is taken as if there was one more chart, of average size and all of the rarer outcome, its
    /// size divided by the square root of the effective number of charts that have this outcome.
    /// Without any such chart, `n` charts then count as `n * n / (n + 1)` questions.
    ///
    /// ```
    /// use chartbench_score::stats::ChartSums;
    /// let mut charts = ChartSums::new(10, 1);
    /// (0..20).for_each(|question| charts.add(question / 2, 0, 100.0));
    /// let interval = charts.interval(0, 100.0, 0.95).unwrap();
    /// assert_eq!((interval.low.round(), interval.high), (64.0, 100.0));
    /// ```
    pub fn interval(&self, statistic: usize, whole: f64, confidence: f64) -> Option<Interval> {
        let charts: Vec<Cluster> = self
            .clusters(statistic)
            .map(|chart| Cluster {
                sum: chart.sum / whole,
                ..chart
            })
            .collect();
        let quantile = student(charts.len())?.inverse_cdf((1.0 + confidence) / 2.0);
        let total: f64 = charts.iter().map(|chart| chart.count).sum();
        let share = (charts.iter().map(|chart| chart.sum).sum::<f64>() / total).clamp(0.0, 1.0);
        let Interval { low, high } = wilson(share, independent_questions(charts, share)?, quantile);
        Some(Interval {
            low: whole * low,
            high: whole * high,
        })
    }
}

/// How many independent questions would have the variance that the mean over `charts` has; `share`
/// is that mean.
fn independent_questions(mut charts: Vec<Cluster>, share: f64) -> Option<f64> {
    let right_is_rarer = share < 0.5;
    let rarer = |chart: &Cluster| {
        if right_is_rarer {
            chart.sum
        } else {
            chart.count - chart.sum
        }
    };
    let (sum, squares) = charts
        .iter()
        .map(rarer)
        .fold((0.0, 0.0), |(sum, squares), value| {
            (sum + value, squares + value * value)
        });
    let with_rarer = if squares > 0.0 {
        (sum * sum / squares).max(1.0)
    } else {
        1.0
    };
    let total: f64 = charts.iter().map(|chart| chart.count).sum();
    let count = total / charts.len() as f64 / with_rarer.sqrt();
    charts.push(Cluster {
        sum: if right_is_rarer { count } else { 0.0 },
        count,
    });
    let with_one_more: f64 = total + count;
    let share = charts.iter().map(|chart| chart.sum).sum::<f64>() / with_one_more;
    // The variance of as many independent questions over that of these: the design effect, upside
    // down.
    let efficiency = share * (1.0 - share) / with_one_more / variance(&charts)?;
    Some(total * efficiency)
}

/// Wilson's score interval of a `share` of `count` independent questions.
pub(super) fn wilson(share: f64, count: f64, quantile: f64) -> Interval {
    let square = quantile * quantile;
    let middle = (share * count + square / 2.0) / (count + square);
    let half = quantile * (count * share * (1.0 - share) + square / 4.0).sqrt() / (count + square);
    // Rounding would leave the ends a hair off.
    let low = if share == 0.0 {
        0.0
    } else {
        (middle - half).clamp(0.0, share)
    };
    let high = if share == 1.0 {
        1.0
    } else {
        (middle + half).clamp(share, 1.0)
    };
    Interval { low, high }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_right_and_all_right_have_an_interval_that_mirrors() {
        let low = ChartSums::from_sums(&[0.0; 20], &[1.0; 20])
            .interval(0, 1.0, 0.95)
            .unwrap();
        let high = ChartSums::from_sums(&[1.0; 20], &[1.0; 20])
            .interval(0, 1.0, 0.95)
            .unwrap();
        assert_eq!((low.low, high.high), (0.0, 1.0));
        // scipy: q = t.ppf(0.975, 19) ** 2; q / (20 * 20 / 21 + q)
        assert!((low.high - 0.186_984_836).abs() < 1e-8, "{low:?}");
        assert!((1.0 - high.low - low.high).abs() < 1e-12, "{high:?}");
    }

    #[test]
    fn more_questions_on_the_same_charts_do_not_narrow_an_end() {
        let of = |questions: f64| {
            ChartSums::from_sums(&[0.0; 20], &[questions; 20])
                .interval(0, 1.0, 0.95)
                .unwrap()
                .high
        };
        assert!((of(1.0) - of(40.0)).abs() < 1e-12);
    }

    #[test]
    fn one_chart_has_no_interval() {
        assert_eq!(
            ChartSums::from_sums(&[3.0, 0.0], &[4.0, 0.0]).interval(0, 1.0, 0.95),
            None
        );
    }

    #[test]
    fn charts_that_agree_have_an_interval() {
        // Each chart has one right answer of two: no chart differs from another.
        let interval = ChartSums::from_sums(&[1.0; 30], &[2.0; 30])
            .interval(0, 1.0, 0.95)
            .unwrap();
        assert!(interval.low < 0.5 && interval.high > 0.5, "{interval:?}");
    }
}
