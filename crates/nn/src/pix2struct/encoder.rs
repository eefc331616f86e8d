//! The vision encoder: patch and position embeddings, pre-norm attention and gated GELU layers.

use std::rc::Rc;

use anyhow::{Result, bail, ensure};
use candle_core::{DType, Tensor};

use super::VisionConfig;
use crate::kernels::{self, SequenceSpan, Weight};
use crate::loading::CountingSource;
use crate::memory_need::MemoryNeed;
use crate::training::{DropoutMode, LayerCheckpoints, PackedBatch};

/// Columns of a patch row in front of its pixels: row id, column id.
const POSITIONS: usize = 2;

#[derive(Debug)]
pub(super) struct Encoder {
    /// Always f32: it is small, and everything depends on it.
    projection: Weight,
    projection_bias: Tensor,
    rows: Tensor,
    columns: Tensor,
    layers: Vec<Rc<Layer>>,
    norm: Tensor,
    eps: f64,
    dropout: f64,
}

impl Encoder {
    pub(super) fn load(config: &VisionConfig, weights: &CountingSource) -> Result<Self> {
        let (hidden, positions) = (config.hidden_size, config.seq_len);
        let prefix = "encoder.embeddings";
        Ok(Self {
            projection: weights
                .tensor(
                    format!("{prefix}.patch_projection.weight"),
                    &[hidden, config.patch_embed_hidden_size],
                )?
                .into(),
            projection_bias: weights
                .tensor(format!("{prefix}.patch_projection.bias"), &[hidden])?,
            rows: weights.tensor(
                format!("{prefix}.row_embedder.weight"),
                &[positions, hidden],
            )?,
            columns: weights.tensor(
                format!("{prefix}.column_embedder.weight"),
                &[positions, hidden],
            )?,
            layers: (0..config.num_hidden_layers)
                .map(|layer| {
                    Layer::load(config, weights, &format!("encoder.encoder.layer.{layer}"))
                        .map(Rc::new)
                })
                .collect::<Result<_>>()?,
            norm: weights.tensor("encoder.layernorm.weight", &[hidden])?,
            eps: config.layer_norm_eps,
            dropout: config.dropout_rate,
        })
    }

    /// See [`super::Model::memory_need`].
    pub(super) fn memory_need(&self, patches: usize) -> MemoryNeed {
        let hidden = self.norm.elem_count();
        let pixels = self.projection.dims().map_or(0, |(_, pixels)| pixels);
        let inner = self
            .layers
            .first()
            .and_then(|layer| layer.wi_0.dims().ok())
            .map_or(0, |(inner, _)| inner);
        // The patches twice; states, norms, queries, keys and values with what is packed of them;
        // the gate.
        MemoryNeed::from_f32_values(
            patches * (2 * pixels + 10 * hidden + 2 * inner),
            patches * hidden,
        )
    }

    /// Encodes the rows of several images; the rows of a span attend within their image.
    pub(super) fn forward(
        &self,
        patches: &Tensor,
        spans: &[SequenceSpan],
        dropout: &mut DropoutMode,
        checkpoints: &mut LayerCheckpoints,
    ) -> Result<Tensor> {
        let mut states = dropout.apply(self.embed(patches)?, self.dropout)?;
        for layer in &self.layers {
            let (layer, spans, eps) = (Rc::clone(layer), spans.to_vec(), self.eps);
            states = checkpoints.run_layer(states, dropout, move |states, dropout| {
                layer.forward(states, eps, &spans, dropout)
            })?;
        }
        Ok(kernels::rms_norm(&states, &self.norm, self.eps)?)
    }

    pub(super) fn embed(&self, patches: &Tensor) -> Result<Tensor> {
        let (count, width) = patches.dims2()?;
        let (_, pixels) = self.projection.dims()?;
        ensure!(
            count > 0 && width == POSITIONS + pixels,
            "patches of shape {count}x{width} do not fit the model (two ids and {pixels} pixel values a row)"
        );
        let patches = patches
            .to_device(self.projection_bias.device())?
            .to_dtype(self.projection_bias.dtype())?;
        let pixels = patches.narrow(1, POSITIONS, pixels)?.contiguous()?;
        let mut states = kernels::biased(
            &kernels::linear(&pixels, &self.projection)?,
            &self.projection_bias,
        )?;
        for (column, table) in [&self.rows, &self.columns].into_iter().enumerate() {
            states = (states
                + table.index_select(&position_ids(&patches, column, table.dim(0)?)?, 0)?)?;
        }
        Ok(states)
    }
}

/// The ids in one column of the patches, checked against the rows of the table they point into.
fn position_ids(patches: &Tensor, column: usize, rows: usize) -> Result<Tensor> {
    let values: Vec<f32> = patches
        .narrow(1, column, 1)?
        .flatten_all()?
        .to_dtype(DType::F32)?
        .to_vec1()?;
    let mut ids = Vec::with_capacity(values.len());
    for value in values {
        if !(value >= 0.0 && value < rows as f32) {
            let kind = ["row", "column"][column];
            bail!("patch {kind} id {value} is outside the model's table of {rows} positions");
        }
        ids.push(value as u32);
    }
    Ok(Tensor::new(ids, patches.device())?)
}

#[derive(Debug)]
struct Layer {
    attention_norm: Tensor,
    query: Weight,
    key: Weight,
    value: Weight,
    output: Weight,
    heads: usize,
    mlp_norm: Tensor,
    wi_0: Weight,
    wi_1: Weight,
    wo: Weight,
    dropout: f64,
    attention_dropout: f64,
}

impl Layer {
    fn load(config: &VisionConfig, weights: &CountingSource, prefix: &str) -> Result<Self> {
        let (hidden, heads, ff) = (config.hidden_size, config.num_attention_heads, config.d_ff);
        let inner = heads * config.d_kv;
        let norm = |name: &str| weights.tensor(format!("{prefix}.{name}.weight"), &[hidden]);
        let weight = |name: &str, shape: [usize; 2]| {
            weights.weight(format!("{prefix}.{name}.weight"), shape)
        };
        Ok(Self {
            attention_norm: norm("pre_attention_layer_norm")?,
            query: weight("attention.query", [inner, hidden])?,
            key: weight("attention.key", [inner, hidden])?,
            value: weight("attention.value", [inner, hidden])?,
            output: weight("attention.output", [hidden, inner])?,
            heads,
            mlp_norm: norm("pre_mlp_layer_norm")?,
            wi_0: weight("mlp.wi_0", [ff, hidden])?,
            wi_1: weight("mlp.wi_1", [ff, hidden])?,
            wo: weight("mlp.wo", [hidden, ff])?,
            dropout: config.dropout_rate,
            attention_dropout: config.attention_dropout,
        })
    }

    fn forward(
        &self,
        states: &Tensor,
        eps: f64,
        spans: &[SequenceSpan],
        dropout: &mut DropoutMode,
    ) -> Result<Tensor> {
        let x = kernels::rms_norm(states, &self.attention_norm, eps)?;
        let [q, k, v] = kernels::linears(&x, [&self.query, &self.key, &self.value])?;
        let mask = dropout.mask(
            self.attention_dropout,
            PackedBatch::count_scores(spans, self.heads),
        );
        let attended = kernels::varlen_attention(
            &q,
            &k,
            &v,
            self.heads,
            spans,
            self.query.compute_dtype(),
            mask,
        )?;
        let states = kernels::linear_add(&attended, &self.output, states)?;
        let x = kernels::rms_norm(&states, &self.mlp_norm, eps)?;
        let inner = dropout.apply(
            kernels::gated_gelu(&x, &self.wi_0, &self.wi_1)?,
            self.dropout,
        )?;
        Ok(kernels::linear_add(&inner, &self.wo, &states)?)
    }
}
