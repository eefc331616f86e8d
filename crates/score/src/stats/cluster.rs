//! The standard error of a mean over questions that are clustered by chart.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::Charts;

/// The power that [`Charts::detectable`] is for.
const POWER: f64 = 0.8;

/// One chart's questions: the sum of their values and how many they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cluster {
    pub(super) sum: f64,
    pub(super) count: f64,
}

impl Charts {
    /// The cluster-robust standard error of the mean over all questions. Each chart's residual is divided by one minus its
    /// share of the questions (the jackknife, known as CR3), which the plain one falls short of where charts are few or of
    /// different sizes. `None` where fewer than two charts have a question.
    pub fn standard_error(&self, statistic: usize) -> Option<f64> {
        let clusters: Vec<Cluster> = self.clusters(statistic).collect();
        variance(&clusters).map(f64::sqrt)
    }

    /// The smallest true difference that a two-sided test at `1 - confidence` finds in 80 % of such samples; `None` where
    /// the charts do not differ.
    pub fn detectable(&self, statistic: usize, confidence: f64) -> Option<f64> {
        let student = student(self.clusters(statistic).count())?;
        let errors = student.inverse_cdf((1.0 + confidence) / 2.0) + student.inverse_cdf(POWER);
        let detectable = errors * self.standard_error(statistic)?;
        (detectable > 0.0).then_some(detectable)
    }
}

/// Student's t with one degree of freedom fewer than there are charts; `None` under two charts.
pub(super) fn student(charts: usize) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, charts as f64 - 1.0).ok()
}

/// The square of [`Charts::standard_error`]; every cluster has a question.
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
mod tests {
    use super::*;

    #[test]
    fn charts_of_one_question_have_the_usual_standard_error() {
        // The values 0, 1, 1, 4: their variance is 3, and the mean's is a quarter of it.
        let charts = Charts::from_sums(&[0.0, 1.0, 1.0, 4.0], &[1.0; 4]);
        assert!((charts.standard_error(0).unwrap() - 0.75_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn one_chart_has_no_standard_error_and_equal_ones_nothing_to_detect() {
        assert_eq!(Charts::from_sums(&[3.0], &[4.0]).standard_error(0), None);
        // A chart without a question is none.
        assert_eq!(Charts::from_sums(&[3.0, 0.0], &[4.0, 0.0]).standard_error(0), None);
        assert_eq!(Charts::from_sums(&[1.0, 2.0], &[2.0, 4.0]).detectable(0, 0.95), None);
    }
}
