//! The product of blocks by AVX-512 VNNI.

use std::arch::x86_64::{__m512, __m512i, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32};
use std::mem::transmute;

use pulp::bytemuck::cast_slice;
use pulp::x86::V4;
use pulp::{Simd, f32x16, u32x16};

use super::{BLOCK, GROUP, PANEL_BLOCK, Task, VALUES, WIDTH, round_rows};
use crate::kernels::avx512::Vnni;
use crate::kernels::elementary::gelu;

/// Words of four bytes in a block.
const WORDS: usize = BLOCK / 4;

pub(super) fn available() -> bool {
    chartbench_core::isa::current().vnni
}

fn features() -> (Vnni, V4) {
    match (Vnni::try_new(), V4::try_new()) {
        (Some(features), Some(v4)) => (features, v4),
        _ => unreachable!("weights are blocks only where the processor has the instructions"),
    }
}

pub(super) fn round(x: &[f32], rows: usize) -> Vec<u32> {
    let mut words = vec![0u32; x.len() / BLOCK * (WORDS + 2)];
    features().0.vectorize(Round {
        x,
        rows,
        words: &mut words,
    });
    words
}

struct Round<'a> {
    x: &'a [f32],
    rows: usize,
    words: &'a mut [u32],
}

impl pulp::NullaryFnOnce for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        round_rows(self.x, self.rows, self.words);
    }
}

pub(super) fn run<const W: usize>(task: Task<'_, W>) {
    let (features, simd) = features();
    features.vectorize(Kernel {
        task,
        features,
        simd,
    });
}

struct Kernel<'a, const W: usize> {
    task: Task<'a, W>,
    features: Vnni,
    simd: V4,
}

impl<const W: usize> pulp::NullaryFnOnce for Kernel<'_, W> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self {
            task:
                Task {
                    lhs,
                    weights,
                    of_panel,
                    out,
                    row,
                    panel,
                    columns,
                    onto,
                },
            features,
            simd,
        } = self;
        for index in 0..columns.div_ceil(WIDTH) {
            let weights = weights.map(|words| &words[index * of_panel..][..of_panel]);
            let taken = WIDTH.min(columns - index * WIDTH);
            let mut first = 0;
            for group in &lhs.groups {
                let out = &mut out[index * panel + first * row..];
                if group.rows == GROUP {
                    write(
                        tiles::<W, GROUP>(features, simd, &group.words, weights),
                        out,
                        row,
                        taken,
                        onto,
                    );
                } else {
                    write(
                        tiles::<W, 1>(features, simd, &group.words, weights),
                        out,
                        row,
                        taken,
                        onto,
                    );
                }
                first += group.rows;
            }
        }
    }
}

#[inline(always)]
fn write<const R: usize>(tile: [f32x16; R], out: &mut [f32], row: usize, taken: usize, onto: bool) {
    for (values, out) in tile.iter().zip(out.chunks_mut(row)) {
        if let ([whole], false) = (V4::as_mut_simd_f32s(&mut out[..taken]).0, onto) {
            *whole = *values;
            continue;
        }
        let values: &[f32] = &cast_slice(std::slice::from_ref(values))[..taken];
        if onto {
            out[..taken]
                .iter_mut()
                .zip(values)
                .for_each(|(out, value)| *out += value);
        } else {
            out[..taken].copy_from_slice(values);
        }
    }
}

/// The product, or the gated GELU of both.
#[inline(always)]
fn tiles<const W: usize, const R: usize>(
    features: Vnni,
    simd: V4,
    lhs: &[u32],
    weights: [&[u32]; W],
) -> [f32x16; R] {
    let mut out = tile::<R>(features, simd, lhs, weights[0]);
    if W == 2 {
        let linear = tile::<R>(features, simd, lhs, weights[1]);
        for (out, linear) in out.iter_mut().zip(linear) {
            *out = simd.mul_f32s(gelu(simd, *out), linear);
        }
    }
    out
}

/// R rows against one panel.
#[inline(always)]
fn tile<const R: usize>(_: Vnni, simd: V4, lhs: &[u32], panel: &[u32]) -> [f32x16; R] {
    let mut sums = [simd.splat_f32s(0.0); R];
    for (lhs, block) in lhs
        .chunks_exact((WORDS + 2) * R)
        .zip(panel.as_chunks::<PANEL_BLOCK>().0)
    {
        let (rows, tails) = lhs.as_chunks::<R>().0.split_at(WORDS);
        let [offsets, scales] = tails else { continue };
        let weights: &[u32x16] = cast_slice(&block[..VALUES]);
        let of_columns: &[f32x16] = cast_slice(&block[VALUES..]);
        for row in 0..R {
            let mut sum = simd.splat_u32s(offsets[row]);
            for (words, weight) in rows.iter().zip(weights) {
                sum = add_products(sum, *weight, simd.splat_u32s(words[row]));
            }
            let scale = simd.mul_f32s(of_columns[0], simd.splat_f32s(f32::from_bits(scales[row])));
            sums[row] = simd.mul_add_f32s(to_f32(sum), scale, sums[row]);
        }
    }
    sums
}

/// `sum` and the products of four bytes of each lane, those of `a` unsigned.
#[inline(always)]
fn add_products(sum: u32x16, a: u32x16, b: u32x16) -> u32x16 {
    // SAFETY: only `Kernel` calls it, which holds `Vnni`; all types are 64 plain bytes.
    unsafe {
        let [sum, a, b] = [sum, a, b].map(|words| transmute::<u32x16, __m512i>(words));
        transmute::<__m512i, u32x16>(_mm512_dpbusd_epi32(sum, a, b))
    }
}

#[inline(always)]
fn to_f32(sum: u32x16) -> f32x16 {
    // SAFETY: as above.
    unsafe { transmute::<__m512, f32x16>(_mm512_cvtepi32_ps(transmute::<u32x16, __m512i>(sum))) }
}
