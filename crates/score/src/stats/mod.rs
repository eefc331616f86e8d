//! Confidence intervals of scores and tests of differences: pure functions of numbers.
//!
//! Questions about one chart are not independent (a chart that is hard to read is hard for all of
//! them), so charts are the units: [`ChartSums`] has the sums of their questions, from which
//! [`ChartSums::interval`] is the interval of a score and [`SignFlips`] the test of a difference
//! with its interval.
#![deny(clippy::disallowed_methods)]

mod chart_sums;
mod mcnemar;
mod sign_flips;
mod wilson;

pub use chart_sums::ChartSums;
pub use mcnemar::{holm, mcnemar};
pub use sign_flips::{SignFlipTest, SignFlips};

/// A confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end, in the unit of the values.
    pub low: f64,
    /// The upper end, in the unit of the values.
    pub high: f64,
}

#[cfg(test)]
mod simulations;

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Goldens {
        mcnemar: Vec<Paired>,
        holm: Vec<Corrected>,
        wilson: Vec<Scored>,
        standard_error: Vec<Clustered>,
        sign_flips: Vec<Flipped>,
    }

    #[derive(Deserialize)]
    struct Paired {
        fixed: usize,
        broken: usize,
        p: f64,
    }

    #[derive(Deserialize)]
    struct Corrected {
        p: Vec<f64>,
        corrected: Vec<f64>,
    }

    #[derive(Deserialize)]
    struct Scored {
        share: f64,
        count: f64,
        quantile: f64,
        low: f64,
        high: f64,
    }

    /// The sums and counts of each chart's questions.
    #[derive(Deserialize)]
    struct Clustered {
        sums: Vec<f64>,
        counts: Vec<f64>,
        error: f64,
        detectable: f64,
    }

    #[derive(Deserialize)]
    struct Flipped {
        sums: Vec<f64>,
        counts: Vec<f64>,
        p: f64,
    }

    #[track_caller]
    fn agree(ours: f64, theirs: f64) {
        assert!(
            (ours - theirs).abs() <= 1e-9 * theirs.abs(),
            "{ours} is not {theirs}"
        );
    }

    #[test]
    fn tests_and_intervals_agree_with_statsmodels_and_scipy() {
        let goldens: Goldens =
            serde_json::from_str(include_str!("../../../../fixtures/statistics/goldens.json"))
                .unwrap();
        goldens
            .mcnemar
            .iter()
            .for_each(|pair| agree(mcnemar(pair.fixed, pair.broken), pair.p));
        for Corrected { p, corrected } in goldens.holm {
            let ours = holm(&p);
            assert_eq!(ours.len(), corrected.len());
            ours.into_iter()
                .zip(corrected)
                .for_each(|(ours, theirs)| agree(ours, theirs));
        }
        for Scored {
            share,
            count,
            quantile,
            low,
            high,
        } in goldens.wilson
        {
            let ours = wilson::wilson(share, count, quantile);
            assert!(
                (ours.low - low).abs() < 1e-12 && (ours.high - high).abs() < 1e-12,
                "{ours:?}, {low} to {high}"
            );
        }
        for Clustered {
            sums,
            counts,
            error,
            detectable,
        } in goldens.standard_error
        {
            let charts = ChartSums::from_sums(&sums, &counts);
            agree(charts.standard_error(0).unwrap(), error);
            agree(charts.detectable(0, 0.95).unwrap(), detectable);
        }
        for Flipped { sums, counts, p } in goldens.sign_flips {
            let test = SignFlips {
                draws: 10_000,
                seed: 0,
            }
            .test(&ChartSums::from_sums(&sums, &counts))
            .remove(0);
            agree(test.p_value(), p);
        }
    }
}
