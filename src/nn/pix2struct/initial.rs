//! How `Pix2StructForConditionalGeneration` of transformers begins its weights.

use super::Config;
use crate::nn::training::Start;

impl Config {
    /// How the tensor of a name begins: T5's deviations in the decoder, `initializer_range` in the encoder, norms of one.
    pub fn start_of(&self, name: &str) -> Start {
        let (text, vision) = (&self.text_config, &self.vision_config);
        let root = |size: usize| (size as f64).powf(-0.5);
        if name.contains("norm") {
            let factor = if name.starts_with("decoder.") { text.initializer_factor } else { vision.initializer_factor };
            return Start::Constant(factor);
        }
        if name.ends_with(".bias") {
            return Start::Constant(0.0);
        }
        if name.ends_with("row_embedder.weight") || name.ends_with("column_embedder.weight") {
            return Start::Normal(vision.initializer_factor * root(vision.hidden_size));
        }
        if !name.starts_with("decoder.") {
            return Start::Normal(self.initializer_range);
        }
        let deviation = match name.trim_end_matches(".weight").rsplit('.').next() {
            Some("query") => root(text.hidden_size * text.d_kv),
            Some("output") => root(text.num_heads * text.d_kv),
            Some("wo") => root(text.d_ff),
            _ => root(text.hidden_size),
        };
        Start::Normal(text.initializer_factor * deviation)
    }
}
