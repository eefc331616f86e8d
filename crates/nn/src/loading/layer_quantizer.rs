//! Matrices in blocks of 8 or 4 bits, quantized from another source while some layers stay full.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

use super::{QuantizationInfo, TensorSource, WeightFormat};
use crate::kernels::Weight;

/// The layer that a weight belongs to: an attention with all its projections, both or all three
/// products of an MLP, else the weight alone. Layers are kept or quantized as a whole.
///
/// ```
/// # use chartbench_nn::layer_name;
/// assert_eq!(layer_name("decoder.layer.0.self_attention.attention.query.weight"), "decoder.layer.0.self_attention");
/// assert_eq!(layer_name("encoder.encoder.layers.1.blocks.0.output.dense.weight"), "encoder.encoder.layers.1.blocks.0.mlp");
/// assert_eq!(layer_name("decoder.lm_head.weight"), "decoder.lm_head");
/// ```
pub fn layer_name(name: &str) -> String {
    const WHOLE: [&str; 7] = [
        "attention",
        "self_attention",
        "encoder_decoder_attention",
        "self_attn",
        "encoder_attn",
        "mlp",
        "downsample",
    ];
    const MLP_PARTS: [&str; 4] = ["intermediate", "output", "fc1", "fc2"];
    let parts: Vec<&str> = name.trim_end_matches(".weight").split('.').collect();
    for (index, part) in parts.iter().enumerate() {
        if WHOLE.contains(part) {
            return parts[..=index].join(".");
        }
        if MLP_PARTS.contains(part) {
            return format!("{}.mlp", parts[..index].join("."));
        }
    }
    parts.join(".")
}

/// A source that quantizes the matrices of another, each once when it is first asked for, except in
/// the layers that are kept full.
pub struct LayerQuantizer<'a> {
    source: &'a dyn TensorSource,
    format: WeightFormat,
    kept: BTreeSet<String>,
    matrices: RefCell<BTreeMap<String, Option<Arc<QTensor>>>>,
}

impl<'a> LayerQuantizer<'a> {
    /// A source that quantizes the matrices of `source` to `format`; no layer is kept full yet.
    pub fn new(source: &'a dyn TensorSource, format: WeightFormat) -> Self {
        Self {
            source,
            format,
            kept: BTreeSet::new(),
            matrices: RefCell::default(),
        }
    }

    /// Keeps the matrices of these layers, and of no others, full from now on.
    pub fn keep(&mut self, layers: impl IntoIterator<Item = String>) {
        self.kept = layers.into_iter().collect();
    }

    /// The format and the kept layers.
    pub fn info(&self) -> QuantizationInfo {
        QuantizationInfo {
            format: self.format,
            kept: self.kept.iter().cloned().collect(),
        }
    }

    /// The layers with matrices that can be quantized, among those asked for so far.
    pub fn layers(&self) -> BTreeSet<String> {
        let matrices = self.matrices.borrow();
        matrices
            .iter()
            .filter(|(_, blocks)| blocks.is_some())
            .map(|(name, _)| layer_name(name))
            .collect()
    }

    /// The number of matrices asked for so far by how they are stored.
    pub fn count_by_format(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (name, blocks) in self.matrices.borrow().iter() {
            let format = match blocks {
                None => "full, of no fitting size".to_owned(),
                Some(_) if self.kept.contains(&layer_name(name)) => "full".to_owned(),
                Some(blocks) if blocks.dtype() == GgmlDType::Q4K => "Q4_K".to_owned(),
                Some(blocks) => format!("{:?}", blocks.dtype()),
            };
            *counts.entry(format).or_default() += 1;
        }
        counts
    }

    /// The quantized matrix of a name, if it was asked for and its layer is not kept.
    pub(super) fn stored(&self, name: &str) -> Option<Arc<QTensor>> {
        if self.kept.contains(&layer_name(name)) {
            None
        } else {
            self.matrices.borrow().get(name).cloned().flatten()
        }
    }
}

impl TensorSource for LayerQuantizer<'_> {
    fn contains(&self, name: &str) -> bool {
        self.source.contains(name)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.source.tensor(name, shape)
    }

    fn weight(&self, name: &str, shape: [usize; 2]) -> Result<Weight> {
        if !self.matrices.borrow().contains_key(name) {
            let blocks = self.format.quantize(self.source, name, shape)?;
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
