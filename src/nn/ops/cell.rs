//! The register-sized product every large kernel is built of, and the packing that feeds it.
//!
//! A *cell* is R rows by two vectors of columns, held in registers while the inner dimension runs. Its left operand
//! is packed as groups of R rows (`[inner][R]`, one value broadcast to a vector), its right one as panels of two
//! vectors (`[inner][2 · lanes]`, loaded). Each value of a cell is one chain of multiply-adds over the inner
//! dimension, from first to last: the order never depends on the cell's place or neighbours.

use pulp::{Arch, Simd, WithSimd};

/// Rows of a cell and columns of a panel on this processor.
#[derive(Debug, Clone, Copy)]
pub(super) struct CellShape {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl CellShape {
    pub(super) fn get() -> Self {
        struct Detect;
        impl WithSimd for Detect {
            type Output = CellShape;
            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> CellShape {
                CellShape { rows: if wide::<S>() { WIDE_ROWS } else { NARROW_ROWS }, columns: 2 * S::F32_LANES }
            }
        }
        Arch::new().dispatch(Detect)
    }
}

/// Rows of a cell with 32 registers: 16 accumulators, two loaded vectors, one broadcast.
pub(super) const WIDE_ROWS: usize = 8;
/// Rows of a cell with 16 registers.
pub(super) const NARROW_ROWS: usize = 4;

/// Whether the processor has the registers for [`WIDE_ROWS`].
#[inline(always)]
pub(super) const fn wide<S: Simd>() -> bool {
    S::REGISTER_COUNT >= 32
}

/// R rows by two vectors.
pub(super) type Cell<S, const R: usize> = [[<S as Simd>::f32s; 2]; R];

/// `left` (`[inner][R]`) times `right` (`[inner]` pairs of vectors).
#[inline(always)]
pub(super) fn product<S: Simd, const R: usize>(simd: S, left: &[[f32; R]], right: &[[S::f32s; 2]]) -> Cell<S, R> {
    product_onto(simd, [[simd.splat_f32s(0.0); 2]; R], left, right)
}

/// [`product`], added to `cell`.
#[inline(always)]
pub(super) fn product_onto<S: Simd, const R: usize>(
    simd: S,
    mut cell: Cell<S, R>,
    left: &[[f32; R]],
    right: &[[S::f32s; 2]],
) -> Cell<S, R> {
    for (values, vectors) in left.iter().zip(right) {
        for (row, &value) in cell.iter_mut().zip(values) {
            let value = simd.splat_f32s(value);
            row[0] = simd.mul_add_f32s(value, vectors[0], row[0]);
            row[1] = simd.mul_add_f32s(value, vectors[1], row[1]);
        }
    }
    cell
}

/// A panel's values as pairs of vectors.
#[inline(always)]
pub(super) fn vectors<S: Simd>(panel: &[f32]) -> &[[S::f32s; 2]] {
    S::as_simd_f32s(panel).0.as_chunks().0
}

/// A panel's values as pairs of vectors, to write.
#[inline(always)]
pub(super) fn vectors_mut<S: Simd>(panel: &mut [f32]) -> &mut [[S::f32s; 2]] {
    S::as_mut_simd_f32s(panel).0.as_chunks_mut().0
}

/// Packs up to `group` rows of a row-major matrix as `[columns][group]`; what is missing of a group stays as it was
/// (zero). `rows` yields the rows, all of the same length.
pub(super) fn pack_group<'a>(rows: impl Iterator<Item = &'a [f32]>, group: usize, packed: &mut [f32]) {
    /// Columns moved at a time: one cache line of a row.
    const STRIP: usize = 16;
    let rows: Vec<&[f32]> = rows.collect();
    let columns = rows.first().map_or(0, |row| row.len());
    for start in (0..columns).step_by(STRIP) {
        let end = columns.min(start + STRIP);
        let strip = &mut packed[start * group..end * group];
        for (place, row) in rows.iter().enumerate() {
            for (target, value) in strip[place..].iter_mut().step_by(group).zip(&row[start..end]) {
                *target = *value;
            }
        }
    }
}
