//! The picture encoder: a Swin transformer (arXiv:2103.14030), `DonutSwinModel` of transformers.

use std::rc::Rc;

use anyhow::{Result, ensure};
use candle_core::{D, Device, Tensor};

use super::EncoderConfig;
use super::layers::{Norm, Projection};
use crate::kernels::{self, Weight, Windows};
use crate::loading::CountingSource;
use crate::memory_need::MemoryNeed;
use crate::training::{DropoutMode, LayerCheckpoints};

#[derive(Debug)]
pub(super) struct Encoder {
    patch: usize,
    /// [E, channels · patch²]; never quantized: it is small, and stored in four dimensions.
    embedding: Weight,
    embedding_bias: Tensor,
    embedding_norm: Norm,
    stages: Vec<Stage>,
    dropout: f64,
}

impl Encoder {
    pub(super) fn load(config: &EncoderConfig, weights: &CountingSource) -> Result<Self> {
        let (width, patch, channels) = (config.embed_dim, config.patch_size, config.num_channels);
        let prefix = "encoder.embeddings";
        let embedding = weights
            .tensor(
                format!("{prefix}.patch_embeddings.projection.weight"),
                &[width, channels, patch, patch],
            )?
            .reshape((width, channels * patch * patch))?;
        Ok(Self {
            patch,
            embedding: embedding.into(),
            embedding_bias: weights.tensor(
                format!("{prefix}.patch_embeddings.projection.bias"),
                &[width],
            )?,
            embedding_norm: Norm::load(
                weights,
                &format!("{prefix}.norm"),
                width,
                config.layer_norm_eps,
            )?,
            stages: (0..config.depths.len())
                .map(|stage| Stage::load(config, stage, weights))
                .collect::<Result<_>>()?,
            dropout: config.hidden_dropout_prob,
        })
    }

    /// See [`super::Model::memory_need`], with the number of places of the last stage.
    pub(super) fn memory_need(&self, pixels: usize) -> (MemoryNeed, usize) {
        let (mut places, mut width) = (
            pixels / (self.patch * self.patch),
            self.embedding_bias.elem_count(),
        );
        let (mut largest, mut last) = (0, 0);
        for stage in &self.stages {
            // States, norms, queries, keys and values with their packed copies; the MLP, four times
            // as wide.
            largest = largest.max(places * 16 * width);
            last = places;
            (places, width) = (places.div_ceil(4), 2 * width);
            if stage.merging.is_none() {
                break;
            }
        }
        (
            MemoryNeed::from_f32_values(2 * 3 * pixels + largest, 0),
            last,
        )
    }

    pub(super) fn forward(
        &self,
        pixels: &Tensor,
        dropout: &mut DropoutMode,
        checkpoints: &mut LayerCheckpoints,
    ) -> Result<Tensor> {
        let (states, mut grid) = self.embed(pixels)?;
        let mut states = dropout.apply(states, self.dropout)?;
        for stage in &self.stages {
            (states, grid) = stage.forward(states, grid, dropout, checkpoints)?;
        }
        Ok(states)
    }

    /// The patch embeddings [places, E] and their grid.
    fn embed(&self, pixels: &Tensor) -> Result<(Tensor, Grid)> {
        let (channels, height, width) = pixels.dims3()?;
        let (patch, (_, inner)) = (self.patch, self.embedding.dims()?);
        ensure!(
            channels * patch * patch == inner && height > 0 && width > 0,
            "an image of shape {channels}x{height}x{width} does not fit the model's patches of {inner} values"
        );
        let pixels = pixels
            .to_device(self.embedding_bias.device())?
            .to_dtype(self.embedding_bias.dtype())?;
        let grid = Grid {
            height: height.div_ceil(patch),
            width: width.div_ceil(patch),
        };
        let pixels = pixels.pad_with_zeros(1, 0, grid.height * patch - height)?;
        let pixels = pixels.pad_with_zeros(2, 0, grid.width * patch - width)?;
        let patches = pixels
            .reshape((channels, grid.height, patch, grid.width, patch))?
            .permute((1, 3, 0, 2, 4))?
            .reshape((grid.height * grid.width, inner))?;
        let states = kernels::biased(
            &kernels::linear(&patches, &self.embedding)?,
            &self.embedding_bias,
        )?;
        Ok((self.embedding_norm.forward(&states)?, grid))
    }
}

/// Places of an image, row by row.
#[derive(Clone, Copy, Debug)]
struct Grid {
    height: usize,
    width: usize,
}

/// Blocks at one resolution, and the merging that halves it.
#[derive(Debug)]
struct Stage {
    window: usize,
    blocks: Vec<Rc<Block>>,
    merging: Option<Merging>,
}

impl Stage {
    fn load(config: &EncoderConfig, stage: usize, weights: &CountingSource) -> Result<Self> {
        let prefix = format!("encoder.encoder.layers.{stage}");
        let last = stage + 1 == config.depths.len();
        Ok(Self {
            window: config.window_size,
            blocks: (0..config.depths[stage])
                .map(|block| {
                    Block::load(
                        config,
                        stage,
                        block,
                        weights,
                        &format!("{prefix}.blocks.{block}"),
                    )
                    .map(Rc::new)
                })
                .collect::<Result<_>>()?,
            merging: (!last)
                .then(|| Merging::load(config, stage, weights, &format!("{prefix}.downsample")))
                .transpose()?,
        })
    }

    fn forward(
        &self,
        mut states: Tensor,
        grid: Grid,
        dropout: &mut DropoutMode,
        checkpoints: &mut LayerCheckpoints,
    ) -> Result<(Tensor, Grid)> {
        let (window, shortest) = (self.window, grid.height.min(grid.width));
        ensure!(
            shortest >= window,
            "a grid of {}x{} places is smaller than the model's window of {window}: enlarge the image",
            grid.height,
            grid.width
        );
        for (index, block) in self.blocks.iter().enumerate() {
            // A grid that is one window high or wide is not shifted, the reference's rule.
            let shift = if index % 2 == 0 || shortest == window {
                0
            } else {
                window / 2
            };
            let block = Rc::clone(block);
            states = checkpoints.run_layer(states, dropout, move |states, dropout| {
                block.forward(states, grid, window, shift, dropout)
            })?;
        }
        match &self.merging {
            None => Ok((states, grid)),
            Some(merging) => merging.forward(&states, grid),
        }
    }
}

#[derive(Debug)]
struct Block {
    norm_before: Norm,
    query: Projection,
    key: Projection,
    value: Projection,
    output: Projection,
    /// [heads · window², window²]: the bias of each pair of places of a window.
    bias: Tensor,
    heads: usize,
    norm_after: Norm,
    inner: Projection,
    outer: Projection,
    dropout: f64,
    attention_dropout: f64,
    /// The probability of dropping the attention as a whole.
    path: f64,
}

impl Block {
    fn load(
        config: &EncoderConfig,
        stage: usize,
        block: usize,
        weights: &CountingSource,
        prefix: &str,
    ) -> Result<Self> {
        let (width, heads, eps) = (
            config.embed_dim << stage,
            config.num_heads[stage],
            config.layer_norm_eps,
        );
        let inner = (config.mlp_ratio * width as f64) as usize;
        let square = |name: &str| {
            Projection::load(
                weights,
                &format!("{prefix}.attention.{name}"),
                [width, width],
            )
        };
        let scale = ((width / heads) as f64).powf(-0.5);
        let side = 2 * config.window_size - 1;
        let table = format!("{prefix}.attention.self.relative_position_bias_table");
        Ok(Self {
            norm_before: Norm::load(weights, &format!("{prefix}.layernorm_before"), width, eps)?,
            query: square("self.query")?.scaled(scale)?,
            key: square("self.key")?,
            value: square("self.value")?,
            output: square("output.dense")?,
            bias: pair_bias(
                &weights.tensor(table, &[side * side, heads])?,
                config.window_size,
            )?,
            heads,
            norm_after: Norm::load(weights, &format!("{prefix}.layernorm_after"), width, eps)?,
            inner: Projection::load(
                weights,
                &format!("{prefix}.intermediate.dense"),
                [inner, width],
            )?,
            outer: Projection::load(weights, &format!("{prefix}.output.dense"), [width, inner])?,
            dropout: config.hidden_dropout_prob,
            attention_dropout: config.attention_probs_dropout_prob,
            path: config.drop_path(stage, block),
        })
    }

    fn forward(
        &self,
        states: &Tensor,
        grid: Grid,
        window: usize,
        shift: usize,
        dropout: &mut DropoutMode,
    ) -> Result<Tensor> {
        let attended = self.attend(states, grid, window, shift, dropout)?;
        let states = match dropout.drop_path(attended, self.path)? {
            None => states.clone(),
            Some(attended) => (states + attended)?,
        };
        let inner = self
            .inner
            .forward_gelu(&self.norm_after.forward(&states)?)?;
        Ok((&states + dropout.apply(self.outer.forward(&inner)?, self.dropout)?)?)
    }

    fn attend(
        &self,
        states: &Tensor,
        grid: Grid,
        window: usize,
        shift: usize,
        dropout: &mut DropoutMode,
    ) -> Result<Tensor> {
        let width = states.dim(1)?;
        let padded = Grid {
            height: grid.height.next_multiple_of(window),
            width: grid.width.next_multiple_of(window),
        };
        // Padding comes after the norm and takes part as keys, as in the reference.
        let x = resized(&self.norm_before.forward(states)?, grid, padded, width)?;
        let windows = Windows {
            grid: (padded.height, padded.width),
            side: window,
            shift,
        };
        let [q, k, v] =
            [&self.query, &self.key, &self.value].map(|projection| projection.forward(&x));
        let scores = padded.height * padded.width * window * window * self.heads;
        let mask = dropout.mask(self.attention_dropout, scores);
        let attended =
            kernels::window_attention(&q?, &k?, &v?, self.heads, &self.bias, windows, mask)?;
        // The reference drops the attention's output with its probabilities' rate.
        let attended = dropout.apply(self.output.forward(&attended)?, self.attention_dropout)?;
        resized(&attended, padded, grid, width)
    }
}

/// Pads a grid with zeros below and to the right, or crops it there.
fn resized(states: &Tensor, from: Grid, to: Grid, width: usize) -> Result<Tensor> {
    if (from.height, from.width) == (to.height, to.width) {
        return Ok(states.clone());
    }
    let states = states.reshape((from.height, from.width, width))?;
    let states =
        states
            .narrow(0, 0, from.height.min(to.height))?
            .narrow(1, 0, from.width.min(to.width))?;
    let states = states.pad_with_zeros(0, 0, to.height.saturating_sub(from.height))?;
    let states = states.pad_with_zeros(1, 0, to.width.saturating_sub(from.width))?;
    Ok(states
        .contiguous()?
        .reshape((to.height * to.width, width))?)
}

/// [heads · window², window²] from the table [(2 window - 1)², heads] of the bias of each offset.
fn pair_bias(table: &Tensor, window: usize) -> Result<Tensor> {
    let places = window * window;
    let offset = |query: usize, key: usize| {
        let down = query / window + window - 1 - key / window;
        let right = query % window + window - 1 - key % window;
        (down * (2 * window - 1) + right) as u32
    };
    let offsets: Vec<u32> = (0..places)
        .flat_map(|query| (0..places).map(move |key| offset(query, key)))
        .collect();
    let offsets = Tensor::new(offsets, &Device::Cpu)?.to_device(table.device())?;
    let bias = table.index_select(&offsets, 0)?.t()?.contiguous()?;
    Ok(bias.reshape((table.dim(1)? * places, places))?)
}

/// Merges four neighbours into one place of twice the width.
#[derive(Debug)]
struct Merging {
    norm: Norm,
    reduction: Weight,
}

impl Merging {
    fn load(
        config: &EncoderConfig,
        stage: usize,
        weights: &CountingSource,
        prefix: &str,
    ) -> Result<Self> {
        let width = config.embed_dim << stage;
        Ok(Self {
            norm: Norm::load(
                weights,
                &format!("{prefix}.norm"),
                4 * width,
                config.layer_norm_eps,
            )?,
            reduction: weights
                .weight(format!("{prefix}.reduction.weight"), [2 * width, 4 * width])?,
        })
    }

    fn forward(&self, states: &Tensor, grid: Grid) -> Result<(Tensor, Grid)> {
        let width = states.dim(1)?;
        let even = Grid {
            height: grid.height.next_multiple_of(2),
            width: grid.width.next_multiple_of(2),
        };
        let half = Grid {
            height: even.height / 2,
            width: even.width / 2,
        };
        let states =
            resized(states, grid, even, width)?.reshape((half.height, 2, half.width, 2, width))?;
        let corner = |row: usize, column: usize| states.narrow(1, row, 1)?.narrow(3, column, 1);
        let corners = [corner(0, 0)?, corner(1, 0)?, corner(0, 1)?, corner(1, 1)?];
        let joined =
            Tensor::cat(&corners, D::Minus1)?.reshape((half.height * half.width, 4 * width))?;
        Ok((
            kernels::linear(&self.norm.forward(&joined)?, &self.reduction)?,
            half,
        ))
    }
}
