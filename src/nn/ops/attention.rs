//! Attention of many queries over many keys with a running softmax.
//!
//! Scores are formed for a panel of queries and a block of keys at a time, transposed (keys by queries), so that a
//! vector holds many queries: maximum, exponential and sum of the softmax are then plain vector operations, and
//! the scores already lie as the panel the product with the values needs.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::Heads;
use super::cell::{self, CellShape, NARROW_ROWS, WIDE_ROWS, pack_group, vectors, vectors_mut};
use super::elementary::exp;
use super::parts::{Gradients, Part, Scores, places};

/// Query panels of a task: each block of keys, once in the cache, serves them all.
const QUERY_PANELS: usize = 3;
/// Keys between two rescalings of the running softmax; a multiple of the rows of a cell.
const BLOCK_KEYS: usize = 256;

/// See [`super::attention`].
pub(super) struct Attention {
    pub(super) heads: usize,
    pub(super) parts: Vec<Part>,
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
        let input = Heads::new(self.heads, (q, ql), (k, kl), (v, vl))?;
        let mut out = vec![0f32; input.queries * input.hidden];
        for place in places(&self.parts, &input, false)? {
            let rows = place.query * input.hidden..(place.query + place.part.queries) * input.hidden;
            attend(&input.part(place), &mut out[rows]);
        }
        Ok((CpuStorage::F32(out), Shape::from((input.queries, input.hidden))))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dq, dk, dv, _) = Gradients::of(self.heads, [q, k, v], grad, &self.parts, Scores::default())?;
        Ok((Some(dq), Some(dk), Some(dv)))
    }
}

fn attend(input: &Heads, out: &mut [f32]) {
    let shape = CellShape::get();
    let keys: Vec<PackedHead> =
        (0..input.heads).into_par_iter().map(|head| PackedHead::new(input, head, shape.rows)).collect();
    let rows = QUERY_PANELS * shape.columns;
    let arch = Arch::new();
    out.par_chunks_mut(rows * input.hidden).enumerate().for_each(|(task, out)| {
        arch.dispatch(QueryRows { input, keys: &keys, first: task * rows, out });
    });
}

/// Keys and values of one head, packed as left operands of cells.
struct PackedHead {
    /// `[keys / R][width][R]`, the last group filled up with zeros.
    k: Vec<f32>,
    /// `[width / R][keys][R]`, likewise.
    v: Vec<f32>,
}

impl PackedHead {
    fn new(input: &Heads, head: usize, rows: usize) -> Self {
        let width = input.width();
        let part = head * width..(head + 1) * width;
        let mut k = vec![0f32; input.keys.div_ceil(rows) * rows * width];
        for (group, keys) in k.chunks_exact_mut(rows * width).zip(input.k.chunks(rows * input.hidden)) {
            pack_group(keys.chunks_exact(input.hidden).map(|key| &key[part.clone()]), rows, group);
        }
        let mut v = vec![0f32; width.div_ceil(rows) * rows * input.keys];
        for (group, packed) in v.chunks_exact_mut(rows * input.keys).enumerate() {
            let part = part.start + group * rows..part.end.min(part.start + (group + 1) * rows);
            for (packed, value) in packed.chunks_exact_mut(rows).zip(input.v.chunks_exact(input.hidden)) {
                packed[..part.len()].copy_from_slice(&value[part.clone()]);
            }
        }
        Self { k, v }
    }
}

/// A run of query rows, all heads.
struct QueryRows<'a> {
    input: &'a Heads<'a>,
    keys: &'a [PackedHead],
    first: usize,
    out: &'a mut [f32],
}

impl WithSimd for QueryRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if cell::wide::<S>() { self.run::<S, WIDE_ROWS>(simd) } else { self.run::<S, NARROW_ROWS>(simd) }
    }
}

impl QueryRows<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize>(self, simd: S) {
        let (width, columns) = (self.input.width(), 2 * S::F32_LANES);
        let hidden = self.input.hidden;
        let rows = self.out.len() / hidden;
        let mut scores = vec![0f32; BLOCK_KEYS * columns];
        for (head, keys) in self.keys.iter().enumerate() {
            let part = head * width..(head + 1) * width;
            let queries = &self.input.q[self.first * hidden..][..rows * hidden];
            let mut panels: Vec<Panel<S>> = queries
                .chunks(columns * hidden)
                .map(|rows| Panel::new(simd, rows.chunks_exact(hidden).map(|row| &row[part.clone()]), width, R))
                .collect();
            for first in (0..self.input.keys).step_by(BLOCK_KEYS) {
                let block = first..self.input.keys.min(first + BLOCK_KEYS);
                for panel in &mut panels {
                    panel.attend::<R>(simd, keys, block.clone(), width, self.input.keys, &mut scores);
                }
            }
            for (panel, out) in panels.iter().zip(self.out.chunks_mut(columns * hidden)) {
                panel.write(out.chunks_exact_mut(hidden).map(|row| &mut row[part.clone()]));
            }
        }
    }
}

/// The running softmax of one panel of queries: what they have seen so far of the keys.
struct Panel<S: Simd> {
    /// `[width]` pairs of vectors: the queries, transposed.
    q: Vec<f32>,
    /// `[width]` pairs of vectors: values summed with weights `exp(score - largest)`.
    sum: Vec<f32>,
    largest: [S::f32s; 2],
    weight: [S::f32s; 2],
}

impl<S: Simd> Panel<S> {
    #[inline(always)]
    fn new<'a>(simd: S, queries: impl Iterator<Item = &'a [f32]>, width: usize, rows: usize) -> Self {
        let columns = 2 * S::F32_LANES;
        let mut q = vec![0f32; width * columns];
        pack_group(queries, columns, &mut q);
        Self {
            q,
            sum: vec![0f32; width.div_ceil(rows) * rows * columns],
            largest: [simd.splat_f32s(f32::NEG_INFINITY); 2],
            weight: [simd.splat_f32s(0.0); 2],
        }
    }

    /// Takes in the keys of `block`; `scores` is room for [`BLOCK_KEYS`] pairs of vectors.
    #[inline(always)]
    fn attend<const R: usize>(
        &mut self,
        simd: S,
        keys: &PackedHead,
        block: std::ops::Range<usize>,
        width: usize,
        total: usize,
        scores: &mut [f32],
    ) {
        let scores = &mut vectors_mut::<S>(scores)[..block.len()];
        let mut largest = self.largest;
        let groups = keys.k[block.start * width..].chunks_exact(R * width);
        for (group, scores) in groups.zip(scores.chunks_mut(R)) {
            let cell = cell::product::<S, R>(simd, group.as_chunks().0, vectors::<S>(&self.q));
            for (score, row) in scores.iter_mut().zip(cell) {
                *score = row;
                for side in 0..2 {
                    largest[side] = simd.max_f32s(largest[side], row[side]);
                }
            }
        }
        let mut shrink = self.largest;
        for side in 0..2 {
            shrink[side] = exp(simd, simd.sub_f32s(self.largest[side], largest[side]));
            self.weight[side] = simd.mul_f32s(self.weight[side], shrink[side]);
        }
        self.largest = largest;
        for score in scores.iter_mut() {
            for side in 0..2 {
                score[side] = exp(simd, simd.sub_f32s(score[side], largest[side]));
                self.weight[side] = simd.add_f32s(self.weight[side], score[side]);
            }
        }
        let groups = keys.v.chunks_exact(R * total);
        for (group, sum) in groups.zip(vectors_mut::<S>(&mut self.sum).chunks_exact_mut(R)) {
            let values = &group.as_chunks().0[block.clone()];
            let cell = cell::product::<S, R>(simd, values, scores);
            for (sum, row) in sum.iter_mut().zip(cell) {
                for side in 0..2 {
                    sum[side] = simd.mul_add_f32s(sum[side], shrink[side], row[side]);
                }
            }
        }
    }

    /// The finished averages, one query a row.
    fn write<'a>(&self, rows: impl Iterator<Item = &'a mut [f32]>) {
        let columns = 2 * S::F32_LANES;
        let weights: &[f32] = pulp::bytemuck::cast_slice(&self.weight);
        for ((row, query), weight) in rows.zip(0..columns).zip(weights) {
            for (value, sums) in row.iter_mut().zip(self.sum.chunks_exact(columns)) {
                *value = sums[query] / weight;
            }
        }
    }
}
