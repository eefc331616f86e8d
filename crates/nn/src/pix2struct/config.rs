//! `config.json` and `generation_config.json`, with the defaults of transformers'
//! `Pix2StructConfig`.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::init;
use crate::config_file::{
    CONFIG, GENERATION_CONFIG, LARGEST, MOST_LAYERS, OneOrMany, check_architecture, check_epsilons,
    check_factors, check_probabilities, check_sizes, check_token_ids, parse_json, read_json,
};
use crate::training::InitDistribution;
use crate::{LayerStack, ModelConfig};
use chartbench_core::terminal::shorten;

const MODEL_TYPE: &str = "pix2struct";

/// The decoder holds a bias for every distance up to its maximum.
const MAX_DISTANCE: usize = 1 << 16;

/// A Pix2Struct checkpoint's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The decoder.
    pub text_config: TextConfig,
    /// The encoder.
    pub vision_config: VisionConfig,
    /// Whether the output matrix is the embedding matrix when the file stores none (no published
    /// checkpoint).
    pub tie_word_embeddings: bool,
    /// Deviation of initial weights without another rule.
    pub initializer_range: f64,
    /// The ids that start and end an answer: `generation_config.json`, else the ids of
    /// `config.json`.
    #[serde(skip)]
    pub generation: SpecialTokens,
}

/// The decoder's configuration; keys and defaults of transformers' `Pix2StructTextConfig`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are config.json's")]
pub struct TextConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub d_kv: usize,
    pub d_ff: usize,
    pub num_layers: usize,
    pub num_heads: usize,
    pub relative_attention_num_buckets: usize,
    pub relative_attention_max_distance: usize,
    pub layer_norm_epsilon: f64,
    pub dense_act_fn: String,
    pub decoder_start_token_id: u32,
    pub pad_token_id: u32,
    pub eos_token_id: u32,
    pub dropout_rate: f64,
    pub initializer_factor: f64,
}

/// The encoder's configuration; keys and defaults of transformers' `Pix2StructVisionConfig`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are config.json's")]
pub struct VisionConfig {
    pub hidden_size: usize,
    pub patch_embed_hidden_size: usize,
    pub d_ff: usize,
    pub d_kv: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub layer_norm_eps: f64,
    pub dense_act_fn: String,
    pub dropout_rate: f64,
    pub attention_dropout: f64,
    pub initializer_factor: f64,
    /// Rows of each of the two position tables.
    pub seq_len: usize,
}

/// The token ids that start and end an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// The first decoder input.
    pub start: u32,
    /// Any of these ends an answer.
    pub eos: Vec<u32>,
}

impl Default for Config {
    fn default() -> Self {
        let (text_config, vision_config) = (TextConfig::default(), VisionConfig::default());
        Self {
            text_config,
            vision_config,
            tie_word_embeddings: false,
            initializer_range: 0.02,
            generation: SpecialTokens::default(),
        }
    }
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 50_244,
            hidden_size: 768,
            d_kv: 64,
            d_ff: 2048,
            num_layers: 12,
            num_heads: 12,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
            layer_norm_epsilon: 1e-6,
            dense_act_fn: "gelu_new".to_owned(),
            decoder_start_token_id: 0,
            pad_token_id: 0,
            eos_token_id: 1,
            dropout_rate: 0.1,
            initializer_factor: 1.0,
        }
    }
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            patch_embed_hidden_size: 768,
            d_ff: 2048,
            d_kv: 64,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            layer_norm_eps: 1e-6,
            dense_act_fn: "gelu_new".to_owned(),
            dropout_rate: 0.0,
            attention_dropout: 0.0,
            initializer_factor: 1.0,
            seq_len: 4096,
        }
    }
}

impl Config {
    /// Reads `config.json` (and `generation_config.json`, if there) of a checkpoint's folder.
    /// Unknown keys are ignored: old versions of transformers wrote many.
    ///
    /// # Errors
    /// Returns an error if a file is missing or malformed, of another architecture, or has sizes
    /// that contradict each other.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(CONFIG);
        let read = || -> Result<Self> {
            let json: Value = read_json(&path)?;
            check_architecture(&json, MODEL_TYPE)?;
            let mut config: Self = parse_json(json.clone())?;
            config.check()?;
            let ids: Ids = parse_json(json)?;
            config.generation = ids.over(&Ids::default(), &config.text_config);
            let generation = dir.join(GENERATION_CONFIG);
            if generation.is_file() {
                let stored: Ids =
                    read_json(&generation).with_context(|| GENERATION_CONFIG.to_owned())?;
                config.generation = stored.over(&ids, &config.text_config);
            }
            config.check_ids()?;
            Ok(config)
        };
        read().with_context(|| path.display().to_string())
    }

    fn check_ids(&self) -> Result<()> {
        let ids = [
            ("decoder_start_token_id", self.generation.start),
            ("text_config.pad_token_id", self.text_config.pad_token_id),
        ];
        let ends = self.generation.eos.iter().map(|&id| ("eos_token_id", id));
        check_token_ids(
            self.text_config.vocab_size,
            &ids.into_iter().chain(ends).collect::<Vec<_>>(),
        )
    }

    fn check(&self) -> Result<()> {
        let (text, vision) = (&self.text_config, &self.vision_config);
        for act in [&text.dense_act_fn, &vision.dense_act_fn] {
            ensure!(
                act == "gelu_new",
                "dense_act_fn {:?} is not supported (gelu_new is)",
                shorten(act)
            );
        }
        self.check_sizes()?;
        ensure!(
            text.hidden_size == vision.hidden_size,
            "text_config.hidden_size {} and vision_config.hidden_size {} differ",
            text.hidden_size,
            vision.hidden_size
        );
        ensure!(
            text.num_heads * text.d_kv == text.hidden_size,
            "text_config: num_heads {} x d_kv {} is not hidden_size {}",
            text.num_heads,
            text.d_kv,
            text.hidden_size
        );
        check_epsilons(&[
            ("text_config.layer_norm_epsilon", text.layer_norm_epsilon),
            ("vision_config.layer_norm_eps", vision.layer_norm_eps),
        ])?;
        check_factors(&[
            ("initializer_range", self.initializer_range),
            ("text_config.initializer_factor", text.initializer_factor),
            (
                "vision_config.initializer_factor",
                vision.initializer_factor,
            ),
        ])?;
        check_probabilities(&[
            ("text_config.dropout_rate", text.dropout_rate),
            ("vision_config.dropout_rate", vision.dropout_rate),
            ("vision_config.attention_dropout", vision.attention_dropout),
        ])?;
        ensure!(
            text.relative_attention_max_distance <= MAX_DISTANCE,
            "text_config.relative_attention_max_distance {} is absurdly large",
            text.relative_attention_max_distance
        );
        ensure!(
            text.relative_attention_num_buckets >= 2
                && text.relative_attention_max_distance > text.relative_attention_num_buckets / 2,
            "text_config: relative_attention_max_distance must exceed half the number of buckets"
        );
        Ok(())
    }
}

impl ModelConfig for Config {
    fn layer_stacks(&self) -> Vec<LayerStack> {
        vec![
            LayerStack::new(
                "text_config.num_layers",
                "decoder.layer.",
                self.text_config.num_layers,
            ),
            LayerStack::new(
                "vision_config.num_hidden_layers",
                "encoder.encoder.layer.",
                self.vision_config.num_hidden_layers,
            ),
        ]
    }

    fn init_distribution(&self, name: &str, _: &[usize]) -> InitDistribution {
        init::distribution(self, name)
    }

    fn eos(&self) -> &[u32] {
        &self.generation.eos
    }

    fn pad_token_id(&self) -> u32 {
        self.text_config.pad_token_id
    }

    fn max_positions(&self) -> Option<usize> {
        None
    }

    /// Counts each layer's norms, projections and products: per patch in the encoder, per token in
    /// the decoder.
    fn activations(&self, input: &[usize], labels: usize, checkpointing: bool) -> usize {
        let (vision, text) = (&self.vision_config, &self.text_config);
        let patches = input.first().copied().unwrap_or(0);
        let (layers, layer) = (
            vision.num_hidden_layers,
            8 * vision.hidden_size + vision.d_ff,
        );
        let encoder = if checkpointing {
            layers * vision.hidden_size + layer
        } else {
            layers * layer
        };
        let projected = 2 * text.num_layers * text.hidden_size;
        let decoder = text.num_layers * (14 * text.hidden_size + text.d_ff) + 2 * text.vocab_size;
        patches * (encoder + projected + vision.patch_embed_hidden_size) + labels * decoder
    }
}

impl Config {
    fn check_sizes(&self) -> Result<()> {
        let (text, vision) = (&self.text_config, &self.vision_config);
        check_sizes(
            LARGEST,
            &[
                ("text_config.vocab_size", text.vocab_size),
                ("text_config.hidden_size", text.hidden_size),
                ("text_config.d_kv", text.d_kv),
                ("text_config.d_ff", text.d_ff),
                ("text_config.num_heads", text.num_heads),
                ("vision_config.hidden_size", vision.hidden_size),
                (
                    "vision_config.patch_embed_hidden_size",
                    vision.patch_embed_hidden_size,
                ),
                ("vision_config.d_ff", vision.d_ff),
                ("vision_config.d_kv", vision.d_kv),
                (
                    "vision_config.num_attention_heads",
                    vision.num_attention_heads,
                ),
                ("vision_config.seq_len", vision.seq_len),
            ],
        )?;
        check_sizes(
            MOST_LAYERS,
            &[
                ("text_config.num_layers", text.num_layers),
                ("vision_config.num_hidden_layers", vision.num_hidden_layers),
            ],
        )
    }
}

/// The ids as either file stores them.
#[derive(Default, Deserialize)]
struct Ids {
    decoder_start_token_id: Option<u32>,
    eos_token_id: Option<OneOrMany>,
}

impl Ids {
    /// These ids, else those of `other`, else the decoder configuration's.
    fn over(&self, other: &Self, text: &TextConfig) -> SpecialTokens {
        let start = self.decoder_start_token_id.or(other.decoder_start_token_id);
        let eos = self
            .eos_token_id
            .clone()
            .or_else(|| other.eos_token_id.clone());
        SpecialTokens {
            start: start.unwrap_or(text.decoder_start_token_id),
            eos: match eos {
                None => vec![text.eos_token_id],
                Some(ids) => ids.into(),
            },
        }
    }
}
