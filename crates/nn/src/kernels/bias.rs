//! The bias of a linear layer, and the exact GELU of the sum.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::backward::{column_sums, cpu_slice, detached};
use super::elementary::{gelu_erf, gelu_erf_slope};
use super::{Matrix, PARALLEL_FROM, matrix};
use chartbench_core::isa;

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

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let Matrix {
            values: x,
            rows,
            columns,
        } = matrix(x, xl)?;
        let bias = b.as_slice::<f32>()?;
        let bias = match bl.contiguous_offsets() {
            Some((start, end)) if end - start == columns => &bias[start..end],
            _ => candle_core::bail!(
                "a bias of shape {:?} does not fit {rows}x{columns}",
                bl.shape()
            ),
        };
        let mut out = vec![0f32; x.len()];
        let arch = isa::arch();
        let some = |(out, x): (&mut [f32], &[f32])| {
            arch.dispatch(BiasRows {
                x,
                bias,
                gelu: self.gelu,
                out,
            })
        };
        if columns > 0 && x.len() >= PARALLEL_FROM {
            out.par_chunks_mut(TASK_ROWS * columns)
                .zip(x.par_chunks(TASK_ROWS * columns))
                .for_each(some);
        } else if columns > 0 {
            some((&mut out, x));
        }
        Ok((CpuStorage::F32(out), Shape::from((rows, columns))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let columns = x.dim(1)?;
        let grad = detached(grad)?;
        let dx = if self.gelu {
            sloped(&detached(x)?, &detached(b)?, &grad)?
        } else {
            grad
        };
        let sums = column_sums(cpu_slice(&dx.storage_and_layout())?, columns);
        let db = Tensor::from_vec(sums, columns, dx.device())?;
        Ok((x.track_op().then_some(dx), Some(db)))
    }
}

/// `grad` times the slope of the GELU of `x + b`.
fn sloped(x: &Tensor, b: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let storages = [x, b, grad].map(Tensor::storage_and_layout);
    let (values_of_x, bias, grads) = (
        cpu_slice(&storages[0])?,
        cpu_slice(&storages[1])?,
        cpu_slice(&storages[2])?,
    );
    let mut out = grads.to_vec();
    let arch = isa::arch();
    let task = TASK_ROWS * bias.len().max(1);
    let tasks = out.par_chunks_mut(task).zip(values_of_x.par_chunks(task));
    tasks.for_each(|(out, x)| arch.dispatch(Slopes { x, bias, out }));
    Tensor::from_vec(out, x.shape(), x.device())
}

/// Multiplies gradients by slopes.
struct Slopes<'a> {
    x: &'a [f32],
    bias: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Slopes<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (bias, bias_tail) = S::as_simd_f32s(self.bias);
        let columns = self.bias.len();
        let slope = |x: S::f32s, bias: S::f32s| gelu_erf_slope(simd, simd.add_f32s(x, bias));
        for (out, x) in self
            .out
            .chunks_exact_mut(columns)
            .zip(self.x.chunks_exact(columns))
        {
            let ((out, out_tail), (x, x_tail)) = (S::as_mut_simd_f32s(out), S::as_simd_f32s(x));
            for ((out, x), bias) in out.iter_mut().zip(x).zip(bias) {
                *out = simd.mul_f32s(*out, slope(*x, *bias));
            }
            let last = slope(
                simd.partial_load_f32s(x_tail),
                simd.partial_load_f32s(bias_tail),
            );
            let last = simd.mul_f32s(simd.partial_load_f32s(out_tail), last);
            simd.partial_store_f32s(out_tail, last);
        }
    }
}

struct BiasRows<'a> {
    x: &'a [f32],
    bias: &'a [f32],
    gelu: bool,
    out: &'a mut [f32],
}

impl WithSimd for BiasRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (bias, bias_tail) = S::as_simd_f32s(self.bias);
        let of = |x: S::f32s, bias: S::f32s| {
            let sum = simd.add_f32s(x, bias);
            if self.gelu { gelu_erf(simd, sum) } else { sum }
        };
        let columns = self.bias.len();
        for (out, x) in self
            .out
            .chunks_exact_mut(columns)
            .zip(self.x.chunks_exact(columns))
        {
            let ((out, out_tail), (x, x_tail)) = (S::as_mut_simd_f32s(out), S::as_simd_f32s(x));
            for ((out, x), bias) in out.iter_mut().zip(x).zip(bias) {
                *out = of(*x, *bias);
            }
            simd.partial_store_f32s(
                out_tail,
                of(
                    simd.partial_load_f32s(x_tail),
                    simd.partial_load_f32s(bias_tail),
                ),
            );
        }
    }
}
