//! Variable-length attention: the rows of several examples lie one after the other, and each
//! example attends to its own rows. [`attention`](super::attention) and the causal attention of
//! training compute it; here are the spans and the gradients.

use candle_core::{Result, Tensor};
use pulp::Arch;
use rayon::prelude::*;

use super::attention::Attention;
use super::attention_backward::{HeadGradients, HeadRows, PanelLayout, ScorePanels, gradients};
use super::backward::{cpu_slice, detached};
use super::decode_attention::DecodeAttention;
use super::dropout::Dropout;
use super::micro_kernel::TileShape;
use super::{AttentionInput, ComputeDtype, fused, reference};
use chartbench_core::isa;

/// The number of query rows and of key (and value) rows of one example, in the examples' order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceSpan {
    /// Query rows; in causal attention at most as many as key rows.
    pub queries: usize,
    /// Key rows, and as many value rows; at least 1.
    pub keys: usize,
}

impl SequenceSpan {
    /// Spans of self-attention, one for each length.
    pub fn square(lengths: &[usize]) -> Vec<Self> {
        lengths
            .iter()
            .map(|&length| Self {
                queries: length,
                keys: length,
            })
            .collect()
    }
}

/// [`attention`](super::attention()) of several examples at once: the rows of `q`, and those of `k`
/// and `v`, lie example after example as `spans` says, and each example's queries see its own keys.
/// With `dropout` of the probabilities, drawn example after example in the order [heads, queries,
/// keys]. Both products are of operands in `dtype`; with dropout, and in gradients, of f32.
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn varlen_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    spans: &[SequenceSpan],
    dtype: ComputeDtype,
    dropout: Option<Dropout>,
) -> Result<Tensor> {
    if !fused(q) {
        return reference::varlen_attention([q, k, v], heads, spans, None, &[], dropout.as_ref());
    }
    let spans = spans.to_vec();
    match dropout {
        None => q.apply_op3(
            k,
            v,
            Attention {
                heads,
                spans,
                dtype,
            },
        ),
        Some(_) => q.apply_op3(
            k,
            v,
            DecodeAttention {
                heads,
                spans,
                distance_bias: None,
                dropout,
            },
        ),
    }
}

/// Changes to the scores and probabilities of all spans and heads.
#[derive(Clone, Copy, Default)]
pub(super) struct ScoreModifiers<'a> {
    /// Causal: row-major [heads, distances].
    pub(super) bias: Option<(&'a [f32], usize)>,
    /// Keys that no query sees; one for each key of all parts, or empty.
    pub(super) hidden: &'a [bool],
    /// Dropout of the probabilities: span after span, each [heads, queries, keys].
    pub(super) dropout: Option<&'a Dropout>,
}

/// A span and the first row of its queries and keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpanOffsets {
    pub(super) span: SequenceSpan,
    pub(super) query: usize,
    pub(super) key: usize,
    /// The number of scores in the spans before, all heads.
    pub(super) scores: usize,
}

/// The offsets of `spans`, checked to fill all rows and, for causal attention, to have no more
/// queries than keys.
pub(super) fn span_offsets(
    spans: &[SequenceSpan],
    input: &AttentionInput,
    causal: bool,
) -> Result<Vec<SpanOffsets>> {
    let (mut query, mut key, mut scores) = (0, 0, 0);
    let mut span_offsets = Vec::with_capacity(spans.len());
    for &span in spans {
        span_offsets.push(SpanOffsets {
            span,
            query,
            key,
            scores,
        });
        query += span.queries;
        key += span.keys;
        scores += span.queries * span.keys * input.heads;
    }
    let bad = |span: &SequenceSpan| span.keys == 0 || causal && span.queries > span.keys;
    if (query, key) != (input.queries, input.keys) || spans.iter().any(bad) {
        candle_core::bail!(
            "parts {spans:?} do not fit {} queries and {} keys",
            input.queries,
            input.keys
        );
    }
    Ok(span_offsets)
}

/// The gradients of q, k, v and, if there is one, of the bias table, all spans and heads.
pub(super) struct AttentionGradients {
    pub(super) q: Vec<f32>,
    pub(super) k: Vec<f32>,
    pub(super) v: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl AttentionGradients {
    /// `grad` is the gradient of the attention's output.
    pub(super) fn new(
        input: &AttentionInput,
        grad: &[f32],
        spans: &[SequenceSpan],
        scores: ScoreModifiers,
    ) -> Result<Self> {
        let span_offsets = span_offsets(spans, input, scores.bias.is_some())?;
        let tasks: Vec<(SpanOffsets, usize)> = span_offsets
            .iter()
            .flat_map(|offsets| (0..input.heads).map(move |head| (*offsets, head)))
            .collect();
        let arch = isa::arch();
        let gradients_of_head = |(offsets, head): &(SpanOffsets, usize)| {
            one_head(arch, input, grad, *offsets, *head, scores)
        };
        let results: Vec<(HeadGradients, Vec<f32>)> =
            tasks.par_iter().map(gradients_of_head).collect();
        let mut all = Self {
            q: vec![0f32; input.q.len()],
            k: vec![0f32; input.k.len()],
            v: vec![0f32; input.v.len()],
            bias: vec![0f32; scores.bias.map_or(0, |(bias, _)| bias.len())],
        };
        let (width, hidden) = (input.width(), input.hidden);
        for ((offsets, head), (part, bias)) in tasks.iter().zip(&results) {
            put(
                &part.q,
                width,
                &mut all.q[offsets.query * hidden..],
                hidden,
                head * width,
            );
            put(
                &part.k,
                width,
                &mut all.k[offsets.key * hidden..],
                hidden,
                head * width,
            );
            put(
                &part.v,
                width,
                &mut all.v[offsets.key * hidden..],
                hidden,
                head * width,
            );
            if let Some((_, distances)) = scores.bias {
                let sums = &mut all.bias[head * distances..][..distances];
                sums.iter_mut()
                    .zip(bias)
                    .for_each(|(sum, value)| *sum += value);
            }
        }
        Ok(all)
    }

    /// As tensors shaped like q, k and v.
    pub(super) fn tensors(
        heads: usize,
        [q, k, v]: [&Tensor; 3],
        grad: &Tensor,
        spans: &[SequenceSpan],
        scores: ScoreModifiers,
    ) -> Result<(Tensor, Tensor, Tensor, Vec<f32>)> {
        let all = [detached(q)?, detached(k)?, detached(v)?, detached(grad)?];
        let storages = all.each_ref().map(Tensor::storage_and_layout);
        let input = AttentionInput {
            q: cpu_slice(&storages[0])?,
            k: cpu_slice(&storages[1])?,
            v: cpu_slice(&storages[2])?,
            queries: q.dim(0)?,
            keys: k.dim(0)?,
            hidden: q.dim(1)?,
            heads,
        };
        let Self {
            q: of_q,
            k: of_k,
            v: of_v,
            bias,
        } = Self::new(&input, cpu_slice(&storages[3])?, spans, scores)?;
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((tensor(of_q, q)?, tensor(of_k, k)?, tensor(of_v, v)?, bias))
    }
}

/// The gradients of one head of one span, and those of its biases [distances].
fn one_head(
    arch: Arch,
    input: &AttentionInput,
    grad: &[f32],
    offsets: SpanOffsets,
    head: usize,
    scores: ScoreModifiers,
) -> (HeadGradients, Vec<f32>) {
    let SequenceSpan { queries, keys } = offsets.span;
    let head_rows = |values: &[f32], first: usize, count: usize| {
        take(values, input, first..first + count, head)
    };
    let rows = HeadRows {
        width: input.width(),
        q: head_rows(input.q, offsets.query, queries),
        k: head_rows(input.k, offsets.key, keys),
        v: head_rows(input.v, offsets.key, keys),
        grad: head_rows(grad, offsets.query, queries),
    };
    let layout = PanelLayout {
        queries,
        keys,
        columns: TileShape::get().columns,
    };
    let factors = scores.dropout.map(|dropout| {
        let (mut factors, mut panels) = (vec![0f32; queries * keys], vec![0f32; layout.len()]);
        dropout.factors(offsets.scores + head * queries * keys, &mut factors);
        layout.fill(&mut panels, |query, key| factors[query * keys + key]);
        panels
    });
    let hidden = scores.hidden.get(offsets.key..offsets.key + keys);
    let bias = (hidden.is_some() || scores.bias.is_some()).then(|| {
        let mut panels = vec![0f32; layout.len()];
        layout.fill(&mut panels, |query, key| {
            bias_of(scores, hidden, head, distance(layout, query, key), key)
        });
        panels
    });
    let mut of_scores = vec![
        0f32;
        if scores.bias.is_some() {
            layout.len()
        } else {
            0
        }
    ];
    let of_bias = scores.bias.map(|_| of_scores.as_mut_slice());
    let panels = ScorePanels {
        bias: bias.as_deref(),
        factors: factors.as_deref(),
        of_bias,
    };
    let head_gradients = gradients(arch, &rows, panels);
    let sums = scores
        .bias
        .map(|(_, distances)| by_distance(layout, &of_scores, distances));
    (head_gradients, sums.unwrap_or_default())
}

/// The gradients of scores, summed by distance.
fn by_distance(layout: PanelLayout, of_scores: &[f32], distances: usize) -> Vec<f32> {
    let mut sums = vec![0f32; distances];
    for query in 0..layout.queries {
        for key in 0..layout.keys {
            if let Some(distance) = distance(layout, query, key) {
                sums[distance.min(distances - 1)] += of_scores[layout.index(query, key)];
            }
        }
    }
    sums
}

/// The distance from a query back to a key, the last query being at the last key; `None` if the key
/// comes later.
fn distance(layout: PanelLayout, query: usize, key: usize) -> Option<usize> {
    (layout.keys - layout.queries.min(layout.keys) + query).checked_sub(key)
}

fn bias_of(
    scores: ScoreModifiers,
    hidden: Option<&[bool]>,
    head: usize,
    distance: Option<usize>,
    key: usize,
) -> f32 {
    if hidden.is_some_and(|hidden| hidden[key]) {
        return f32::MIN;
    }
    match (scores.bias, distance) {
        (None, _) => 0.0,
        (Some(_), None) => f32::MIN,
        (Some((bias, distances)), Some(distance)) => {
            bias[head * distances + distance.min(distances - 1)]
        }
    }
}

/// The values of one head in some rows, row by row.
fn take(
    values: &[f32],
    input: &AttentionInput,
    rows: std::ops::Range<usize>,
    head: usize,
) -> Vec<f32> {
    let (width, hidden) = (input.width(), input.hidden);
    let mut taken = Vec::with_capacity(rows.len() * width);
    for row in rows {
        taken.extend_from_slice(&values[row * hidden + head * width..][..width]);
    }
    taken
}

/// Copies rows of `width` values into rows of `hidden` values, from `column` on.
fn put(rows: &[f32], width: usize, into: &mut [f32], hidden: usize, column: usize) {
    for (row, into) in rows.chunks_exact(width).zip(into.chunks_exact_mut(hidden)) {
        into[column..column + width].copy_from_slice(row);
    }
}
