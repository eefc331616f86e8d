//! The random choices of training, from one stream that can be saved and taken up again.

use candle_core::{Result, Tensor};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::ops::{self, Dropout};

/// The generator of dropout: the same seed makes the same choices.
#[derive(Clone, Debug)]
pub struct Noise {
    stream: ChaCha8Rng,
}

/// Where a [`Noise`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoiseState {
    pub seed: [u8; 32],
    /// Words drawn so far.
    pub word: u64,
}

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self { stream: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// To be stored; [`Self::at`] goes on from there.
    pub fn state(&self) -> NoiseState {
        NoiseState { seed: self.stream.get_seed(), word: self.stream.get_word_pos() as u64 }
    }

    pub fn at(state: &NoiseState) -> Self {
        let mut stream = ChaCha8Rng::from_seed(state.seed);
        stream.set_word_pos(u128::from(state.word));
        Self { stream }
    }

    /// The choice for `count` values, each dropped with probability `p`.
    fn choose(&mut self, p: f64, count: usize) -> Dropout {
        let choice = Dropout::new(self.stream.clone(), p);
        self.stream.set_word_pos(self.stream.get_word_pos().wrapping_add(count as u128));
        choice
    }
}

/// Dropout where a model has it; nothing is dropped without a generator.
#[derive(Debug)]
pub(crate) struct Dropping<'a>(pub(crate) Option<&'a mut Noise>);

impl Dropping<'_> {
    /// Drops values of `x` with probability `p`.
    pub(crate) fn of(&mut self, x: Tensor, p: f64) -> Result<Tensor> {
        match self.choice(p, x.elem_count()) {
            None => Ok(x),
            Some(choice) => ops::dropout(&x, choice),
        }
    }

    /// The choice for so many values, if any can be dropped.
    pub(crate) fn choice(&mut self, p: f64, count: usize) -> Option<Dropout> {
        self.0.as_mut().filter(|_| p > 0.0).map(|noise| noise.choose(p, count))
    }

    /// `x` as a whole dropped with probability `p`: none, or enlarged so that its expected value stays.
    pub(crate) fn whole(&mut self, x: Tensor, p: f64) -> Result<Option<Tensor>> {
        let Some(noise) = self.0.as_mut().filter(|_| p > 0.0) else { return Ok(Some(x)) };
        let dropped = f64::from(noise.stream.next_u32()) < p * (1u64 << 32) as f64;
        if dropped { Ok(None) } else { Ok(Some((x / (1.0 - p))?)) }
    }
}
