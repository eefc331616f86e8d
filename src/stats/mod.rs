//! How sure a score is, and how sure a difference: pure functions of numbers. Nothing here knows what was measured.
//!
//! Questions on one chart are not independent (a chart that is hard to read is hard for all of them), so it is charts
//! that are drawn anew, each with all its questions: [`Charts`] holds what their questions add up to, [`Bootstrap`] draws.
#![deny(clippy::disallowed_methods)]

mod bootstrap;
mod charts;
mod draws;
mod holm;
mod mcnemar;

pub use bootstrap::Bootstrap;
pub use charts::Charts;
pub use draws::{Draws, Interval};
pub use holm::holm;
pub use mcnemar::mcnemar;

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Goldens {
        mcnemar: Vec<Paired>,
        holm: Vec<Corrected>,
        tail: Vec<Tail>,
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
    struct Tail {
        charts: usize,
        confidence: f64,
        tail: f64,
    }

    #[track_caller]
    fn agree(ours: f64, theirs: f64) {
        assert!((ours - theirs).abs() <= 1e-9 * theirs.abs(), "{ours} is not {theirs}");
    }

    #[test]
    fn tests_agree_with_statsmodels_and_scipy() {
        let goldens: Goldens = serde_json::from_str(include_str!("../../fixtures/statistics/goldens.json")).unwrap();
        goldens.mcnemar.iter().for_each(|one| agree(mcnemar(one.fixed, one.broken), one.p));
        for Corrected { p, corrected } in goldens.holm {
            let ours = holm(&p);
            assert_eq!(ours.len(), corrected.len());
            ours.into_iter().zip(corrected).for_each(|(ours, theirs)| agree(ours, theirs));
        }
        goldens.tail.iter().for_each(|one| agree(draws::tail(one.charts, one.confidence).unwrap(), one.tail));
    }
}
