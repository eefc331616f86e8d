//! Scoring many answers at once, on all cores.

use rayon::prelude::*;

use crate::metric::{Convention, Pair, Summary};

/// An answer with the name that reports give it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub id: &'a str,
    pub pair: Pair<'a>,
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
