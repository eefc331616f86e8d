//! Attention of many queries over many keys with an online softmax, as in FlashAttention.
//!
//! Scores are formed for a panel of queries and a block of keys at a time, transposed (keys by
//! queries), so that a vector holds many queries: maximum, exponential and sum of the softmax are
//! then plain vector operations, and the scores already lie as the panel the product with the
//! values needs.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use pulp::Simd;
use rayon::prelude::*;

use super::elementary::exp;
use super::micro_kernel::{
    self, ROWS_WITH_16_REGISTERS, ROWS_WITH_32_REGISTERS, TileShape, pack_columns, pack_group,
    vectors, vectors_mut,
};
use super::mul_add::{self, ComputeDtype, F, MulAdd, WithMulAdd};
use super::varlen::{AttentionGradients, ScoreModifiers, SequenceSpan, span_offsets};
use super::{AttentionInput, matrix};

/// Query panels of a task: each block of keys, once in the cache, serves them all.
const QUERY_PANELS: usize = 3;
/// Keys between two rescalings of the online softmax; a multiple of the rows of a tile.
const BLOCK_KEYS: usize = 256;

/// See [`super::attention`].
pub(super) struct Attention {
    pub(super) heads: usize,
    pub(super) spans: Vec<SequenceSpan>,
    pub(super) dtype: ComputeDtype,
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
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
        let mut out = vec![0f32; input.queries * input.hidden];
        for offsets in span_offsets(&self.spans, &input, false)? {
            let rows =
                offsets.query * input.hidden..(offsets.query + offsets.span.queries) * input.hidden;
            attend(&input.span(offsets), self.dtype, &mut out[rows]);
        }
        Ok((
            CpuStorage::F32(out),
            Shape::from((input.queries, input.hidden)),
        ))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dq, dk, dv, _) = AttentionGradients::tensors(
            self.heads,
            [q, k, v],
            grad,
            &self.spans,
            ScoreModifiers::default(),
        )?;
        Ok((Some(dq), Some(dk), Some(dv)))
    }
}

fn attend(input: &AttentionInput, dtype: ComputeDtype, out: &mut [f32]) {
    let shape = TileShape::get();
    let keys: Vec<PackedHead> = (0..input.heads)
        .into_par_iter()
        .map(|head| PackedHead::new(input, head, shape.rows, dtype.values_per_word()))
        .collect();
    let rows = QUERY_PANELS * shape.columns;
    out.par_chunks_mut(rows * input.hidden)
        .enumerate()
        .for_each(|(task, out)| {
            mul_add::dispatch(
                dtype,
                QueryRows {
                    input,
                    keys: &keys,
                    first: task * rows,
                    out,
                },
            );
        });
}

/// Keys and values of one head, packed as words, the left operands of cells.
struct PackedHead {
    /// `[keys / R][width / values][R]`, the last group filled up with zeros.
    k: Vec<f32>,
    /// `[width / R][keys / values][R]`, likewise.
    v: Vec<f32>,
}

impl PackedHead {
    fn new(input: &AttentionInput, head: usize, rows: usize, values: usize) -> Self {
        let width = input.width();
        let part = head * width..(head + 1) * width;
        let words = width.div_ceil(values);
        let mut k = vec![0f32; input.keys.next_multiple_of(rows) * words];
        for (group, keys) in k
            .chunks_exact_mut(rows * words)
            .zip(input.k.chunks(rows * input.hidden))
        {
            pack_group(
                keys.chunks_exact(input.hidden)
                    .map(|key| &key[part.clone()]),
                rows,
                values,
                group,
            );
        }
        let words = input.keys.div_ceil(values);
        let mut v = vec![0f32; width.next_multiple_of(rows) * words];
        for (group, packed) in v.chunks_exact_mut(rows * words).enumerate() {
            let part = part.start + group * rows..part.end.min(part.start + (group + 1) * rows);
            pack_columns(input.v, input.hidden, part, rows, values, packed);
        }
        Self { k, v }
    }
}

/// A run of query rows, all heads.
struct QueryRows<'a> {
    input: &'a AttentionInput<'a>,
    keys: &'a [PackedHead],
    first: usize,
    out: &'a mut [f32],
}

impl WithMulAdd for QueryRows<'_> {
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

impl QueryRows<'_> {
    #[inline(always)]
    fn run<M: MulAdd, const R: usize>(self, unit: M) {
        let (width, columns) = (self.input.width(), 2 * <M::S as Simd>::F32_LANES);
        let hidden = self.input.hidden;
        let rows = self.out.len() / hidden;
        let mut scores = vec![0f32; BLOCK_KEYS * columns];
        for (head, keys) in self.keys.iter().enumerate() {
            let part = head * width..(head + 1) * width;
            let queries = &self.input.q[self.first * hidden..][..rows * hidden];
            let mut panels: Vec<Panel<M>> = queries
                .chunks(columns * hidden)
                .map(|rows| {
                    Panel::new(
                        unit,
                        rows.chunks_exact(hidden).map(|row| &row[part.clone()]),
                        width,
                        R,
                    )
                })
                .collect();
            for first in (0..self.input.keys).step_by(BLOCK_KEYS) {
                let block = first..self.input.keys.min(first + BLOCK_KEYS);
                for panel in &mut panels {
                    panel.attend::<R>(
                        unit,
                        keys,
                        block.clone(),
                        width,
                        self.input.keys,
                        &mut scores,
                    );
                }
            }
            for (panel, out) in panels.iter().zip(self.out.chunks_mut(columns * hidden)) {
                panel.write(
                    out.chunks_exact_mut(hidden)
                        .map(|row| &mut row[part.clone()]),
                );
            }
        }
    }
}

/// The online softmax of one panel of queries over the keys so far.
struct Panel<M: MulAdd> {
    /// `[width / values]` pairs of vectors of words: the queries, transposed.
    q: Vec<f32>,
    /// `[width]` pairs of vectors: values summed with weights `exp(score - largest)`.
    sum: Vec<f32>,
    largest: [F<M>; 2],
    weight: [F<M>; 2],
}

impl<M: MulAdd> Panel<M> {
    #[inline(always)]
    fn new<'a>(
        unit: M,
        queries: impl Iterator<Item = &'a [f32]>,
        width: usize,
        rows: usize,
    ) -> Self {
        let (simd, columns) = (unit.simd(), 2 * <M::S as Simd>::F32_LANES);
        let mut q = vec![0f32; width.div_ceil(M::VALUES) * columns];
        pack_group(queries, columns, M::VALUES, &mut q);
        Self {
            q,
            sum: vec![0f32; width.next_multiple_of(rows) * columns],
            largest: [simd.splat_f32s(f32::NEG_INFINITY); 2],
            weight: [simd.splat_f32s(0.0); 2],
        }
    }

    /// Adds the keys of `block`; `scores` is scratch of [`BLOCK_KEYS`] pairs of vectors.
    #[inline(always)]
    fn attend<const R: usize>(
        &mut self,
        unit: M,
        keys: &PackedHead,
        block: std::ops::Range<usize>,
        width: usize,
        total: usize,
        scores: &mut [f32],
    ) {
        let simd = unit.simd();
        let scores = &mut vectors_mut::<M::S>(scores)[..block.len()];
        let mut largest = self.largest;
        let words = width.div_ceil(M::VALUES);
        let groups = keys.k[block.start * words..].chunks_exact(R * words);
        for (group, scores) in groups.zip(scores.chunks_mut(R)) {
            let tile =
                micro_kernel::product::<M, R>(unit, group.as_chunks().0, vectors::<M::S>(&self.q));
            for (score, row) in scores.iter_mut().zip(tile) {
                *score = row;
                for side in 0..2 {
                    largest[side] = simd.max_f32s(largest[side], row[side]);
                }
            }
        }
        let (mut shrink, mut weight) = (self.largest, self.weight);
        for side in 0..2 {
            shrink[side] = exp(simd, simd.sub_f32s(self.largest[side], largest[side]));
            weight[side] = simd.mul_f32s(weight[side], shrink[side]);
        }
        for index in 0..block.len().div_ceil(M::VALUES) {
            for side in 0..2 {
                let mut values = [simd.splat_f32s(0.0); 2];
                for (value, score) in values
                    .iter_mut()
                    .zip(&scores[index * M::VALUES..])
                    .take(M::VALUES)
                {
                    let distance = simd.sub_f32s(score[side], largest[side]);
                    *value = unit.exp(distance);
                    weight[side] = simd.add_f32s(weight[side], *value);
                }
                scores[index][side] = unit.pack_words(values);
            }
        }
        (self.largest, self.weight) = (largest, weight);
        let words = block.start / M::VALUES..block.end.div_ceil(M::VALUES);
        let groups = keys.v.chunks_exact(R * total.div_ceil(M::VALUES));
        for (group, sum) in groups.zip(vectors_mut::<M::S>(&mut self.sum).chunks_exact_mut(R)) {
            let values = &group.as_chunks().0[words.clone()];
            let tile = micro_kernel::product::<M, R>(unit, values, scores);
            for (sum, row) in sum.iter_mut().zip(tile) {
                for side in 0..2 {
                    sum[side] = simd.mul_add_f32s(sum[side], shrink[side], row[side]);
                }
            }
        }
    }

    /// Writes the finished averages, one query to a row.
    fn write<'a>(&self, rows: impl Iterator<Item = &'a mut [f32]>) {
        let columns = 2 * <M::S as Simd>::F32_LANES;
        let weights: &[f32] = pulp::bytemuck::cast_slice(&self.weight);
        for ((row, query), weight) in rows.zip(0..columns).zip(weights) {
            for (value, sums) in row.iter_mut().zip(self.sum.chunks_exact(columns)) {
                *value = sums[query] / weight;
            }
        }
    }
}
