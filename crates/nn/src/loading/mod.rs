//! Weights of a Hugging Face folder.
//!
//! [`Checkpoint::open`] reads only the directories of the weight files (the safetensors header, the
//! pickle inside a PyTorch zip, the header of a GGUF file); [`Checkpoint::tensor`] then reads one
//! tensor at a time straight into its final buffer, so that no second copy of a model is ever in
//! memory.

mod gguf;
mod gguf_header;
mod layer_quantizer;
mod lora_config;
mod lora_merge;
mod pickle;
mod pytorch;
mod safetensors;
mod tensor_location;
mod tensor_source;
mod weight_files;
mod weight_format;
mod weights_hash;
mod wrapper_prefix;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};
use thiserror::Error;

use super::kernels::Weight;
use chartbench_core::terminal::shorten;

pub use gguf::{gguf_bytes, write_gguf};
pub use gguf_header::GgufHeader;
pub use layer_quantizer::{LayerQuantizer, layer_name};
pub use lora_config::{LORA_CONFIG, LoraConfig, is_lora_folder};
pub use lora_merge::LORA_WEIGHTS;
pub use safetensors::{StoredTensor, read_header};
pub use tensor_source::{
    Bf16Source, CheckpointSource, PackedSource, QuantizingSource, TensorSource,
};
pub use weight_files::{GGUF, WEIGHT_FILES, has_weights, weights_bytes};
pub use weight_format::{QuantizationInfo, WeightFormat};
pub use weights_hash::{file_sha256, files_sha256, weights_sha256, weights_sha256_with_lora};

pub(super) use tensor_source::CountingSource;

use lora_merge::{LoraFactors, LoraTensors};
use tensor_location::{Encoding, TensorLocation};
use weight_files::{LocatedTensors, WeightFiles};
use wrapper_prefix::{UnwrappedTensors, unwrap_names};

/// A stack of layers in a configuration. The names of their tensors contain the layer's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerStack {
    /// The configuration's key.
    pub key: String,
    /// The names of their tensors up to the number.
    pub prefix: String,
    /// The number of layers that the configuration asks for.
    pub count: usize,
}

impl LayerStack {
    /// The stack of `count` layers, by the configuration's key and the prefix of tensor names.
    pub fn new(key: impl Into<String>, prefix: impl Into<String>, count: usize) -> Self {
        Self {
            key: key.into(),
            prefix: prefix.into(),
            count,
        }
    }
}

/// The weights of one Hugging Face folder, by name. Only their locations are in memory.
#[derive(Debug)]
pub struct Checkpoint {
    dir: PathBuf,
    locations: BTreeMap<String, TensorLocation>,
    quantized: Option<QuantizationInfo>,
    /// Changes of weights, by the weight's name.
    lora: BTreeMap<String, LoraFactors>,
    /// See [`Self::note`].
    note: Option<String>,
}

/// The weight files of a folder are no checkpoint. What is displayed is the whole line: the file,
/// the place, what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct MalformedCheckpoint(pub String);

impl Checkpoint {
    /// Locates the tensors of `dir`: `model.safetensors`, else the shards of
    /// `model.safetensors.index.json`, else `pytorch_model.bin` (the zip format of torch 1.6 and
    /// later; its pickle is read without running code), else the shards of
    /// `pytorch_model.bin.index.json`, else `model.gguf` as `chartbench quantize` writes it. The
    /// prefixes of wrappers (`module.`, `model.`, `_orig_mod.`, `base_model.model.`) are taken off.
    ///
    /// # Errors
    /// Returns a [`MalformedCheckpoint`] if there is no weight file, or it is truncated or
    /// malformed, or a pickle names anything but tensors. The message names the file and, where it
    /// applies, the tensor.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::read_headers(dir).map_err(|error| MalformedCheckpoint(format!("{error:#}")).into())
    }

    fn read_headers(dir: &Path) -> Result<Self> {
        let LocatedTensors {
            locations,
            quantized,
        } = WeightFiles::find(dir)?.locate()?;
        ensure!(
            !locations.is_empty(),
            "{}: the weight files hold no tensors",
            dir.display()
        );
        let UnwrappedTensors { locations, note } =
            unwrap_names(locations).with_context(|| dir.display().to_string())?;
        Ok(Self {
            dir: dir.to_owned(),
            locations,
            quantized,
            lora: BTreeMap::new(),
            note,
        })
    }

    /// These weights with those of the PEFT LoRA folder `lora` merged into them as they are read:
    /// `W + B A · alpha / r`, and modules that it stores whole in the place of these.
    ///
    /// # Errors
    /// Returns a [`MalformedCheckpoint`] that names the file, and the key or tensor, if it is
    /// malformed, has an option that is not supported, or was trained on another model; also if
    /// these weights are quantized.
    pub fn with_lora(mut self, lora: &Path) -> Result<Self> {
        let mut apply = || -> Result<()> {
            let mut tensors = LoraTensors::open(lora)?;
            if let Some(QuantizationInfo { format, .. }) = &self.quantized {
                bail!(
                    "{}: its base {} is {format}: LoRA is merged into full weights",
                    lora.display(),
                    self.dir.display()
                );
            }
            tensors.apply(&mut self.locations, &self.dir)?;
            self.lora = tensors.factors;
            Ok(())
        };
        match apply() {
            Ok(()) => Ok(self),
            Err(error) => Err(MalformedCheckpoint(format!("{error:#}")).into()),
        }
    }

    /// Describes the prefixes that were taken off the tensors' names, if there were any.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// How its matrices are quantized, if they are.
    pub fn quantized(&self) -> Option<&QuantizationInfo> {
        self.quantized.as_ref()
    }

    /// Whether the files hold a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.locations.contains_key(name)
    }

    /// Reads one tensor as f32 (stored f16, bf16, f64 and quantized ones are converted) onto
    /// `device`.
    ///
    /// # Errors
    /// Returns an error if the tensor is missing, has another shape than `shape` (the
    /// configuration's), or cannot be read whole.
    pub fn tensor(&self, name: &str, shape: &[usize], device: &Device) -> Result<Tensor> {
        let location = self.locate(name, shape)?;
        let values = location
            .read()
            .with_context(|| format!("{}: tensor {name}", location.file.display()))?;
        let tensor = Tensor::from_vec(values, shape, device)?;
        match self.lora.get(name) {
            None => Ok(tensor),
            Some(factors) => factors
                .merge(tensor)
                .with_context(|| format!("the factors of {name}")),
        }
    }

    /// Reads one matrix onto `device`: quantized if it is stored so, else as [`Self::tensor`].
    ///
    /// # Errors
    /// As [`Self::tensor`].
    pub fn weight(&self, name: &str, shape: [usize; 2], device: &Device) -> Result<Weight> {
        let location = self.locate(name, &shape)?;
        match &location.encoding {
            Encoding::Plain(_) | Encoding::Unsupported(_) => {
                Ok(self.tensor(name, &shape, device)?.into())
            }
            Encoding::Blocks(kind) => {
                let blocks = location.read_blocks(*kind, device);
                let blocks = blocks
                    .with_context(|| format!("{}: tensor {name}", location.file.display()))?;
                Ok(Weight::quantized(blocks.into())?)
            }
        }
    }

    /// Refuses weights with more layers than config.json has: without them, the model would be
    /// another one.
    ///
    /// # Errors
    /// Returns an error that names the key and the first tensor of a layer too many.
    pub fn check_layers(&self, stacks: &[LayerStack]) -> Result<()> {
        for LayerStack { key, prefix, count } in stacks {
            let number = |name: &str| {
                name.strip_prefix(prefix)?
                    .split('.')
                    .next()?
                    .parse::<usize>()
                    .ok()
            };
            if let Some(name) = self
                .locations
                .keys()
                .find(|name| number(name).is_some_and(|number| number >= *count))
            {
                bail!(
                    "{}: {key} is {count}, but the weights have layers beyond that (tensor {name}): is it the configuration of \
                     another checkpoint?",
                    self.dir.join("config.json").display()
                );
            }
        }
        Ok(())
    }

    fn locate(&self, name: &str, shape: &[usize]) -> Result<&TensorLocation> {
        let Some(location) = self.locations.get(name) else {
            bail!(
                "{}: the checkpoint has no tensor {name} (it holds {})",
                self.dir.display(),
                self.locations.len()
            )
        };
        if let Encoding::Unsupported(dtype) = &location.encoding {
            bail!(
                "{}: tensor {name} is stored as {dtype}, which is not read here",
                location.file.display()
            );
        }
        ensure!(
            location.shape == shape,
            "{}: tensor {name} has shape {}, config.json asks for {shape:?}",
            location.file.display(),
            shorten(&format!("{:?}", location.shape))
        );
        Ok(location)
    }
}
