//! Products of many rows with a weight matrix, and the gated GELU fused into the pair of products in front of it.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::cell::{self, CellShape, NARROW_ROWS, WIDE_ROWS, pack_group, vectors};
use super::elementary::gelu;
use super::gradient::of_product;
use super::{composed, fused, gated, matrix};

/// Rows a task holds packed: they stay in the second-level cache while every weight panel passes by.
const BLOCK_ROWS: usize = 96;
/// Inner values a task holds packed of each row, where the sums so far can stand in the result meanwhile.
const BLOCK_INNER: usize = 512;

/// See [`super::linear`].
struct Linear;

/// See [`super::gated_gelu`].
pub(super) struct GatedGelu;

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = matrix(x, xl)?;
        let w = matrix(w, wl)?;
        products(x, [w], self.name())
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        of_product(x, w, grad)
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
        let weights = [matrix(w0, l0)?, matrix(w1, l1)?];
        products(x, weights, self.name())
    }

    fn bwd(
        &self,
        x: &Tensor,
        w0: &Tensor,
        w1: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        gated::gradients(x, w0, w1, grad)
    }
}

/// `x · wᵀ` in full precision.
pub(super) fn full_product(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    if fused(x) { x.apply_op2(w, Linear) } else { composed::linear(x, w) }
}

type Matrix<'a> = (&'a [f32], usize, usize);

/// One weight: the product. Two: the gated GELU of both products.
fn products<const W: usize>(x: Matrix, weights: [Matrix; W], name: &str) -> Result<(CpuStorage, Shape)> {
    let (x, rows, inner) = x;
    let columns = weights[0].1;
    for (_, n, k) in weights {
        if k != inner || n != columns || inner == 0 {
            candle_core::bail!("{name}: weights {n}x{k} do not fit input {rows}x{inner}");
        }
    }
    let mut out = vec![0f32; rows * columns];
    if !out.is_empty() {
        let shape = CellShape::get();
        let panels = weights.map(|(w, _, _)| pack_panels(w, inner, shape.columns));
        let panels: [&[f32]; W] = std::array::from_fn(|i| panels[i].as_slice());
        let arch = Arch::new();
        let block = block_rows(rows, shape.rows);
        let blocks = out.par_chunks_mut(block * columns).zip(x.par_chunks(block * inner));
        blocks.for_each(|(out, x)| arch.dispatch(Block { left: Left::Rows(x), inner, panels, out, columns }));
    }
    Ok((CpuStorage::F32(out), Shape::from((rows, columns))))
}

/// Rows of a task: few rows are shared out among the threads.
fn block_rows(rows: usize, group: usize) -> usize {
    BLOCK_ROWS.min(rows.div_ceil(rayon::current_num_threads()).next_multiple_of(group))
}

/// `x · w` of row-major matrices, `x` [M, `inner`] and `w` [`inner`, `columns`].
pub(super) fn plain_product(x: &[f32], w: &[f32], inner: usize, columns: usize) -> Vec<f32> {
    let rows = x.len() / inner.max(1);
    product_of(rows, w, inner, columns, |first, count| Left::Rows(&x[first * inner..(first + count) * inner]))
}

/// `xᵀ · w` of row-major matrices, `x` [`inner`, `rows`] and `w` [`inner`, `columns`].
pub(super) fn transposed_product(x: &[f32], w: &[f32], inner: usize, [rows, columns]: [usize; 2]) -> Vec<f32> {
    product_of(rows, w, inner, columns, |first, count| Left::Columns { matrix: x, width: rows, first, count })
}

/// The product with `w` [`inner`, `columns`] of so many rows, of which `left` gives some.
fn product_of<'a>(
    rows: usize,
    w: &[f32],
    inner: usize,
    columns: usize,
    left: impl Fn(usize, usize) -> Left<'a> + Sync,
) -> Vec<f32> {
    let mut out = vec![0f32; rows * columns];
    if !out.is_empty() {
        let shape = CellShape::get();
        let mut packed = vec![0f32; columns.next_multiple_of(shape.columns) * inner];
        packed.par_chunks_exact_mut(shape.columns * inner).enumerate().for_each(|(panel, packed)| {
            let first = panel * shape.columns;
            let taken = shape.columns.min(columns - first);
            for (packed, row) in packed.chunks_exact_mut(shape.columns).zip(w.chunks_exact(columns)) {
                packed[..taken].copy_from_slice(&row[first..first + taken]);
            }
        });
        let panels = [packed.as_slice()];
        let arch = Arch::new();
        let block = block_rows(rows, shape.rows);
        out.par_chunks_mut(block * columns).enumerate().for_each(|(at, out)| {
            let left = left(at * block, out.len() / columns);
            arch.dispatch(Block { left, inner, panels, out, columns });
        });
    }
    out
}

/// A weight matrix [out, in] as panels of `width` output columns, the last one filled up with zeros.
fn pack_panels(w: &[f32], inner: usize, width: usize) -> Vec<f32> {
    let panels = (w.len() / inner).div_ceil(width);
    let mut packed = vec![0f32; panels * width * inner];
    let pairs = packed.par_chunks_mut(width * inner).zip(w.par_chunks(width * inner));
    pairs.for_each(|(panel, rows)| pack_group(rows.chunks_exact(inner), width, panel));
    packed
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

    /// Packs the inner values from `start` up to `end` of all rows as `[rows / group][inner][group]`; what is missing of the
    /// last group stays as it was (zero).
    #[inline(always)]
    fn pack(&self, inner: usize, [start, end]: [usize; 2], group: usize, packed: &mut [f32]) {
        let size = group * (end - start);
        match *self {
            Self::Rows(x) => {
                for (packed, rows) in packed.chunks_exact_mut(size).zip(x.chunks(group * inner)) {
                    pack_group(rows.chunks_exact(inner).map(|row| &row[start..end]), group, packed);
                }
            }
            Self::Columns { matrix, width, first, count } => {
                for (at, packed) in packed.chunks_exact_mut(size).enumerate() {
                    let taken = group.min(count - at * group);
                    let rows = matrix[start * width..end * width].chunks_exact(width);
                    for (packed, row) in packed.chunks_exact_mut(group).zip(rows) {
                        packed[..taken].copy_from_slice(&row[first + at * group..][..taken]);
                    }
                }
            }
        }
    }
}

/// Up to [`BLOCK_ROWS`] rows against all panels.
struct Block<'a, const W: usize> {
    left: Left<'a>,
    inner: usize,
    panels: [&'a [f32]; W],
    out: &'a mut [f32],
    columns: usize,
}

impl<const W: usize> WithSimd for Block<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if cell::wide::<S>() { self.run::<S, WIDE_ROWS>(simd) } else { self.run::<S, NARROW_ROWS>(simd) }
    }
}

impl<const W: usize> Block<'_, W> {
    #[inline(always)]
    fn run<S: Simd, const R: usize>(self, simd: S) {
        let Self { left, inner, panels, out, columns } = self;
        let width = 2 * S::F32_LANES;
        let rows = left.rows(inner);
        // A gate needs both of its products whole.
        let step = if W == 1 { BLOCK_INNER.min(inner) } else { inner };
        let mut packed = vec![0f32; rows.next_multiple_of(R) * step];
        for start in (0..inner).step_by(step) {
            let end = inner.min(start + step);
            let packed = &mut packed[..rows.next_multiple_of(R) * (end - start)];
            left.pack(inner, [start, end], R, packed);
            for panel in 0..columns.div_ceil(width) {
                let right: [&[[S::f32s; 2]]; W] = std::array::from_fn(|i| {
                    vectors::<S>(&panels[i][(panel * inner + start) * width..(panel * inner + end) * width])
                });
                let place = panel * width;
                let taken = width.min(columns - place);
                for (group, out) in packed.chunks_exact(R * (end - start)).zip(out.chunks_mut(R * columns)) {
                    let left = group.as_chunks::<R>().0;
                    let mut cell = if start == 0 {
                        cell::product(simd, left, right[0])
                    } else {
                        cell::product_onto(simd, stored(simd, out, columns, place..place + taken), left, right[0])
                    };
                    if W == 2 {
                        gate(simd, &mut cell, cell::product(simd, left, right[1]));
                    }
                    for (row, values) in out.chunks_exact_mut(columns).zip(&cell) {
                        let values: &[f32] = pulp::bytemuck::cast_slice(values);
                        row[place..place + taken].copy_from_slice(&values[..taken]);
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
        let values: &mut [f32] = pulp::bytemuck::cast_slice_mut(values);
        values[..range.len()].copy_from_slice(&row[range.clone()]);
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
