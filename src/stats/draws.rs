//! What the bootstrap's draws say.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// The power that [`Draws::detectable`] is for.
const POWER: f64 = 0.8;

/// Where the truth lies, with some confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// One statistic's values in all draws.
#[derive(Clone, Debug, PartialEq)]
pub struct Draws {
    /// Ascending; those of draws without a value left out.
    values: Vec<f64>,
    charts: usize,
}

impl Draws {
    /// Of `values`, each from a draw of `charts` charts. A value that is not a number is of a draw without questions.
    pub(super) fn new(mut values: Vec<f64>, charts: usize) -> Self {
        values.retain(|value| !value.is_nan());
        values.sort_by(f64::total_cmp);
        Self { values, charts }
    }

    /// The value that the part `at` (0 to 1) of the draws lies under, interpolated; not a number without draws.
    pub fn quantile(&self, at: f64) -> f64 {
        let Some(last) = self.values.len().checked_sub(1) else { return f64::NAN };
        let place = at.clamp(0.0, 1.0) * last as f64;
        let (below, above) = (self.values[place.floor() as usize], self.values[place.ceil() as usize]);
        below + (above - below) * place.fract()
    }

    /// The expanded percentile interval (Hesterberg, arXiv 1411.5279, 4.3.3): percentiles, moved outward as Student's t is
    /// wider than the normal distribution, which the plain ones fall short of where charts are few. `None` under two
    /// charts.
    pub fn interval(&self, confidence: f64) -> Option<Interval> {
        if self.charts < 2 || self.values.is_empty() {
            return None;
        }
        let tail = tail(self.charts, confidence)?;
        Some(Interval { low: self.quantile(tail), high: self.quantile(1.0 - tail) })
    }

    /// How often a difference as far from zero would come about were there none, both ways: twice the part of the draws
    /// on the rarer side of zero, the observed sample counted as one of them.
    pub fn p_value(&self) -> f64 {
        let at_most = self.values.iter().filter(|&&value| value <= 0.0).count();
        let at_least = self.values.iter().filter(|&&value| value >= 0.0).count();
        let rarer = at_most.min(at_least) + 1;
        (2.0 * rarer as f64 / (self.values.len() + 1) as f64).min(1.0)
    }

    /// The standard deviation of the draws, which is the statistic's standard error; `None` under two draws or charts.
    pub fn standard_error(&self) -> Option<f64> {
        if self.charts < 2 || self.values.len() < 2 {
            return None;
        }
        let count = self.values.len() as f64;
        let mean = self.values.iter().sum::<f64>() / count;
        Some((self.values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt())
    }

    /// The smallest true difference that a two-sided test at `1 - confidence` finds in 80 % of such samples; `None`
    /// where the draws do not differ.
    pub fn detectable(&self, confidence: f64) -> Option<f64> {
        let normal = Normal::standard();
        let errors = normal.inverse_cdf((1.0 + confidence) / 2.0) + normal.inverse_cdf(POWER);
        let detectable = errors * self.standard_error()?;
        (detectable > 0.0).then_some(detectable)
    }
}

/// The part of the draws left out on either side.
pub(super) fn tail(charts: usize, confidence: f64) -> Option<f64> {
    let charts = charts as f64;
    let student = StudentsT::new(0.0, 1.0, charts - 1.0).ok()?.inverse_cdf((1.0 - confidence) / 2.0);
    Some(Normal::standard().cdf(student * (charts / (charts - 1.0)).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_move_outward_where_charts_are_few() {
        let values = || (0..=1000).map(|value| f64::from(value) / 1000.0).collect();
        let many = Draws::new(values(), 1_000_000).interval(0.95).unwrap();
        assert!((many.low - 0.025).abs() < 1e-4 && (many.high - 0.975).abs() < 1e-4, "{many:?}");
        // scipy: norm.cdf(t.ppf(0.025, 9) * sqrt(10 / 9))
        let few = Draws::new(values(), 10).interval(0.95).unwrap();
        assert!((few.low - 0.008_550_639).abs() < 1e-9, "{few:?}");
        assert_eq!(Draws::new(values(), 1).interval(0.95), None);
        assert_eq!(Draws::new(vec![f64::NAN], 5).interval(0.95), None);
        assert!(Draws::new(values(), 2).interval(0.95).is_some());
    }

    #[test]
    fn two_charts_and_two_draws_have_a_standard_error() {
        let of = |draws: &[f64], charts| Draws::new(draws.to_vec(), charts).standard_error();
        assert_eq!(of(&[1.0, 3.0], 2), Some(2f64.sqrt()));
        assert_eq!([of(&[1.0, 3.0], 1), of(&[1.0], 2), of(&[], 2)], [None; 3]);
    }

    #[test]
    fn a_difference_is_as_rare_as_the_draws_on_the_other_side() {
        let draws =
            |below: usize, above: usize| Draws::new([vec![-1.0; below], vec![1.0; above]].concat(), 10).p_value();
        assert_eq!(draws(0, 999), 0.002);
        assert_eq!(draws(99, 900), 0.2);
        assert_eq!(draws(900, 99), 0.2);
        assert_eq!(draws(500, 499), 1.0);
        assert_eq!(Draws::new(vec![0.0; 999], 10).p_value(), 1.0);
    }

    #[test]
    fn what_can_be_detected_is_2_8_standard_errors() {
        // The deviation of -1, 0, 1 is 1; scipy: norm.ppf(0.975) + norm.ppf(0.8)
        let detectable = Draws::new(vec![-1.0, 0.0, 1.0], 10).detectable(0.95).unwrap();
        assert!((detectable - 2.801_585_218).abs() < 1e-8, "{detectable}");
        assert_eq!(Draws::new(vec![0.5; 9], 10).detectable(0.95), None);
    }
}
