//! Error rates of tests and coverage of intervals, on simulated data sets.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution};
use rayon::prelude::*;

use super::*;
use chartbench_core::seeded_draw::numbered_stream;

/// Data sets of a kind, unless said otherwise.
const DATA_SETS: usize = 2000;
/// Data sets without a difference: the share of them in which one is found has a standard error of
/// 0.22 points.
const DATA_SETS_WITHOUT_DIFFERENCE: usize = 10_000;

/// Data sets of one kind.
#[derive(Clone, Copy, Debug)]
struct Kind {
    charts: usize,
    /// Questions a chart, at least and at most.
    questions: (usize, usize),
    seed: u64,
}

impl Kind {
    /// A generator and the number of questions of each chart.
    fn begin(self, data_set: usize) -> (ChaCha8Rng, Vec<usize>) {
        let mut generator = numbered_stream(self.seed, data_set as u64);
        let questions = (0..self.charts)
            .map(|_| generator.random_range(self.questions.0..=self.questions.1))
            .collect();
        (generator, questions)
    }

    /// Two models' answers: how easy a chart is has a part that both share and a part of each one's
    /// own, and the second model is better by `gain`. The values are the changes.
    fn changes(self, gain: f64, data_set: usize) -> ChartSums {
        let (mut generator, questions) = self.begin(data_set);
        let easiness = Beta::new(1.2, 0.8).unwrap();
        let mut charts = ChartSums::new(self.charts, 1);
        for (chart, count) in questions.into_iter().enumerate() {
            let [both, before, after] = [(); 3].map(|()| easiness.sample(&mut generator));
            let [before, after] =
                [before, after + 2.0 * gain].map(|own| f64::midpoint(both, own).clamp(0.0, 1.0));
            for _ in 0..count {
                let [old, new] =
                    [before, after].map(|right| f64::from(generator.random_bool(right)));
                charts.add(chart, 0, 100.0 * (new - old));
            }
        }
        charts
    }

    /// One model's answers, of which the part `right` is right. Two questions of one chart agree by
    /// `correlation`.
    fn answers(self, right: f64, correlation: f64, data_set: usize) -> ChartSums {
        let (mut generator, questions) = self.begin(data_set);
        let spread = 1.0 / correlation - 1.0;
        let easiness = Beta::new(right * spread, (1.0 - right) * spread).unwrap();
        let mut charts = ChartSums::new(self.charts, 1);
        for (chart, count) in questions.into_iter().enumerate() {
            let easy = easiness.sample(&mut generator).clamp(0.0, 1.0);
            (0..count)
                .for_each(|_| charts.add(chart, 0, 100.0 * f64::from(generator.random_bool(easy))));
        }
        charts
    }

    /// The share of data sets, in percent, in which a difference is found.
    fn found(self, gain: f64, data_sets: usize) -> f64 {
        let finds = |data_set: &usize| {
            SignFlips {
                draws: 999,
                seed: 0,
            }
            .test(&self.changes(gain, *data_set))[0]
                .p_value()
                <= 0.05
        };
        percent(data_sets, finds)
    }

    /// The part of the data sets, in percent, whose interval holds the truth.
    fn covered(self, right: f64, correlation: f64) -> f64 {
        percent(DATA_SETS, |data_set| {
            let Interval { low, high } = self
                .answers(right, correlation, *data_set)
                .interval(0, 100.0, 0.95)
                .unwrap();
            low <= 100.0 * right && 100.0 * right <= high
        })
    }
}

fn percent(data_sets: usize, holds: impl Fn(&usize) -> bool + Sync + Send) -> f64 {
    100.0 * (0..data_sets).into_par_iter().filter(holds).count() as f64 / data_sets as f64
}

/// The bootstrap over charts that this test took the place of finds a difference in 9.3, 7.3, 5.9
/// and 6.3 % of 2,000 such data sets.
#[test]
fn a_difference_is_found_where_there_is_none_as_seldom_as_promised() {
    for (charts, questions) in [(10, (40, 40)), (10, (3, 3)), (30, (2, 8)), (120, (2, 8))] {
        let kind = Kind {
            charts,
            questions,
            seed: 11,
        };
        let found = kind.found(0.0, DATA_SETS_WITHOUT_DIFFERENCE);
        println!("{charts} charts of {questions:?} questions: {found:.2} %");
        let least = if charts < 30 { 0.0 } else { 3.5 };
        assert!((least..=6.0).contains(&found), "{kind:?}: {found} %");
    }
}

/// The bootstrap finds the difference in 54.25 and 68.70 % of the same data sets.
#[test]
fn a_difference_on_many_charts_is_found_as_often_as_by_the_bootstrap() {
    for (questions, bootstrap) in [((3, 3), 54.25), ((2, 8), 68.70)] {
        let found = Kind {
            charts: 120,
            questions,
            seed: 11,
        }
        .found(0.08, DATA_SETS);
        println!(
            "120 charts of {questions:?} questions: {found:.2} %, by the bootstrap {bootstrap:.2} %"
        );
        assert!(found >= bootstrap, "{found} % is less than {bootstrap} %");
    }
}

#[test]
fn intervals_cover_the_truth_as_often_as_they_say() {
    for (charts, questions) in [(20, (2, 8)), (20, (40, 40)), (120, (1, 1)), (120, (2, 8))] {
        for right in [0.005, 0.03, 0.5, 0.85, 0.97, 0.995] {
            let kind = Kind {
                charts,
                questions,
                seed: 11,
            };
            let covered = kind.covered(right, 0.3);
            println!("{charts} charts of {questions:?} questions, {right} right: {covered:.1} %");
            let most = if right == 0.5 && charts == 120 {
                97.0
            } else {
                100.0
            };
            assert!(
                (93.0..=most).contains(&covered),
                "{kind:?}, {right} right: {covered} %"
            );
        }
    }
}

#[test]
fn intervals_by_question_fall_short() {
    let by_question = |data_set: &usize| {
        let kind = Kind {
            charts: 120,
            questions: (5, 5),
            seed: 11,
        };
        let charts = kind.answers(0.6, 0.3, *data_set);
        let right = charts
            .clusters(0)
            .map(|chart| chart.sum / 100.0)
            .sum::<f64>() as usize;
        let mut alone = ChartSums::new(600, 1);
        (0..600).for_each(|question| {
            alone.add(question, 0, if question < right { 100.0 } else { 0.0 })
        });
        let Interval { low, high } = alone.interval(0, 100.0, 0.95).unwrap();
        low <= 60.0 && 60.0 <= high
    };
    assert!(percent(DATA_SETS, by_question) < 88.0);
}
