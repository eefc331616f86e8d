//! Matrices in blocks of 8 or 4 bits, made of those of another source.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use anyhow::{Result, bail};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

use super::Source;
use crate::ops::Weight;
use chartbench_core::terminal::shorten;

/// How matrices are rounded, in the blocks of GGML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantization {
    /// Q8_0: 8 bits a value and a scale for 32 of them.
    Q8,
    /// Q4_K: 4 bits a value with scales and offsets for 256 of them; Q8_0 where rows are no multiple of 256.
    Q4,
}

impl Quantization {
    pub const ALL: [Self; 2] = [Self::Q8, Self::Q4];

    /// As names of adapters spell it, `q8` or `q4`.
    ///
    /// # Errors
    /// Another name.
    pub fn named(name: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|one| one.name() == name) {
            Some(found) => Ok(found),
            None => bail!("no precision `{}`: there are q8 and q4", shorten(name)),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        }
    }

    /// The blocks that fill rows of so many values; none where no kind does, and the matrix stays as it is.
    fn blocks(self, row: usize) -> Option<GgmlDType> {
        let kinds: &[GgmlDType] = match self {
            Self::Q8 => &[GgmlDType::Q8_0],
            Self::Q4 => &[GgmlDType::Q4K, GgmlDType::Q8_0],
        };
        kinds.iter().copied().find(|kind| row > 0 && row.is_multiple_of(kind.block_size()))
    }

    /// The matrix of this name, quantized; none where no blocks fill its rows.
    fn matrix(self, source: &dyn Source, name: &str, shape: [usize; 2]) -> Result<Option<Arc<QTensor>>> {
        let Some(kind) = self.blocks(shape[1]) else { return Ok(None) };
        Ok(Some(QTensor::quantize(&source.tensor(name, &shape)?, kind)?.into()))
    }
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a stored checkpoint says of its precision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantizedAs {
    pub to: Quantization,
    /// The layers whose matrices were left as they were, by the names that [`layer`] gives.
    pub kept: Vec<String>,
}

/// The part of a model that a weight belongs to, by its name: an attention with all its projections, both or all three
/// products of an MLP, else the weight alone. Layers are kept or quantized as a whole.
///
/// ```
/// # use chartbench::nn::layer;
/// assert_eq!(layer("decoder.layer.0.self_attention.attention.query.weight"), "decoder.layer.0.self_attention");
/// assert_eq!(layer("encoder.encoder.layers.1.blocks.0.output.dense.weight"), "encoder.encoder.layers.1.blocks.0.mlp");
/// assert_eq!(layer("decoder.lm_head.weight"), "decoder.lm_head");
/// ```
pub fn layer(name: &str) -> String {
    const WHOLE: [&str; 7] =
        ["attention", "self_attention", "encoder_decoder_attention", "self_attn", "encoder_attn", "mlp", "downsample"];
    const OF_AN_MLP: [&str; 4] = ["intermediate", "output", "fc1", "fc2"];
    let parts: Vec<&str> = name.trim_end_matches(".weight").split('.').collect();
    for (at, part) in parts.iter().enumerate() {
        if WHOLE.contains(part) {
            return parts[..=at].join(".");
        }
        if OF_AN_MLP.contains(part) {
            return format!("{}.mlp", parts[..at].join("."));
        }
    }
    parts.join(".")
}

/// A source whose matrices are those of another, quantized as they are asked for; everything else is the other's.
pub struct QuantizedOnce<'a> {
    pub source: &'a dyn Source,
    pub to: Quantization,
}

impl Source for QuantizedOnce<'_> {
    fn contains(&self, name: &str) -> bool {
        self.source.contains(name)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.source.tensor(name, shape)
    }

    fn weight(&self, name: &str, shape: [usize; 2]) -> Result<Weight> {
        match self.to.matrix(self.source, name, shape)? {
            None => self.source.weight(name, shape),
            Some(blocks) => Ok(Weight::quantized(blocks)?),
        }
    }

    fn device(&self) -> &Device {
        self.source.device()
    }
}

/// The same, where layers can be kept full. Each matrix is quantized once, when it is first asked for.
pub struct Quantized<'a> {
    source: &'a dyn Source,
    to: Quantization,
    kept: BTreeSet<String>,
    matrices: RefCell<BTreeMap<String, Option<Arc<QTensor>>>>,
}

impl<'a> Quantized<'a> {
    pub fn new(source: &'a dyn Source, to: Quantization) -> Self {
        Self { source, to, kept: BTreeSet::new(), matrices: RefCell::default() }
    }

    /// From now on leaves the matrices of these layers, and of no others, as they are.
    pub fn keep(&mut self, layers: impl IntoIterator<Item = String>) {
        self.kept = layers.into_iter().collect();
    }

    /// What is quantized, and how.
    pub fn quantized_as(&self) -> QuantizedAs {
        QuantizedAs { to: self.to, kept: self.kept.iter().cloned().collect() }
    }

    /// The layers with matrices that can be quantized, of all that were asked for.
    pub fn layers(&self) -> BTreeSet<String> {
        let matrices = self.matrices.borrow();
        matrices.iter().filter(|(_, blocks)| blocks.is_some()).map(|(name, _)| layer(name)).collect()
    }

    /// How many matrices are stored in each way, of all that were asked for.
    pub fn kinds(&self) -> BTreeMap<String, usize> {
        let mut kinds = BTreeMap::new();
        for (name, blocks) in self.matrices.borrow().iter() {
            let kind = match blocks {
                None => "full, of no fitting size".to_owned(),
                Some(_) if self.kept.contains(&layer(name)) => "full".to_owned(),
                Some(blocks) if blocks.dtype() == GgmlDType::Q4K => "Q4_K".to_owned(),
                Some(blocks) => format!("{:?}", blocks.dtype()),
            };
            *kinds.entry(kind).or_default() += 1;
        }
        kinds
    }

    /// A matrix that was asked for and is quantized.
    pub(super) fn stored(&self, name: &str) -> Option<Arc<QTensor>> {
        if self.kept.contains(&layer(name)) { None } else { self.matrices.borrow().get(name).cloned().flatten() }
    }
}

impl Source for Quantized<'_> {
    fn contains(&self, name: &str) -> bool {
        self.source.contains(name)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.source.tensor(name, shape)
    }

    fn weight(&self, name: &str, shape: [usize; 2]) -> Result<Weight> {
        if !self.matrices.borrow().contains_key(name) {
            let blocks = self.to.matrix(self.source, name, shape)?;
            self.matrices.borrow_mut().insert(name.to_owned(), blocks);
        }
        match self.stored(name) {
            Some(blocks) => Ok(Weight::quantized(blocks)?),
            None => self.source.weight(name, shape),
        }
    }

    fn device(&self) -> &Device {
        self.source.device()
    }
}
