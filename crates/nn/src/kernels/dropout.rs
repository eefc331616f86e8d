//! Dropout whose mask is a stretch of a random stream: the backward pass draws it again instead of
//! storing it.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rand::RngCore;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::backward::detached;

/// Values a task draws for.
const TASK: usize = 1 << 14;

/// A reproducible dropout mask: one word of a random stream for each value.
#[derive(Clone, Debug)]
pub struct Dropout {
    stream: ChaCha8Rng,
    /// A word below it drops its value.
    threshold: u64,
    /// The factor of the values that stay.
    factor: f32,
}

impl Dropout {
    /// Drops a value with probability `p` (below 1), by the words of `stream` from its position on.
    /// The values that stay grow by 1 / (1 - p), so that the expected value is the same.
    pub fn new(stream: ChaCha8Rng, p: f64) -> Self {
        let p = p.clamp(0.0, 1.0);
        let threshold = (p * (1u64 << 32) as f64) as u64;
        Self {
            stream,
            threshold,
            factor: if p < 1.0 {
                (1.0 / (1.0 - p)) as f32
            } else {
                0.0
            },
        }
    }

    /// The mask of the values from `first` on.
    pub(super) fn from(&self, first: usize) -> Self {
        let mut from = self.clone();
        from.stream
            .set_word_pos(self.stream.get_word_pos().wrapping_add(first as u128));
        from
    }

    /// Writes the factors of the values from `first` on.
    pub(super) fn factors(&self, first: usize, factors: &mut [f32]) {
        self.each(first, factors, |value, factor| *value = factor);
    }

    /// Multiplies the values from `first` on by their factors.
    pub(super) fn apply(&self, first: usize, values: &mut [f32]) {
        self.each(first, values, |value, factor| *value *= factor);
    }

    fn each(&self, first: usize, values: &mut [f32], set: impl Fn(&mut f32, f32)) {
        let mut stream = self.from(first).stream;
        for value in values {
            set(
                value,
                if u64::from(stream.next_u32()) < self.threshold {
                    0.0
                } else {
                    self.factor
                },
            );
        }
    }

    fn applied(&self, values: &[f32]) -> Vec<f32> {
        let mut out = values.to_vec();
        out.par_chunks_mut(TASK)
            .enumerate()
            .for_each(|(task, values)| self.apply(task * TASK, values));
        out
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("dropout needs contiguous values")
        };
        Ok((
            CpuStorage::F32(self.applied(&x.as_slice::<f32>()?[start..end])),
            layout.shape().clone(),
        ))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        detached(grad)?.apply_op1_no_bwd(self).map(Some)
    }
}

/// See [`super::dropout`], for other devices and dtypes.
pub(super) fn reference(x: &Tensor, dropout: &Dropout) -> Result<Tensor> {
    let mut factors = vec![0f32; x.elem_count()];
    dropout.factors(0, &mut factors);
    x * Tensor::from_vec(factors, x.shape(), x.device())?.to_dtype(x.dtype())?
}
