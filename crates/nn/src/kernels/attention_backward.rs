//! The gradients of one head of any attention: `softmax(q kᵀ + bias) v`.
//!
//! The scores are computed again, for one panel of queries at a time and transposed (keys by
//! queries) as in the forward pass; only two such panels are in memory. With P the softmax, G the
//! gradient of the output and F the factors of dropout: dV = (P ∘ F)ᵀ G, dP = F ∘ (G Vᵀ), dS = P ∘
//! (dP - Σ P ∘ dP), dQ = dS K, dK = dSᵀ Q, dbias = dS.

use pulp::{Arch, Simd, WithSimd};

use super::elementary::exp;
use super::micro_kernel::{
    self, MicroTile, ROWS_WITH_16_REGISTERS, ROWS_WITH_32_REGISTERS, pack_group, vectors,
    vectors_mut,
};
use super::mul_add::F32;

/// One head's rows of queries, keys and values and the gradients of its output, `width` values a
/// row.
#[derive(Debug, Default)]
pub(super) struct HeadRows {
    pub(super) width: usize,
    pub(super) q: Vec<f32>,
    pub(super) k: Vec<f32>,
    pub(super) v: Vec<f32>,
    pub(super) grad: Vec<f32>,
}

/// The gradients of [`HeadRows`], row by row.
#[derive(Debug)]
pub(super) struct HeadGradients {
    pub(super) q: Vec<f32>,
    pub(super) k: Vec<f32>,
    pub(super) v: Vec<f32>,
}

/// Optional panels [queries, keys] in a [`PanelLayout`]: biases of the scores, factors of the
/// probabilities, and sums of the scores' gradients.
#[derive(Debug, Default)]
pub(super) struct ScorePanels<'a> {
    pub(super) bias: Option<&'a [f32]>,
    pub(super) factors: Option<&'a [f32]>,
    pub(super) of_bias: Option<&'a mut [f32]>,
}

/// A matrix [queries, keys] as panels of queries: `[queries / columns][keys][columns]`, zeros fill
/// the last panel.
#[derive(Clone, Copy, Debug)]
pub(super) struct PanelLayout {
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) columns: usize,
}

impl PanelLayout {
    pub(super) fn len(&self) -> usize {
        self.queries.div_ceil(self.columns) * self.columns * self.keys
    }

    pub(super) fn index(&self, query: usize, key: usize) -> usize {
        (query / self.columns * self.keys + key) * self.columns + query % self.columns
    }

    /// Writes each query's and key's value into panels of this layout.
    pub(super) fn fill(&self, panels: &mut [f32], value: impl Fn(usize, usize) -> f32) {
        for query in 0..self.queries {
            for key in 0..self.keys {
                panels[self.index(query, key)] = value(query, key);
            }
        }
    }
}

/// The gradients of one head.
pub(super) fn gradients(arch: Arch, rows: &HeadRows, panels: ScorePanels) -> HeadGradients {
    arch.dispatch(OneHead { rows, panels })
}

struct OneHead<'a> {
    rows: &'a HeadRows,
    panels: ScorePanels<'a>,
}

impl WithSimd for OneHead<'_> {
    type Output = HeadGradients;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> HeadGradients {
        if micro_kernel::has_32_registers::<S>() {
            self.run::<S, ROWS_WITH_32_REGISTERS>(simd)
        } else {
            self.run::<S, ROWS_WITH_16_REGISTERS>(simd)
        }
    }
}

impl OneHead<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize>(mut self, simd: S) -> HeadGradients {
        let (rows, columns) = (self.rows, 2 * S::F32_LANES);
        let width = rows.width;
        let (queries, keys) = (rows.q.len() / width, rows.k.len() / width);
        let keys_of = Keys::new(rows, R);
        let mut sums = Sums::new(keys, width, R, columns);
        let mut out = HeadGradients {
            q: vec![0f32; queries * width],
            k: Vec::new(),
            v: Vec::new(),
        };
        let mut scores = vec![0f32; keys.next_multiple_of(R) * columns];
        let mut slopes = scores.clone();
        let mut panel = Panel::new(width, columns);
        for first in (0..queries).step_by(columns) {
            let taken = first * width..queries.min(first + columns) * width;
            panel.fill(
                &rows.q[taken.clone()],
                &rows.grad[taken.clone()],
                width,
                columns,
            );
            let range = first * keys..(first + columns) * keys;
            products::<S, R>(simd, &keys_of.k, width, &panel.q, &mut scores);
            softmax::<S>(
                simd,
                &mut scores[..keys * columns],
                self.panels.bias.map(|bias| &bias[range.clone()]),
            );
            products::<S, R>(simd, &keys_of.v, width, &panel.grad, &mut slopes);
            let factors = self.panels.factors.map(|factors| &factors[range.clone()]);
            let of_bias = self
                .panels
                .of_bias
                .as_deref_mut()
                .map(|sums| &mut sums[range]);
            through_softmax::<S>(
                simd,
                keys * columns,
                &mut scores,
                &mut slopes,
                factors,
                of_bias,
            );
            write_queries::<S, R>(
                simd,
                &keys_of.across,
                &slopes[..keys * columns],
                width,
                &mut out.q[taken],
            );
            sums.add::<S, R>(simd, &scores, &slopes, &panel);
        }
        (out.k, out.v) = (
            sums.rows(&sums.k, keys, width),
            sums.rows(&sums.v, keys, width),
        );
        out
    }
}

/// Keys and values packed as left operands of tiles.
struct Keys {
    /// `[keys / R][width][R]`, the last group filled up with zeros.
    k: Vec<f32>,
    /// Likewise.
    v: Vec<f32>,
    /// The keys as `[width / R][keys][R]`.
    across: Vec<f32>,
}

impl Keys {
    fn new(rows: &HeadRows, group: usize) -> Self {
        let width = rows.width;
        let keys = rows.k.len() / width;
        let along = |values: &[f32]| {
            let mut packed = vec![0f32; keys.next_multiple_of(group) * width];
            for (packed, rows) in packed
                .chunks_exact_mut(group * width)
                .zip(values.chunks(group * width))
            {
                pack_group(rows.chunks_exact(width), group, 1, packed);
            }
            packed
        };
        let mut across = vec![0f32; width.next_multiple_of(group) * keys];
        split_columns(&rows.k, width, group, keys, &mut across);
        Self {
            k: along(&rows.k),
            v: along(&rows.v),
            across,
        }
    }
}

/// Rows of `width` values as `[width / columns][count][columns]`, the last panel keeps its other
/// values.
fn split_columns(rows: &[f32], width: usize, columns: usize, count: usize, packed: &mut [f32]) {
    for (panel, packed) in packed.chunks_exact_mut(columns * count).enumerate() {
        let first = panel * columns;
        let taken = columns.min(width - first);
        for (packed, row) in packed
            .chunks_exact_mut(columns)
            .zip(rows.chunks_exact(width))
        {
            packed[..taken].copy_from_slice(&row[first..first + taken]);
        }
    }
}

/// A panel of queries and the gradients of their outputs.
struct Panel {
    /// `[width]` pairs of vectors: one query a lane.
    q: Vec<f32>,
    grad: Vec<f32>,
    /// `[width / columns][columns]` pairs of vectors: one query a row.
    q_rows: Vec<f32>,
    grad_rows: Vec<f32>,
}

impl Panel {
    fn new(width: usize, columns: usize) -> Self {
        let (lanes, rows) = (
            vec![0f32; width * columns],
            vec![0f32; width.next_multiple_of(columns) * columns],
        );
        Self {
            q: lanes.clone(),
            grad: lanes,
            q_rows: rows.clone(),
            grad_rows: rows,
        }
    }

    fn fill(&mut self, q: &[f32], grad: &[f32], width: usize, columns: usize) {
        // Lanes past the last query have a gradient of zero: they add nothing.
        for values in [
            &mut self.q,
            &mut self.grad,
            &mut self.q_rows,
            &mut self.grad_rows,
        ] {
            if q.len() < columns * width {
                values.fill(0.0);
            }
        }
        pack_group(q.chunks_exact(width), columns, 1, &mut self.q);
        pack_group(grad.chunks_exact(width), columns, 1, &mut self.grad);
        split_columns(q, width, columns, columns, &mut self.q_rows);
        split_columns(grad, width, columns, columns, &mut self.grad_rows);
    }
}

/// `lhs` (`[rows / R][width][R]`) times a panel: `[rows]` pairs of vectors.
#[inline(always)]
fn products<S: Simd, const R: usize>(
    simd: S,
    lhs: &[f32],
    width: usize,
    panel: &[f32],
    out: &mut [f32],
) {
    let groups = lhs
        .chunks_exact(R * width)
        .zip(vectors_mut::<S>(out).chunks_exact_mut(R));
    for (group, out) in groups {
        let tile: MicroTile<S, R> =
            micro_kernel::product(F32(simd), group.as_chunks().0, vectors::<S>(panel));
        out.copy_from_slice(&tile);
    }
}

/// Scores, with their bias, become probabilities; a lane is a query.
#[inline(always)]
fn softmax<S: Simd>(simd: S, scores: &mut [f32], bias: Option<&[f32]>) {
    let scores = vectors_mut::<S>(scores);
    if let Some(bias) = bias {
        for (score, bias) in scores.iter_mut().zip(vectors::<S>(bias)) {
            for side in 0..2 {
                score[side] = simd.add_f32s(score[side], bias[side]);
            }
        }
    }
    for side in 0..2 {
        let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
        for score in scores.iter() {
            largest = simd.max_f32s(largest, score[side]);
        }
        let mut sum = simd.splat_f32s(0.0);
        for score in scores.iter_mut() {
            score[side] = exp(simd, simd.sub_f32s(score[side], largest));
            sum = simd.add_f32s(sum, score[side]);
        }
        let scale = simd.div_f32s(simd.splat_f32s(1.0), sum);
        for score in scores.iter_mut() {
            score[side] = simd.mul_f32s(score[side], scale);
        }
    }
}

/// Turns `slopes` into the gradients of the scores, and `probabilities` into the weights of the
/// values (after dropout).
#[inline(always)]
fn through_softmax<S: Simd>(
    simd: S,
    len: usize,
    probabilities: &mut [f32],
    slopes: &mut [f32],
    factors: Option<&[f32]>,
    of_bias: Option<&mut [f32]>,
) {
    // Rows that only fill up the last group of keys.
    probabilities[len..].fill(0.0);
    slopes[len..].fill(0.0);
    let (probabilities, slopes) = (
        vectors_mut::<S>(&mut probabilities[..len]),
        vectors_mut::<S>(&mut slopes[..len]),
    );
    if let Some(factors) = factors {
        for (slope, factor) in slopes.iter_mut().zip(vectors::<S>(factors)) {
            for side in 0..2 {
                slope[side] = simd.mul_f32s(slope[side], factor[side]);
            }
        }
    }
    for side in 0..2 {
        let mut mean = simd.splat_f32s(0.0);
        for (slope, probability) in slopes.iter().zip(probabilities.iter()) {
            mean = simd.mul_add_f32s(slope[side], probability[side], mean);
        }
        for (slope, probability) in slopes.iter_mut().zip(probabilities.iter()) {
            slope[side] = simd.mul_f32s(simd.sub_f32s(slope[side], mean), probability[side]);
        }
    }
    if let Some(factors) = factors {
        for (probability, factor) in probabilities.iter_mut().zip(vectors::<S>(factors)) {
            for side in 0..2 {
                probability[side] = simd.mul_f32s(probability[side], factor[side]);
            }
        }
    }
    if let Some(sums) = of_bias {
        for (sum, slope) in vectors_mut::<S>(sums).iter_mut().zip(slopes.iter()) {
            for side in 0..2 {
                sum[side] = simd.add_f32s(sum[side], slope[side]);
            }
        }
    }
}

/// Writes the gradients of a panel's queries, from those of their scores.
#[inline(always)]
fn write_queries<S: Simd, const R: usize>(
    simd: S,
    across: &[f32],
    slopes: &[f32],
    width: usize,
    out: &mut [f32],
) {
    let (slopes, columns) = (vectors::<S>(slopes), 2 * S::F32_LANES);
    for (group, keys) in across.chunks_exact(R * slopes.len()).enumerate() {
        let tile: MicroTile<S, R> = micro_kernel::product(F32(simd), keys.as_chunks().0, slopes);
        for (row, values) in tile.iter().enumerate().take(width - (group * R).min(width)) {
            let values: &[f32] = pulp::bytemuck::cast_slice(values);
            for (out, value) in out.chunks_exact_mut(width).zip(&values[..columns]) {
                out[group * R + row] = *value;
            }
        }
    }
}

/// The gradients of keys and values, summed over the panels of queries from first to last:
/// `[width / columns][keys]` pairs of vectors, the last panel and the last group of keys filled up.
struct Sums {
    k: Vec<f32>,
    v: Vec<f32>,
    keys: usize,
    columns: usize,
}

impl Sums {
    fn new(keys: usize, width: usize, group: usize, columns: usize) -> Self {
        let keys = keys.next_multiple_of(group);
        let zeros = vec![0f32; keys * width.next_multiple_of(columns)];
        Self {
            k: zeros.clone(),
            v: zeros,
            keys,
            columns,
        }
    }

    #[inline(always)]
    fn add<S: Simd, const R: usize>(
        &mut self,
        simd: S,
        weights: &[f32],
        slopes: &[f32],
        panel: &Panel,
    ) {
        for (sums, lhs, rhs) in [
            (&mut self.v, weights, &panel.grad_rows),
            (&mut self.k, slopes, &panel.q_rows),
        ] {
            let panels = sums.chunks_exact_mut(self.keys * self.columns);
            for (sums, rhs) in panels.zip(rhs.chunks_exact(self.columns * self.columns)) {
                let rhs = vectors::<S>(rhs);
                let groups = vectors_mut::<S>(sums)
                    .chunks_exact_mut(R)
                    .zip(lhs.chunks_exact(R * self.columns));
                for (sums, lhs) in groups {
                    add_product::<S, R>(simd, lhs, rhs, sums);
                }
            }
        }
    }

    fn rows(&self, sums: &[f32], keys: usize, width: usize) -> Vec<f32> {
        let mut rows = vec![0f32; keys * width];
        for (panel, sums) in sums.chunks_exact(self.keys * self.columns).enumerate() {
            let first = panel * self.columns;
            let taken = self.columns.min(width - first);
            for (row, sums) in rows
                .chunks_exact_mut(width)
                .zip(sums.chunks_exact(self.columns))
            {
                row[first..first + taken].copy_from_slice(&sums[..taken]);
            }
        }
        rows
    }
}

/// Adds `lhs` (R rows of as many values as `rhs` has pairs) times `rhs` to R pairs of vectors.
#[inline(always)]
fn add_product<S: Simd, const R: usize>(
    simd: S,
    lhs: &[f32],
    rhs: &[[S::f32s; 2]],
    sums: &mut [[S::f32s; 2]],
) {
    let inner = rhs.len();
    let rows: [&[f32]; R] = std::array::from_fn(|row| &lhs[row * inner..][..inner]);
    let mut tile: MicroTile<S, R> = std::array::from_fn(|row| sums[row]);
    for (index, vectors) in rhs.iter().enumerate() {
        for (row, values) in tile.iter_mut().zip(&rows) {
            let value = simd.splat_f32s(values[index]);
            row[0] = simd.mul_add_f32s(value, vectors[0], row[0]);
            row[1] = simd.mul_add_f32s(value, vectors[1], row[1]);
        }
    }
    sums[..R].copy_from_slice(&tile);
}
