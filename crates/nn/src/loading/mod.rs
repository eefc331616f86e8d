//! Weights of a Hugging Face folder.
//!
//! [`Checkpoint::open`] reads only the directories of the weight files (the safetensors header, the
//! pickle inside a PyTorch zip, the header of a GGUF file); [`Checkpoint::tensor`] then reads one
//! tensor at a time straight into its final buffer, so that no second copy of a model is ever in
//! memory.

mod gguf;
mod gguf_header;
mod layer_quantizer;
mod pickle;
mod pytorch;
mod safetensors;
mod tensor_source;
mod weight_format;
mod weights_hash;

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Tensor};
use half::f16;
use thiserror::Error;

use super::all_finite;
use super::kernels::Weight;
use chartbench_core::terminal::shorten;

pub use gguf::{gguf_bytes, write_gguf};
pub use gguf_header::GgufHeader;
pub use layer_quantizer::{LayerQuantizer, layer_name};
pub use safetensors::{StoredTensor, read_header};
pub use tensor_source::{
    Bf16Source, CheckpointSource, PackedSource, QuantizingSource, TensorSource,
};
pub use weight_format::{QuantizationInfo, WeightFormat};
pub use weights_hash::{file_sha256, files_sha256, weights_sha256};

pub(super) use tensor_source::CountingSource;

const SAFETENSORS: &str = "model.safetensors";
const SHARD_INDEX: &str = "model.safetensors.index.json";
const PYTORCH: &str = "pytorch_model.bin";
/// Looked for last: full weights beside it come first.
pub const GGUF: &str = "model.gguf";

/// Bytes read at a time while a tensor is converted to f32.
const CHUNK: usize = 1 << 20;

/// The location of one tensor: contiguous, little-endian, row-major bytes of a file.
#[derive(Debug, Clone)]
struct TensorLocation {
    file: PathBuf,
    offset: u64,
    bytes: u64,
    shape: Vec<usize>,
    encoding: Encoding,
}

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

/// How a tensor's values are stored.
#[derive(Debug, Clone)]
enum Encoding {
    Plain(DType),
    /// Blocks of quantized values; whole ones in each row.
    Blocks(GgmlDType),
    /// A dtype that this program does not read, by its name in the file; loading the tensor is an
    /// error.
    Unsupported(String),
}

impl From<DType> for Encoding {
    fn from(dtype: DType) -> Self {
        Self::Plain(dtype)
    }
}

impl Encoding {
    /// Values stored together, and the bytes they take.
    fn unit(&self) -> (usize, usize) {
        match self {
            Self::Plain(dtype) => (1, dtype.size_in_bytes()),
            Self::Blocks(kind) => (kind.block_size(), kind.type_size()),
            Self::Unsupported(_) => (1, 0),
        }
    }
}

/// The weights of one Hugging Face folder, by name. Only their locations are in memory.
#[derive(Debug)]
pub struct Checkpoint {
    dir: PathBuf,
    locations: BTreeMap<String, TensorLocation>,
    quantized: Option<QuantizationInfo>,
}

/// The weight files of a folder are no checkpoint. What is displayed is the whole line: the file,
/// the place, what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct MalformedCheckpoint(pub String);

impl Checkpoint {
    /// Locates the tensors of `dir`: `model.safetensors`, else the shards of
    /// `model.safetensors.index.json`, else `pytorch_model.bin` (the zip format of torch 1.6 and
    /// later; its pickle is read without running code), else `model.gguf` as `chartbench quantize`
    /// writes it.
    ///
    /// # Errors
    /// Returns a [`MalformedCheckpoint`] if there is no weight file, or it is truncated or
    /// malformed, or a pickle names anything but tensors. The message names the file and, where it
    /// applies, the tensor.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::read_headers(dir).map_err(|error| MalformedCheckpoint(format!("{error:#}")).into())
    }

    fn read_headers(dir: &Path) -> Result<Self> {
        let mut quantized = None;
        let locations = match WeightFiles::find(dir)? {
            WeightFiles::Safetensors(files) => {
                let mut locations: BTreeMap<String, TensorLocation> = BTreeMap::new();
                for file in &files {
                    let shard = safetensors::locate_tensors(file)
                        .with_context(|| file.display().to_string())?;
                    if let Some((name, location)) =
                        shard.keys().find_map(|name| locations.get_key_value(name))
                    {
                        bail!(
                            "{}: tensor {} is in {} too",
                            file.display(),
                            shorten(name),
                            location.file.display()
                        );
                    }
                    locations.extend(shard);
                }
                locations
            }
            WeightFiles::PyTorch(file) => {
                pytorch::locate_tensors(&file).with_context(|| file.display().to_string())?
            }
            WeightFiles::Gguf(file) => {
                let (locations, info) =
                    gguf::locate_tensors(&file).with_context(|| file.display().to_string())?;
                quantized = Some(info);
                locations
            }
        };
        ensure!(
            !locations.is_empty(),
            "{}: the weight files hold no tensors",
            dir.display()
        );
        Ok(Self {
            dir: dir.to_owned(),
            locations,
            quantized,
        })
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
        Ok(Tensor::from_vec(values, shape, device)?)
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

impl TensorLocation {
    fn new(
        file: &Path,
        offset: u64,
        shape: Vec<usize>,
        encoding: impl Into<Encoding>,
    ) -> Result<Self> {
        let encoding = encoding.into();
        let (values, size) = encoding.unit();
        let elements = shape
            .iter()
            .try_fold(1u64, |product, &size| product.checked_mul(size as u64));
        let bytes =
            elements.and_then(|elements| (elements / values as u64).checked_mul(size as u64));
        let bytes = bytes
            .with_context(|| format!("shape {} is too large", shorten(&format!("{shape:?}"))))?;
        Ok(Self {
            file: file.to_owned(),
            offset,
            bytes,
            shape,
            encoding,
        })
    }

    /// The first byte after the tensor.
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.bytes)
    }

    fn read_blocks(&self, kind: GgmlDType, device: &Device) -> Result<QTensor> {
        let mut file = chartbench_core::input::open(&self.file)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = vec![0; self.bytes as usize];
        file.read_exact(&mut bytes)
            .context("the file ends inside it (truncated?)")?;
        check_scales(&bytes, kind)?;
        Ok(QTensor::new(
            QStorage::from_data(bytes.into(), device, kind)?,
            self.shape.as_slice(),
        )?)
    }

    /// Reads the values as f32, chunk by chunk: each is converted and checked while it is in the
    /// cache.
    ///
    /// # Errors
    /// Returns an error if a value is NaN or infinite.
    fn read(&self) -> Result<Vec<f32>> {
        let dtype = match &self.encoding {
            Encoding::Plain(dtype) => *dtype,
            Encoding::Blocks(kind) => {
                let blocks = self.read_blocks(*kind, &Device::Cpu)?;
                return Ok(blocks.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?);
            }
            Encoding::Unsupported(dtype) => bail!("stored as {dtype}, which is not read here"),
        };
        let mut file = chartbench_core::input::open(&self.file)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut left = self.bytes as usize;
        let mut values = Vec::with_capacity(left / dtype.size_in_bytes());
        let mut chunk = vec![0u8; CHUNK.min(left)];
        while left > 0 {
            let piece = &mut chunk[..CHUNK.min(left)];
            file.read_exact(piece)
                .context("the file ends inside it (truncated?)")?;
            let start = values.len();
            append_f32(piece, dtype, &mut values)?;
            if let Some(index) = first_not_finite(&values[start..]) {
                bail!(
                    "value {} is {}: {NOT_FINITE}",
                    start + index,
                    values[start + index]
                );
            }
            left -= piece.len();
        }
        Ok(values)
    }
}

/// The end of errors about a NaN or infinite weight.
const NOT_FINITE: &str = "no answer can come of it; the file is damaged, or its training ran away";

fn first_not_finite(values: &[f32]) -> Option<usize> {
    if all_finite(values) {
        None
    } else {
        values.iter().position(|value| !value.is_finite())
    }
}

/// Refuses blocks with a scale that is NaN or infinite. The values are whole numbers times these
/// scales.
fn check_scales(bytes: &[u8], kind: GgmlDType) -> Result<()> {
    // A block begins with its scale; Q4_K has a second one for the offsets behind it.
    let scales = if kind == GgmlDType::Q4K { 2 } else { 1 };
    for (index, block) in bytes.chunks_exact(kind.type_size()).enumerate() {
        let (words, _) = block.as_chunks::<2>();
        if let Some(scale) = words
            .iter()
            .take(scales)
            .map(|&word| f16::from_le_bytes(word))
            .find(|s| !s.is_finite())
        {
            bail!("the scale of block {index} is {scale}: {NOT_FINITE}");
        }
    }
    Ok(())
}

/// Converts little-endian `bytes` of `dtype` and appends them.
fn append_f32(bytes: &[u8], dtype: DType, values: &mut Vec<f32>) -> Result<()> {
    if dtype == DType::F32 {
        let (words, _) = bytes.as_chunks::<4>();
        values.extend(words.iter().map(|&word| f32::from_le_bytes(word)));
    } else {
        let count = bytes.len() / dtype.size_in_bytes();
        let stored = Tensor::from_raw_buffer(bytes, dtype, &[count], &Device::Cpu)?;
        values.extend(stored.to_dtype(DType::F32)?.to_vec1::<f32>()?);
    }
    Ok(())
}

/// The weight files of a folder.
enum WeightFiles {
    Safetensors(Vec<PathBuf>),
    PyTorch(PathBuf),
    Gguf(PathBuf),
}

/// The bytes of the weight files of `dir`.
///
/// # Errors
/// Returns an error if there are no weight files.
pub fn weights_bytes(dir: &Path) -> Result<u64> {
    let size = |file: PathBuf| Ok(std::fs::metadata(file)?.len());
    WeightFiles::find(dir)?
        .into_paths()
        .into_iter()
        .map(size)
        .sum()
}

impl WeightFiles {
    fn find(dir: &Path) -> Result<Self> {
        let [whole, index, pytorch, gguf] =
            [SAFETENSORS, SHARD_INDEX, PYTORCH, GGUF].map(|name| dir.join(name));
        if whole.is_file() {
            return Ok(Self::Safetensors(vec![whole]));
        }
        if index.is_file() {
            let shards =
                safetensors::shards(&index).with_context(|| index.display().to_string())?;
            return Ok(Self::Safetensors(shards));
        }
        if pytorch.is_file() {
            return Ok(Self::PyTorch(pytorch));
        }
        if gguf.is_file() {
            return Ok(Self::Gguf(gguf));
        }
        bail!(
            "{}: no weights here (looked for {SAFETENSORS}, {SHARD_INDEX}, {PYTORCH}, {GGUF})",
            dir.display()
        )
    }

    fn into_paths(self) -> Vec<PathBuf> {
        match self {
            Self::Safetensors(files) => files,
            Self::PyTorch(file) | Self::Gguf(file) => vec![file],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_with_a_scale_that_is_no_number_are_refused() {
        for (kind, scale_offsets) in [(GgmlDType::Q8_0, vec![0]), (GgmlDType::Q4K, vec![0, 2])] {
            let size = kind.type_size();
            assert!(check_scales(&vec![0x7b; 3 * size], kind).is_ok());
            for scale_offset in scale_offsets {
                for (scale, name) in [(f16::NAN, "NaN"), (f16::NEG_INFINITY, "-inf")] {
                    let mut bytes = vec![0x7b; 3 * size];
                    bytes[size + scale_offset..][..2].copy_from_slice(&scale.to_le_bytes());
                    let error = check_scales(&bytes, kind).unwrap_err().to_string();
                    assert!(
                        error.starts_with(&format!("the scale of block 1 is {name}: ")),
                        "{error}"
                    );
                }
            }
        }
    }
}
