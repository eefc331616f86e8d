//! What follows a product with a biased weight: the bias added, and the exact GELU of the sum.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::elementary::gelu_erf;
use super::{PARALLEL_FROM, matrix};

/// Rows of a task.
const TASK_ROWS: usize = 64;

/// See [`super::biased`] and [`super::biased_gelu`].
pub(super) struct Bias {
    pub(super) gelu: bool,
}

impl CustomOp2 for Bias {
    fn name(&self) -> &'static str {
        "bias"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, b: &CpuStorage, bl: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, rows, columns) = matrix(x, xl)?;
        let bias = b.as_slice::<f32>()?;
        let bias = match bl.contiguous_offsets() {
            Some((start, end)) if end - start == columns => &bias[start..end],
            _ => candle_core::bail!("a bias of shape {:?} does not fit {rows}x{columns}", bl.shape()),
        };
        let mut out = vec![0f32; x.len()];
        let arch = Arch::new();
        let some = |(out, x): (&mut [f32], &[f32])| arch.dispatch(Rows { x, bias, gelu: self.gelu, out });
        if columns > 0 && x.len() >= PARALLEL_FROM {
            out.par_chunks_mut(TASK_ROWS * columns).zip(x.par_chunks(TASK_ROWS * columns)).for_each(some);
        } else if columns > 0 {
            some((&mut out, x));
        }
        Ok((CpuStorage::F32(out), Shape::from((rows, columns))))
    }
}

struct Rows<'a> {
    x: &'a [f32],
    bias: &'a [f32],
    gelu: bool,
    out: &'a mut [f32],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (bias, bias_tail) = S::as_simd_f32s(self.bias);
        let of = |x: S::f32s, bias: S::f32s| {
            let sum = simd.add_f32s(x, bias);
            if self.gelu { gelu_erf(simd, sum) } else { sum }
        };
        let columns = self.bias.len();
        for (out, x) in self.out.chunks_exact_mut(columns).zip(self.x.chunks_exact(columns)) {
            let ((out, out_tail), (x, x_tail)) = (S::as_mut_simd_f32s(out), S::as_simd_f32s(x));
            for ((out, x), bias) in out.iter_mut().zip(x).zip(bias) {
                *out = of(*x, *bias);
            }
            simd.partial_store_f32s(out_tail, of(simd.partial_load_f32s(x_tail), simd.partial_load_f32s(bias_tail)));
        }
    }
}
