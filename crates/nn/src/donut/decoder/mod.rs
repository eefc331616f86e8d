//! The text decoder: mBART's pre-norm layers with learned positions, and a cache of keys and values
//! for each question.

mod training;

use std::sync::Arc;

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};

use super::DecoderConfig;
use super::layers::{Norm, Projection};
use crate::generation::{CACHE_GROWTH, TokenCache};
use crate::kernels::{self, CrossKv, Weight};
use crate::loading::CountingSource;
use crate::memory_need::MemoryNeed;

/// Rows of the position table in front of position 0.
const POSITION_OFFSET: usize = 2;
/// PyTorch's default, which mBART does not change.
const EPS: f64 = 1e-5;

/// An encoded image as the decoder sees it.
#[derive(Clone, Debug)]
pub struct Image {
    /// Keys and values of each layer.
    layers: Arc<[CrossKv]>,
}

impl Image {
    /// Starts decoding about the image.
    pub fn start(&self) -> State {
        State {
            image: self.clone(),
            tokens: self.layers.iter().map(|_| TokenCache::new()).collect(),
            length: 0,
        }
    }
}

/// The state of one question. A clone shares the image's keys and values, and copies those of the
/// tokens when it goes on.
#[derive(Clone, Debug)]
pub struct State {
    image: Image,
    /// Keys and values of the tokens so far, layer by layer.
    tokens: Vec<TokenCache>,
    /// Tokens so far.
    length: usize,
}

#[derive(Debug)]
pub(super) struct Decoder {
    embedding: Tensor,
    scale: f64,
    positions: Tensor,
    embedding_norm: Norm,
    layers: Vec<Layer>,
    heads: usize,
    /// [heads, 1] of zeros: a distance bias that makes an attention causal and adds nothing.
    causal: Tensor,
    norm: Norm,
    output: Weight,
    pad: u32,
    dropout: f64,
    attention_dropout: f64,
    activation_dropout: f64,
}

impl Decoder {
    pub(super) fn load(config: &DecoderConfig, weights: &CountingSource) -> Result<Self> {
        let (vocabulary, width) = (config.vocab_size, config.d_model);
        let prefix = "decoder.model.decoder";
        let (table, head) = (
            format!("{prefix}.embed_tokens.weight"),
            "decoder.lm_head.weight",
        );
        let (embedding, output) = weights.embedding(&table, head, [vocabulary, width], true)?;
        let rows = config.max_position_embeddings + POSITION_OFFSET;
        Ok(Self {
            embedding,
            scale: if config.scale_embedding {
                (width as f64).sqrt()
            } else {
                1.0
            },
            positions: weights
                .tensor(format!("{prefix}.embed_positions.weight"), &[rows, width])?,
            embedding_norm: Norm::load(
                weights,
                &format!("{prefix}.layernorm_embedding"),
                width,
                EPS,
            )?,
            layers: (0..config.decoder_layers)
                .map(|layer| Layer::load(config, weights, &format!("{prefix}.layers.{layer}")))
                .collect::<Result<_>>()?,
            heads: config.decoder_attention_heads,
            causal: Tensor::zeros(
                (config.decoder_attention_heads, 1),
                candle_core::DType::F32,
                weights.device(),
            )?,
            norm: Norm::load(weights, &format!("{prefix}.layer_norm"), width, EPS)?,
            output,
            pad: config.pad_token_id,
            dropout: config.dropout,
            attention_dropout: config.attention_dropout,
            activation_dropout: config.activation_dropout,
        })
    }

    /// See [`super::Model::memory_need`].
    pub(super) fn memory_need(&self, places: usize, tokens: usize, beams: usize) -> MemoryNeed {
        let (layers, width) = (self.layers.len(), self.positions.dim(1).unwrap_or(0));
        let vocabulary = self.embedding.dim(0).unwrap_or(0);
        let image_cache = 2 * layers * places * width;
        let token_cache = 2 * layers * tokens.next_multiple_of(CACHE_GROWTH) * width;
        // A beam's cache and that of the beam it goes on from are there at the same time; logits are
        // copied twice.
        MemoryNeed::from_f32_values(
            2 * places * width,
            image_cache + beams * (2 * token_cache + 3 * vocabulary),
        )
    }

    pub(super) fn image(&self, encoded: &Tensor) -> Result<Image> {
        let encoded = encoded.contiguous()?;
        let mut layers = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            layers.push(CrossKv::new(
                &layer.image.key.forward(&encoded)?,
                &layer.image.value.forward(&encoded)?,
                self.heads,
                layer.image.key.compute_dtype(),
            )?);
        }
        Ok(Image {
            layers: layers.into(),
        })
    }

    /// The final hidden states [tokens of all questions, D].
    pub(super) fn states(&self, batch: &mut [(&mut State, &[u32])]) -> Result<Tensor> {
        let mut states = self.embed(batch)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let attended =
                self.self_attention(layer, index, &layer.tokens.norm.forward(&states)?, batch)?;
            states = (&states + attended)?;
            let attended =
                self.cross_attention(layer, index, &layer.image.norm.forward(&states)?, batch)?;
            states = (&states + attended)?;
            let inner = layer.fc1.decode_gelu(&layer.mlp_norm.forward(&states)?)?;
            states = (&states + layer.fc2.decode(&inner)?)?;
        }
        for (state, tokens) in batch {
            state.length += tokens.len();
        }
        self.norm.forward(&states)
    }

    /// [M, D] to [M, vocabulary].
    pub(super) fn logits(&self, states: &Tensor) -> Result<Tensor> {
        Ok(kernels::decode_linear(states, &self.output)?)
    }

    fn embed(&self, batch: &[(&mut State, &[u32])]) -> Result<Tensor> {
        let (rows, max_positions) = (
            self.embedding.dim(0)?,
            self.positions.dim(0)? - POSITION_OFFSET,
        );
        let (mut ids, mut positions) = (Vec::new(), Vec::new());
        for (state, tokens) in batch {
            ensure!(
                !tokens.is_empty(),
                "a decoding step needs tokens of every question"
            );
            let end = state.length + tokens.len();
            ensure!(
                end <= max_positions,
                "{end} tokens are more than the decoder's {max_positions} positions"
            );
            ids.extend_from_slice(tokens);
            positions
                .extend((state.length..end).map(|position| (position + POSITION_OFFSET) as u32));
        }
        if let Some(id) = ids.iter().find(|&&id| id as usize >= rows) {
            anyhow::bail!("token id {id} is outside the embedding of {rows} rows");
        }
        let device: &Device = self.embedding.device();
        let tokens = self
            .embedding
            .index_select(&Tensor::new(ids, device)?, 0)?
            .to_dtype(DType::F32)?;
        let tokens = (tokens * self.scale)?;
        let positions = self
            .positions
            .index_select(&Tensor::new(positions, device)?, 0)?;
        self.embedding_norm.forward(&(tokens + positions)?)
    }

    /// Every question's new tokens attend to its own tokens so far.
    fn self_attention(
        &self,
        layer: &Layer,
        index: usize,
        x: &Tensor,
        batch: &mut [(&mut State, &[u32])],
    ) -> Result<Tensor> {
        let attention = &layer.tokens;
        let [q, k, v] = [&attention.query, &attention.key, &attention.value]
            .map(|projection| projection.decode(x));
        let (q, k, v) = (q?, k?, v?);
        let mut first = 0;
        let mut attended = Vec::with_capacity(batch.len());
        for (state, tokens) in batch {
            let [q, k, v] = [&q, &k, &v].map(|x| x.narrow(0, first, tokens.len()));
            let (keys, values) = state.tokens[index].append(&k?, &v?)?;
            attended.push(kernels::decode_attention(
                &q?,
                &keys,
                &values,
                self.heads,
                Some(&self.causal),
            )?);
            first += tokens.len();
        }
        attention.output.decode(&Tensor::cat(&attended, 0)?)
    }

    /// Every question's new tokens attend to its image; neighbours with the same image in one go.
    fn cross_attention(
        &self,
        layer: &Layer,
        index: usize,
        x: &Tensor,
        batch: &[(&mut State, &[u32])],
    ) -> Result<Tensor> {
        let q = layer.image.query.decode(x)?;
        let mut first = 0;
        let mut attended = Vec::new();
        for group in batch.chunk_by(|(a, _), (b, _)| Arc::ptr_eq(&a.image.layers, &b.image.layers))
        {
            let Some((state, _)) = group.first() else {
                continue;
            };
            let tokens = group.iter().map(|(_, tokens)| tokens.len()).sum();
            attended.push(state.image.layers[index].attention(&q.narrow(0, first, tokens)?)?);
            first += tokens;
        }
        layer.image.output.decode(&Tensor::cat(&attended, 0)?)
    }
}

#[derive(Debug)]
struct Layer {
    tokens: Attention,
    image: Attention,
    mlp_norm: Norm,
    fc1: Projection,
    fc2: Projection,
}

#[derive(Debug)]
struct Attention {
    norm: Norm,
    query: Projection,
    key: Projection,
    value: Projection,
    output: Projection,
}

impl Layer {
    fn load(config: &DecoderConfig, weights: &CountingSource, prefix: &str) -> Result<Self> {
        let (width, inner) = (config.d_model, config.decoder_ffn_dim);
        let head = width / config.decoder_attention_heads;
        let attention = |name: &str| -> Result<Attention> {
            let projection = |part: &str| {
                Projection::load(
                    weights,
                    &format!("{prefix}.{name}.{part}_proj"),
                    [width, width],
                )
            };
            Ok(Attention {
                norm: Norm::load(weights, &format!("{prefix}.{name}_layer_norm"), width, EPS)?,
                query: projection("q")?.scaled((head as f64).powf(-0.5))?,
                key: projection("k")?,
                value: projection("v")?,
                output: projection("out")?,
            })
        };
        Ok(Self {
            tokens: attention("self_attn")?,
            image: attention("encoder_attn")?,
            mlp_norm: Norm::load(weights, &format!("{prefix}.final_layer_norm"), width, EPS)?,
            fc1: Projection::load(weights, &format!("{prefix}.fc1"), [inner, width])?,
            fc2: Projection::load(weights, &format!("{prefix}.fc2"), [width, inner])?,
        })
    }
}
