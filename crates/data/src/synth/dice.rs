//! Seeded choices. Every chart has dice of its own, so that no chart depends on how many there are.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use chartbench_core::question::Split;

/// What a set of dice decides: changing the questions leaves the pictures as they were.
#[derive(Clone, Copy)]
pub enum Purpose {
    Plan,
    Questions,
}

/// A stream of choices that depends on nothing but what it was made from.
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// Dice for one purpose of one chart.
    pub fn new(seed: u64, split: Split, index: usize, purpose: Purpose) -> Self {
        let purpose = match purpose {
            Purpose::Plan => "plan",
            Purpose::Questions => "questions",
        };
        let name = format!("chartbench synth 1/{seed}/{}/{index}/{purpose}", split.name());
        Self(ChaCha8Rng::from_seed(Sha256::digest(name.as_bytes()).into()))
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.real(0.0, 1.0) < p
    }

    /// An integer of `low..=high`; `low` when the range is empty.
    pub fn int(&mut self, low: i64, high: i64) -> i64 {
        if low >= high { low } else { self.0.random_range(low..=high) }
    }

    /// A length or index of `low..=high`.
    pub fn count(&mut self, low: usize, high: usize) -> usize {
        self.int(low as i64, high as i64) as usize
    }

    /// A real number of `low..high`.
    pub fn real(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.random::<f64>()
    }

    /// One of `items`, or nothing when there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.count(0, items.len().saturating_sub(1)))
    }

    /// One of a fixed, non-empty choice.
    pub fn one<T: Copy, const N: usize>(&mut self, items: [T; N]) -> T {
        const { assert!(N > 0) };
        items[self.count(0, N - 1)]
    }

    /// An index drawn in proportion to `weights`; nothing when they sum to zero.
    pub fn weighted(&mut self, weights: &[u32]) -> Option<usize> {
        let total: i64 = weights.iter().map(|&weight| i64::from(weight)).sum();
        if total == 0 {
            return None;
        }
        let mut left = self.int(0, total - 1);
        weights.iter().position(|&weight| {
            left -= i64::from(weight);
            left < 0
        })
    }

    /// `count` different items (all when there are fewer), in their own order when `ordered`, else shuffled.
    pub fn some<'a, T>(&mut self, items: &'a [T], count: usize, ordered: bool) -> Vec<&'a T> {
        let mut indices: Vec<usize> = (0..items.len()).collect();
        for i in (1..indices.len()).rev() {
            indices.swap(i, self.count(0, i));
        }
        indices.truncate(count);
        if ordered {
            indices.sort_unstable();
        }
        indices.into_iter().filter_map(|index| items.get(index)).collect()
    }
}
