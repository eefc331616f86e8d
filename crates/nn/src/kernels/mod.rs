//! Tensor operations of the architectures.
//!
//! Each has a fused kernel for f32 on the CPU ([`Arch`](pulp::Arch) picks AVX-512, AVX2, NEON or
//! portable code when the program runs) and a reference version composed of candle operations for
//! every other device and dtype ([`mod@reference`]).
//!
//! Kernels for many rows (the encoder) and for few rows (`decode_*`, one decoding step) differ in
//! how they read memory. In both, an output value is accumulated in one order whatever the number
//! of rows, so a question's numbers never depend, not by one bit, on the batch it is answered in.
//!
//! Every kernel has its own backward pass, so that a graph holds one node per operation and keeps
//! only its arguments: attention scores and both halves of a gated GELU are computed again. Sums
//! have a fixed order: a gradient is the same bit for bit, whatever the threads do.

mod attention;
mod attention_backward;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod backward;
mod bias;
mod cross_attention_cache;
mod cross_entropy;
mod decode_attention;
mod decode_linear;
mod dropout;
mod elementary;
mod gated_gelu_backward;
mod linear;
mod micro_kernel;
mod mul_add;
mod norm;
mod operands;
mod packed_weight;
mod q8_0;
pub mod reference;
mod varlen;
mod weight;
mod window_attention;
mod window_attention_backward;

use candle_core::{Result, Tensor};

use attention::Attention;
use bias::Bias;
pub use cross_attention_cache::CrossKv;
use cross_entropy::CrossEntropy;
use decode_attention::{CausalAttention, DecodeAttention};
use decode_linear::PackedDecodeLinear;
pub use dropout::Dropout;
use linear::{GatedGelu, PackedLinear, PackedLinearAdd};
pub use mul_add::ComputeDtype;
use norm::{LayerNorm, RmsNorm};
use operands::{AttentionInput, Matrix, fused, matrix};
pub use packed_weight::PackedWeight;
use q8_0::{PackedQ8, Q8Linear, Q8LinearAdd};
pub use varlen::{SequenceSpan, varlen_attention};
pub use weight::{Weight, tensor_bytes};
use window_attention::WindowAttention;
pub use window_attention::Windows;
use window_attention_backward::TrainableWindowAttention;

/// `x · wᵀ`: `x` [M, K], `w` [N, K] as stored by torch, result [M, N]; for many rows.
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn linear(x: &Tensor, w: &Weight) -> Result<Tensor> {
    match w {
        Weight::Full(tensor) | Weight::Rounded(tensor) => {
            linear::unpacked_product(x, tensor, w.compute_dtype())
        }
        Weight::Packed(panels) => x
            .contiguous()?
            .apply_op1_no_bwd(&PackedLinear(&[[&**panels]])),
        Weight::Q8(w) => x.contiguous()?.apply_op1_no_bwd(&Q8Linear(&[[&**w]])),
        Weight::Quantized(w) => weight::product(x, w),
    }
}

/// [`linear`] with several weights of one shape, for which the rows are read once.
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn linears<const N: usize>(x: &Tensor, weights: [&Weight; N]) -> Result<[Tensor; N]> {
    let packed: Vec<[&PackedWeight; 1]> = weights
        .iter()
        .filter_map(|weight| weight.packed())
        .map(|weight| [weight])
        .collect();
    let blocks: Vec<[&PackedQ8; 1]> = weights
        .iter()
        .filter_map(|weight| weight.q8())
        .map(|weight| [weight])
        .collect();
    let together = if packed.len() == N {
        Some(x.contiguous()?.apply_op1_no_bwd(&PackedLinear(&packed))?)
    } else if blocks.len() == N {
        Some(x.contiguous()?.apply_op1_no_bwd(&Q8Linear(&blocks))?)
    } else {
        None
    };
    let rows = x.dim(0)?;
    let products = weights
        .iter()
        .enumerate()
        .map(|(index, weight)| match &together {
            Some(together) => together.narrow(0, index * rows, rows),
            None => linear(x, weight),
        });
    let products = products.collect::<Result<Vec<_>>>()?;
    products
        .try_into()
        .map_err(|_| candle_core::Error::Msg("as many products as weights".to_owned()))
}

/// [`linear`], added to `onto` [M, N].
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn linear_add(x: &Tensor, w: &Weight, onto: &Tensor) -> Result<Tensor> {
    match w {
        Weight::Packed(panels) => x
            .contiguous()?
            .apply_op2_no_bwd(&onto.contiguous()?, &PackedLinearAdd(panels)),
        Weight::Q8(blocks) => x
            .contiguous()?
            .apply_op2_no_bwd(&onto.contiguous()?, &Q8LinearAdd(blocks)),
        Weight::Full(tensor) | Weight::Rounded(tensor) => {
            linear::unpacked_product_add(x, tensor, onto, w.compute_dtype())
        }
        Weight::Quantized(_) => onto + linear(x, w)?,
    }
}

/// `gelu(x · w0ᵀ) ∘ (x · w1ᵀ)` with the tanh form of GELU (`gelu_new`), for many rows: [M, K] to
/// [M, N].
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn gated_gelu(x: &Tensor, w0: &Weight, w1: &Weight) -> Result<Tensor> {
    match (w0, w1) {
        (Weight::Q8(w0), Weight::Q8(w1)) => x
            .contiguous()?
            .apply_op1_no_bwd(&Q8Linear(&[[&**w0, &**w1]])),
        (Weight::Packed(w0), Weight::Packed(w1)) => x
            .contiguous()?
            .apply_op1_no_bwd(&PackedLinear(&[[&**w0, &**w1]])),
        (Weight::Full(gate), Weight::Full(linear))
        | (Weight::Rounded(gate), Weight::Rounded(linear))
            if fused(x) =>
        {
            x.apply_op3(
                gate,
                linear,
                GatedGelu {
                    dtype: w0.compute_dtype(),
                },
            )
        }
        (Weight::Full(w0), Weight::Full(w1)) => reference::gated_gelu(x, w0, w1),
        _ => weight::gated(&linear(x, w0)?, &linear(x, w1)?),
    }
}

/// [`linear`] for the few rows of a decoding step; all threads together read a packed weight once.
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn decode_linear(x: &Tensor, w: &Weight) -> Result<Tensor> {
    match w {
        Weight::Packed(panels) => x
            .contiguous()?
            .apply_op1_no_bwd(&PackedDecodeLinear([&**panels])),
        Weight::Quantized(w) => weight::decode_product(x, w),
        Weight::Full(_) | Weight::Rounded(_) | Weight::Q8(_) => linear(x, w),
    }
}

/// [`gated_gelu`] for the few rows of a decoding step.
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn decode_gated_gelu(x: &Tensor, w0: &Weight, w1: &Weight) -> Result<Tensor> {
    match (w0, w1) {
        (Weight::Packed(w0), Weight::Packed(w1)) => x
            .contiguous()?
            .apply_op1_no_bwd(&PackedDecodeLinear([&**w0, &**w1])),
        (Weight::Full(_), Weight::Full(_))
        | (Weight::Rounded(_), Weight::Rounded(_))
        | (Weight::Q8(_), Weight::Q8(_)) => gated_gelu(x, w0, w1),
        _ => weight::gated(&decode_linear(x, w0)?, &decode_linear(x, w1)?),
    }
}

/// `softmax(q kᵀ) v` of each head, unscaled and unmasked, for many queries. `q` [M, H], `k` and `v`
/// [N, H], heads side by side in H; result [M, H]. No matrix of M × N scores is ever formed. Both
/// products are of operands in `dtype`.
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    dtype: ComputeDtype,
) -> Result<Tensor> {
    if fused(q) {
        let spans = vec![SequenceSpan {
            queries: q.dim(0)?,
            keys: k.dim(0)?,
        }];
        q.apply_op3(
            k,
            v,
            Attention {
                heads,
                spans,
                dtype,
            },
        )
    } else {
        reference::attention(q, k, v, heads, None)
    }
}

/// [`attention`] for the few queries of a decoding step. With `distance_bias` [heads, D] it is
/// causal: query i of T is at position L - T + i of the L keys, sees no later key, and a score at
/// distance n gets the bias of min(n, D - 1).
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn decode_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    distance_bias: Option<&Tensor>,
) -> Result<Tensor> {
    let spans = || {
        candle_core::Result::Ok(vec![SequenceSpan {
            queries: q.dim(0)?,
            keys: k.dim(0)?,
        }])
    };
    match distance_bias {
        _ if !fused(q) => reference::attention(q, k, v, heads, distance_bias),
        Some(table) if [q, k, v, table].iter().any(|x| x.track_op()) => {
            causal_attention([q, k, v], heads, table, &spans()?, Vec::new(), None)
        }
        _ => {
            let attention = DecodeAttention {
                heads,
                spans: spans()?,
                distance_bias: distance_bias.cloned(),
                dropout: None,
            };
            q.apply_op3(k, v, attention)
        }
    }
}

/// [`decode_attention`] with distance bias of several examples at once, as [`varlen_attention`],
/// with a gradient for the table too. Keys with a true `hidden` (one for each row of `k`, or none
/// at all) are seen by no query; each query must see one.
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn causal_attention(
    [q, k, v]: [&Tensor; 3],
    heads: usize,
    distance_bias: &Tensor,
    spans: &[SequenceSpan],
    hidden: Vec<bool>,
    dropout: Option<Dropout>,
) -> Result<Tensor> {
    if !hidden.is_empty() && hidden.len() != k.dim(0)? {
        candle_core::bail!(
            "{} marks of hidden keys for {} keys",
            hidden.len(),
            k.dim(0)?
        );
    }
    if !fused(q) {
        return reference::varlen_attention(
            [q, k, v],
            heads,
            spans,
            Some(distance_bias),
            &hidden,
            dropout.as_ref(),
        );
    }
    let below = Tensor::cat(&[k, v], 0)?;
    q.apply_op3(
        &below,
        distance_bias,
        CausalAttention {
            heads,
            spans: spans.to_vec(),
            hidden,
            dropout,
        },
    )
}

/// `softmax(q kᵀ + bias) v` of each head among the tokens of each window of a grid, unscaled. `q`,
/// `k`, `v` and the result are [grid places, H], row-major over the grid; `bias` is [heads · side²,
/// side²]. A shifted cut keeps tokens of different regions apart by -100 in the score, as the
/// reference does. With `dropout` of the probabilities, drawn in the order [windows, heads,
/// queries, keys].
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
    dropout: Option<Dropout>,
) -> Result<Tensor> {
    if !fused(q) {
        reference::window_attention(q, k, v, heads, bias, windows, dropout.as_ref())
    } else if dropout.is_none() && ![q, k, v, bias].iter().any(|x| x.track_op()) {
        q.apply_op3(
            k,
            v,
            WindowAttention {
                windows,
                heads,
                bias: bias.clone(),
            },
        )
    } else {
        q.apply_op3(
            &Tensor::cat(&[k, v], 0)?,
            bias,
            TrainableWindowAttention {
                windows,
                heads,
                dropout,
            },
        )
    }
}

/// `x + b`: `x` [M, N], `b` \[N\].
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn biased(x: &Tensor, b: &Tensor) -> Result<Tensor> {
    if fused(x) {
        x.apply_op2(b, Bias { gelu: false })
    } else {
        x.broadcast_add(b)
    }
}

/// `gelu(x + b)` with the exact form of GELU: `x` [M, N], `b` \[N\].
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn biased_gelu(x: &Tensor, b: &Tensor) -> Result<Tensor> {
    if fused(x) {
        x.apply_op2(b, Bias { gelu: true })
    } else {
        x.broadcast_add(b)?.gelu_erf()
    }
}

/// `w ∘ (x - mean) / sqrt(variance + eps) + b` over the last dimension.
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn layer_norm(x: &Tensor, w: &Tensor, b: &Tensor, eps: f64) -> Result<Tensor> {
    if fused(x) {
        return x.apply_op3(w, b, LayerNorm { eps: eps as f32 });
    }
    let tracked = [x, w, b].iter().any(|x| x.track_op());
    if tracked {
        reference::layer_norm(x, w, b, eps)
    } else {
        candle_nn::ops::layer_norm(x, w, b, eps as f32)
    }
}

/// `w ∘ x / sqrt(mean(x²) + eps)` over the last dimension.
///
/// # Errors
/// Returns an error if the shapes do not fit.
pub fn rms_norm(x: &Tensor, w: &Tensor, eps: f64) -> Result<Tensor> {
    if fused(x) {
        return x.apply_op2(w, RmsNorm { eps: eps as f32 });
    }
    let tracked = x.track_op() || w.track_op();
    if tracked {
        reference::rms_norm(x, w, eps)
    } else {
        candle_nn::ops::rms_norm(x, w, eps as f32)
    }
}

/// Drops values and enlarges the others, as `dropout` says.
///
/// # Errors
/// Returns an error if the values are not contiguous.
pub fn dropout(x: &Tensor, dropout: Dropout) -> Result<Tensor> {
    if fused(x) {
        x.apply_op1(dropout)
    } else {
        dropout::reference(x, &dropout)
    }
}

/// The cross-entropy of each row of `logits` [M, N] with its label, summed over the rows to a
/// scalar f32. With `smoothing` a share of each label is spread evenly over all N, as PyTorch's
/// `label_smoothing`.
///
/// # Errors
/// Returns an error if a label is missing, or is N or more.
pub fn cross_entropy(logits: &Tensor, labels: &[u32], smoothing: f64) -> Result<Tensor> {
    if fused(logits) {
        logits.apply_op1(CrossEntropy {
            labels: labels.to_vec(),
            smoothing: smoothing as f32,
        })
    } else {
        reference::cross_entropy(logits, labels, smoothing)
    }
}

/// Multiplications from which a decoding step's operation is worth waking other threads for.
const PARALLEL_FROM: usize = 1 << 19;
