//! Products of bytes by AVX2, as pairs of 16 bits: of two products of bytes the sum would not
//! always fit 16 bits, that of two products of 16 bits has 32.

use pulp::bytemuck::cast_slice;
use pulp::x86::V3;
use pulp::{Simd, cast, f32x8, u32x8};

use super::{Tiles, WORDS};
use crate::kernels::q8_0::{PANEL_BLOCK, VALUES};

/// Rows whose sums of one block are held in registers.
pub(super) const GROUP: usize = 6;
/// Words of a row's block.
pub(super) const LHS_BLOCK: usize = 2 * WORDS + 2;

/// Two words of two values each: the even bytes of a panel's word meet the first, the odd ones the
/// second.
#[inline(always)]
pub(super) fn pack(four: [i8; 4]) -> [u32; 2] {
    let [a, b, c, d] = four.map(|value| u32::from(i16::from(value).cast_unsigned()));
    [a | c << 16, b | d << 16]
}

#[derive(Clone, Copy)]
pub(crate) struct Avx2Tiles(pub(super) V3);

impl Tiles for Avx2Tiles {
    type S = V3;
    type Row = [f32x8; 2];

    #[inline(always)]
    fn simd(self) -> V3 {
        self.0
    }

    #[inline(always)]
    fn tile<const R: usize>(self, lhs: &[u32], panel: &[u32]) -> [[f32x8; 2]; R] {
        let Self(simd) = self;
        let mut sums = [[simd.splat_f32s(0.0); 2]; R];
        for (lhs, block) in lhs
            .chunks_exact(LHS_BLOCK * R)
            .zip(panel.as_chunks::<PANEL_BLOCK>().0)
        {
            let (rows, tails) = lhs.as_chunks::<R>().0.split_at(2 * WORDS);
            let [offsets, scales] = tails else { continue };
            let weights: &[[u32x8; 2]] = cast_slice(&block[..VALUES]);
            let of_columns: &[[f32x8; 2]] = cast_slice(&block[VALUES..]);
            let mut products = offsets.map(|offset| [simd.splat_u32s(offset); 2]);
            for ([even, odd], weights) in rows.as_chunks::<2>().0.iter().zip(weights) {
                self.add_products(
                    &mut products,
                    even,
                    weights.map(|word| self.even_bytes(word)),
                );
                self.add_products(&mut products, odd, weights.map(|word| self.odd_bytes(word)));
            }
            for ((sums, products), scale) in sums.iter_mut().zip(products).zip(scales) {
                let scale = simd.splat_f32s(f32::from_bits(*scale));
                for ((sum, product), of_column) in sums.iter_mut().zip(products).zip(of_columns[0])
                {
                    let scale = simd.mul_f32s(of_column, scale);
                    *sum = simd.mul_add_f32s(self.to_f32(product), scale, *sum);
                }
            }
        }
        sums
    }
}

impl Avx2Tiles {
    /// Adds the products of the two values in each word of a row and of a column.
    #[inline(always)]
    fn add_products<const R: usize>(
        self,
        sums: &mut [[u32x8; 2]; R],
        rows: &[u32; R],
        weights: [u32x8; 2],
    ) {
        let Self(simd) = self;
        for (sums, word) in sums.iter_mut().zip(rows) {
            let word = simd.splat_u32s(*word);
            for (sum, weight) in sums.iter_mut().zip(weights) {
                let products = simd.avx2._mm256_madd_epi16(cast!(weight), cast!(word));
                *sum = simd.add_u32s(*sum, cast!(products));
            }
        }
    }

    #[inline(always)]
    fn even_bytes(self, words: u32x8) -> u32x8 {
        self.0.and_u32s(words, self.0.splat_u32s(0x00ff_00ff))
    }

    #[inline(always)]
    fn odd_bytes(self, words: u32x8) -> u32x8 {
        cast!(self.0.avx2._mm256_srli_epi16::<8>(cast!(words)))
    }

    #[inline(always)]
    fn to_f32(self, sum: u32x8) -> f32x8 {
        cast!(self.0.avx._mm256_cvtepi32_ps(cast!(sum)))
    }
}
