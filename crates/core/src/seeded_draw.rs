//! Draws that depend on a seed and a name alone: the same on every machine, whatever else is drawn.
//! (Those of a training are in the root package's `finetune::draw_purpose`, whose bytes are pinned
//! by its stored states.)

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// The key by which the questions of a chart are drawn, those with the lowest keys first: the
/// SHA-256 of seed, chart id and question id.
pub fn draw_key(seed: u64, chart: &str, question: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update((chart.len() as u64).to_le_bytes());
    hasher.update(chart);
    hasher.update(question);
    hasher.finalize().into()
}

/// Stream `number` of the generator of `seed`: streams of one seed are independent of each other.
pub fn numbered_stream(seed: u64, number: u64) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(number);
    generator
}

/// A random number generator that depends on nothing but the name it is made from.
pub struct SeededRng(ChaCha8Rng);

impl SeededRng {
    /// The generator of `name`, which contains the purpose and the seed.
    pub fn from_name(name: &str) -> Self {
        Self(ChaCha8Rng::from_seed(
            Sha256::digest(name.as_bytes()).into(),
        ))
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.real(0.0, 1.0) < p
    }

    /// An integer of `low..=high`; `low` when the range is empty.
    pub fn int(&mut self, low: i64, high: i64) -> i64 {
        if low >= high {
            low
        } else {
            self.0.random_range(low..=high)
        }
    }

    /// A length or index of `low..=high`.
    pub fn count(&mut self, low: usize, high: usize) -> usize {
        self.int(low as i64, high as i64) as usize
    }

    /// A real number of `low..high`.
    pub fn real(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.random::<f64>()
    }

    /// One of `items`; `None` if empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.count(0, items.len().saturating_sub(1)))
    }

    /// One of a fixed, non-empty choice.
    pub fn choose<T: Copy, const N: usize>(&mut self, items: [T; N]) -> T {
        const { assert!(N > 0) };
        items[self.count(0, N - 1)]
    }

    /// An index drawn in proportion to `weights`; `None` when they sum to zero.
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

    /// `count` different items (all when there are fewer), in their own order when `ordered`, else
    /// shuffled.
    pub fn subset<'a, T>(&mut self, items: &'a [T], count: usize, ordered: bool) -> Vec<&'a T> {
        let mut indices: Vec<usize> = (0..items.len()).collect();
        for i in (1..indices.len()).rev() {
            indices.swap(i, self.count(0, i));
        }
        indices.truncate(count);
        if ordered {
            indices.sort_unstable();
        }
        indices
            .into_iter()
            .filter_map(|index| items.get(index))
            .collect()
    }
}
