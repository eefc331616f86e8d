//! `model.gguf`: a checkpoint whose matrices are quantized, under the names of the Hugging Face checkpoint it was made of.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. The directory is read here and not by candle, which
//! panics on an alignment of 0.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use candle_core::quantized::gguf_file::{self, Value as Stored};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Tensor};

use super::quantized::{Quantization, Quantized, QuantizedAs};
use super::{Encoding, Entry};

const ARCHITECTURE: &str = "general.architecture";
const ALIGNMENT: &str = "general.alignment";
const QUANTIZATION: &str = "chartbench.quantization";
const KEPT: &str = "chartbench.kept";
/// Those whose weights can lie in such a file, as `general.architecture` has them.
const KNOWN: [&str; 2] = ["pix2struct", "donut"];

/// Where the tensors of a file lie, and what it says of their precision; every tensor is checked to end inside the file.
pub(super) fn entries(path: &Path) -> Result<(BTreeMap<String, Entry>, QuantizedAs)> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut header = Header { reader: BufReader::new(file), bytes };
    let (tensors, values) = header.begin().context("no GGUF file, or truncated")?;
    let mut metadata = BTreeMap::new();
    for _ in 0..values {
        let (key, value) = header.pair().context("its metadata is damaged, or the file truncated")?;
        metadata.insert(key, value);
    }
    let quantized = quantized_as(&metadata)?;
    let alignment = match metadata.get(ALIGNMENT) {
        None => 32,
        Some(Value::Number(number)) if number.is_power_of_two() => *number,
        Some(_) => bail!("{ALIGNMENT} is no power of two"),
    };
    let mut infos = Vec::new();
    for _ in 0..tensors {
        infos.push(header.info().context("its list of tensors is damaged, or the file truncated")?);
    }
    let data = header.reader.stream_position()?.checked_next_multiple_of(alignment).context("absurd alignment")?;
    let mut entries = BTreeMap::new();
    for Info { name, shape, kind, offset } in infos {
        let entry =
            encoding(kind, &shape).and_then(|encoding| Entry::new(path, data.saturating_add(offset), shape, encoding));
        let entry = entry.with_context(|| format!("tensor {name}"))?;
        let end = entry.end();
        ensure!(end <= bytes, "truncated: tensor {name} ends at byte {end}, the file has {bytes} bytes");
        entries.insert(name, entry);
    }
    Ok((entries, quantized))
}

fn quantized_as(metadata: &BTreeMap<String, Value>) -> Result<QuantizedAs> {
    match metadata.get(ARCHITECTURE) {
        Some(Value::Text(name)) if KNOWN.contains(&name.as_str()) => {}
        Some(Value::Text(name)) => bail!("{ARCHITECTURE} is {name:?}: no model of {}", KNOWN.join(" or ")),
        _ => bail!("no {ARCHITECTURE} in it"),
    }
    let Some(Value::Text(to)) = metadata.get(QUANTIZATION) else {
        bail!("no {QUANTIZATION} in it: `chartbench quantize` did not write it")
    };
    let kept = match metadata.get(KEPT) {
        Some(Value::Texts(kept)) => kept.clone(),
        _ => Vec::new(),
    };
    Ok(QuantizedAs { to: Quantization::named(to).context(QUANTIZATION)?, kept })
}

/// The encodings that [`write`] uses.
fn encoding(kind: u32, shape: &[usize]) -> Result<Encoding> {
    let blocks = match kind {
        0 => return Ok(Encoding::Plain(DType::F32)),
        1 => return Ok(Encoding::Plain(DType::F16)),
        8 => GgmlDType::Q8_0,
        12 => GgmlDType::Q4K,
        other => {
            bail!("stored as GGML type {other}, which is not read here (0, 1, 8 and 12 are: F32, F16, Q8_0, Q4_K)")
        }
    };
    let row = shape.last().copied().unwrap_or(0);
    ensure!(row.is_multiple_of(blocks.block_size()), "rows of {row} values are no whole blocks of {blocks:?}");
    Ok(Encoding::Blocks(blocks))
}

/// What this program looks at of a file's metadata.
enum Value {
    Text(String),
    Texts(Vec<String>),
    Number(u64),
    Other,
}

struct Info {
    name: String,
    shape: Vec<usize>,
    kind: u32,
    offset: u64,
}

struct Header {
    reader: BufReader<File>,
    bytes: u64,
}

impl Header {
    /// How many tensors and how many pairs of metadata follow.
    fn begin(&mut self) -> Result<(u64, u64)> {
        let mut magic = [0; 4];
        self.reader.read_exact(&mut magic)?;
        ensure!(&magic == b"GGUF", "it does not begin with GGUF");
        let version = self.u32()?;
        ensure!((2..=3).contains(&version), "version {version} is not read here (2 and 3 are)");
        Ok((self.u64()?, self.u64()?))
    }

    fn pair(&mut self) -> Result<(String, Value)> {
        let key = self.text()?;
        let kind = self.u32()?;
        let value = self.value(kind).with_context(|| key.clone())?;
        Ok((key, value))
    }

    fn value(&mut self, kind: u32) -> Result<Value> {
        const TEXT: u32 = 8;
        const ARRAY: u32 = 9;
        Ok(match kind {
            TEXT => Value::Text(self.text()?),
            ARRAY => {
                let (kind, count) = (self.u32()?, self.u64()?);
                ensure!(kind != ARRAY, "an array of arrays");
                let mut texts = Vec::new();
                for _ in 0..count {
                    if let Value::Text(text) = self.value(kind)? {
                        texts.push(text);
                    }
                }
                Value::Texts(texts)
            }
            0 | 1 | 7 => self.number(1)?,
            2 | 3 => self.number(2)?,
            4 | 5 => self.number(4)?,
            6 => self.number(4).map(|_| Value::Other)?,
            10 | 11 => self.number(8)?,
            12 => self.number(8).map(|_| Value::Other)?,
            other => bail!("a value of unknown type {other}"),
        })
    }

    fn info(&mut self) -> Result<Info> {
        let name = self.text()?;
        let dimensions = self.u32()?;
        ensure!(dimensions <= 4, "tensor {name} has {dimensions} dimensions");
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(usize::try_from(self.u64()?)?);
        }
        shape.reverse();
        Ok(Info { name, shape, kind: self.u32()?, offset: self.u64()? })
    }

    fn text(&mut self) -> Result<String> {
        let length = self.u64()?;
        ensure!(length <= self.bytes, "a text of {length} bytes in a file of {}", self.bytes);
        let mut text = Vec::new();
        self.reader.by_ref().take(length).read_to_end(&mut text)?;
        ensure!(text.len() as u64 == length, "the file ends inside it");
        Ok(String::from_utf8(text)?)
    }

    fn number(&mut self, bytes: usize) -> Result<Value> {
        let mut number = [0; 8];
        self.reader.read_exact(&mut number[..bytes])?;
        Ok(Value::Number(u64::from_le_bytes(number)))
    }

    fn u32(&mut self) -> Result<u32> {
        let mut number = [0; 4];
        self.reader.read_exact(&mut number)?;
        Ok(u32::from_le_bytes(number))
    }

    fn u64(&mut self) -> Result<u64> {
        let mut number = [0; 8];
        self.reader.read_exact(&mut number)?;
        Ok(u64::from_le_bytes(number))
    }
}

/// Writes `weights` as such a file: what `quantized` has quantized as it has it, all else in half precision where that
/// loses nothing and in single precision where it would.
///
/// # Errors
/// What `to` refuses.
pub fn write_gguf(
    to: &mut (impl Write + Seek),
    architecture: &str,
    weights: &[(String, Tensor)],
    quantized: &Quantized<'_>,
) -> Result<()> {
    let QuantizedAs { to: quantization, kept } = quantized.quantized_as();
    let metadata = [
        (ARCHITECTURE, Stored::String(architecture.to_owned())),
        (QUANTIZATION, Stored::String(quantization.name().to_owned())),
        (KEPT, Stored::Array(kept.into_iter().map(Stored::String).collect())),
    ];
    let mut tensors: Vec<(&str, Arc<QTensor>)> = Vec::new();
    for (name, tensor) in weights {
        let stored = match quantized.stored(name) {
            Some(blocks) => blocks,
            None => Arc::new(plain(tensor)?),
        };
        tensors.push((name, stored));
    }
    let metadata: Vec<(&str, &Stored)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (*name, tensor.as_ref())).collect();
    Ok(gguf_file::write(to, &metadata, &tensors)?)
}

fn plain(tensor: &Tensor) -> Result<QTensor> {
    let half = tensor.to_dtype(DType::F16)?.to_dtype(DType::F32)?;
    let lost = tensor.ne(&half)?.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?;
    let kind = if lost == 0.0 { GgmlDType::F16 } else { GgmlDType::F32 };
    Ok(QTensor::quantize(tensor, kind)?)
}

/// The bytes such a file would have.
///
/// # Errors
/// As [`write_gguf`].
pub fn gguf_bytes(architecture: &str, weights: &[(String, Tensor)], quantized: &Quantized<'_>) -> Result<u64> {
    let mut count = Count(0);
    write_gguf(&mut count, architecture, weights, quantized)?;
    Ok(count.0)
}

/// Counts what is written, in order.
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
