//! Attention of the few queries of a decoding step over the keys of their own question, and causal
//! attention of whole texts in training, which is the same product with a gradient.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Storage, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::backward::{cpu_slice, detached};
use super::dropout::Dropout;
use super::elementary::exp;
use super::varlen::{AttentionGradients, ScoreModifiers, SequenceSpan, span_offsets};
use super::{AttentionInput, Matrix, PARALLEL_FROM, matrix};
use chartbench_core::isa;

/// Keys whose scores are summed side by side.
const SIDE_BY_SIDE: usize = 4;

/// See [`super::decode_attention`].
pub(super) struct DecodeAttention {
    pub(super) heads: usize,
    pub(super) spans: Vec<SequenceSpan>,
    /// A table outside the graph; see [`CausalAttention`] for one with a gradient.
    pub(super) distance_bias: Option<Tensor>,
    pub(super) dropout: Option<Dropout>,
}

impl CustomOp3 for DecodeAttention {
    fn name(&self) -> &'static str {
        "row-attention"
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
        let dropout = self.dropout.as_ref();
        let out = match &self.distance_bias {
            None => attend(
                &input,
                &self.spans,
                ScoreModifiers {
                    dropout,
                    ..ScoreModifiers::default()
                },
            )?,
            Some(table) => {
                let (storage, layout) = table.storage_and_layout();
                let Storage::Cpu(storage) = &*storage else {
                    candle_core::bail!("the bias is on another device")
                };
                let bias = Some(distance_bias(&input, storage, layout)?);
                attend(
                    &input,
                    &self.spans,
                    ScoreModifiers {
                        bias,
                        dropout,
                        ..ScoreModifiers::default()
                    },
                )?
            }
        };
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
        if self.distance_bias.is_some() {
            candle_core::bail!(
                "the gradient of an attention with distance bias is another operation's"
            );
        }
        let scores = ScoreModifiers {
            dropout: self.dropout.as_ref(),
            ..ScoreModifiers::default()
        };
        let (dq, dk, dv, _) =
            AttentionGradients::tensors(self.heads, [q, k, v], grad, &self.spans, scores)?;
        Ok((Some(dq), Some(dk), Some(dv)))
    }
}

/// See [`super::causal_attention`]: its arguments are the queries, the keys with the values below
/// them, and the table.
pub(super) struct CausalAttention {
    pub(super) heads: usize,
    pub(super) spans: Vec<SequenceSpan>,
    pub(super) hidden: Vec<bool>,
    pub(super) dropout: Option<Dropout>,
}

impl CustomOp3 for CausalAttention {
    fn name(&self) -> &'static str {
        "causal-attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        ql: &Layout,
        kv: &CpuStorage,
        kvl: &Layout,
        table: &CpuStorage,
        tl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (k, v) = (
            kvl.narrow(0, 0, kvl.dims()[0] / 2)?,
            kvl.narrow(0, kvl.dims()[0] / 2, kvl.dims()[0] / 2)?,
        );
        let input =
            AttentionInput::new(self.heads, matrix(q, ql)?, matrix(kv, &k)?, matrix(kv, &v)?)?;
        let bias = Some(distance_bias(&input, table, tl)?);
        let scores = ScoreModifiers {
            bias,
            hidden: &self.hidden,
            dropout: self.dropout.as_ref(),
        };
        let out = attend(&input, &self.spans, scores)?;
        Ok((
            CpuStorage::F32(out),
            Shape::from((input.queries, input.hidden)),
        ))
    }

    fn bwd(
        &self,
        q: &Tensor,
        kv: &Tensor,
        table: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let keys = kv.dim(0)? / 2;
        let both = detached(kv)?;
        let (k, v) = (both.narrow(0, 0, keys)?, both.narrow(0, keys, keys)?);
        let table_detached = detached(table)?;
        let storages = table_detached.storage_and_layout();
        let bias = Some((cpu_slice(&storages)?, table.dim(1)?));
        let scores = ScoreModifiers {
            bias,
            hidden: &self.hidden,
            dropout: self.dropout.as_ref(),
        };
        let (dq, dk, dv, sums) =
            AttentionGradients::tensors(self.heads, [q, &k, &v], grad, &self.spans, scores)?;
        let dtable = table
            .track_op()
            .then(|| Tensor::from_vec(sums, table.shape(), table.device()))
            .transpose()?;
        Ok((Some(dq), Some(Tensor::cat(&[dk, dv], 0)?), dtable))
    }
}

/// The table [heads, distances], checked to fit.
fn distance_bias<'a>(
    input: &AttentionInput,
    storage: &'a CpuStorage,
    layout: &Layout,
) -> Result<(&'a [f32], usize)> {
    let Matrix {
        values: bias,
        rows: heads,
        columns: distances,
    } = matrix(storage, layout)?;
    if heads != input.heads || distances == 0 {
        candle_core::bail!("a bias of {heads} heads does not fit the causal attention");
    }
    Ok((bias, distances))
}

/// Attends for all spans, queries and heads.
fn attend(
    input: &AttentionInput,
    spans: &[SequenceSpan],
    scores: ScoreModifiers,
) -> Result<Vec<f32>> {
    let mut out = vec![0f32; input.queries * input.hidden];
    let arch = isa::arch();
    for offsets in span_offsets(spans, input, scores.bias.is_some())? {
        let input = input.span(offsets);
        let hidden = scores.hidden.get(offsets.key..offsets.key + input.keys);
        let one_head = |(task, out): (usize, &mut [f32])| {
            let (query, head) = (task / input.heads, task % input.heads);
            let (keys, bias) = match scores.bias {
                None => (input.keys, None),
                Some((bias, distances)) => (
                    input.keys - input.queries + query + 1,
                    Some(&bias[head * distances..][..distances]),
                ),
            };
            let first = offsets.scores + (head * input.queries + query) * input.keys;
            let dropout = scores.dropout.map(|dropout| (dropout, first));
            arch.dispatch(OneHead {
                input: &input,
                query,
                head,
                keys,
                bias,
                hidden,
                dropout,
                out,
            });
        };
        let out = &mut out[offsets.query * input.hidden..][..input.queries * input.hidden];
        if input.queries * input.keys * input.hidden < PARALLEL_FROM {
            out.chunks_mut(input.width()).enumerate().for_each(one_head);
        } else {
            out.par_chunks_mut(input.width())
                .enumerate()
                .for_each(one_head);
        }
    }
    Ok(out)
}

/// One query of one head against the first `keys` keys, the last of them at distance 0.
struct OneHead<'a> {
    input: &'a AttentionInput<'a>,
    query: usize,
    head: usize,
    keys: usize,
    bias: Option<&'a [f32]>,
    hidden: Option<&'a [bool]>,
    /// With the index of the first key's draw.
    dropout: Option<(&'a Dropout, usize)>,
    out: &'a mut [f32],
}

impl WithSimd for OneHead<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            input,
            query,
            head,
            keys,
            bias,
            hidden: unseen,
            dropout,
            out,
        } = self;
        let (hidden, width) = (input.hidden, input.width());
        let part = head * width..(head + 1) * width;
        let q = &input.q[query * hidden..][part.clone()];
        let mut scores = vec![0f32; keys];
        for (scores, rows) in scores
            .chunks_mut(SIDE_BY_SIDE)
            .zip(input.k.chunks(SIDE_BY_SIDE * hidden))
        {
            if let Ok(scores) = <&mut [f32; SIDE_BY_SIDE]>::try_from(&mut *scores) {
                *scores = dot_products(
                    simd,
                    q,
                    std::array::from_fn(|key| &rows[key * hidden..][part.clone()]),
                );
            } else {
                for (score, row) in scores.iter_mut().zip(rows.chunks_exact(hidden)) {
                    [*score] = dot_products(simd, q, [&row[part.clone()]]);
                }
            }
        }
        if let Some(bias) = bias {
            for (distance, score) in scores.iter_mut().rev().enumerate() {
                *score += bias[distance.min(bias.len() - 1)];
            }
        }
        for (score, _) in scores
            .iter_mut()
            .zip(unseen.unwrap_or_default())
            .filter(|(_, unseen)| **unseen)
        {
            *score = f32::MIN;
        }
        let weight = softmax_weights(simd, &mut scores);
        if let Some((dropout, first)) = dropout {
            dropout.apply(first, &mut scores);
        }
        for (score, row) in scores.iter().zip(input.v.chunks_exact(hidden)) {
            add_scaled(simd, out, *score, &row[part.clone()]);
        }
        out.iter_mut().for_each(|value| *value /= weight);
    }
}

/// Dot products of `q` with K keys.
#[inline(always)]
fn dot_products<S: Simd, const K: usize>(simd: S, q: &[f32], keys: [&[f32]; K]) -> [f32; K] {
    let mut sums = [simd.splat_f32s(0.0); K];
    let (q, q_tail) = S::as_simd_f32s(q);
    for (sum, key) in sums.iter_mut().zip(keys) {
        let (key, tail) = S::as_simd_f32s(key);
        for (q, key) in q.iter().zip(key) {
            *sum = simd.mul_add_f32s(*q, *key, *sum);
        }
        if !tail.is_empty() {
            *sum = simd.mul_add_f32s(
                simd.partial_load_f32s(q_tail),
                simd.partial_load_f32s(tail),
                *sum,
            );
        }
    }
    let mut out = [0.0; K];
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = simd.reduce_sum_f32s(sum);
    }
    out
}

/// Replaces scores by `exp(score - largest)` and returns their sum.
#[inline(always)]
pub(super) fn softmax_weights<S: Simd>(simd: S, scores: &mut [f32]) -> f32 {
    let largest = simd.splat_f32s(
        scores
            .iter()
            .fold(f32::NEG_INFINITY, |largest, &score| largest.max(score)),
    );
    let (vectors, tail) = S::as_mut_simd_f32s(scores);
    let mut sum = simd.splat_f32s(0.0);
    for score in vectors {
        *score = exp(simd, simd.sub_f32s(*score, largest));
        sum = simd.add_f32s(sum, *score);
    }
    let last = exp(simd, simd.sub_f32s(simd.partial_load_f32s(tail), largest));
    simd.partial_store_f32s(tail, last);
    simd.reduce_sum_f32s(sum) + tail.iter().sum::<f32>()
}

/// `out += factor · row`.
#[inline(always)]
fn add_scaled<S: Simd>(simd: S, out: &mut [f32], factor: f32, row: &[f32]) {
    let (out, out_tail) = S::as_mut_simd_f32s(out);
    let (row, row_tail) = S::as_simd_f32s(row);
    let factors = simd.splat_f32s(factor);
    for (out, value) in out.iter_mut().zip(row) {
        *out = simd.mul_add_f32s(factors, *value, *out);
    }
    for (out, value) in out_tail.iter_mut().zip(row_tail) {
        *out += factor * value;
    }
}
