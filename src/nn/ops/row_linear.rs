//! Products of a few rows with a weight matrix, as in one decoding step: bound by reading the weights.
//!
//! Weights are read in place, once, as torch stores them ([out, in]); each output is a dot product accumulated in one
//! vector, the same way whichever rows share the pass.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::dots::Precision;
use super::gradient::of_product;
use super::weight::Gate;
use super::{PARALLEL_FROM, gated, matrix};

/// Outputs a task computes.
const TASK_OUTPUTS: usize = 64;
/// Weight rows read side by side: enough independent sums to hide the latency of an addition.
const SIDE_BY_SIDE: usize = 4;
/// Input rows a weight vector serves while it is in a register.
const SHARING: usize = 4;

/// See [`super::row_linear`].
pub(super) struct RowLinear;

/// See [`super::row_gated_gelu`].
pub(super) struct RowGatedGelu;

impl CustomOp2 for RowLinear {
    fn name(&self) -> &'static str {
        "row-linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, rows, inner) = matrix(x, xl)?;
        let (w, columns, w_inner) = matrix(w, wl)?;
        if w_inner != inner || inner == 0 {
            candle_core::bail!("{}: weight {columns}x{w_inner} does not fit input {rows}x{inner}", self.name());
        }
        Ok((CpuStorage::F32(products(x, w, rows, inner, columns)), Shape::from((rows, columns))))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        of_product(x, w, grad, Precision::F32)
    }
}

impl CustomOp3 for RowGatedGelu {
    fn name(&self) -> &'static str {
        "row-gated-gelu"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w0: &CpuStorage,
        l0: &Layout,
        w1: &CpuStorage,
        l1: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, rows, inner) = matrix(x, xl)?;
        let (w0, columns, inner_0) = matrix(w0, l0)?;
        let (w1, columns_1, inner_1) = matrix(w1, l1)?;
        if inner_0 != inner || inner_1 != inner || columns_1 != columns || inner == 0 {
            candle_core::bail!("{}: weights do not fit input {rows}x{inner}", self.name());
        }
        let mut gate = products(x, w0, rows, inner, columns);
        let linear = products(x, w1, rows, inner, columns);
        Arch::new().dispatch(Gate { gate: &mut gate, linear: &linear });
        Ok((CpuStorage::F32(gate), Shape::from((rows, columns))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w0: &Tensor,
        w1: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        gated::gradients(x, w0, w1, grad, Precision::F32)
    }
}

/// `x · wᵀ`, row-major [rows, columns].
fn products(x: &[f32], w: &[f32], rows: usize, inner: usize, columns: usize) -> Vec<f32> {
    let mut transposed = vec![0f32; rows * columns];
    if transposed.is_empty() {
        return transposed;
    }
    let arch = Arch::new();
    let outputs = |(out, w): (&mut [f32], &[f32])| arch.dispatch(Outputs { x, w, inner, out });
    if x.len() * columns < PARALLEL_FROM {
        outputs((&mut transposed, w));
    } else {
        transposed.par_chunks_mut(TASK_OUTPUTS * rows).zip(w.par_chunks(TASK_OUTPUTS * inner)).for_each(outputs);
    }
    if rows == 1 {
        return transposed;
    }
    let mut out = vec![0f32; rows * columns];
    for (column, values) in transposed.chunks_exact(rows).enumerate() {
        for (row, value) in out.chunks_exact_mut(columns).zip(values) {
            row[column] = *value;
        }
    }
    out
}

/// Some weight rows against all input rows; `out` is [weight rows, input rows].
struct Outputs<'a> {
    x: &'a [f32],
    w: &'a [f32],
    inner: usize,
    out: &'a mut [f32],
}

impl WithSimd for Outputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, w, inner, out } = self;
        let rows = x.len() / inner;
        let groups = w.chunks(SIDE_BY_SIDE * inner).zip(out.chunks_mut(SIDE_BY_SIDE * rows));
        for (w, out) in groups {
            if w.len() == SIDE_BY_SIDE * inner {
                weights::<S, SIDE_BY_SIDE>(simd, x, w, inner, out);
            } else {
                for (w, out) in w.chunks_exact(inner).zip(out.chunks_exact_mut(rows)) {
                    weights::<S, 1>(simd, x, w, inner, out);
                }
            }
        }
    }
}

/// W weight rows against all input rows.
#[inline(always)]
fn weights<S: Simd, const W: usize>(simd: S, x: &[f32], w: &[f32], inner: usize, out: &mut [f32]) {
    let rows = x.len() / inner;
    let w: [&[f32]; W] = std::array::from_fn(|i| &w[i * inner..][..inner]);
    let mut row = 0;
    while row < rows {
        let taken = if rows - row >= SHARING { SHARING } else { 1 };
        let x = &x[row * inner..][..taken * inner];
        if taken == SHARING {
            store(dot::<S, SHARING, W>(simd, x, w), &mut out[row..], rows);
        } else {
            store(dot::<S, 1, W>(simd, x, w), &mut out[row..], rows);
        }
        row += taken;
    }
}

#[inline(always)]
fn store<const X: usize, const W: usize>(sums: [[f32; W]; X], out: &mut [f32], rows: usize) {
    for (x, sums) in sums.iter().enumerate() {
        for (w, sum) in sums.iter().enumerate() {
            out[w * rows + x] = *sum;
        }
    }
}

/// Dot products of X input rows with W weight rows.
#[inline(always)]
fn dot<S: Simd, const X: usize, const W: usize>(simd: S, x: &[f32], w: [&[f32]; W]) -> [[f32; W]; X] {
    let inner = x.len() / X;
    let mut sums = [[simd.splat_f32s(0.0); W]; X];
    let x: [(&[S::f32s], &[f32]); X] = std::array::from_fn(|i| S::as_simd_f32s(&x[i * inner..][..inner]));
    let w: [(&[S::f32s], &[f32]); W] = w.map(|w| S::as_simd_f32s(w));
    let vectors = inner / S::F32_LANES;
    // Slices cut to one known length: their indices below need no checks.
    let x_vectors: [&[S::f32s]; X] = x.map(|(vectors_of_x, _)| &vectors_of_x[..vectors]);
    let w_vectors: [&[S::f32s]; W] = w.map(|(vectors_of_w, _)| &vectors_of_w[..vectors]);
    for at in 0..vectors {
        for (sums, x) in sums.iter_mut().zip(&x_vectors) {
            for (sum, w) in sums.iter_mut().zip(&w_vectors) {
                *sum = simd.mul_add_f32s(x[at], w[at], *sum);
            }
        }
    }
    if !inner.is_multiple_of(S::F32_LANES) {
        for (sums, (_, x)) in sums.iter_mut().zip(&x) {
            for (sum, (_, w)) in sums.iter_mut().zip(&w) {
                *sum = simd.mul_add_f32s(simd.partial_load_f32s(x), simd.partial_load_f32s(w), *sum);
            }
        }
    }
    let mut out = [[0.0; W]; X];
    for (out, sums) in out.iter_mut().zip(sums) {
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = simd.reduce_sum_f32s(sum);
        }
    }
    out
}
