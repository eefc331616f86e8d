//! Products of bytes by AVX-512 VNNI.

use std::arch::x86_64::{__m512, __m512i, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32};
use std::mem::transmute;

use pulp::bytemuck::cast_slice;
use pulp::x86::V4;
use pulp::{Simd, f32x16, u32x16};

use super::{Tiles, WORDS};
use crate::kernels::avx512::Vnni;
use crate::kernels::q8_0::{PANEL_BLOCK, VALUES};

/// Rows whose sums are held in registers.
pub(super) const GROUP: usize = 8;
/// Words of a row's block.
pub(super) const LHS_BLOCK: usize = WORDS + 2;

/// A word of four bytes.
#[inline(always)]
pub(super) fn pack(four: [i8; 4]) -> [u32; 1] {
    [u32::from_le_bytes(four.map(i8::cast_unsigned))]
}

#[derive(Clone, Copy)]
pub(crate) struct VnniTiles(pub(super) Vnni, V4);

impl VnniTiles {
    pub(super) fn try_new() -> Option<Self> {
        Some(Self(Vnni::try_new()?, V4::try_new()?))
    }
}

impl Tiles for VnniTiles {
    type S = V4;
    type Row = f32x16;

    #[inline(always)]
    fn simd(self) -> V4 {
        self.1
    }

    #[inline(always)]
    fn tile<const R: usize>(self, lhs: &[u32], panel: &[u32]) -> [f32x16; R] {
        let simd = self.1;
        let mut sums = [simd.splat_f32s(0.0); R];
        for (lhs, block) in lhs
            .chunks_exact(LHS_BLOCK * R)
            .zip(panel.as_chunks::<PANEL_BLOCK>().0)
        {
            let (rows, tails) = lhs.as_chunks::<R>().0.split_at(WORDS);
            let [offsets, scales] = tails else { continue };
            let weights: &[u32x16] = cast_slice(&block[..VALUES]);
            let of_columns: &[f32x16] = cast_slice(&block[VALUES..]);
            for row in 0..R {
                let mut sum = simd.splat_u32s(offsets[row]);
                for (words, weight) in rows.iter().zip(weights) {
                    sum = self.add_products(sum, *weight, simd.splat_u32s(words[row]));
                }
                let scale =
                    simd.mul_f32s(of_columns[0], simd.splat_f32s(f32::from_bits(scales[row])));
                sums[row] = simd.mul_add_f32s(self.to_f32(sum), scale, sums[row]);
            }
        }
        sums
    }
}

impl VnniTiles {
    /// `sum` and the products of four bytes of each lane, those of `a` unsigned.
    #[inline(always)]
    fn add_products(self, sum: u32x16, a: u32x16, b: u32x16) -> u32x16 {
        // SAFETY: `self` holds `Vnni`; all types are 64 plain bytes.
        unsafe {
            let [sum, a, b] = [sum, a, b].map(|words| transmute::<u32x16, __m512i>(words));
            transmute::<__m512i, u32x16>(_mm512_dpbusd_epi32(sum, a, b))
        }
    }

    #[inline(always)]
    fn to_f32(self, sum: u32x16) -> f32x16 {
        // SAFETY: as above.
        unsafe {
            transmute::<__m512, f32x16>(_mm512_cvtepi32_ps(transmute::<u32x16, __m512i>(sum)))
        }
    }
}
