//! Products of many rows with a weight matrix (the encoder, prefill), and the gated GELU fused into its pair of products.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use pulp::Simd;
use rayon::prelude::*;

use super::backward::matmul_backward;
use super::elementary::gelu;
use super::micro_kernel::{
    self, ROWS_WITH_16_REGISTERS, ROWS_WITH_32_REGISTERS, TileShape, pack_columns, pack_group, vectors,
};
use super::mul_add::{self, ComputeDtype, F, MulAdd, WithMulAdd};
use super::packed_weight::PackedWeight;
use super::{Matrix, fused, gated_gelu_backward, matrix, reference};

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

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = matrix(x, xl)?;
        let w = packed(matrix(w, wl)?, self.dtype);
        products(x, &[[&w]], None, self.name())
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
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
        let [w0, w1] = [packed(matrix(w0, l0)?, self.dtype), packed(matrix(w1, l1)?, self.dtype)];
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

/// The products of the same rows with packed weights of one shape, one below the other. Each item is a single weight, or the
/// two of a gated GELU.
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

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, onto: &CpuStorage, ol: &Layout) -> Result<(CpuStorage, Shape)> {
        let onto = matrix(onto, ol)?.values;
        products(matrix(x, xl)?, &[[self.0]], Some(onto), self.name())
    }
}

/// `x · wᵀ` with `w` in f32, multiplied in `dtype`.
pub(super) fn unpacked_product(x: &Tensor, w: &Tensor, dtype: ComputeDtype) -> Result<Tensor> {
    if fused(x) { x.apply_op2(w, Linear { dtype }) } else { reference::linear(x, w) }
}

/// [`unpacked_product`], added to `onto`.
pub(super) fn unpacked_product_add(x: &Tensor, w: &Tensor, onto: &Tensor, dtype: ComputeDtype) -> Result<Tensor> {
    if fused(x) { x.apply_op3(w, &onto.contiguous()?, LinearAdd { dtype }) } else { onto + reference::linear(x, w)? }
}

/// One weight: the product. Two: the gated GELU of both products. `onto` is what a single product is added to.
fn products<const W: usize>(
    x: Matrix,
    weights: &[[&PackedWeight; W]],
    onto: Option<&[f32]>,
    name: &str,
) -> Result<(CpuStorage, Shape)> {
    let Matrix { values: x, rows, columns: inner } = x;
    let Some(PackedWeight { columns, dtype, .. }) = weights.first().map(|weight| weight[0]) else {
        candle_core::bail!("{name}: no weight");
    };
    let (columns, dtype) = (*columns, *dtype);
    for weight in weights.iter().flatten() {
        if weight.inner != inner || weight.columns != columns || weight.dtype != dtype || inner == 0 {
            candle_core::bail!("{name}: weight {weight:?} does not fit input {rows}x{inner}");
        }
    }
    let mut out = match onto {
        None => vec![0f32; weights.len() * rows * columns],
        Some(onto) if onto.len() == rows * columns => onto.to_vec(),
        Some(onto) => candle_core::bail!("{name}: {} values do not fit {rows}x{columns}", onto.len()),
    };
    if !out.is_empty() {
        let panels: Vec<[&[f32]; W]> =
            weights.iter().map(|weight| weight.map(|weight| weight.words.as_slice())).collect();
        let block = block_rows(rows);
        let tasks =
            in_blocks(&mut out, rows * columns, block * columns).into_par_iter().zip(x.par_chunks(block * inner));
        tasks.for_each(|(outs, x)| {
            let onto = onto.is_some();
            mul_add::dispatch(dtype, Block { lhs: Lhs::Rows(x), inner, panels: &panels, outs, columns, onto });
        });
    }
    Ok((CpuStorage::F32(out), Shape::from((weights.len() * rows, columns))))
}

/// Cuts matrices of `size` values, one below the other, into blocks: item i holds block i of every matrix.
pub(super) fn in_blocks(out: &mut [f32], size: usize, block: usize) -> Vec<Vec<&mut [f32]>> {
    let mut blocks: Vec<Vec<&mut [f32]>> = (0..size.div_ceil(block)).map(|_| Vec::new()).collect();
    for matrix in out.chunks_exact_mut(size) {
        blocks.iter_mut().zip(matrix.chunks_mut(block)).for_each(|(block, part)| block.push(part));
    }
    blocks
}

/// Rows of a task: at most [`BLOCK_ROWS`], fewer if threads would be idle.
fn block_rows(rows: usize) -> usize {
    BLOCK_ROWS.min(rows.div_ceil(rayon::current_num_threads()).next_multiple_of(TileShape::get().rows))
}

/// `x · w` of row-major matrices, `x` [M, `inner`] and `w` [`inner`, `columns`].
pub(super) fn row_major_product(x: &[f32], w: &[f32], inner: usize, columns: usize, dtype: ComputeDtype) -> Vec<f32> {
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
    let lhs = |first, count| Lhs::Columns { matrix: x, width: rows, first, count };
    product_of(rows, w, inner, columns, dtype, lhs)
}

/// The product of `rows` rows with `w` [`inner`, `columns`]; `take_rows(first, count)` gives some of them.
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
        packed.par_chunks_exact_mut(width * words).enumerate().for_each(|(panel, packed)| {
            let taken = panel * width..columns.min((panel + 1) * width);
            pack_columns(w, columns, taken, width, values, packed);
        });
        let panels = [[packed.as_slice()]];
        let block = block_rows(rows);
        out.par_chunks_mut(block * columns).enumerate().for_each(|(index, out)| {
            let lhs = take_rows(index * block, out.len() / columns);
            let outs = vec![out];
            mul_add::dispatch(dtype, Block { lhs, inner, panels: &panels, outs, columns, onto: false });
        });
    }
    out
}

/// The left operand of a task.
#[derive(Clone, Copy)]
enum Lhs<'a> {
    /// Row-major.
    Rows(&'a [f32]),
    /// The columns from `first` on of a row-major matrix, `width` values a row.
    Columns { matrix: &'a [f32], width: usize, first: usize, count: usize },
}

impl Lhs<'_> {
    fn rows(&self, inner: usize) -> usize {
        match *self {
            Self::Rows(x) => x.len() / inner,
            Self::Columns { count, .. } => count,
        }
    }

    /// Packs the inner values from `start` up to `end` of all rows as words `[rows / group][inner / values][group]`; missing
    /// rows of the last group stay as they were (zero).
    #[inline(always)]
    fn pack(&self, inner: usize, range: Range<usize>, group: usize, values: usize, packed: &mut [f32]) {
        let Range { start, end } = range;
        let size = group * (end - start).div_ceil(values);
        match *self {
            Self::Rows(x) => {
                for (packed, rows) in packed.chunks_exact_mut(size).zip(x.chunks(group * inner)) {
                    pack_group(rows.chunks_exact(inner).map(|row| &row[start..end]), group, values, packed);
                }
            }
            Self::Columns { matrix, width, first, count } => {
                for (index, packed) in packed.chunks_exact_mut(size).enumerate() {
                    let taken = first + index * group..first + count.min((index + 1) * group);
                    pack_columns(&matrix[start * width..end * width], width, taken, group, values, packed);
                }
            }
        }
    }
}

/// Up to [`BLOCK_ROWS`] rows against all panels of some weights.
struct Block<'a, const W: usize> {
    lhs: Lhs<'a>,
    inner: usize,
    panels: &'a [[&'a [f32]; W]],
    /// The rows of the result, one slice for each weight.
    outs: Vec<&'a mut [f32]>,
    columns: usize,
    /// Whether the product is added to the values of `outs`.
    onto: bool,
}

impl<const W: usize> WithMulAdd for Block<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_mul_add<M: MulAdd>(self, unit: M) {
        if micro_kernel::has_32_registers::<M::S>() {
            self.run::<M, ROWS_WITH_32_REGISTERS>(unit)
        } else {
            self.run::<M, ROWS_WITH_16_REGISTERS>(unit)
        }
    }
}

impl<const W: usize> Block<'_, W> {
    #[inline(always)]
    fn run<M: MulAdd, const R: usize>(self, unit: M) {
        let Self { lhs, inner, panels, mut outs, columns, onto } = self;
        let (simd, width) = (unit.simd(), 2 * <M::S as Simd>::F32_LANES);
        let rows = lhs.rows(inner);
        let words = inner.div_ceil(M::VALUES);
        // A gate needs both of its products whole.
        let step = if W == 1 { BLOCK_INNER.min(words) } else { words };
        let mut packed = vec![0f32; rows.next_multiple_of(R) * step];
        for start in (0..words).step_by(step) {
            let end = words.min(start + step);
            let packed = &mut packed[..rows.next_multiple_of(R) * (end - start)];
            lhs.pack(inner, start * M::VALUES..inner.min(end * M::VALUES), R, M::VALUES, packed);
            for (panels, out) in panels.iter().zip(&mut outs) {
                for panel in 0..columns.div_ceil(width) {
                    let rhs: [&[[F<M>; 2]]; W] = std::array::from_fn(|i| {
                        vectors::<M::S>(&panels[i][(panel * words + start) * width..(panel * words + end) * width])
                    });
                    let first_column = panel * width;
                    let taken = width.min(columns - first_column);
                    for (group, out) in packed.chunks_exact(R * (end - start)).zip(out.chunks_mut(R * columns)) {
                        let lhs = group.as_chunks::<R>().0;
                        let mut tile = if start == 0 && !onto {
                            micro_kernel::product(unit, lhs, rhs[0])
                        } else {
                            let sum = stored(simd, out, columns, first_column..first_column + taken);
                            micro_kernel::product_onto(unit, sum, lhs, rhs[0])
                        };
                        if W == 2 {
                            gate(simd, &mut tile, micro_kernel::product(unit, lhs, rhs[1]));
                        }
                        for (row, values) in out.chunks_exact_mut(columns).zip(&tile) {
                            micro_kernel::store::<M::S>(values, &mut row[first_column..first_column + taken]);
                        }
                    }
                }
            }
        }
    }
}

/// Loads the partial sums of a tile.
#[inline(always)]
fn stored<S: Simd, const R: usize>(
    simd: S,
    out: &[f32],
    columns: usize,
    range: Range<usize>,
) -> micro_kernel::MicroTile<S, R> {
    let mut tile = [[simd.splat_f32s(0.0); 2]; R];
    for (values, row) in tile.iter_mut().zip(out.chunks_exact(columns)) {
        *values = micro_kernel::load(simd, &row[range.clone()]);
    }
    tile
}

#[inline(always)]
fn gate<S: Simd, const R: usize>(
    simd: S,
    tile: &mut micro_kernel::MicroTile<S, R>,
    other: micro_kernel::MicroTile<S, R>,
) {
    for (row, other) in tile.iter_mut().zip(other) {
        for (value, other) in row.iter_mut().zip(other) {
            *value = simd.mul_f32s(gelu(simd, *value), other);
        }
    }
}
