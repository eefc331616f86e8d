//! The micro-kernel: the register-sized product that every large kernel is built of, and the
//! packing that feeds it.
//!
//! A *tile* is R rows by two vectors of columns, held in registers while the inner dimension runs.
//! Its left operand is packed as groups of R rows (`[inner][R]`, one value broadcast to a vector),
//! its right one as panels of two vectors (`[inner][2 · lanes]`, loaded). Each value of a tile is
//! one chain of multiply-adds over the inner dimension, from first to last: the order never depends
//! on the tile's place or neighbours.
//!
//! *inner* counts words here, of one value or two (see [`super::mul_add`]).

use pulp::{Simd, WithSimd};

use super::mul_add::{F, MulAdd, pack_bf16_pair};
use chartbench_core::isa;

/// Rows of a tile and columns of a panel on this processor (BLIS: MR, NR).
#[derive(Debug, Clone, Copy)]
pub(super) struct TileShape {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl TileShape {
    pub(super) fn get() -> Self {
        struct Detect;
        impl WithSimd for Detect {
            type Output = TileShape;
            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> TileShape {
                TileShape {
                    rows: if has_32_registers::<S>() {
                        ROWS_WITH_32_REGISTERS
                    } else {
                        ROWS_WITH_16_REGISTERS
                    },
                    columns: 2 * S::F32_LANES,
                }
            }
        }
        isa::arch().dispatch(Detect)
    }
}

/// Rows of a tile on processors with 32 vector registers: 16 accumulators, two loaded vectors, one
/// broadcast.
pub(super) const ROWS_WITH_32_REGISTERS: usize = 8;
/// Rows of a tile on processors with 16 vector registers.
pub(super) const ROWS_WITH_16_REGISTERS: usize = 4;

/// Whether the processor has 32 vector registers.
#[inline(always)]
pub(super) const fn has_32_registers<S: Simd>() -> bool {
    S::REGISTER_COUNT >= 32
}

/// R rows by two vectors.
pub(super) type MicroTile<S, const R: usize> = [[<S as Simd>::f32s; 2]; R];

/// `lhs` (`[inner][R]`) times `rhs` (`[inner]` pairs of vectors).
#[inline(always)]
pub(super) fn product<M: MulAdd, const R: usize>(
    unit: M,
    lhs: &[[f32; R]],
    rhs: &[[F<M>; 2]],
) -> MicroTile<M::S, R> {
    product_onto(unit, [[unit.simd().splat_f32s(0.0); 2]; R], lhs, rhs)
}

/// [`product`], added to `tile`.
#[inline(always)]
pub(super) fn product_onto<M: MulAdd, const R: usize>(
    unit: M,
    mut tile: MicroTile<M::S, R>,
    lhs: &[[f32; R]],
    rhs: &[[F<M>; 2]],
) -> MicroTile<M::S, R> {
    for (words, vectors) in lhs.iter().zip(rhs) {
        for (row, &word) in tile.iter_mut().zip(words) {
            let word = unit.simd().splat_f32s(word);
            row[0] = unit.mul_add(word, vectors[0], row[0]);
            row[1] = unit.mul_add(word, vectors[1], row[1]);
        }
    }
    tile
}

/// Words in a chunk of [`product_in_chunks`].
pub(super) const CHUNK_WORDS: usize = 64;

/// [`product`] as a sum over chunks of [`CHUNK_WORDS`] words: less rounding error than in one long
/// chain.
#[inline(always)]
pub(super) fn product_in_chunks<M: MulAdd, const R: usize>(
    unit: M,
    lhs: &[[f32; R]],
    rhs: &[[F<M>; 2]],
) -> MicroTile<M::S, R> {
    let mut sum = [[unit.simd().splat_f32s(0.0); 2]; R];
    for (lhs, rhs) in lhs.chunks(CHUNK_WORDS).zip(rhs.chunks(CHUNK_WORDS)) {
        add(unit.simd(), &mut sum, &product(unit, lhs, rhs));
    }
    sum
}

/// `sum + other`, value by value.
#[inline(always)]
pub(super) fn add<S: Simd, const R: usize>(
    simd: S,
    sum: &mut MicroTile<S, R>,
    other: &MicroTile<S, R>,
) {
    for (sum, other) in sum.as_flattened_mut().iter_mut().zip(other.as_flattened()) {
        *sum = simd.add_f32s(*sum, *other);
    }
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

/// Loads a tile's row from up to two vectors of values; zeros fill the rest.
#[inline(always)]
pub(super) fn load<S: Simd>(simd: S, values: &[f32]) -> [S::f32s; 2] {
    if let [whole] = vectors::<S>(values) {
        return *whole;
    }
    let mut row = [simd.splat_f32s(0.0); 2];
    pulp::bytemuck::cast_slice_mut(&mut row)[..values.len()].copy_from_slice(values);
    row
}

/// Writes a tile's row, as many values as `values` has room for.
#[inline(always)]
pub(super) fn store<S: Simd>(row: &[S::f32s; 2], values: &mut [f32]) {
    if let [whole] = vectors_mut::<S>(values) {
        *whole = *row;
        return;
    }
    values.copy_from_slice(&pulp::bytemuck::cast_slice(row)[..values.len()]);
}

/// Packs up to `group` rows of a row-major matrix as words `[columns / values][group]`; missing
/// rows of a group stay as they were (zero). `rows` yields the rows, all of the same length. A word
/// holds `values` values of a row.
#[inline(always)]
pub(super) fn pack_group<'a>(
    rows: impl Iterator<Item = &'a [f32]>,
    group: usize,
    values: usize,
    packed: &mut [f32],
) {
    /// Columns moved at a time: one cache line of a row.
    const STRIP: usize = 16;
    let rows: Vec<&[f32]> = rows.collect();
    let columns = rows.first().map_or(0, |row| row.len());
    for (start, strip) in (0..columns)
        .step_by(STRIP)
        .zip(packed.chunks_mut(STRIP / values * group))
    {
        for (lane, row) in rows.iter().enumerate() {
            let mut taken = [0f32; STRIP];
            match row[start..].first_chunk() {
                Some(whole) => taken = *whole,
                None => taken[..columns - start].copy_from_slice(&row[start..]),
            }
            if values == 1 {
                for (words, value) in strip.chunks_exact_mut(group).zip(taken) {
                    words[lane] = value;
                }
            } else {
                for (words, [first, second]) in
                    strip.chunks_exact_mut(group).zip(taken.as_chunks().0)
                {
                    words[lane] = pack_bf16_pair(*first, *second);
                }
            }
        }
    }
}

/// Packs `columns` of a row-major matrix [rows, `width`] as words `[rows / values][group]`. A word
/// holds `values` values of a column.
pub(super) fn pack_columns(
    matrix: &[f32],
    width: usize,
    columns: std::ops::Range<usize>,
    group: usize,
    values: usize,
    packed: &mut [f32],
) {
    isa::arch().dispatch(|| {
        let taken = columns.len();
        if values == 1 {
            for (words, row) in packed
                .chunks_exact_mut(group)
                .zip(matrix.chunks_exact(width))
            {
                words[..taken].copy_from_slice(&row[columns.clone()]);
            }
            return;
        }
        for (words, rows) in packed.chunks_exact_mut(group).zip(matrix.chunks(2 * width)) {
            let (first, second) = rows.split_at(width);
            let first = &first[columns.clone()];
            if second.is_empty() {
                words
                    .iter_mut()
                    .zip(first)
                    .for_each(|(word, first)| *word = pack_bf16_pair(*first, 0.0));
            } else {
                let pairs = first.iter().zip(&second[columns.clone()]);
                words
                    .iter_mut()
                    .zip(pairs)
                    .for_each(|(word, (first, second))| *word = pack_bf16_pair(*first, *second));
            }
        }
    })
}
