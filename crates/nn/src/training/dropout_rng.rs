//! The random choices of dropout, from one stream that can be saved and resumed.

use candle_core::{Result, Tensor};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::kernels::{self, Dropout};

/// The generator of dropout: the same seed makes the same choices.
#[derive(Clone, Debug)]
pub struct DropoutRng {
    stream: ChaCha8Rng,
}

/// The position of a [`DropoutRng`] in its stream, to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropoutRngState {
    /// The key of the ChaCha8 stream, derived from the seed given to [`DropoutRng::new`].
    pub seed: [u8; 32],
    /// Words drawn so far.
    pub word: u64,
}

impl DropoutRng {
    /// A generator at the beginning of the stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            stream: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// The state that [`Self::from_state`] resumes from.
    pub fn state(&self) -> DropoutRngState {
        DropoutRngState {
            seed: self.stream.get_seed(),
            word: self.stream.get_word_pos() as u64,
        }
    }

    /// A generator that continues where `state` was taken.
    pub fn from_state(state: &DropoutRngState) -> Self {
        let mut stream = ChaCha8Rng::from_seed(state.seed);
        stream.set_word_pos(u128::from(state.word));
        Self { stream }
    }

    /// Draws for `count` values, each dropped with probability `p`.
    fn draw(&mut self, p: f64, count: usize) -> Dropout {
        let mask = Dropout::new(self.stream.clone(), p);
        self.stream
            .set_word_pos(self.stream.get_word_pos().wrapping_add(count as u128));
        mask
    }
}

/// Dropout where a model has it: in training with a generator, off without.
#[derive(Debug)]
pub(crate) struct DropoutMode<'a>(pub(crate) Option<&'a mut DropoutRng>);

impl<'a> DropoutMode<'a> {
    /// Drops nothing.
    pub(crate) fn off() -> Self {
        Self(None)
    }

    pub(crate) fn new(rng: Option<&'a mut DropoutRng>) -> Self {
        Self(rng)
    }

    /// Drops values of `x` with probability `p`.
    pub(crate) fn apply(&mut self, x: Tensor, p: f64) -> Result<Tensor> {
        match self.mask(p, x.elem_count()) {
            None => Ok(x),
            Some(mask) => kernels::dropout(&x, mask),
        }
    }

    /// Which of `count` values are dropped, if any can be.
    pub(crate) fn mask(&mut self, p: f64, count: usize) -> Option<Dropout> {
        self.0
            .as_mut()
            .filter(|_| p > 0.0)
            .map(|rng| rng.draw(p, count))
    }

    /// Drops `x` as a whole with probability `p` (stochastic depth): `None`, or `x` enlarged so
    /// that its expected value stays.
    pub(crate) fn drop_path(&mut self, x: Tensor, p: f64) -> Result<Option<Tensor>> {
        let Some(rng) = self.0.as_mut().filter(|_| p > 0.0) else {
            return Ok(Some(x));
        };
        let dropped = f64::from(rng.stream.next_u32()) < p * (1u64 << 32) as f64;
        if dropped {
            Ok(None)
        } else {
            Ok(Some((x / (1.0 - p))?))
        }
    }
}
