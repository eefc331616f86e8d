//! Reference versions of the fused operations, composed of candle's own: any device and dtype,
//! gradients included.

use candle_core::{D, DType, Result, Tensor};

use super::dropout::{self, Dropout};
use super::varlen::SequenceSpan;
use super::window_attention::{APART, Windows};

/// See [`super::linear`].
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn linear(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    x.matmul(&w.t()?)
}

/// See [`super::gated_gelu`].
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn gated_gelu(x: &Tensor, w0: &Tensor, w1: &Tensor) -> Result<Tensor> {
    linear(x, w0)?.gelu()?.mul(&linear(x, w1)?)
}

/// See [`super::attention`] and [`super::decode_attention`]. Softmax in f32.
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    distance_bias: Option<&Tensor>,
) -> Result<Tensor> {
    let bias = distance_bias
        .map(|table| causal_bias(table, q.dim(0)?, k.dim(0)?))
        .transpose()?;
    biased_attention(q, k, v, heads, bias.as_ref(), None)
}

/// See [`super::causal_attention`] (with a table and hidden keys) and [`super::varlen_attention`]
/// (without).
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn varlen_attention(
    [q, k, v]: [&Tensor; 3],
    heads: usize,
    spans: &[SequenceSpan],
    distance_bias: Option<&Tensor>,
    hidden: &[bool],
    dropout: Option<&Dropout>,
) -> Result<Tensor> {
    let (mut query, mut key, mut scores) = (0, 0, 0);
    let mut attended = Vec::with_capacity(spans.len());
    for span in spans {
        let [k, v] = [k, v].map(|rows| rows.narrow(0, key, span.keys));
        let mut bias = distance_bias
            .map(|table| causal_bias(table, span.queries, span.keys))
            .transpose()?;
        if let (Some(bias), Some(hidden)) = (&mut bias, hidden.get(key..key + span.keys)) {
            let hidden: Vec<f32> = hidden
                .iter()
                .map(|hidden| if *hidden { f32::MIN / 2.0 } else { 0.0 })
                .collect();
            *bias =
                (bias.maximum(f32::MIN / 2.0)?).broadcast_add(&Tensor::new(hidden, q.device())?)?;
        }
        let dropout = dropout.map(|dropout| dropout.from(scores));
        let q = q.narrow(0, query, span.queries)?;
        attended.push(biased_attention(
            &q,
            &k?,
            &v?,
            heads,
            bias.as_ref(),
            dropout.as_ref(),
        )?);
        query += span.queries;
        key += span.keys;
        scores += span.queries * span.keys * heads;
    }
    Tensor::cat(&attended, 0)
}

/// `bias` is added to the scores [heads, queries, keys].
fn biased_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    bias: Option<&Tensor>,
    dropout: Option<&Dropout>,
) -> Result<Tensor> {
    let (queries, hidden) = q.dims2()?;
    let split = |x: &Tensor| {
        x.reshape((x.dim(0)?, heads, hidden / heads))?
            .transpose(0, 1)?
            .contiguous()
    };
    let mut scores = split(q)?
        .matmul(&split(k)?.transpose(1, 2)?.contiguous()?)?
        .to_dtype(DType::F32)?;
    if let Some(bias) = bias {
        scores = scores.add(bias)?;
    }
    let mut weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
    if let Some(dropout) = dropout {
        weights = dropout::reference(&weights, dropout)?;
    }
    weights
        .to_dtype(v.dtype())?
        .matmul(&split(v)?)?
        .transpose(0, 1)?
        .reshape((queries, hidden))
}

/// See [`super::window_attention`]. Softmax in f32.
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn window_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    bias: &Tensor,
    windows: Windows,
    dropout: Option<&Dropout>,
) -> Result<Tensor> {
    let (all, hidden) = q.dims2()?;
    windows.check(all)?;
    let tokens = windows.side * windows.side;
    let device = q.device();
    let positions: Vec<u32> = windows
        .positions()
        .into_iter()
        .map(|position| position as u32)
        .collect();
    let mut back = vec![0u32; all];
    for (index, &position) in positions.iter().enumerate() {
        back[position as usize] = index as u32;
    }
    let positions = Tensor::new(positions, device)?;
    let cut = |x: &Tensor| {
        let rows = x.index_select(&positions, 0)?.reshape((
            all / tokens,
            tokens,
            heads,
            hidden / heads,
        ))?;
        rows.transpose(1, 2)?.contiguous()
    };
    let mut mask: Vec<f32> = Vec::with_capacity(all * tokens);
    for regions in windows.regions().chunks(tokens) {
        for region in regions {
            mask.extend(
                regions
                    .iter()
                    .map(|other| if other == region { 0.0 } else { APART }),
            );
        }
    }
    let mask = Tensor::from_vec(mask, (all / tokens, 1, tokens, tokens), device)?;
    let bias = bias
        .reshape((1, heads, tokens, tokens))?
        .to_dtype(DType::F32)?;
    let scores = cut(q)?
        .matmul(&cut(k)?.transpose(2, 3)?.contiguous()?)?
        .to_dtype(DType::F32)?;
    let scores = scores.broadcast_add(&bias)?.broadcast_add(&mask)?;
    let mut weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
    if let Some(dropout) = dropout {
        weights = dropout::reference(&weights, dropout)?;
    }
    let attended = weights
        .to_dtype(v.dtype())?
        .matmul(&cut(v)?)?
        .transpose(1, 2)?
        .reshape((all, hidden))?;
    attended.index_select(&Tensor::new(back, device)?, 0)
}

/// [heads, queries, keys] from a table [heads, distances]: the bias of each distance, the lowest f32 for later keys.
fn causal_bias(table: &Tensor, queries: usize, keys: usize) -> Result<Tensor> {
    let (heads, distances) = table.dims2()?;
    let hidden_from = Tensor::full(f32::MIN, (heads, 1), table.device())?;
    let table = Tensor::cat(&[&table.to_dtype(DType::F32)?, &hidden_from], 1)?;
    let mut columns: Vec<u32> = Vec::with_capacity(queries * keys);
    for position in (0..queries).map(|query| keys - queries + query) {
        for key in 0..keys {
            let column = if key > position {
                distances
            } else {
                (position - key).min(distances - 1)
            };
            columns.push(column as u32);
        }
    }
    let columns = Tensor::from_vec(columns, queries * keys, table.device())?;
    table
        .index_select(&columns, 1)?
        .reshape((heads, queries, keys))
}

/// See [`super::rms_norm`]. Statistics in f32.
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn rms_norm(x: &Tensor, w: &Tensor, eps: f64) -> Result<Tensor> {
    candle_nn::ops::rms_norm_slow(&x.contiguous()?, w, eps as f32)
}

/// See [`super::layer_norm`]. Statistics in f32.
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn layer_norm(x: &Tensor, w: &Tensor, b: &Tensor, eps: f64) -> Result<Tensor> {
    candle_nn::ops::layer_norm_slow(&x.contiguous()?, w, b, eps as f32)
}

/// See [`super::cross_entropy`]. In f32.
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn cross_entropy(logits: &Tensor, labels: &[u32], smoothing: f64) -> Result<Tensor> {
    let log = candle_nn::ops::log_softmax(&logits.to_dtype(DType::F32)?, D::Minus1)?;
    let labels = Tensor::new(labels, logits.device())?.unsqueeze(1)?;
    let right = log.gather(&labels, 1)?.sum_all()?;
    if smoothing == 0.0 {
        return right.neg();
    }
    let any = (log.sum_all()? / logits.dim(1)? as f64)?;
    (right * (smoothing - 1.0))? - (any * smoothing)?
}
