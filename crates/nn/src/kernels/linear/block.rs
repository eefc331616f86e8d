//! A task of a product: some rows against all panels, packed piece by piece.

use std::ops::Range;

use pulp::Simd;

use super::BLOCK_INNER;
use crate::kernels::elementary::gelu;
use crate::kernels::micro_kernel::{
    self, ROWS_WITH_16_REGISTERS, ROWS_WITH_32_REGISTERS, pack_columns, pack_group, vectors,
};
use crate::kernels::mul_add::{F, MulAdd, WithMulAdd};

/// The left operand of a task.
#[derive(Clone, Copy)]
pub(super) enum Lhs<'a> {
    /// Row-major.
    Rows(&'a [f32]),
    /// The columns from `first` on of a row-major matrix, `width` values a row.
    Columns {
        matrix: &'a [f32],
        width: usize,
        first: usize,
        count: usize,
    },
}

impl Lhs<'_> {
    fn rows(&self, inner: usize) -> usize {
        match *self {
            Self::Rows(x) => x.len() / inner,
            Self::Columns { count, .. } => count,
        }
    }

    /// Packs the inner values from `start` up to `end` of all rows as words
    /// `[rows / group][inner / values][group]`; missing rows of the last group stay as they were
    /// (zero).
    #[inline(always)]
    fn pack(
        &self,
        inner: usize,
        range: Range<usize>,
        group: usize,
        values: usize,
        packed: &mut [f32],
    ) {
        let Range { start, end } = range;
        let size = group * (end - start).div_ceil(values);
        match *self {
            Self::Rows(x) => {
                for (packed, rows) in packed.chunks_exact_mut(size).zip(x.chunks(group * inner)) {
                    pack_group(
                        rows.chunks_exact(inner).map(|row| &row[start..end]),
                        group,
                        values,
                        packed,
                    );
                }
            }
            Self::Columns {
                matrix,
                width,
                first,
                count,
            } => {
                for (index, packed) in packed.chunks_exact_mut(size).enumerate() {
                    let taken = first + index * group..first + count.min((index + 1) * group);
                    pack_columns(
                        &matrix[start * width..end * width],
                        width,
                        taken,
                        group,
                        values,
                        packed,
                    );
                }
            }
        }
    }
}

/// Up to [`super::BLOCK_ROWS`] rows against all panels of some weights.
pub(super) struct Block<'a, const W: usize> {
    pub(super) lhs: Lhs<'a>,
    pub(super) inner: usize,
    pub(super) panels: &'a [[&'a [f32]; W]],
    /// The rows of the result, one slice for each weight.
    pub(super) outs: Vec<&'a mut [f32]>,
    pub(super) columns: usize,
    /// Whether the product is added to the values of `outs`.
    pub(super) onto: bool,
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
        let Self {
            lhs,
            inner,
            panels,
            mut outs,
            columns,
            onto,
        } = self;
        let (simd, width) = (unit.simd(), 2 * <M::S as Simd>::F32_LANES);
        let rows = lhs.rows(inner);
        let words = inner.div_ceil(M::VALUES);
        // A gate needs both of its products whole.
        let step = if W == 1 {
            BLOCK_INNER.min(words)
        } else {
            words
        };
        let mut packed = vec![0f32; rows.next_multiple_of(R) * step];
        for start in (0..words).step_by(step) {
            let end = words.min(start + step);
            let packed = &mut packed[..rows.next_multiple_of(R) * (end - start)];
            lhs.pack(
                inner,
                start * M::VALUES..inner.min(end * M::VALUES),
                R,
                M::VALUES,
                packed,
            );
            for (panels, out) in panels.iter().zip(&mut outs) {
                for panel in 0..columns.div_ceil(width) {
                    let rhs: [&[[F<M>; 2]]; W] = std::array::from_fn(|i| {
                        vectors::<M::S>(
                            &panels[i]
                                [(panel * words + start) * width..(panel * words + end) * width],
                        )
                    });
                    let first_column = panel * width;
                    let taken = width.min(columns - first_column);
                    for (group, out) in packed
                        .chunks_exact(R * (end - start))
                        .zip(out.chunks_mut(R * columns))
                    {
                        let lhs = group.as_chunks::<R>().0;
                        let mut tile = if start == 0 && !onto {
                            micro_kernel::product(unit, lhs, rhs[0])
                        } else {
                            let sum =
                                stored(simd, out, columns, first_column..first_column + taken);
                            micro_kernel::product_onto(unit, sum, lhs, rhs[0])
                        };
                        if W == 2 {
                            gate(simd, &mut tile, micro_kernel::product(unit, lhs, rhs[1]));
                        }
                        for (row, values) in out.chunks_exact_mut(columns).zip(&tile) {
                            micro_kernel::store::<M::S>(
                                values,
                                &mut row[first_column..first_column + taken],
                            );
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
