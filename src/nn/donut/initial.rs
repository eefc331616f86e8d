//! How `VisionEncoderDecoderModel` of transformers begins the weights of a Donut.

use super::Config;
use crate::nn::training::Start;

impl Config {
    /// How the tensor of a name begins: weights normal, biases and the tables of window biases zero, norms one, the
    /// embedding of padding zero.
    pub fn start_of(&self, name: &str) -> Start {
        let norm = name.contains("norm");
        if name.ends_with(".bias") || name.ends_with("relative_position_bias_table") {
            return Start::Constant(0.0);
        }
        if norm {
            return Start::Constant(1.0);
        }
        if !name.starts_with("decoder.") {
            return Start::Normal(self.encoder.initializer_range);
        }
        match name.ends_with("embed_tokens.weight") {
            true => Start::NormalButRow(self.decoder.init_std, self.decoder.pad_token_id as usize),
            false => Start::Normal(self.decoder.init_std),
        }
    }
}
