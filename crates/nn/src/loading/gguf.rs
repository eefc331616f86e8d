//! `model.gguf`: a checkpoint with quantized matrices, under the tensor names of the Hugging Face
//! checkpoint it was made from.

use std::collections::BTreeMap;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use candle_core::quantized::gguf_file::{self, Value as Stored};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Tensor};

use super::gguf_header::{GgufHeader, GgufTensor, GgufValue};
use super::{Encoding, LayerQuantizer, QuantizationInfo, TensorLocation, WeightFormat};
use chartbench_core::terminal::shorten;

const ARCHITECTURE: &str = "general.architecture";
const QUANTIZATION: &str = "chartbench.quantization";
const KEPT: &str = "chartbench.kept";
/// The architectures of such files, as `general.architecture` spells them.
const KNOWN: [&str; 2] = ["pix2struct", "donut"];

/// The locations of a file's tensors and how they are quantized. Every tensor is checked to end
/// inside the file and to share no byte with another.
pub(super) fn locate_tensors(
    path: &Path,
) -> Result<(BTreeMap<String, TensorLocation>, QuantizationInfo)> {
    let GgufHeader {
        metadata,
        tensors,
        data_start,
        file_bytes,
    } = GgufHeader::read(path)?;
    let quantized = read_info(&metadata)?;
    let mut locations = BTreeMap::new();
    for GgufTensor {
        name,
        shape,
        kind,
        offset,
    } in tensors
    {
        let location = encoding(kind, &shape).and_then(|encoding| {
            TensorLocation::new(path, data_start.saturating_add(offset), shape, encoding)
        });
        let location = location.with_context(|| format!("tensor {}", shorten(&name)))?;
        let end = location.end();
        ensure!(
            end <= file_bytes,
            "truncated: tensor {} ends at byte {end}, the file has {file_bytes} bytes",
            shorten(&name)
        );
        locations.insert(name, location);
    }
    check_overlaps(&locations)?;
    Ok((locations, quantized))
}

fn check_overlaps(locations: &BTreeMap<String, TensorLocation>) -> Result<()> {
    let mut ranges: Vec<(u64, u64, &str)> = locations
        .iter()
        .map(|(name, location)| (location.offset, location.end(), name.as_str()))
        .collect();
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        let ((_, end, first), (start, _, second)) = (pair[0], pair[1]);
        ensure!(
            end <= start,
            "tensors {} and {} overlap",
            shorten(first),
            shorten(second)
        );
    }
    Ok(())
}

fn read_info(metadata: &BTreeMap<String, GgufValue>) -> Result<QuantizationInfo> {
    match metadata.get(ARCHITECTURE) {
        Some(GgufValue::Text(name)) if KNOWN.contains(&name.as_str()) => {}
        Some(GgufValue::Text(name)) => {
            bail!(
                "{ARCHITECTURE} is {:?}: no model of {}",
                shorten(name),
                KNOWN.join(" or ")
            )
        }
        _ => bail!("no {ARCHITECTURE} in it"),
    }
    let Some(GgufValue::Text(name)) = metadata.get(QUANTIZATION) else {
        bail!("no {QUANTIZATION} in it: `chartbench quantize` did not write it")
    };
    let kept = match metadata.get(KEPT) {
        Some(GgufValue::Texts(kept)) => kept.clone(),
        _ => Vec::new(),
    };
    Ok(QuantizationInfo {
        format: WeightFormat::quantized_by_name(name).context(QUANTIZATION)?,
        kept,
    })
}

/// The encodings that [`write`] uses.
fn encoding(kind: u32, shape: &[usize]) -> Result<Encoding> {
    let blocks = match kind {
        0 => return Ok(Encoding::Plain(DType::F32)),
        1 => return Ok(Encoding::Plain(DType::F16)),
        8 => GgmlDType::Q8_0,
        12 => GgmlDType::Q4K,
        other => return Ok(Encoding::Unsupported(format!("GGML type {other}"))),
    };
    let row = shape.last().copied().unwrap_or(0);
    ensure!(
        row.is_multiple_of(blocks.block_size()),
        "rows of {row} values are no whole blocks of {blocks:?}"
    );
    Ok(Encoding::Blocks(blocks))
}

/// Writes `weights` as such a file: the matrices of `quantized` as they are, everything else as f16
/// if that is exact, else as f32.
///
/// # Errors
/// Returns an error if `to` cannot be written.
pub fn write_gguf(
    to: &mut (impl Write + Seek),
    architecture: &str,
    weights: &[(String, Tensor)],
    quantized: &LayerQuantizer<'_>,
) -> Result<()> {
    let QuantizationInfo { format, kept } = quantized.info();
    let metadata = [
        (ARCHITECTURE, Stored::String(architecture.to_owned())),
        (QUANTIZATION, Stored::String(format.name().to_owned())),
        (
            KEPT,
            Stored::Array(kept.into_iter().map(Stored::String).collect()),
        ),
    ];
    let mut tensors: Vec<(&str, Arc<QTensor>)> = Vec::new();
    for (name, tensor) in weights {
        let stored = match quantized.stored(name) {
            Some(blocks) => blocks,
            None => Arc::new(unquantized(tensor)?),
        };
        tensors.push((name, stored));
    }
    let metadata: Vec<(&str, &Stored)> =
        metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors
        .iter()
        .map(|(name, tensor)| (*name, tensor.as_ref()))
        .collect();
    Ok(gguf_file::write(to, &metadata, &tensors)?)
}

fn unquantized(tensor: &Tensor) -> Result<QTensor> {
    let half = tensor.to_dtype(DType::F16)?.to_dtype(DType::F32)?;
    let lost = tensor
        .ne(&half)?
        .to_dtype(DType::F32)?
        .sum_all()?
        .to_scalar::<f32>()?;
    let kind = if lost == 0.0 {
        GgmlDType::F16
    } else {
        GgmlDType::F32
    };
    Ok(QTensor::quantize(tensor, kind)?)
}

/// The size of such a file in bytes.
///
/// # Errors
/// As [`write_gguf`].
pub fn gguf_bytes(
    architecture: &str,
    weights: &[(String, Tensor)],
    quantized: &LayerQuantizer<'_>,
) -> Result<u64> {
    let mut count = Count(0);
    write_gguf(&mut count, architecture, weights, quantized)?;
    Ok(count.0)
}

/// Counts bytes written in order.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Seek for Count {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        match to {
            SeekFrom::Current(0) => Ok(self.0),
            _ => Err(std::io::Error::other("what is counted is written in order")),
        }
    }
}
