//! Scoring many answers at once, on all cores.

use rayon::prelude::*;

use super::scored::{CONFIDENCE, numbered};
use crate::metric::{Convention, Pair, Scores, Summary};
use crate::stats::{Bootstrap, Charts, Interval};

/// An answer with the name that reports give it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub id: &'a str,
    pub pair: Pair<'a>,
}

/// For each convention the intervals of its metrics' means, in percent, from charts drawn anew; `chart` tells an answer's.
/// The same bits on any number of cores.
pub fn intervals<'a, T: Sync>(
    answers: &'a [T],
    pair: impl Fn(&'a T) -> Pair<'a> + Sync,
    chart: impl Fn(&'a T) -> &'a str,
    conventions: &[&Convention],
    bootstrap: &Bootstrap,
) -> Vec<Vec<Option<Interval>>> {
    let numbers = numbered(answers.iter().map(&chart));
    let places: Vec<usize> = answers.iter().map(|answer| numbers[chart(answer)]).collect();
    let first = conventions.iter().scan(0, |next, convention| {
        let first = *next;
        *next += convention.metrics.len();
        Some(first)
    });
    let firsts: Vec<usize> = first.collect();
    let mut charts = Charts::new(numbers.len(), conventions.iter().map(|convention| convention.metrics.len()).sum());
    for (convention, first) in conventions.iter().zip(&firsts) {
        // One convention's scores at a time: all of them would be the most of what is in memory.
        let scores: Vec<Scores> = answers.par_iter().map(|answer| convention.score(&pair(answer))).collect();
        for (scores, &place) in scores.iter().zip(&places) {
            for (statistic, (_, score)) in scores.iter().enumerate() {
                if let Some(value) = score.counted() {
                    charts.add(place, first + statistic, 100.0 * value);
                }
            }
        }
    }
    let draws = bootstrap.means(&charts);
    let of = |(convention, first): (&&Convention, &usize)| {
        draws[*first..first + convention.metrics.len()].iter().map(|draws| draws.interval(CONFIDENCE)).collect()
    };
    conventions.iter().zip(&firsts).map(of).collect()
}

/// Answers that one task scores.
pub(super) const CHUNK: usize = 4096;

/// Each convention's means over all `answers`, in the order of `conventions`; `pair` is what of one is scored. The same
/// bits on any number of cores.
pub fn tally<'a, T: Sync>(
    answers: &'a [T],
    pair: impl Fn(&'a T) -> Pair<'a> + Sync,
    conventions: &[&Convention],
) -> Vec<Summary> {
    let none = || conventions.iter().map(|convention| Summary::new(convention.metrics)).collect::<Vec<_>>();
    let chunks = answers.par_chunks(CHUNK).map(|chunk| {
        let mut summaries = none();
        for (convention, summary) in conventions.iter().zip(&mut summaries) {
            chunk.iter().for_each(|answer| summary.add(&convention.score(&pair(answer))));
        }
        summaries
    });
    chunks.reduce(none, |mut all, summaries| {
        all.iter_mut().zip(&summaries).for_each(|(all, summary)| all.merge(summary));
        all
    })
}
