//! Products of the few rows of a decoding step with a packed weight: reading the weight is the
//! bound.
//!
//! An output is a sum over chunks, in one order whichever rows share the pass.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape};
use pulp::Simd;
use rayon::prelude::*;

use super::micro_kernel::{self, CHUNK_WORDS, pack_group, vectors};
use super::mul_add::{self, MulAdd, WithMulAdd};
use super::packed_weight::PackedWeight;
use super::weight::Gate;
use super::{Matrix, PARALLEL_FROM, matrix};
use chartbench_core::isa;

/// Panels side by side for a single row: enough independent sums to hide the latency of a
/// multiply-add.
const SIDE_BY_SIDE: usize = 4;
/// Rows that share a weight vector while it is in a register.
const SHARING: usize = 4;

/// One weight: the product. Two: the gated GELU of both products.
pub(super) struct PackedDecodeLinear<'a, const W: usize>(pub(super) [&'a PackedWeight; W]);

impl<const W: usize> CustomOp1 for PackedDecodeLinear<'_, W> {
    fn name(&self) -> &'static str {
        "packed-row-linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        let Matrix {
            values: x,
            rows,
            columns: inner,
        } = matrix(x, xl)?;
        let columns = self.0[0].columns;
        if let Some(weight) = self
            .0
            .iter()
            .find(|weight| weight.inner != inner || weight.columns != columns)
        {
            candle_core::bail!(
                "{}: weight {weight:?} does not fit input {rows}x{inner}",
                self.name()
            );
        }
        let mut outs = self.0.map(|weight| products(x, rows, weight)).into_iter();
        let mut out = outs.next().unwrap_or_default();
        for linear in outs {
            isa::arch().dispatch(Gate {
                gate: &mut out,
                linear: &linear,
            });
        }
        Ok((CpuStorage::F32(out), Shape::from((rows, columns))))
    }
}

/// `x · wᵀ`, row-major [rows, columns].
pub(super) fn products(x: &[f32], rows: usize, weight: &PackedWeight) -> Vec<f32> {
    let PackedWeight {
        inner,
        columns,
        dtype,
        width,
        ..
    } = *weight;
    let words = inner.div_ceil(dtype.values_per_word());
    let mut out = vec![0f32; rows * columns];
    if out.is_empty() || words == 0 {
        return out;
    }
    let groups: Vec<Vec<f32>> = groups(rows)
        .map(|(first, taken)| {
            let mut packed = vec![0f32; taken * words];
            let rows = x[first * inner..(first + taken) * inner].chunks_exact(inner);
            pack_group(rows, taken, dtype.values_per_word(), &mut packed);
            packed
        })
        .collect();
    // [panels][rows][width]: a task's outputs lie together.
    let mut by_panel = vec![0f32; columns.div_ceil(width) * rows * width];
    let task = |(out, panels): (&mut [f32], &[f32])| {
        mul_add::dispatch(
            dtype,
            FewRows {
                groups: &groups,
                rows,
                words,
                panels,
                out,
            },
        );
    };
    let (of_out, of_words) = (SIDE_BY_SIDE * rows * width, SIDE_BY_SIDE * words * width);
    if x.len() * columns < PARALLEL_FROM {
        by_panel
            .chunks_mut(of_out)
            .zip(weight.words.chunks(of_words))
            .for_each(task);
    } else {
        by_panel
            .par_chunks_mut(of_out)
            .zip(weight.words.par_chunks(of_words))
            .for_each(task);
    }
    for (panel, of_panel) in by_panel.chunks_exact(rows * width).enumerate() {
        for (out, row) in out
            .chunks_exact_mut(columns)
            .zip(of_panel.chunks_exact(width))
        {
            let range = panel * width..columns.min((panel + 1) * width);
            out[range.clone()].copy_from_slice(&row[..range.len()]);
        }
    }
    out
}

/// The first row of each group and how many it has: [`SHARING`], then one at a time.
fn groups(rows: usize) -> impl Iterator<Item = (usize, usize)> {
    let shared = rows / SHARING * SHARING;
    (0..shared)
        .step_by(SHARING)
        .map(|first| (first, SHARING))
        .chain((shared..rows).map(|row| (row, 1)))
}

/// All rows against up to [`SIDE_BY_SIDE`] panels; `out` is [panels][rows][width].
struct FewRows<'a> {
    groups: &'a [Vec<f32>],
    rows: usize,
    words: usize,
    panels: &'a [f32],
    out: &'a mut [f32],
}

impl WithMulAdd for FewRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_mul_add<M: MulAdd>(self, unit: M) {
        let Self {
            groups,
            rows,
            words,
            panels,
            out,
        } = self;
        let width = 2 * <M::S as Simd>::F32_LANES;
        let size = words * width;
        for ((first, taken), packed) in self::groups(rows).zip(groups) {
            if taken == 1 && panels.len() == SIDE_BY_SIDE * size {
                let sums = side_by_side::<M>(unit, packed, panels, size);
                for (panel, sums) in out.chunks_exact_mut(rows * width).zip(&sums) {
                    panel[first * width..][..width]
                        .copy_from_slice(pulp::bytemuck::cast_slice(sums));
                }
                continue;
            }
            for (panel, out) in panels
                .chunks_exact(size)
                .zip(out.chunks_exact_mut(rows * width))
            {
                let (panel, out) = (
                    vectors::<M::S>(panel),
                    &mut out[first * width..][..taken * width],
                );
                if taken == 1 {
                    let tile =
                        micro_kernel::product_in_chunks::<M, 1>(unit, packed.as_chunks().0, panel);
                    out.copy_from_slice(pulp::bytemuck::cast_slice(&tile[0]));
                } else {
                    let tile = micro_kernel::product_in_chunks::<M, SHARING>(
                        unit,
                        packed.as_chunks().0,
                        panel,
                    );
                    for (out, row) in out.chunks_exact_mut(width).zip(&tile) {
                        out.copy_from_slice(pulp::bytemuck::cast_slice(row));
                    }
                }
            }
        }
    }
}

/// One row against [`SIDE_BY_SIDE`] panels of `size` words.
#[inline(always)]
fn side_by_side<M: MulAdd>(
    unit: M,
    row: &[f32],
    panels: &[f32],
    size: usize,
) -> micro_kernel::MicroTile<M::S, SIDE_BY_SIDE> {
    let panels: [_; SIDE_BY_SIDE] =
        std::array::from_fn(|panel| &vectors::<M::S>(&panels[panel * size..][..size])[..row.len()]);
    let zero = [[unit.simd().splat_f32s(0.0); 2]; SIDE_BY_SIDE];
    let mut sums = zero;
    for first in (0..row.len()).step_by(CHUNK_WORDS) {
        let mut part = zero;
        for index in first..row.len().min(first + CHUNK_WORDS) {
            let word = unit.simd().splat_f32s(row[index]);
            for (sums, panel) in part.iter_mut().zip(&panels) {
                for side in 0..2 {
                    sums[side] = unit.mul_add(word, panel[index][side], sums[side]);
                }
            }
        }
        micro_kernel::add(unit.simd(), &mut sums, &part);
    }
    sums
}
