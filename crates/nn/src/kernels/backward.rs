//! Helpers of the backward passes: reading tensors, sums over rows in a fixed order, the gradients
//! of a product.

use candle_core::{Layout, Result, Storage, StorageRef, Tensor};
use rayon::prelude::*;

use super::linear;
use super::mul_add::ComputeDtype;

/// Rows that one task sums.
const TASK_ROWS: usize = 256;

/// The tensor outside any graph, contiguous, so that a backward pass records nothing.
pub(super) fn detached(tensor: &Tensor) -> Result<Tensor> {
    tensor.detach().contiguous()
}

/// The values of a contiguous f32 tensor on the CPU.
pub(super) fn cpu_slice<'a>((storage, layout): &'a (StorageRef<'_>, &Layout)) -> Result<&'a [f32]> {
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

/// The sum of each column of a row-major matrix, in an order that does not depend on the number of
/// threads.
pub(super) fn column_sums(matrix: &[f32], columns: usize) -> Vec<f32> {
    if columns == 0 {
        return Vec::new();
    }
    let parts: Vec<Vec<f32>> = matrix
        .par_chunks(TASK_ROWS * columns)
        .map(|rows| sum_rows(rows.chunks_exact(columns), columns))
        .collect();
    sum_rows(parts.iter().map(Vec::as_slice), columns)
}

/// Rows from which the kernel for many rows is faster than candle's product.
const MANY_ROWS: usize = 192;

/// The gradients of `x · wᵀ`, products of many rows in `dtype`: for `x`, then for `w`; `None`
/// for tensors outside the graph.
pub(super) fn matmul_backward(
    x: &Tensor,
    w: &Tensor,
    grad: &Tensor,
    dtype: ComputeDtype,
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let (of_x, of_w) = (x.track_op(), w.track_op());
    let (x, w, grad) = (detached(x)?, detached(w)?, detached(grad)?);
    let dx = of_x.then(|| product(&grad, &w, dtype)).transpose()?;
    let dw = of_w
        .then(|| transposed_product(&grad, &x, dtype))
        .transpose()?;
    Ok((dx, dw))
}

/// `a · b`.
fn product(a: &Tensor, b: &Tensor, dtype: ComputeDtype) -> Result<Tensor> {
    let ((rows, inner), columns) = (a.dims2()?, b.dim(1)?);
    if rows < MANY_ROWS {
        return a.matmul(b);
    }
    let storages = [a, b].map(Tensor::storage_and_layout);
    let out = linear::row_major_product(
        cpu_slice(&storages[0])?,
        cpu_slice(&storages[1])?,
        inner,
        columns,
        dtype,
    );
    Tensor::from_vec(out, (rows, columns), a.device())
}

/// `aᵀ · b`.
fn transposed_product(a: &Tensor, b: &Tensor, dtype: ComputeDtype) -> Result<Tensor> {
    let ((inner, rows), columns) = (a.dims2()?, b.dim(1)?);
    if inner < MANY_ROWS || rows < MANY_ROWS {
        return a.t()?.matmul(b);
    }
    let storages = [a, b].map(Tensor::storage_and_layout);
    let out = linear::transposed_product(
        cpu_slice(&storages[0])?,
        cpu_slice(&storages[1])?,
        inner,
        rows,
        columns,
        dtype,
    );
    Tensor::from_vec(out, (rows, columns), a.device())
}
