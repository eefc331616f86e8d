//! What the backward passes share: reading tensors, sums over rows in a fixed order, the gradients of a product.

use candle_core::{Layout, Result, Storage, StorageRef, Tensor};
use rayon::prelude::*;

use super::dots::Precision;
use super::linear;

/// Rows whose sum is one task's.
const TASK_ROWS: usize = 256;

/// The tensor outside any graph, contiguous. What a backward pass computes from it records nothing.
pub(super) fn plain(tensor: &Tensor) -> Result<Tensor> {
    tensor.detach().contiguous()
}

/// The values of a contiguous f32 tensor on the CPU.
pub(super) fn values<'a>((storage, layout): &'a (StorageRef<'_>, &Layout)) -> Result<&'a [f32]> {
    match (&**storage, layout.contiguous_offsets()) {
        (Storage::Cpu(storage), Some((start, end))) => Ok(&storage.as_slice::<f32>()?[start..end]),
        _ => candle_core::bail!("a fused gradient needs contiguous rows on the CPU"),
    }
}

/// The sum of rows of `columns` values, first to last.
pub(super) fn sum_rows<'a>(rows: impl Iterator<Item = &'a [f32]>, columns: usize) -> Vec<f32> {
    let mut sums = vec![0f32; columns];
    for row in rows {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
    sums
}

/// The sum of each column of a row-major matrix, in an order that no number of threads changes.
pub(super) fn column_sums(matrix: &[f32], columns: usize) -> Vec<f32> {
    if columns == 0 {
        return Vec::new();
    }
    let parts: Vec<Vec<f32>> =
        matrix.par_chunks(TASK_ROWS * columns).map(|rows| sum_rows(rows.chunks_exact(columns), columns)).collect();
    sum_rows(parts.iter().map(Vec::as_slice), columns)
}

/// Rows from which on the kernel for many rows is faster than candle's product.
const MANY_ROWS: usize = 192;

/// The gradients of `x · wᵀ`, products of many rows in `precision`: of `x`, then of `w`; none of what is no part of the graph.
pub(super) fn of_product(
    x: &Tensor,
    w: &Tensor,
    grad: &Tensor,
    precision: Precision,
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let (of_x, of_w) = (x.track_op(), w.track_op());
    let (x, w, grad) = (plain(x)?, plain(w)?, plain(grad)?);
    let dx = of_x.then(|| product(&grad, &w, precision)).transpose()?;
    let dw = of_w.then(|| transposed_product(&grad, &x, precision)).transpose()?;
    Ok((dx, dw))
}

/// `a · b`.
fn product(a: &Tensor, b: &Tensor, precision: Precision) -> Result<Tensor> {
    let ((rows, inner), columns) = (a.dims2()?, b.dim(1)?);
    if rows < MANY_ROWS {
        return a.matmul(b);
    }
    let held = [a, b].map(Tensor::storage_and_layout);
    let out = linear::plain_product(values(&held[0])?, values(&held[1])?, inner, columns, precision);
    Tensor::from_vec(out, (rows, columns), a.device())
}

/// `aᵀ · b`.
fn transposed_product(a: &Tensor, b: &Tensor, precision: Precision) -> Result<Tensor> {
    let ((inner, rows), columns) = (a.dims2()?, b.dim(1)?);
    if inner < MANY_ROWS || rows < MANY_ROWS {
        return a.t()?.matmul(b);
    }
    let held = [a, b].map(Tensor::storage_and_layout);
    let out = linear::transposed_product(values(&held[0])?, values(&held[1])?, inner, [rows, columns], precision);
    Tensor::from_vec(out, (rows, columns), a.device())
}
