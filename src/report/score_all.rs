//! Scores many answers on all cores.

use rayon::prelude::*;

use super::scored::{CONFIDENCE, add, numbered};
use chartbench_score::metric::{Convention, Pair, Scores, Summary};
use chartbench_score::stats::{ChartSums, Interval};

/// An answer with its gold, under the id that reports show.
#[derive(Clone, Copy, Debug)]
pub struct NamedPair<'a> {
    /// The question's id.
    pub id: &'a str,
    /// Gold answer, prediction and whatever else the metrics read.
    pub pair: Pair<'a>,
}

/// Scores all `answers` under each convention: means and their intervals, in percent; `chart` gives
/// an answer's chart. The result is bit-identical on any number of cores.
pub fn estimates<'a, T: Sync>(
    answers: &'a [T],
    pair: impl Fn(&'a T) -> Pair<'a> + Sync,
    chart: impl Fn(&'a T) -> &'a str,
    conventions: &[&Convention],
) -> Vec<(Summary, Vec<Option<Interval>>)> {
    let numbers = numbered(answers.iter().map(&chart));
    let places: Vec<usize> = answers
        .iter()
        .map(|answer| numbers[chart(answer)])
        .collect();
    let mut estimates = Vec::new();
    for convention in conventions {
        // Only one convention's scores at a time: all of them would dominate memory.
        let scores: Vec<Scores> = answers
            .par_iter()
            .map(|answer| convention.score(&pair(answer)))
            .collect();
        let mut summary = Summary::new(convention.metrics);
        let mut charts = ChartSums::new(numbers.len(), convention.metrics.len());
        for (scores, &place) in scores.iter().zip(&places) {
            summary.add(scores);
            add(&mut charts, place, scores);
        }
        let intervals =
            (0..charts.statistics()).map(|metric| charts.interval(metric, 100.0, CONFIDENCE));
        estimates.push((summary, intervals.collect()));
    }
    estimates
}

/// Number of answers in a parallel task.
pub(super) const CHUNK: usize = 4096;

/// Scores all `answers` under each convention, in the order of `conventions`; `pair` gives the
/// scored fields of an answer. The result is bit-identical on any number of cores.
pub fn score_all<'a, T: Sync>(
    answers: &'a [T],
    pair: impl Fn(&'a T) -> Pair<'a> + Sync,
    conventions: &[&Convention],
) -> Vec<Summary> {
    let none = || {
        conventions
            .iter()
            .map(|convention| Summary::new(convention.metrics))
            .collect::<Vec<_>>()
    };
    let chunks = answers.par_chunks(CHUNK).map(|chunk| {
        let mut summaries = none();
        for (convention, summary) in conventions.iter().zip(&mut summaries) {
            chunk
                .iter()
                .for_each(|answer| summary.add(&convention.score(&pair(answer))));
        }
        summaries
    });
    chunks.reduce(none, |mut all, summaries| {
        all.iter_mut()
            .zip(&summaries)
            .for_each(|(all, summary)| all.merge(summary));
        all
    })
}
