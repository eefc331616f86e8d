//! Tensor operations the architectures are built of.
//!
//! Each has a fused kernel for f32 on the CPU ([`Arch`](pulp::Arch) picks AVX-512, AVX2, NEON or portable code when the
//! program runs) and a version composed of candle operations for every other device and dtype ([`composed`]).
//!
//! Kernels for many rows (the encoder) and for few rows (one decoding step) differ in how they read memory. In
//! both, an output value is accumulated in one order whatever the number of rows, so a question's numbers
//! never depend, not by one bit, on the batch it is answered in.

mod attention;
mod bias;
mod cell;
pub mod composed;
mod elementary;
mod linear;
mod row_attention;
mod row_linear;
mod window_attention;

use candle_core::{CpuStorage, DType, Layout, Result, Tensor};

use attention::Attention;
use bias::Bias;
use linear::{GatedGelu, Linear};
use row_attention::RowAttention;
use row_linear::{RowGatedGelu, RowLinear};
use window_attention::WindowAttention;
pub use window_attention::Windows;

/// `x · wᵀ`: `x` [M, K], `w` [N, K] as stored by torch, result [M, N]; for many rows.
///
/// # Errors
/// The shapes do not fit.
pub fn linear(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    if fused(x) { x.apply_op2(w, Linear) } else { composed::linear(x, w) }
}

/// `gelu(x · w0ᵀ) ∘ (x · w1ᵀ)` with the tanh form of GELU (`gelu_new`), for many rows: [M, K] to [M, N].
///
/// # Errors
/// The shapes do not fit.
pub fn gated_gelu(x: &Tensor, w0: &Tensor, w1: &Tensor) -> Result<Tensor> {
    if fused(x) { x.apply_op3(w0, w1, GatedGelu) } else { composed::gated_gelu(x, w0, w1) }
}

/// [`linear`] for the few rows of a decoding step: reads each weight once, in place.
///
/// # Errors
/// The shapes do not fit.
pub fn row_linear(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    if fused(x) { x.apply_op2(w, RowLinear) } else { composed::linear(x, w) }
}

/// [`gated_gelu`] for the few rows of a decoding step.
///
/// # Errors
/// The shapes do not fit.
pub fn row_gated_gelu(x: &Tensor, w0: &Tensor, w1: &Tensor) -> Result<Tensor> {
    if fused(x) { x.apply_op3(w0, w1, RowGatedGelu) } else { composed::gated_gelu(x, w0, w1) }
}

/// `softmax(q kᵀ) v` of each head, unscaled and unmasked, for many queries. `q` [M, H], `k` and `v` [N, H], heads side
/// by side in H; result [M, H]. No matrix of M × N scores is ever formed.
///
/// # Errors
/// The shapes do not fit.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
    if fused(q) { q.apply_op3(k, v, Attention { heads }) } else { composed::attention(q, k, v, heads, None) }
}

/// [`attention`] for the few queries of a decoding step. With `distance_bias` [heads, D] it is causal: query i of T stands
/// at position L - T + i of the L keys, sees no later key, and a score at distance n gets the bias of
/// min(n, D - 1).
///
/// # Errors
/// The shapes do not fit.
pub fn row_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    distance_bias: Option<&Tensor>,
) -> Result<Tensor> {
    if fused(q) {
        q.apply_op3(k, v, RowAttention { heads, distance_bias: distance_bias.cloned() })
    } else {
        composed::attention(q, k, v, heads, distance_bias)
    }
}

/// `softmax(q kᵀ + bias) v` of each head among the tokens of each window of a grid, unscaled. `q`, `k`, `v` and the result
/// are [grid places, H], row-major over the grid; `bias` is [heads · side², side²]. A shifted cut keeps tokens of
/// different regions apart by -100 in the score, as the reference does.
///
/// # Errors
/// The shapes do not fit.
pub fn window_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    bias: &Tensor,
    windows: Windows,
) -> Result<Tensor> {
    if fused(q) {
        q.apply_op3(k, v, WindowAttention { windows, heads, bias: bias.clone() })
    } else {
        composed::window_attention(q, k, v, heads, bias, windows)
    }
}

/// `x + b`: `x` [M, N], `b` [N].
///
/// # Errors
/// The shapes do not fit.
pub fn biased(x: &Tensor, b: &Tensor) -> Result<Tensor> {
    if fused(x) { x.apply_op2(b, Bias { gelu: false }) } else { x.broadcast_add(b) }
}

/// `gelu(x + b)` with the exact form of GELU: `x` [M, N], `b` [N].
///
/// # Errors
/// The shapes do not fit.
pub fn biased_gelu(x: &Tensor, b: &Tensor) -> Result<Tensor> {
    if fused(x) { x.apply_op2(b, Bias { gelu: true }) } else { x.broadcast_add(b)?.gelu_erf() }
}

/// `w ∘ (x - mean) / sqrt(variance + eps) + b` over the last dimension.
///
/// # Errors
/// The shapes do not fit.
pub fn layer_norm(x: &Tensor, w: &Tensor, b: &Tensor, eps: f64) -> Result<Tensor> {
    candle_nn::ops::layer_norm(x, w, b, eps as f32)
}

/// `w ∘ x / sqrt(mean(x²) + eps)` over the last dimension.
///
/// # Errors
/// The shapes do not fit.
pub fn rms_norm(x: &Tensor, w: &Tensor, eps: f64) -> Result<Tensor> {
    candle_nn::ops::rms_norm(x, w, eps as f32)
}

/// Multiplications of a decoding step's operation that are worth waking other threads for.
const PARALLEL_FROM: usize = 1 << 19;

fn fused(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32
}

/// The values of a contiguous two-dimensional f32 tensor, with its rows and columns.
fn matrix<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<(&'a [f32], usize, usize)> {
    let (rows, columns) = layout.shape().dims2()?;
    let values = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok((&values[start..end], rows, columns)),
        None => candle_core::bail!("a fused kernel needs contiguous rows"),
    }
}

/// The three matrices of an attention, checked to fit each other.
struct Heads<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    queries: usize,
    keys: usize,
    hidden: usize,
    heads: usize,
}

impl<'a> Heads<'a> {
    fn new(
        heads: usize,
        (q, q_layout): (&'a CpuStorage, &Layout),
        (k, k_layout): (&'a CpuStorage, &Layout),
        (v, v_layout): (&'a CpuStorage, &Layout),
    ) -> Result<Self> {
        let (q, queries, hidden) = matrix(q, q_layout)?;
        let (k, keys, k_hidden) = matrix(k, k_layout)?;
        let (v, v_keys, v_hidden) = matrix(v, v_layout)?;
        if k_hidden != hidden
            || v_hidden != hidden
            || v_keys != keys
            || heads == 0
            || !hidden.is_multiple_of(heads)
            || keys == 0
        {
            candle_core::bail!(
                "attention over {heads} heads does not fit q {queries}x{hidden}, k {keys}x{k_hidden}, \
                 v {v_keys}x{v_hidden}"
            );
        }
        Ok(Self { q, k, v, queries, keys, hidden, heads })
    }

    /// Width of one head.
    fn width(&self) -> usize {
        self.hidden / self.heads
    }
}
