//! `config.json` and `generation_config.json`, with the defaults of transformers' `DonutSwinConfig`
//! and `MBartConfig`.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::init;
use crate::config_file::{
    CONFIG, GENERATION_CONFIG, LARGEST, MOST_LAYERS, OneOrMany, check_architecture, check_epsilons,
    check_probabilities, check_sizes, check_token_ids, parse_json, read_json,
};
use crate::training::InitDistribution;
use crate::{LayerStack, ModelConfig};
use chartbench_core::terminal::shorten;

const MODEL_TYPE: &str = "vision-encoder-decoder";
/// Largest width of the first stage and largest patch; no checkpoint has more.
const LARGEST_OF_ENCODER: usize = 4096;
const LARGEST_WINDOW: usize = 64;

/// A Donut checkpoint's configuration.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// The Swin transformer.
    pub encoder: EncoderConfig,
    /// The mBART decoder.
    pub decoder: DecoderConfig,
    /// The ids that end an answer: those of `generation_config.json`, else of `config.json`.
    #[serde(skip)]
    pub generation: EndTokens,
}

/// The encoder's configuration; keys and defaults of transformers' `DonutSwinConfig`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are config.json's")]
pub struct EncoderConfig {
    pub model_type: String,
    pub patch_size: usize,
    pub num_channels: usize,
    pub embed_dim: usize,
    pub depths: Vec<usize>,
    pub num_heads: Vec<usize>,
    pub window_size: usize,
    pub mlp_ratio: f64,
    pub qkv_bias: bool,
    pub hidden_act: String,
    pub use_absolute_embeddings: bool,
    pub layer_norm_eps: f64,
    pub hidden_dropout_prob: f64,
    pub attention_probs_dropout_prob: f64,
    pub drop_path_rate: f64,
}

/// The decoder's configuration; keys and defaults of transformers' `MBartConfig`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are config.json's")]
pub struct DecoderConfig {
    pub model_type: String,
    pub vocab_size: usize,
    pub max_position_embeddings: usize,
    pub d_model: usize,
    pub decoder_layers: usize,
    pub decoder_attention_heads: usize,
    pub decoder_ffn_dim: usize,
    pub activation_function: String,
    pub scale_embedding: bool,
    pub dropout: f64,
    pub attention_dropout: f64,
    pub activation_dropout: f64,
    pub pad_token_id: u32,
    pub eos_token_id: u32,
    pub forced_eos_token_id: Option<u32>,
}

/// The token ids that end an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndTokens {
    /// Any of these ends an answer.
    pub eos: Vec<u32>,
    /// The last token of an answer that reaches the greatest length: one of these, if there are any.
    pub forced_eos: Vec<u32>,
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self {
            model_type: ENCODER.to_owned(),
            patch_size: 4,
            num_channels: 3,
            embed_dim: 96,
            depths: vec![2, 2, 6, 2],
            num_heads: vec![3, 6, 12, 24],
            window_size: 7,
            mlp_ratio: 4.0,
            qkv_bias: true,
            hidden_act: GELU.to_owned(),
            use_absolute_embeddings: false,
            layer_norm_eps: 1e-5,
            hidden_dropout_prob: 0.0,
            attention_probs_dropout_prob: 0.0,
            drop_path_rate: 0.1,
        }
    }
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self {
            model_type: DECODER.to_owned(),
            vocab_size: 50_265,
            max_position_embeddings: 1024,
            d_model: 1024,
            decoder_layers: 12,
            decoder_attention_heads: 16,
            decoder_ffn_dim: 4096,
            activation_function: GELU.to_owned(),
            scale_embedding: false,
            dropout: 0.1,
            attention_dropout: 0.0,
            activation_dropout: 0.0,
            pad_token_id: 1,
            eos_token_id: 2,
            forced_eos_token_id: Some(2),
        }
    }
}

const ENCODER: &str = "donut-swin";
const DECODER: &str = "mbart";
/// The names of a stage's tensors up to its number.
const ENCODER_STAGE: &str = "encoder.encoder.layers.";
const GELU: &str = "gelu";

impl EncoderConfig {
    /// Width of the last stage.
    pub fn hidden_size(&self) -> usize {
        self.embed_dim << self.depths.len().saturating_sub(1)
    }

    /// The probability of dropping a block's attention in training (stochastic depth): it grows
    /// linearly from 0 at the first block to `drop_path_rate` at the last.
    pub(super) fn drop_path(&self, stage: usize, block: usize) -> f64 {
        let (index, count) = (
            self.depths[..stage].iter().sum::<usize>() + block,
            self.depths.iter().sum::<usize>(),
        );
        self.drop_path_rate * index as f64 / count.saturating_sub(1).max(1) as f64
    }

    fn check(&self) -> Result<()> {
        ensure!(
            self.model_type == ENCODER,
            "encoder.model_type {:?} is not supported ({ENCODER} is)",
            shorten(&self.model_type)
        );
        ensure!(
            self.hidden_act == GELU,
            "encoder.hidden_act {:?} is not supported ({GELU} is)",
            shorten(&self.hidden_act)
        );
        ensure!(self.qkv_bias, "encoder.qkv_bias false is not supported");
        ensure!(
            !self.use_absolute_embeddings,
            "encoder.use_absolute_embeddings is not supported"
        );
        let (depths, heads) = (self.depths.len(), self.num_heads.len());
        ensure!(
            depths == heads,
            "encoder.depths has {depths} stages, encoder.num_heads {heads}"
        );
        ensure!(
            (1..=8).contains(&depths),
            "encoder.depths has {depths} stages, 1 to 8 are supported"
        );
        check_sizes(
            LARGEST_OF_ENCODER,
            &[
                ("encoder.patch_size", self.patch_size),
                ("encoder.num_channels", self.num_channels),
                ("encoder.embed_dim", self.embed_dim),
            ],
        )?;
        check_sizes(LARGEST_WINDOW, &[("encoder.window_size", self.window_size)])?;
        ensure!(
            self.mlp_ratio > 0.0 && self.mlp_ratio <= 64.0,
            "encoder.mlp_ratio {} is absurd",
            self.mlp_ratio
        );
        self.depths
            .iter()
            .try_for_each(|&depth| check_sizes(MOST_LAYERS, &[("encoder.depths", depth)]))?;
        check_epsilons(&[("encoder.layer_norm_eps", self.layer_norm_eps)])?;
        check_probabilities(&[
            ("encoder.hidden_dropout_prob", self.hidden_dropout_prob),
            (
                "encoder.attention_probs_dropout_prob",
                self.attention_probs_dropout_prob,
            ),
            ("encoder.drop_path_rate", self.drop_path_rate),
        ])?;
        for (stage, &heads) in self.num_heads.iter().enumerate() {
            let width = self.embed_dim << stage;
            ensure!(
                heads > 0 && width.is_multiple_of(heads),
                "encoder: {heads} heads do not divide {width}"
            );
        }
        Ok(())
    }
}

impl DecoderConfig {
    fn check(&self) -> Result<()> {
        ensure!(
            self.model_type == DECODER,
            "decoder.model_type {:?} is not supported ({DECODER} is)",
            shorten(&self.model_type)
        );
        let act = &self.activation_function;
        ensure!(
            act == GELU,
            "decoder.activation_function {:?} is not supported ({GELU} is)",
            shorten(act)
        );
        check_sizes(
            LARGEST,
            &[
                ("decoder.vocab_size", self.vocab_size),
                (
                    "decoder.max_position_embeddings",
                    self.max_position_embeddings,
                ),
                ("decoder.d_model", self.d_model),
                (
                    "decoder.decoder_attention_heads",
                    self.decoder_attention_heads,
                ),
                ("decoder.decoder_ffn_dim", self.decoder_ffn_dim),
            ],
        )?;
        check_sizes(
            MOST_LAYERS,
            &[("decoder.decoder_layers", self.decoder_layers)],
        )?;
        check_probabilities(&[
            ("decoder.dropout", self.dropout),
            ("decoder.attention_dropout", self.attention_dropout),
            ("decoder.activation_dropout", self.activation_dropout),
        ])?;
        let heads = self.decoder_attention_heads;
        ensure!(
            self.d_model.is_multiple_of(heads),
            "decoder: decoder_attention_heads {heads} do not divide d_model {}",
            self.d_model
        );
        Ok(())
    }
}

impl Config {
    /// Reads `config.json` (and `generation_config.json`, if there) of a checkpoint's folder.
    /// Unknown keys are ignored.
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
            config.encoder.check()?;
            config.decoder.check()?;
            let generation = dir.join(GENERATION_CONFIG);
            let stored = match generation.is_file() {
                true => read_json(&generation).with_context(|| GENERATION_CONFIG.to_owned())?,
                false => Stored::deserialize(json.get("decoder").unwrap_or(&Value::Null))?,
            };
            config.generation = stored.over(&config.decoder);
            config.check_ids()?;
            Ok(config)
        };
        read().with_context(|| path.display().to_string())
    }

    fn check_ids(&self) -> Result<()> {
        let EndTokens { eos, forced_eos } = &self.generation;
        let ends = eos.iter().map(|&id| ("eos_token_id", id));
        let forced = forced_eos.iter().map(|&id| ("forced_eos_token_id", id));
        let ids: Vec<_> = ends
            .chain(forced)
            .chain([("decoder.pad_token_id", self.decoder.pad_token_id)])
            .collect();
        check_token_ids(self.decoder.vocab_size, &ids)
    }
}

impl ModelConfig for Config {
    fn layer_stacks(&self) -> Vec<LayerStack> {
        let mut stacks = Vec::new();
        for (stage, &depth) in self.encoder.depths.iter().enumerate() {
            let prefix = format!("{ENCODER_STAGE}{stage}.blocks.");
            stacks.push(LayerStack::new(
                format!("encoder.depths[{stage}]"),
                prefix,
                depth,
            ));
        }
        stacks.push(LayerStack::new(
            "the length of encoder.depths",
            ENCODER_STAGE,
            self.encoder.depths.len(),
        ));
        let decoder_layers = self.decoder.decoder_layers;
        stacks.push(LayerStack::new(
            "decoder.decoder_layers",
            "decoder.model.decoder.layers.",
            decoder_layers,
        ));
        stacks
    }

    fn init_distribution(&self, name: &str, shape: &[usize]) -> InitDistribution {
        init::distribution(self, name, shape)
    }

    fn eos(&self) -> &[u32] {
        &self.generation.eos
    }

    fn pad_token_id(&self) -> u32 {
        self.decoder.pad_token_id
    }

    fn max_positions(&self) -> Option<usize> {
        Some(self.decoder.max_position_embeddings)
    }

    /// Counts each block's norms, projections and products, times the positions of its stage.
    fn activations(&self, input: &[usize], labels: usize, checkpointing: bool) -> usize {
        let (encoder, decoder) = (&self.encoder, &self.decoder);
        let pixels = input.iter().product::<usize>() / encoder.num_channels.max(1);
        let mut places = pixels / (encoder.patch_size * encoder.patch_size).max(1);
        let mut width = encoder.embed_dim;
        let (mut sum, mut largest) = (0, 0);
        for depth in &encoder.depths {
            let inner = (encoder.mlp_ratio * width as f64) as usize;
            let block = 9 * width + 2 * inner;
            let kept = if checkpointing { width } else { block };
            sum += places * depth * kept;
            largest = largest.max(places * block);
            (places, width) = (places.div_ceil(4), 2 * width);
        }
        let layers = decoder.decoder_layers;
        let projected = 8 * places * layers * decoder.d_model;
        let tokens =
            layers * (16 * decoder.d_model + 2 * decoder.decoder_ffn_dim) + 2 * decoder.vocab_size;
        let again = if checkpointing { largest } else { 0 };
        sum + again + projected + labels * tokens
    }
}

/// The ids as either file stores them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Stored {
    eos_token_id: Option<OneOrMany>,
    forced_eos_token_id: Option<OneOrMany>,
}

impl Stored {
    fn over(self, decoder: &DecoderConfig) -> EndTokens {
        EndTokens {
            eos: self
                .eos_token_id
                .map_or_else(|| vec![decoder.eos_token_id], Into::into),
            forced_eos: self.forced_eos_token_id.map_or_else(
                || decoder.forced_eos_token_id.into_iter().collect(),
                Into::into,
            ),
        }
    }
}
