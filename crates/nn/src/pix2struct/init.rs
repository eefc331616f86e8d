//! Initial weights of a Pix2Struct: the decoder's as in `Pix2StructForConditionalGeneration` of
//! transformers, and the encoder's by the same rule. (There the reference draws everything at 0.02,
//! which suits widths of 768 and more: in a narrow encoder the pixels would drown the positions,
//! and both would drown the layers.)

use super::Config;
use crate::training::InitDistribution;

/// The deviation of the row's and of the column's embedding. Their sum has the deviation of a
/// projected patch.
const POSITION: f64 = std::f64::consts::FRAC_1_SQRT_2;

/// The initial distribution of the tensor of a name: T5's deviations, positions that weigh as much
/// as pixels, norms of one.
pub(super) fn distribution(config: &Config, name: &str) -> InitDistribution {
    let (text, vision) = (&config.text_config, &config.vision_config);
    let root = |size: usize| (size as f64).powf(-0.5);
    if name.contains("norm") {
        let factor = if name.starts_with("decoder.") {
            text.initializer_factor
        } else {
            vision.initializer_factor
        };
        return InitDistribution::Constant(factor);
    }
    if name.ends_with(".bias") {
        return InitDistribution::Constant(0.0);
    }
    if name.ends_with("row_embedder.weight") || name.ends_with("column_embedder.weight") {
        return InitDistribution::Normal(vision.initializer_factor * POSITION);
    }
    if !name.starts_with("decoder.") {
        let deviation = match name.trim_end_matches(".weight").rsplit('.').next() {
            Some("patch_projection") => root(vision.patch_embed_hidden_size),
            Some("query") => root(vision.hidden_size * vision.d_kv),
            Some("output") => root(vision.num_attention_heads * vision.d_kv),
            Some("wo") => root(vision.d_ff),
            _ => root(vision.hidden_size),
        };
        return InitDistribution::Normal(vision.initializer_factor * deviation);
    }
    let deviation = match name.trim_end_matches(".weight").rsplit('.').next() {
        Some("query") => root(text.hidden_size * text.d_kv),
        Some("output") => root(text.num_heads * text.d_kv),
        Some("wo") => root(text.d_ff),
        _ => root(text.hidden_size),
    };
    InitDistribution::Normal(text.initializer_factor * deviation)
}
