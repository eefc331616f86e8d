//! The text decoder: T5-like layers with relative position bias, and a cache of keys and values for
//! each question.

mod training;

use std::sync::Arc;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};

use super::TextConfig;
use crate::generation::{CACHE_GROWTH, TokenCache};
use crate::kernels::{self, CrossKv, Weight};
use crate::loading::CountingSource;
use crate::memory_need::MemoryNeed;

/// The state of one question: the keys and values of its image and of its tokens so far. A clone
/// shares the image's, and copies those of the tokens when it goes on.
#[derive(Clone, Debug)]
pub struct State {
    layers: Vec<LayerState>,
}

#[derive(Clone, Debug)]
struct LayerState {
    tokens: TokenCache,
    /// Keys and values of the image.
    image: Arc<CrossKv>,
}

#[derive(Debug)]
pub(super) struct Decoder {
    embedding: Tensor,
    layers: Vec<Layer>,
    /// [heads, distances]: the position bias of every layer.
    distance_bias: Tensor,
    heads: usize,
    norm: Tensor,
    output: Weight,
    eps: f64,
    /// The padding token, which training does not attend to.
    pad: u32,
    dropout: f64,
}

impl Decoder {
    pub(super) fn load(
        config: &TextConfig,
        may_tie: bool,
        weights: &CountingSource,
    ) -> Result<Self> {
        let vocabulary = [config.vocab_size, config.hidden_size];
        let (table, head) = ("decoder.embed_tokens.weight", "decoder.lm_head.weight");
        let (embedding, output) = weights.embedding(table, head, vocabulary, may_tie)?;
        let buckets = weights.tensor(
            "decoder.layer.0.self_attention.attention.relative_attention_bias.weight",
            &[config.relative_attention_num_buckets, config.num_heads],
        )?;
        Ok(Self {
            embedding,
            layers: (0..config.num_layers)
                .map(|layer| Layer::load(config, weights, &format!("decoder.layer.{layer}")))
                .collect::<Result<_>>()?,
            distance_bias: distance_bias(&buckets, config)?,
            heads: config.num_heads,
            norm: weights.tensor("decoder.final_layer_norm.weight", &[config.hidden_size])?,
            output,
            eps: config.layer_norm_epsilon,
            pad: config.pad_token_id,
            dropout: config.dropout_rate,
        })
    }

    /// Rows of the embedding.
    pub(super) fn vocabulary(&self) -> Result<usize> {
        Ok(self.embedding.dim(0)?)
    }

    /// See [`super::Model::memory_need`].
    pub(super) fn memory_need(&self, patches: usize, tokens: usize, beams: usize) -> MemoryNeed {
        let hidden = self.norm.elem_count();
        let vocabulary = self.embedding.dim(0).unwrap_or(0);
        let image_cache: usize = self
            .layers
            .iter()
            .map(|layer| patches * layer.image.key_words())
            .sum();
        let token_cache = self.layers.len() * tokens.next_multiple_of(CACHE_GROWTH) * 2 * hidden;
        // A beam's cache and that of the beam it goes on from are there at the same time.
        let copies = if beams > 1 { 2 * beams } else { 1 };
        // Keys and values of a layer are unpacked for a moment before they are packed; logits are
        // copied twice.
        MemoryNeed::from_f32_values(
            4 * patches * hidden,
            image_cache + copies * token_cache + beams.max(1) * 3 * vocabulary,
        )
    }

    pub(super) fn start(&self, encoded: &Tensor) -> Result<State> {
        let mut layers = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let [keys, values] = kernels::linears(encoded, [&layer.image.key, &layer.image.value])?;
            let image = CrossKv::new(&keys, &values, self.heads, layer.image.key.compute_dtype())?;
            layers.push(LayerState {
                tokens: TokenCache::new(),
                image: Arc::new(image),
            });
        }
        Ok(State { layers })
    }

    pub(super) fn forward(&self, batch: &mut [(&mut State, &[u32])]) -> Result<Tensor> {
        let ids: Vec<u32> = batch
            .iter()
            .flat_map(|(_, tokens)| tokens.iter().copied())
            .collect();
        let rows = self.embedding.dim(0)?;
        if let Some(id) = ids.iter().find(|&&id| id as usize >= rows) {
            anyhow::bail!("token id {id} is outside the embedding of {rows} rows");
        }
        let ids = Tensor::new(ids, self.embedding.device())?;
        let mut states = self.embedding.index_select(&ids, 0)?.to_dtype(DType::F32)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let x = kernels::rms_norm(&states, &layer.tokens.norm, self.eps)?;
            states = (&states + self.self_attention(layer, index, &x, batch)?)?;
            let x = kernels::rms_norm(&states, &layer.image.norm, self.eps)?;
            states = (&states + self.cross_attention(layer, index, &x, batch)?)?;
            let x = kernels::rms_norm(&states, &layer.mlp_norm, self.eps)?;
            let inner = kernels::decode_gated_gelu(&x, &layer.wi_0, &layer.wi_1)?;
            states = (&states + kernels::decode_linear(&inner, &layer.wo)?)?;
        }
        let states = kernels::rms_norm(&states, &self.norm, self.eps)?;
        Ok(kernels::decode_linear(&states, &self.output)?)
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
            .map(|w| kernels::decode_linear(x, w));
        let (q, k, v) = (q?, k?, v?);
        let bias = Some(&self.distance_bias);
        let mut first = 0;
        let mut attended = Vec::with_capacity(batch.len());
        for (state, tokens) in batch.iter_mut().filter(|(_, tokens)| !tokens.is_empty()) {
            let [q, k, v] = [&q, &k, &v].map(|x| x.narrow(0, first, tokens.len()));
            let (keys, values) = state.layers[index].tokens.append(&k?, &v?)?;
            attended.push(kernels::decode_attention(
                &q?, &keys, &values, self.heads, bias,
            )?);
            first += tokens.len();
        }
        Ok(kernels::decode_linear(
            &Tensor::cat(&attended, 0)?,
            &attention.output,
        )?)
    }

    /// Every question's new tokens attend to its own image.
    fn cross_attention(
        &self,
        layer: &Layer,
        index: usize,
        x: &Tensor,
        batch: &[(&mut State, &[u32])],
    ) -> Result<Tensor> {
        let q = kernels::decode_linear(x, &layer.image.query)?;
        let mut first = 0;
        let mut attended = Vec::with_capacity(batch.len());
        for (state, tokens) in batch.iter().filter(|(_, tokens)| !tokens.is_empty()) {
            attended.push(state.layers[index].image.attention(&q.narrow(
                0,
                first,
                tokens.len(),
            )?)?);
            first += tokens.len();
        }
        Ok(kernels::decode_linear(
            &Tensor::cat(&attended, 0)?,
            &layer.image.output,
        )?)
    }
}

#[derive(Debug)]
struct Layer {
    tokens: Attention,
    image: Attention,
    mlp_norm: Tensor,
    wi_0: Weight,
    wi_1: Weight,
    wo: Weight,
}

#[derive(Debug)]
struct Attention {
    norm: Tensor,
    query: Weight,
    key: Weight,
    value: Weight,
    output: Weight,
}

impl Attention {
    /// f32 words that the key and the value of a token take.
    fn key_words(&self) -> usize {
        let width = self.key.dims().map_or(0, |(width, _)| width);
        2 * width / self.key.compute_dtype().values_per_word()
    }
}

impl Layer {
    fn load(config: &TextConfig, weights: &CountingSource, prefix: &str) -> Result<Self> {
        let (hidden, ff) = (config.hidden_size, config.d_ff);
        let norm = |name: &str| weights.tensor(format!("{prefix}.{name}.weight"), &[hidden]);
        let weight = |name: &str, shape: [usize; 2]| {
            weights.weight(format!("{prefix}.{name}.weight"), shape)
        };
        let attention = |name: &str| -> Result<Attention> {
            let projection =
                |part: &str| weight(&format!("{name}.attention.{part}"), [hidden, hidden]);
            Ok(Attention {
                norm: norm(&format!("{name}.layer_norm"))?,
                query: projection("query")?,
                key: projection("key")?,
                value: projection("value")?,
                output: projection("output")?,
            })
        };
        Ok(Self {
            tokens: attention("self_attention")?,
            image: attention("encoder_decoder_attention")?,
            mlp_norm: norm("mlp.layer_norm")?,
            wi_0: weight("mlp.DenseReluDense.wi_0", [ff, hidden])?,
            wi_1: weight("mlp.DenseReluDense.wi_1", [ff, hidden])?,
            wo: weight("mlp.DenseReluDense.wo", [hidden, ff])?,
        })
    }
}

/// The bias of each distance, [heads, max_distance + 1], from the table of buckets [buckets,
/// heads]. Every larger distance is in the last bucket too.
fn distance_bias(buckets: &Tensor, config: &TextConfig) -> Result<Tensor> {
    let count = config.relative_attention_num_buckets;
    let max = config.relative_attention_max_distance;
    let buckets_by_distance: Vec<u32> = (0..=max)
        .map(|distance| bucket(distance, count, max) as u32)
        .collect();
    let buckets_by_distance =
        Tensor::new(buckets_by_distance, &Device::Cpu)?.to_device(buckets.device())?;
    Ok(buckets
        .index_select(&buckets_by_distance, 0)?
        .t()?
        .contiguous()?)
}

/// T5's unidirectional bucket of a distance: exact up to half of them, logarithmic up to
/// `max_distance`, in f32 as the reference computes it.
fn bucket(distance: usize, buckets: usize, max_distance: usize) -> usize {
    let exact = buckets / 2;
    if distance < exact {
        return distance;
    }
    let part =
        (distance as f32 / exact as f32).ln() / ((max_distance as f64 / exact as f64).ln() as f32);
    let log = exact + (part * (buckets - exact) as f32) as usize;
    log.min(buckets - 1)
}

#[cfg(test)]
mod tests {
    use super::bucket;

    /// The first distances of some of the reference's buckets.
    #[test]
    fn buckets_of_the_reference() {
        let of = |distance| bucket(distance, 32, 128);
        assert_eq!(
            [0, 15, 16, 98, 99, 112, 113, 128, 1000].map(of),
            [0, 15, 16, 29, 30, 30, 31, 31, 31]
        );
    }
}
