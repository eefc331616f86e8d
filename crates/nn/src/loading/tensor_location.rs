//! Where one tensor lies in a weight file, how it is encoded there, and reading it as f32.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Tensor};
use half::f16;

use crate::all_finite;
use chartbench_core::terminal::shorten;

/// Bytes read at a time while a tensor is converted to f32.
const CHUNK: usize = 1 << 20;

/// The location of one tensor: contiguous, little-endian, row-major bytes of a file.
#[derive(Debug, Clone)]
pub(super) struct TensorLocation {
    pub(super) file: PathBuf,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) shape: Vec<usize>,
    pub(super) encoding: Encoding,
}

/// How a tensor's values are stored.
#[derive(Debug, Clone)]
pub(super) enum Encoding {
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

impl TensorLocation {
    pub(super) fn new(
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
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(self.bytes)
    }

    pub(super) fn read_blocks(&self, kind: GgmlDType, device: &Device) -> Result<QTensor> {
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
    pub(super) fn read(&self) -> Result<Vec<f32>> {
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
