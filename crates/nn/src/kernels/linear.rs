//! Products of many rows with a weight matrix (the encoder, prefill), and the gated GELU fused into
//! its pair of products.

mod block;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::backward::matmul_backward;
use super::micro_kernel::{TileShape, pack_columns};
use super::mul_add::{self, ComputeDtype};
use super::packed_weight::PackedWeight;
use super::{Matrix, fused, gated_gelu_backward, matrix, reference};
use block::{Block, Lhs};

/// Rows of a task: packed, they stay in the second-level cache while every weight panel passes by.
const BLOCK_ROWS: usize = 96;
/// Words of each row that a task packs at a time, if partial sums can be kept in the result.
const BLOCK_INNER: usize = 512;

/// See [`super::linear`].
struct Linear {
    dtype: ComputeDtype,
}

/// See [`super::linear_add`]. The graph does not keep the product alone.
struct LinearAdd {
    dtype: ComputeDtype,
}

/// See [`super::gated_gelu`].
pub(super) struct GatedGelu {
    pub(super) dtype: ComputeDtype,
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = matrix(x, xl)?;
        let w = packed(matrix(w, wl)?, self.dtype);
        products(x, &[[&w]], None, self.name())
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        matmul_backward(x, w, grad, self.dtype)
    }
}

impl CustomOp3 for LinearAdd {
    fn name(&self) -> &'static str {
        "linear-onto"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        onto: &CpuStorage,
        ol: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = matrix(x, xl)?;
        let w = packed(matrix(w, wl)?, self.dtype);
        let onto = matrix(onto, ol)?.values;
        products(x, &[[&w]], Some(onto), self.name())
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        onto: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, dw) = matmul_backward(x, w, grad, self.dtype)?;
        Ok((dx, dw, onto.track_op().then(|| grad.clone())))
    }
}

impl CustomOp3 for GatedGelu {
    fn name(&self) -> &'static str {
        "gated-gelu"
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
        let x = matrix(x, xl)?;
        let [w0, w1] = [
            packed(matrix(w0, l0)?, self.dtype),
            packed(matrix(w1, l1)?, self.dtype),
        ];
        products(x, &[[&w0, &w1]], None, self.name())
    }

    fn bwd(
        &self,
        x: &Tensor,
        w0: &Tensor,
        w1: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        gated_gelu_backward::gradients(x, w0, w1, grad, self.dtype)
    }
}

fn packed(w: Matrix, dtype: ComputeDtype) -> PackedWeight {
    PackedWeight::pack(w.values, w.columns, dtype)
}

/// The products of the same rows with packed weights of one shape, one below the other. Each item
/// is a single weight, or the two of a gated GELU.
pub(super) struct PackedLinear<'a, const W: usize>(pub(super) &'a [[&'a PackedWeight; W]]);

impl<const W: usize> CustomOp1 for PackedLinear<'_, W> {
    fn name(&self) -> &'static str {
        "packed-linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        products(matrix(x, xl)?, self.0, None, self.name())
    }
}

/// The product with a packed weight, added to the second argument.
pub(super) struct PackedLinearAdd<'a>(pub(super) &'a PackedWeight);

impl CustomOp2 for PackedLinearAdd<'_> {
    fn name(&self) -> &'static str {
        "packed-linear-onto"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        onto: &CpuStorage,
        ol: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let onto = matrix(onto, ol)?.values;
        products(matrix(x, xl)?, &[[self.0]], Some(onto), self.name())
    }
}

/// `x · wᵀ` with `w` in f32, multiplied in `dtype`.
pub(super) fn unpacked_product(x: &Tensor, w: &Tensor, dtype: ComputeDtype) -> Result<Tensor> {
    if fused(x) {
        x.apply_op2(w, Linear { dtype })
    } else {
        reference::linear(x, w)
    }
}

/// [`unpacked_product`], added to `onto`.
pub(super) fn unpacked_product_add(
    x: &Tensor,
    w: &Tensor,
    onto: &Tensor,
    dtype: ComputeDtype,
) -> Result<Tensor> {
    if fused(x) {
        x.apply_op3(w, &onto.contiguous()?, LinearAdd { dtype })
    } else {
        onto + reference::linear(x, w)?
    }
}

/// One weight: the product. Two: the gated GELU of both products. `onto` is what a single product
/// is added to.
fn products<const W: usize>(
    x: Matrix,
    weights: &[[&PackedWeight; W]],
    onto: Option<&[f32]>,
    name: &str,
) -> Result<(CpuStorage, Shape)> {
    let Matrix {
        values: x,
        rows,
        columns: inner,
    } = x;
    let Some(PackedWeight { columns, dtype, .. }) = weights.first().map(|weight| weight[0]) else {
        candle_core::bail!("{name}: no weight");
    };
    let (columns, dtype) = (*columns, *dtype);
    for weight in weights.iter().flatten() {
        if weight.inner != inner || weight.columns != columns || weight.dtype != dtype || inner == 0
        {
            candle_core::bail!("{name}: weight {weight:?} does not fit input {rows}x{inner}");
        }
    }
    let mut out = match onto {
        None => vec![0f32; weights.len() * rows * columns],
        Some(onto) if onto.len() == rows * columns => onto.to_vec(),
        Some(onto) => {
            candle_core::bail!("{name}: {} values do not fit {rows}x{columns}", onto.len())
        }
    };
    if !out.is_empty() {
        let panels: Vec<[&[f32]; W]> = weights
            .iter()
            .map(|weight| weight.map(|weight| weight.words.as_slice()))
            .collect();
        let block = block_rows(rows);
        let tasks = in_blocks(&mut out, rows * columns, block * columns)
            .into_par_iter()
            .zip(x.par_chunks(block * inner));
        tasks.for_each(|(outs, x)| {
            let onto = onto.is_some();
            mul_add::dispatch(
                dtype,
                Block {
                    lhs: Lhs::Rows(x),
                    inner,
                    panels: &panels,
                    outs,
                    columns,
                    onto,
                },
            );
        });
    }
    Ok((
        CpuStorage::F32(out),
        Shape::from((weights.len() * rows, columns)),
    ))
}

/// Cuts matrices of `size` values, one below the other, into blocks: item i holds block i of every
/// matrix.
pub(super) fn in_blocks(out: &mut [f32], size: usize, block: usize) -> Vec<Vec<&mut [f32]>> {
    let mut blocks: Vec<Vec<&mut [f32]>> = (0..size.div_ceil(block)).map(|_| Vec::new()).collect();
    for matrix in out.chunks_exact_mut(size) {
        blocks
            .iter_mut()
            .zip(matrix.chunks_mut(block))
            .for_each(|(block, part)| block.push(part));
    }
    blocks
}

/// Rows of a task: at most [`BLOCK_ROWS`], fewer if threads would be idle.
fn block_rows(rows: usize) -> usize {
    BLOCK_ROWS.min(
        rows.div_ceil(rayon::current_num_threads())
            .next_multiple_of(TileShape::get().rows),
    )
}

/// `x · w` of row-major matrices, `x` [M, `inner`] and `w` [`inner`, `columns`].
pub(super) fn row_major_product(
    x: &[f32],
    w: &[f32],
    inner: usize,
    columns: usize,
    dtype: ComputeDtype,
) -> Vec<f32> {
    let rows = x.len() / inner.max(1);
    let lhs = |first, count| Lhs::Rows(&x[first * inner..(first + count) * inner]);
    product_of(rows, w, inner, columns, dtype, lhs)
}

/// `xᵀ · w` of row-major matrices, `x` [`inner`, `rows`] and `w` [`inner`, `columns`].
pub(super) fn transposed_product(
    x: &[f32],
    w: &[f32],
    inner: usize,
    rows: usize,
    columns: usize,
    dtype: ComputeDtype,
) -> Vec<f32> {
    let lhs = |first, count| Lhs::Columns {
        matrix: x,
        width: rows,
        first,
        count,
    };
    product_of(rows, w, inner, columns, dtype, lhs)
}

/// The product of `rows` rows with `w` [`inner`, `columns`]; `take_rows(first, count)` gives some
/// of them.
fn product_of<'a>(
    rows: usize,
    w: &[f32],
    inner: usize,
    columns: usize,
    dtype: ComputeDtype,
    take_rows: impl Fn(usize, usize) -> Lhs<'a> + Sync,
) -> Vec<f32> {
    let mut out = vec![0f32; rows * columns];
    if !out.is_empty() {
        let (width, values) = (TileShape::get().columns, dtype.values_per_word());
        let words = inner.div_ceil(values);
        let mut packed = vec![0f32; columns.next_multiple_of(width) * words];
        packed
            .par_chunks_exact_mut(width * words)
            .enumerate()
            .for_each(|(panel, packed)| {
                let taken = panel * width..columns.min((panel + 1) * width);
                pack_columns(w, columns, taken, width, values, packed);
            });
        let panels = [[packed.as_slice()]];
        let block = block_rows(rows);
        out.par_chunks_mut(block * columns)
            .enumerate()
            .for_each(|(index, out)| {
                let lhs = take_rows(index * block, out.len() / columns);
                let outs = vec![out];
                mul_add::dispatch(
                    dtype,
                    Block {
                        lhs,
                        inner,
                        panels: &panels,
                        outs,
                        columns,
                        onto: false,
                    },
                );
            });
    }
    out
}
