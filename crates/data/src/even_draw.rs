//! A number of questions drawn from a whole split, each of its parts in proportion. Draws of one
//! seed are nested: a larger one holds the smaller.

use std::collections::BTreeMap;

use anyhow::Result;

use chartbench_core::question::{AnswerType, Chart, ChartQuestions, Question};
use chartbench_core::seeded_draw::draw_key;

/// Makes keys of this draw independent of those by which the questions of a chart are drawn.
const PURPOSE: u64 = 0x6576_656e;

/// The part of a data set that a question is of: source (`human`, `augmented`) and answer type.
type Part = (Option<String>, Option<AnswerType>);

type Key = [u8; 32];

/// Which questions of a split are drawn: of each part those with the lowest keys.
#[derive(Clone, Debug)]
pub(super) struct EvenDraw {
    seed: u64,
    /// The highest key that is drawn of each part.
    bounds: BTreeMap<Part, Key>,
}

impl EvenDraw {
    /// Draws `count` questions; all where there are fewer.
    ///
    /// # Errors
    /// Returns the first error of a chunk.
    pub(super) fn new(
        chunks: impl Iterator<Item = Result<Vec<ChartQuestions>>>,
        count: usize,
        seed: u64,
    ) -> Result<Self> {
        let mut parts: BTreeMap<Part, Vec<Key>> = BTreeMap::new();
        for chunk in chunks {
            for ChartQuestions { chart, questions } in &chunk? {
                for question in questions {
                    let keys = parts.entry(part(question)).or_default();
                    keys.push(key(seed, chart, question));
                }
            }
        }
        parts.values_mut().for_each(|keys| keys.sort_unstable());
        let sizes: Vec<usize> = parts.values().map(Vec::len).collect();
        let bounds = parts.into_iter().zip(shares(&sizes, count));
        Ok(Self {
            seed,
            bounds: bounds
                .filter_map(|((part, keys), share)| Some((part, *keys.get(share.checked_sub(1)?)?)))
                .collect(),
        })
    }

    /// Leaves the questions that are drawn, in their order.
    pub(super) fn retain(&self, charts: &mut [ChartQuestions]) {
        for ChartQuestions { chart, questions } in charts {
            questions.retain(|question| {
                self.bounds
                    .get(&part(question))
                    .is_some_and(|bound| key(self.seed, chart, question) <= *bound)
            });
        }
    }
}

fn part(question: &Question) -> Part {
    (question.source.clone(), question.answer_type)
}

fn key(seed: u64, chart: &Chart, question: &Question) -> Key {
    draw_key(seed ^ PURPOSE, &chart.id, &question.id)
}

/// How many of `count` questions are of each part. The n-th question of a part of size s stands at
/// (2n - 1) / 2s of the way, and the first on the way are taken: a share only grows with `count`.
fn shares(sizes: &[usize], count: usize) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    let mut shares = vec![0_usize; sizes.len()];
    let place = |share: usize, size: usize| (2 * share as u128 + 1, 2 * size as u128);
    for _ in 0..count.min(total) {
        let open = sizes
            .iter()
            .zip(&mut shares)
            .filter(|(size, share)| **share < **size);
        let next = open.min_by(|(size, share), (other_size, other_share)| {
            let (a, b) = (place(**share, **size), place(**other_share, **other_size));
            (a.0 * b.1).cmp(&(b.0 * a.1))
        });
        if let Some((_, share)) = next {
            *share += 1;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn shares_are_in_proportion_and_nested() {
        assert_eq!(shares(&[1250, 1250], 100), [50, 50]);
        assert_eq!(shares(&[60, 30, 10], 10), [6, 3, 1]);
        assert_eq!(shares(&[3, 2], 9), [3, 2]);
        assert_eq!(shares(&[], 3), [0; 0]);
        let sizes = [97, 11, 3, 250];
        let mut before = shares(&sizes, 0);
        for count in 1..=361 {
            let now = shares(&sizes, count);
            assert_eq!(now.iter().sum::<usize>(), count);
            assert!(now.iter().zip(&before).all(|(now, before)| now >= before));
            let whole: usize = sizes.iter().sum();
            for (share, size) in now.iter().zip(sizes) {
                let exact = (size * count) as f64 / whole as f64;
                assert!(
                    (*share as f64 - exact).abs() <= 1.5,
                    "{count}: {share} of {exact}"
                );
            }
            before = now;
        }
    }
}
