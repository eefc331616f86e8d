//! Attention inside the windows of a grid, as in a Swin transformer. Windows are gathered, shifted,
//! masked and scattered by index, without a rolled or cut copy of the grid.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Storage, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::decode_attention::softmax_weights;
use super::dropout::Dropout;
use super::micro_kernel::{
    self, ROWS_WITH_16_REGISTERS, ROWS_WITH_32_REGISTERS, pack_group, vectors,
};
use super::mul_add::F32;
use super::{AttentionInput, Matrix, matrix};
use chartbench_core::isa;

/// Added to the score of two tokens that are neighbours only because the grid was shifted.
pub(super) const APART: f32 = -100.0;

/// A partition of a row-major grid of tokens into square windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Height and width of the grid, multiples of `side`.
    pub grid: (usize, usize),
    /// Height and width of a window.
    pub side: usize,
    /// Rows and columns the grid is rolled up and left by before it is cut.
    pub shift: usize,
}

impl Windows {
    /// The grid positions of every window's tokens, window after window, each row-major.
    pub(super) fn positions(&self) -> Vec<usize> {
        let ((height, width), side) = (self.grid, self.side);
        let tokens_of = |window: usize| {
            let (top, left) = (
                window / (width / side) * side,
                window % (width / side) * side,
            );
            (0..side * side).map(move |inside| (top + inside / side, left + inside % side))
        };
        let rolled = |(y, x)| (y + self.shift) % height * width + (x + self.shift) % width;
        (0..height * width / (side * side))
            .flat_map(tokens_of)
            .map(rolled)
            .collect()
    }

    /// The region, one of nine that a shifted cut leaves whole, of each token of
    /// [`Self::positions`].
    pub(super) fn regions(&self) -> Vec<u8> {
        let ((height, width), side) = (self.grid, self.side);
        let part = |index: usize, size: usize| {
            u8::from(index >= size - side) + u8::from(index >= size - self.shift)
        };
        let region = |window: usize, inside: usize| {
            let (top, left) = (
                window / (width / side) * side,
                window % (width / side) * side,
            );
            3 * part(top + inside / side, height) + part(left + inside % side, width)
        };
        let tokens = side * side;
        (0..height * width)
            .map(|index| {
                if self.shift == 0 {
                    0
                } else {
                    region(index / tokens, index % tokens)
                }
            })
            .collect()
    }

    pub(super) fn check(&self, tokens: usize) -> Result<()> {
        let Self {
            grid: (height, width),
            side,
            shift,
        } = *self;
        let whole =
            side > 0 && height.is_multiple_of(side) && width.is_multiple_of(side) && shift < side;
        if !whole || height * width != tokens {
            candle_core::bail!(
                "windows of {side} shifted by {shift} do not fit {tokens} tokens in {height}x{width}"
            );
        }
        Ok(())
    }
}

/// See [`super::window_attention`].
pub(super) struct WindowAttention {
    pub(super) windows: Windows,
    pub(super) heads: usize,
    pub(super) bias: Tensor,
}

impl CustomOp3 for WindowAttention {
    fn name(&self) -> &'static str {
        "window-attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        ql: &Layout,
        k: &CpuStorage,
        kl: &Layout,
        v: &CpuStorage,
        vl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let input =
            AttentionInput::new(self.heads, matrix(q, ql)?, matrix(k, kl)?, matrix(v, vl)?)?;
        let (storage, layout) = self.bias.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else {
            candle_core::bail!("the bias is on another device")
        };
        let out = attend(&input, self.windows, matrix(storage, layout)?, None)?;
        Ok((
            CpuStorage::F32(out),
            Shape::from((input.queries, input.hidden)),
        ))
    }
}

/// Attends in all windows.
pub(super) fn attend(
    input: &AttentionInput,
    windows: Windows,
    bias: Matrix,
    dropout: Option<&Dropout>,
) -> Result<Vec<f32>> {
    windows.check(input.queries)?;
    let tokens = windows.side * windows.side;
    let Matrix {
        values: bias,
        rows,
        columns,
    } = bias;
    if (rows, columns) != (input.heads * tokens, tokens) || input.keys != input.queries {
        candle_core::bail!(
            "a bias {rows}x{columns} does not fit {} heads in windows of {tokens}",
            input.heads
        );
    }
    let (positions, regions) = (windows.positions(), windows.regions());
    let mut windowed = vec![0f32; input.queries * input.hidden];
    let arch = isa::arch();
    let tasks = windowed.par_chunks_mut(tokens * input.hidden).enumerate();
    tasks
        .zip(positions.par_chunks(tokens))
        .zip(regions.par_chunks(tokens))
        .for_each(|(((index, out), positions), regions)| {
            arch.dispatch(OneWindow {
                input,
                bias,
                index,
                positions,
                regions,
                dropout,
                out,
            });
        });
    let mut out = vec![0f32; windowed.len()];
    for (row, &position) in windowed.chunks_exact(input.hidden).zip(&positions) {
        out[position * input.hidden..][..input.hidden].copy_from_slice(row);
    }
    Ok(out)
}

/// All heads of one window.
struct OneWindow<'a> {
    input: &'a AttentionInput<'a>,
    bias: &'a [f32],
    /// The window's index.
    index: usize,
    positions: &'a [usize],
    regions: &'a [u8],
    dropout: Option<&'a Dropout>,
    out: &'a mut [f32],
}

impl WithSimd for OneWindow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if micro_kernel::has_32_registers::<S>() {
            self.run::<S, ROWS_WITH_32_REGISTERS>(simd)
        } else {
            self.run::<S, ROWS_WITH_16_REGISTERS>(simd)
        }
    }
}

impl OneWindow<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize>(mut self, simd: S) {
        let (tokens, width) = (self.positions.len(), self.input.width());
        let columns = 2 * S::F32_LANES;
        let mut head = Head {
            first: 0,
            q: vec![0f32; tokens.div_ceil(R) * R * width],
            k: vec![0f32; tokens.div_ceil(columns) * columns * width],
            v: vec![0f32; width.div_ceil(columns) * columns * tokens],
            scores: vec![0f32; R * tokens.div_ceil(columns) * columns],
            weights: vec![0f32; R * tokens],
        };
        for index in 0..self.input.heads {
            head.first = index * width;
            self.pack(self.input.q, head.first, R, &mut head.q);
            self.pack(self.input.k, head.first, columns, &mut head.k);
            self.pack_values(head.first, columns, &mut head.v);
            for group in 0..tokens.div_ceil(R) {
                head.score::<S, R>(simd, group, width);
                self.weigh::<S, R>(simd, group, index, &mut head);
                self.write::<S, R>(simd, group, &head);
            }
        }
    }

    /// Packs the values of one head in the tokens' rows, as groups of rows.
    #[inline(always)]
    fn pack(&self, values: &[f32], first: usize, group: usize, packed: &mut [f32]) {
        let (hidden, width) = (self.input.hidden, self.input.width());
        for (packed, positions) in packed
            .chunks_exact_mut(group * width)
            .zip(self.positions.chunks(group))
        {
            pack_group(
                positions
                    .iter()
                    .map(|position| &values[position * hidden + first..][..width]),
                group,
                1,
                packed,
            );
        }
    }

    /// Packs one head's values as panels of `columns`.
    #[inline(always)]
    fn pack_values(&self, first: usize, columns: usize, packed: &mut [f32]) {
        let (hidden, width) = (self.input.hidden, self.input.width());
        for (panel, packed) in packed
            .chunks_exact_mut(columns * self.positions.len())
            .enumerate()
        {
            let taken = columns.min(width - panel * columns);
            for (packed, position) in packed.chunks_exact_mut(columns).zip(self.positions) {
                let from = position * hidden + first + panel * columns;
                packed[..taken].copy_from_slice(&self.input.v[from..][..taken]);
            }
        }
    }

    /// Adds bias and mask to a group's scores, and packs their softmax as the left operand of the
    /// product with the values.
    #[inline(always)]
    fn weigh<S: Simd, const R: usize>(&self, simd: S, group: usize, index: usize, head: &mut Head) {
        let tokens = self.positions.len();
        let padded = head.scores.len() / R;
        for (row, scores) in head.scores.chunks_exact_mut(padded).enumerate() {
            let query = group * R + row;
            let Some(&region) = self.regions.get(query) else {
                break;
            };
            let scores = &mut scores[..tokens];
            let bias = &self.bias[(index * tokens + query) * tokens..][..tokens];
            for ((score, bias), other) in scores.iter_mut().zip(bias).zip(self.regions) {
                *score += bias + if *other == region { 0.0 } else { APART };
            }
            let sum = softmax_weights(simd, scores);
            if let Some(dropout) = self.dropout {
                dropout.apply(
                    ((self.index * self.input.heads + index) * tokens + query) * tokens,
                    scores,
                );
            }
            for (weights, score) in head.weights.chunks_exact_mut(R).zip(&*scores) {
                weights[row] = score / sum;
            }
        }
    }

    /// Writes a group's weighted sums of the values.
    #[inline(always)]
    fn write<S: Simd, const R: usize>(&mut self, simd: S, group: usize, head: &Head) {
        let (hidden, width, tokens) = (self.input.hidden, self.input.width(), self.positions.len());
        let columns = 2 * S::F32_LANES;
        for (panel, values) in head.v.chunks_exact(columns * tokens).enumerate() {
            let taken = columns.min(width - panel * columns);
            let tile = micro_kernel::product::<_, R>(
                F32(simd),
                head.weights.as_chunks().0,
                vectors::<S>(values),
            );
            let rows = self.out[group * R * hidden..].chunks_exact_mut(hidden);
            for (row, values) in rows.zip(&tile) {
                let values: &[f32] = pulp::bytemuck::cast_slice(values);
                row[head.first + panel * columns..][..taken].copy_from_slice(&values[..taken]);
            }
        }
    }
}

/// One head of one window, packed, with scratch for scores and weights.
struct Head {
    /// The head's first column in a row.
    first: usize,
    /// `[tokens / R][width][R]`, the last group filled up with zeros.
    q: Vec<f32>,
    /// `[tokens / columns][width][columns]`, likewise.
    k: Vec<f32>,
    /// `[width / columns][tokens][columns]`, likewise.
    v: Vec<f32>,
    /// `[R][tokens]`, each row as long as the panels of keys.
    scores: Vec<f32>,
    /// `[tokens][R]`.
    weights: Vec<f32>,
}

impl Head {
    /// Computes the scores of one group of queries against all keys.
    #[inline(always)]
    fn score<S: Simd, const R: usize>(&mut self, simd: S, group: usize, width: usize) {
        let columns = 2 * S::F32_LANES;
        let padded = self.scores.len() / R;
        let left = self.q[group * R * width..][..R * width].as_chunks::<R>().0;
        for (panel, keys) in self.k.chunks_exact(columns * width).enumerate() {
            let tile = micro_kernel::product::<_, R>(F32(simd), left, vectors::<S>(keys));
            for (row, values) in self.scores.chunks_exact_mut(padded).zip(&tile) {
                row[panel * columns..][..columns]
                    .copy_from_slice(pulp::bytemuck::cast_slice(values));
            }
        }
    }
}
