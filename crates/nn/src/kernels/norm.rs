//! Root-mean-square and layer normalisation of rows, with their gradients.
//!
//! The forward sums run in candle's order, so that a model's numbers are candle's bit for bit.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::backward::{cpu_slice, detached, sum_rows};

/// Rows of a task; the gradients of weights are summed over a task's rows, then over tasks in their
/// order.
const TASK_ROWS: usize = 64;
/// Rows from which other threads help.
const PARALLEL_ROWS: usize = 33;

/// See [`super::rms_norm`].
pub(super) struct RmsNorm {
    pub(super) eps: f32,
}

/// See [`super::layer_norm`].
pub(super) struct LayerNorm {
    pub(super) eps: f32,
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, w) = (contiguous(x, xl)?, contiguous(w, wl)?);
        let out = each_row(x, check(xl, [w])?, |x, out| {
            let root = self.root(x);
            for ((out, x), w) in out.iter_mut().zip(x).zip(w) {
                *out = *x / root * *w;
            }
        });
        Ok((CpuStorage::F32(out), xl.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (x_detached, w_detached, grad) = (detached(x)?, detached(w)?, detached(grad)?);
        let storages = [&x_detached, &w_detached, &grad].map(Tensor::storage_and_layout);
        let (x_all, w_all, grads) = (
            cpu_slice(&storages[0])?,
            cpu_slice(&storages[1])?,
            cpu_slice(&storages[2])?,
        );
        let size = w_all.len();
        let (dx, [dw]) = gradients(x_all, grads, size, |x, grad, dx, [dw]| {
            let root = self.root(x);
            let mut inner = 0f32;
            for ((x, grad), w) in x.iter().zip(grad).zip(w_all) {
                inner += x * grad * w;
            }
            let along = inner / (size as f32 * root * root * root);
            for ((((dx, dw), x), grad), w) in dx.iter_mut().zip(dw).zip(x).zip(grad).zip(w_all) {
                *dx = grad * w / root - x * along;
                *dw += grad * x / root;
            }
        });
        let dx = x
            .track_op()
            .then(|| Tensor::from_vec(dx, x.shape(), x.device()))
            .transpose()?;
        Ok((dx, Some(Tensor::from_vec(dw, size, w.device())?)))
    }
}

impl RmsNorm {
    fn root(&self, x: &[f32]) -> f32 {
        (x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32 + self.eps).sqrt()
    }
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, w, b) = (contiguous(x, xl)?, contiguous(w, wl)?, contiguous(b, bl)?);
        let out = each_row(x, check(xl, [w, b])?, |x, out| {
            let (mean, scale) = self.statistics(x);
            for ((out, x), (w, b)) in out.iter_mut().zip(x).zip(w.iter().zip(b)) {
                *out = (x - mean) * scale * w + b;
            }
        });
        Ok((CpuStorage::F32(out), xl.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (x_detached, w_detached, grad) = (detached(x)?, detached(w)?, detached(grad)?);
        let storages = [&x_detached, &w_detached, &grad].map(Tensor::storage_and_layout);
        let (x_all, w_all, grads) = (
            cpu_slice(&storages[0])?,
            cpu_slice(&storages[1])?,
            cpu_slice(&storages[2])?,
        );
        let size = w_all.len();
        let (dx, [dw, db]) = gradients(x_all, grads, size, |x, grad, dx, [dw, db]| {
            let (mean, scale) = self.statistics(x);
            let (mut sum, mut inner) = (0f32, 0f32);
            for ((x, grad), w) in x.iter().zip(grad).zip(w_all) {
                sum += grad * w;
                inner += grad * w * (x - mean) * scale;
            }
            let (sum, inner) = (sum / size as f32, inner / size as f32);
            for ((dx, x), (grad, w)) in dx.iter_mut().zip(x).zip(grad.iter().zip(w_all)) {
                *dx = scale * (grad * w - sum - (x - mean) * scale * inner);
            }
            for (((dw, db), x), grad) in dw.iter_mut().zip(db).zip(x).zip(grad) {
                *dw += grad * (x - mean) * scale;
                *db += grad;
            }
        });
        Ok((
            x.track_op()
                .then(|| Tensor::from_vec(dx, x.shape(), x.device()))
                .transpose()?,
            Some(Tensor::from_vec(dw, size, w.device())?),
            Some(Tensor::from_vec(db, size, b.device())?),
        ))
    }
}

impl LayerNorm {
    /// Mean, and one over the standard deviation.
    fn statistics(&self, x: &[f32]) -> (f32, f32) {
        let (mut sum, mut squares) = (0f32, 0f32);
        for x in x {
            sum += x;
            squares += x * x;
        }
        let mean = sum / x.len() as f32;
        let variance = squares / x.len() as f32 - mean * mean;
        (mean, (variance + self.eps).sqrt().recip())
    }
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => candle_core::bail!("a norm needs contiguous rows"),
    }
}

/// The length of a row, checked against the weights.
fn check<const N: usize>(layout: &Layout, weights: [&[f32]; N]) -> Result<usize> {
    let size = layout.dims().last().copied().unwrap_or(0);
    if size == 0 || weights.iter().any(|weights| weights.len() != size) {
        candle_core::bail!(
            "a norm of {} weights does not fit {:?}",
            weights[0].len(),
            layout.shape()
        );
    }
    Ok(size)
}

fn each_row(x: &[f32], size: usize, row: impl Fn(&[f32], &mut [f32]) + Sync) -> Vec<f32> {
    let mut out = vec![0f32; x.len()];
    if x.len() < PARALLEL_ROWS * size {
        out.chunks_exact_mut(size)
            .zip(x.chunks_exact(size))
            .for_each(|(out, x)| row(x, out));
    } else {
        out.par_chunks_exact_mut(size)
            .zip(x.par_chunks_exact(size))
            .for_each(|(out, x)| row(x, out));
    }
    out
}

/// The gradient of each row, and the gradients of `N` weights summed over all rows in a fixed
/// order.
fn gradients<const N: usize>(
    x: &[f32],
    grad: &[f32],
    size: usize,
    row: impl Fn(&[f32], &[f32], &mut [f32], [&mut [f32]; N]) + Sync,
) -> (Vec<f32>, [Vec<f32>; N]) {
    let mut dx = vec![0f32; x.len()];
    let task = TASK_ROWS * size;
    let tasks = dx
        .par_chunks_mut(task)
        .zip(x.par_chunks(task))
        .zip(grad.par_chunks(task));
    let parts: Vec<Vec<f32>> = tasks
        .map(|((dx, x), grad)| {
            let mut sums = vec![0f32; N * size];
            let rows = dx
                .chunks_exact_mut(size)
                .zip(x.chunks_exact(size))
                .zip(grad.chunks_exact(size));
            for ((dx, x), grad) in rows {
                let mut rest = sums.as_mut_slice();
                let sums = std::array::from_fn(|_| {
                    let (first, left) = std::mem::take(&mut rest).split_at_mut(size);
                    rest = left;
                    first
                });
                row(x, grad, dx, sums);
            }
            sums
        })
        .collect();
    let sums = sum_rows(parts.iter().map(Vec::as_slice), N * size);
    (
        dx,
        std::array::from_fn(|index| sums[index * size..][..size].to_vec()),
    )
}
