//! Scoring many answers at once, on all cores.

use rayon::prelude::*;

use super::scored::{CONFIDENCE, add, numbered};
use chartbench_score::metric::{Convention, Pair, Scores, Summary};
use chartbench_score::stats::{ChartSums, Interval};

/// An answer with the name that reports give it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub id: &'a str,
    pub pair: Pair<'a>,
}

/// For each convention its means over all `answers` and the intervals of these, in percent; `chart` tells an answer's. The
/// same bits on any number of cores.
pub fn estimates<'a, T: Sync>(
    answers: &'a [T],
    pair: impl Fn(&'a T) -> Pair<'a> + Sync,
    chart: impl Fn(&'a T) -> &'a str,
    conventions: &[&Convention],
) -> Vec<(Summary, Vec<Option<Interval>>)> {
    let numbers = numbered(answers.iter().map(&chart));
    let places: Vec<usize> = answers.iter().map(|answer| numbers[chart(answer)]).collect();
    let mut estimates = Vec::new();
    for convention in conventions {
        // One convention's scores at a time: all of them would be the most of what is in memory.
        let scores: Vec<Scores> = answers.par_iter().map(|answer| convention.score(&pair(answer))).collect();
        let mut summary = Summary::new(convention.metrics);
        let mut charts = ChartSums::new(numbers.len(), convention.metrics.len());
        for (scores, &place) in scores.iter().zip(&places) {
            summary.add(scores);
            add(&mut charts, place, scores);
        }
        let intervals = (0..charts.statistics()).map(|metric| charts.interval(metric, 100.0, CONFIDENCE));
        estimates.push((summary, intervals.collect()));
    }
    estimates
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
