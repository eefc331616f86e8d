//! Products of many rows with a weight matrix, and the gated GELU fused into the pair of products in front of it.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use pulp::Simd;
use rayon::prelude::*;

use super::cell::{self, CellShape, NARROW_ROWS, WIDE_ROWS, pack_columns, pack_group, vectors};
use super::dots::{self, Dots, F, Precision, WithDots};
use super::elementary::gelu;
use super::gradient::of_product;
use super::panels::Panels;
use super::{composed, fused, gated, matrix};

/// Rows a task holds packed: they stay in the second-level cache while every weight panel passes by.
const BLOCK_ROWS: usize = 96;
/// Words a task holds packed of each row, where the sums so far can stand in the result meanwhile.
const BLOCK_INNER: usize = 512;

/// See [`super::linear`].
struct Linear {
    precision: Precision,
}

/// See [`super::linear_onto`]: of the product alone the graph then keeps nothing.
struct LinearOnto {
    precision: Precision,
}

/// See [`super::gated_gelu`].
pub(super) struct GatedGelu {
    pub(super) precision: Precision,
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = matrix(x, xl)?;
        let w = packed(matrix(w, wl)?, self.precision);
        products(x, &[[&w]], None, self.name())
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        of_product(x, w, grad, self.precision)
    }
}

impl CustomOp3 for LinearOnto {
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
        let w = packed(matrix(w, wl)?, self.precision);
        let (onto, ..) = matrix(onto, ol)?;
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
        let (dx, dw) = of_product(x, w, grad, self.precision)?;
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
        let [w0, w1] = [packed(matrix(w0, l0)?, self.precision), packed(matrix(w1, l1)?, self.precision)];
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
        gated::gradients(x, w0, w1, grad, self.precision)
    }
}

fn packed((w, _, inner): Matrix, precision: Precision) -> Panels {
    Panels::pack(w, inner, precision)
}

/// The products of the same rows with weights of one shape that are packed already, one below the other. Each is a single
/// weight, or the two of a gated GELU.
pub(super) struct Packed<'a, const W: usize>(pub(super) &'a [[&'a Panels; W]]);

impl<const W: usize> CustomOp1 for Packed<'_, W> {
    fn name(&self) -> &'static str {
        "packed-linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        products(matrix(x, xl)?, self.0, None, self.name())
    }
}

/// The product with a weight that is packed already, added to the second argument.
pub(super) struct PackedOnto<'a>(pub(super) &'a Panels);

impl CustomOp2 for PackedOnto<'_> {
    fn name(&self) -> &'static str {
        "packed-linear-onto"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, onto: &CpuStorage, ol: &Layout) -> Result<(CpuStorage, Shape)> {
        let (onto, ..) = matrix(onto, ol)?;
        products(matrix(x, xl)?, &[[self.0]], Some(onto), self.name())
    }
}

/// `x · wᵀ` of weights in f32, multiplied in `precision`.
pub(super) fn full_product(x: &Tensor, w: &Tensor, precision: Precision) -> Result<Tensor> {
    if fused(x) { x.apply_op2(w, Linear { precision }) } else { composed::linear(x, w) }
}

/// The same, added to `onto`.
pub(super) fn full_product_onto(x: &Tensor, w: &Tensor, onto: &Tensor, precision: Precision) -> Result<Tensor> {
    if fused(x) {
        x.apply_op3(w, &onto.contiguous()?, LinearOnto { precision })
    } else {
        onto + composed::linear(x, w)?
    }
}

type Matrix<'a> = (&'a [f32], usize, usize);

/// One weight: the product. Two: the gated GELU of both products. `onto` is what a single product is added to.
fn products<const W: usize>(
    (x, rows, inner): Matrix,
    weights: &[[&Panels; W]],
    onto: Option<&[f32]>,
    name: &str,
) -> Result<(CpuStorage, Shape)> {
    let Some(Panels { columns, precision, .. }) = weights.first().map(|weight| weight[0]) else {
        candle_core::bail!("{name}: no weight");
    };
    let (columns, precision) = (*columns, *precision);
    for weight in weights.iter().flatten() {
        if weight.inner != inner || weight.columns != columns || weight.precision != precision || inner == 0 {
            candle_core::bail!("{name}: weight {weight:?} does not fit input {rows}x{inner}");
        }
    }
    let mut out = match onto {
        None => vec![0f32; weights.len() * rows * columns],
        Some(onto) if onto.len() == rows * columns => onto.to_vec(),
        Some(onto) => candle_core::bail!("{name}: {} values do not fit {rows}x{columns}", onto.len()),
    };
    if !out.is_empty() {
        let panels: Vec<[&[f32]; W]> = weights.iter().map(|weight| weight.map(|one| one.words.as_slice())).collect();
        let block = block_rows(rows);
        let tasks =
            in_blocks(&mut out, rows * columns, block * columns).into_par_iter().zip(x.par_chunks(block * inner));
        tasks.for_each(|(outs, x)| {
            let onto = onto.is_some();
            dots::dispatch(precision, Block { left: Left::Rows(x), inner, panels: &panels, outs, columns, onto });
        });
    }
    Ok((CpuStorage::F32(out), Shape::from((weights.len() * rows, columns))))
}

/// Matrices of `size` values, one below the other, cut into blocks: of each block its place in every matrix.
pub(super) fn in_blocks(out: &mut [f32], size: usize, block: usize) -> Vec<Vec<&mut [f32]>> {
    let mut blocks: Vec<Vec<&mut [f32]>> = (0..size.div_ceil(block)).map(|_| Vec::new()).collect();
    for matrix in out.chunks_exact_mut(size) {
        blocks.iter_mut().zip(matrix.chunks_mut(block)).for_each(|(block, part)| block.push(part));
    }
    blocks
}

/// Rows of a task: few rows are shared out among the threads.
fn block_rows(rows: usize) -> usize {
    BLOCK_ROWS.min(rows.div_ceil(rayon::current_num_threads()).next_multiple_of(CellShape::get().rows))
}

/// `x · w` of row-major matrices, `x` [M, `inner`] and `w` [`inner`, `columns`].
pub(super) fn plain_product(x: &[f32], w: &[f32], inner: usize, columns: usize, precision: Precision) -> Vec<f32> {
    let rows = x.len() / inner.max(1);
    let left = |first, count| Left::Rows(&x[first * inner..(first + count) * inner]);
    product_of(rows, w, inner, columns, precision, left)
}

/// `xᵀ · w` of row-major matrices, `x` [`inner`, `rows`] and `w` [`inner`, `columns`].
pub(super) fn transposed_product(
    x: &[f32],
    w: &[f32],
    inner: usize,
    [rows, columns]: [usize; 2],
    precision: Precision,
) -> Vec<f32> {
    let left = |first, count| Left::Columns { matrix: x, width: rows, first, count };
    product_of(rows, w, inner, columns, precision, left)
}

/// The product with `w` [`inner`, `columns`] of so many rows, of which `left` gives some.
fn product_of<'a>(
    rows: usize,
    w: &[f32],
    inner: usize,
    columns: usize,
    precision: Precision,
    left: impl Fn(usize, usize) -> Left<'a> + Sync,
) -> Vec<f32> {
    let mut out = vec![0f32; rows * columns];
    if !out.is_empty() {
        let (width, values) = (CellShape::get().columns, precision.values());
        let words = inner.div_ceil(values);
        let mut packed = vec![0f32; columns.next_multiple_of(width) * words];
        packed.par_chunks_exact_mut(width * words).enumerate().for_each(|(panel, packed)| {
            let taken = panel * width..columns.min((panel + 1) * width);
            pack_columns(w, columns, taken, width, values, packed);
        });
        let panels = [[packed.as_slice()]];
        let block = block_rows(rows);
        out.par_chunks_mut(block * columns).enumerate().for_each(|(at, out)| {
            let left = left(at * block, out.len() / columns);
            let outs = vec![out];
            dots::dispatch(precision, Block { left, inner, panels: &panels, outs, columns, onto: false });
        });
    }
    out
}

/// The rows a task multiplies.
#[derive(Clone, Copy)]
enum Left<'a> {
    /// Row-major.
    Rows(&'a [f32]),
    /// The columns from `first` on of a row-major matrix, `width` values a row.
    Columns { matrix: &'a [f32], width: usize, first: usize, count: usize },
}

impl Left<'_> {
    fn rows(&self, inner: usize) -> usize {
        match *self {
            Self::Rows(x) => x.len() / inner,
            Self::Columns { count, .. } => count,
        }
    }

    /// Packs the inner values from `start` up to `end` of all rows as words `[rows / group][inner / values][group]`; what is
    /// missing of the last group stays as it was (zero).
    #[inline(always)]
    fn pack(&self, inner: usize, [start, end]: [usize; 2], group: usize, values: usize, packed: &mut [f32]) {
        let size = group * (end - start).div_ceil(values);
        match *self {
            Self::Rows(x) => {
                for (packed, rows) in packed.chunks_exact_mut(size).zip(x.chunks(group * inner)) {
                    pack_group(rows.chunks_exact(inner).map(|row| &row[start..end]), group, values, packed);
                }
            }
            Self::Columns { matrix, width, first, count } => {
                for (at, packed) in packed.chunks_exact_mut(size).enumerate() {
                    let taken = first + at * group..first + count.min((at + 1) * group);
                    pack_columns(&matrix[start * width..end * width], width, taken, group, values, packed);
                }
            }
        }
    }
}

/// Up to [`BLOCK_ROWS`] rows against all panels of some weights.
struct Block<'a, const W: usize> {
    left: Left<'a>,
    inner: usize,
    panels: &'a [[&'a [f32]; W]],
    /// Of each weight the rows' place in its product.
    outs: Vec<&'a mut [f32]>,
    columns: usize,
    /// Whether something stands there already.
    onto: bool,
}

impl<const W: usize> WithDots for Block<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_dots<D: Dots>(self, dots: D) {
        if cell::wide::<D::S>() { self.run::<D, WIDE_ROWS>(dots) } else { self.run::<D, NARROW_ROWS>(dots) }
    }
}

impl<const W: usize> Block<'_, W> {
    #[inline(always)]
    fn run<D: Dots, const R: usize>(self, dots: D) {
        let Self { left, inner, panels, mut outs, columns, onto } = self;
        let (simd, width) = (dots.simd(), 2 * <D::S as Simd>::F32_LANES);
        let rows = left.rows(inner);
        let words = inner.div_ceil(D::VALUES);
        // A gate needs both of its products whole.
        let step = if W == 1 { BLOCK_INNER.min(words) } else { words };
        let mut packed = vec![0f32; rows.next_multiple_of(R) * step];
        for start in (0..words).step_by(step) {
            let end = words.min(start + step);
            let packed = &mut packed[..rows.next_multiple_of(R) * (end - start)];
            left.pack(inner, [start * D::VALUES, inner.min(end * D::VALUES)], R, D::VALUES, packed);
            for (panels, out) in panels.iter().zip(&mut outs) {
                for panel in 0..columns.div_ceil(width) {
                    let right: [&[[F<D>; 2]]; W] = std::array::from_fn(|i| {
                        vectors::<D::S>(&panels[i][(panel * words + start) * width..(panel * words + end) * width])
                    });
                    let place = panel * width;
                    let taken = width.min(columns - place);
                    for (group, out) in packed.chunks_exact(R * (end - start)).zip(out.chunks_mut(R * columns)) {
                        let left = group.as_chunks::<R>().0;
                        let mut cell = if start == 0 && !onto {
                            cell::product(dots, left, right[0])
                        } else {
                            let sum = stored(simd, out, columns, place..place + taken);
                            cell::product_onto(dots, sum, left, right[0])
                        };
                        if W == 2 {
                            gate(simd, &mut cell, cell::product(dots, left, right[1]));
                        }
                        for (row, values) in out.chunks_exact_mut(columns).zip(&cell) {
                            cell::store::<D::S>(values, &mut row[place..place + taken]);
                        }
                    }
                }
            }
        }
    }
}

/// The sums so far.
#[inline(always)]
fn stored<S: Simd, const R: usize>(simd: S, out: &[f32], columns: usize, range: Range<usize>) -> cell::Cell<S, R> {
    let mut cell = [[simd.splat_f32s(0.0); 2]; R];
    for (values, row) in cell.iter_mut().zip(out.chunks_exact(columns)) {
        *values = cell::load(simd, &row[range.clone()]);
    }
    cell
}

#[inline(always)]
fn gate<S: Simd, const R: usize>(simd: S, cell: &mut cell::Cell<S, R>, other: cell::Cell<S, R>) {
    for (row, other) in cell.iter_mut().zip(other) {
        for (value, other) in row.iter_mut().zip(other) {
            *value = simd.mul_f32s(gelu(simd, *value), other);
        }
    }
}
