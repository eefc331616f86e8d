//! The kernels of x86-64. Their results are equal bit for bit.

mod avx2;
mod vnni;

use chartbench_core::isa;
use pulp::bytemuck::{Pod, cast_slice, cast_slice_mut};
use pulp::{Arch, NullaryFnOnce, Simd};
use std::slice::{from_mut, from_ref};

use super::{BLOCK, Task, WIDTH, round_rows};
use crate::kernels::elementary::gelu;
use avx2::Avx2Tiles;
use vnni::VnniTiles;

/// Words of a panel's block for each column, of four bytes each.
const WORDS: usize = BLOCK / 4;

/// The kernel in use.
#[derive(Clone, Copy)]
pub(super) enum Kernel {
    Avx2(Avx2Tiles),
    Vnni(VnniTiles),
}

impl Kernel {
    /// The kernel of the instruction set in use, if it has one.
    pub(super) fn current() -> Option<Self> {
        let isa = isa::current();
        match isa.arch {
            Arch::V4(_) if isa.vnni => VnniTiles::try_new().map(Self::Vnni),
            Arch::V4(simd) => Some(Self::Avx2(Avx2Tiles(*simd))),
            Arch::V3(simd) => Some(Self::Avx2(Avx2Tiles(simd))),
            _ => None,
        }
    }

    /// Rows of a group.
    pub(super) fn group(self) -> usize {
        match self {
            Self::Avx2(_) => avx2::GROUP,
            Self::Vnni(_) => vnni::GROUP,
        }
    }

    /// A group's words; see [`super::Group::words`].
    pub(super) fn round(self, x: &[f32], rows: usize) -> Vec<u32> {
        match self {
            Self::Avx2(tiles) => {
                let mut words = vec![0; x.len() / BLOCK * avx2::LHS_BLOCK];
                tiles.0.vectorize(Round {
                    x,
                    rows,
                    words: &mut words,
                    pack: avx2::pack,
                });
                words
            }
            Self::Vnni(tiles) => {
                let mut words = vec![0; x.len() / BLOCK * vnni::LHS_BLOCK];
                tiles.0.vectorize(Round {
                    x,
                    rows,
                    words: &mut words,
                    pack: vnni::pack,
                });
                words
            }
        }
    }

    pub(super) fn run<const W: usize>(self, task: Task<'_, W>) {
        match self {
            Self::Avx2(tiles) => tiles
                .0
                .vectorize(Run::<_, W, { avx2::GROUP }> { tiles, task }),
            Self::Vnni(tiles) => tiles
                .0
                .vectorize(Run::<_, W, { vnni::GROUP }> { tiles, task }),
        }
    }
}

struct Round<'a, F> {
    x: &'a [f32],
    rows: usize,
    words: &'a mut [u32],
    pack: F,
}

impl<const N: usize, F: Fn([i8; 4]) -> [u32; N]> NullaryFnOnce for Round<'_, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        round_rows(self.x, self.rows, self.words, self.pack);
    }
}

/// Instructions for the product of rows and a panel.
trait Tiles: Copy {
    type S: Simd;
    /// A row of a tile: 16 values in vectors.
    type Row: Pod;

    fn simd(self) -> Self::S;

    /// R rows against one panel.
    fn tile<const R: usize>(self, lhs: &[u32], panel: &[u32]) -> [Self::Row; R];
}

/// A task with groups of `GROUP` rows.
struct Run<'a, T, const W: usize, const GROUP: usize> {
    tiles: T,
    task: Task<'a, W>,
}

impl<T: Tiles, const W: usize, const GROUP: usize> NullaryFnOnce for Run<'_, T, W, GROUP> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self {
            tiles,
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
        } = self;
        for index in 0..columns.div_ceil(WIDTH) {
            let weights = weights.map(|words| &words[index * of_panel..][..of_panel]);
            let taken = WIDTH.min(columns - index * WIDTH);
            let mut first = 0;
            for group in &lhs.groups {
                let out = &mut out[index * panel + first * row..];
                let words = &*group.words;
                if group.rows == GROUP {
                    write(
                        product::<T, W, GROUP>(tiles, words, weights),
                        out,
                        row,
                        taken,
                        onto,
                    );
                } else {
                    write(
                        product::<T, W, 1>(tiles, words, weights),
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

/// The product, or the gated GELU of both.
#[inline(always)]
fn product<T: Tiles, const W: usize, const R: usize>(
    tiles: T,
    lhs: &[u32],
    weights: [&[u32]; W],
) -> [T::Row; R] {
    let mut out = tiles.tile::<R>(lhs, weights[0]);
    if W == 2 {
        let simd = tiles.simd();
        let linear = tiles.tile::<R>(lhs, weights[1]);
        for (out, linear) in out.iter_mut().zip(&linear) {
            let out: &mut [<T::S as Simd>::f32s] = cast_slice_mut(from_mut(out));
            for (out, linear) in out.iter_mut().zip(cast_slice(from_ref(linear))) {
                *out = simd.mul_f32s(gelu(simd, *out), *linear);
            }
        }
    }
    out
}

#[inline(always)]
fn write<Row: Pod, const R: usize>(
    tile: [Row; R],
    out: &mut [f32],
    row: usize,
    taken: usize,
    onto: bool,
) {
    for (values, out) in tile.iter().zip(out.chunks_mut(row)) {
        let values: &[f32] = cast_slice(from_ref(values));
        if taken == WIDTH {
            put(&values[..WIDTH], &mut out[..WIDTH], onto);
        } else {
            put(&values[..taken], &mut out[..taken], onto);
        }
    }
}

#[inline(always)]
fn put(values: &[f32], out: &mut [f32], onto: bool) {
    if onto {
        out.iter_mut()
            .zip(values)
            .for_each(|(out, value)| *out += value);
    } else {
        out.copy_from_slice(values);
    }
}
