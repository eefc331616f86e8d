//! Initial weights of a Donut: matrices scaled by the number of inputs of a unit.
//! (`VisionEncoderDecoderModel` of transformers draws everything at 0.02, which suits widths of
//! 1,024: a narrow encoder would add next to nothing to the residual stream, and the decoder would
//! learn to write without looking.)

use super::Config;
use crate::training::InitDistribution;

/// The deviation of a layer's contribution to the residual stream, relative to its input's.
const RESIDUAL: f64 = 0.5;
/// The deviation of the positions; that of token embeddings is 1.
const POSITION: f64 = 0.3;

/// The initial distribution of the tensor of a name and shape: weights normal, biases and the
/// tables of window biases zero, norms one, the embedding of padding zero.
pub(super) fn distribution(config: &Config, name: &str, shape: &[usize]) -> InitDistribution {
    if name.ends_with(".bias") || name.ends_with("relative_position_bias_table") {
        return InitDistribution::Constant(0.0);
    }
    if name.contains("norm") {
        return InitDistribution::Constant(1.0);
    }
    if name.ends_with("embed_positions.weight") {
        return InitDistribution::Normal(POSITION);
    }
    let inputs: usize = shape.iter().skip(1).product();
    let deviation = (inputs.max(1) as f64).powf(-0.5);
    if name.ends_with("embed_tokens.weight") {
        return InitDistribution::NormalExceptRow(deviation, config.decoder.pad_token_id as usize);
    }
    let residual = ["output.dense.weight", "out_proj.weight", "fc2.weight"];
    InitDistribution::Normal(if residual.iter().any(|last| name.ends_with(last)) {
        RESIDUAL * deviation
    } else {
        deviation
    })
}
