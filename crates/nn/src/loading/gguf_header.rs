//! The header of a GGUF file: metadata and the list of tensors, every count and length held against
//! the file's size.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. Files are read by this
//! before candle reads them, which panics on an alignment of 0 or sizes whose product overflows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use chartbench_core::terminal::shorten;

const ALIGNMENT: &str = "general.alignment";
const DEFAULT_ALIGNMENT: u64 = 32;
/// Most entries of the metadata and most tensors, each.
const MAX_ENTRIES: u64 = 1 << 16;
/// Most elements of all arrays together: a large vocabulary has some 300,000 tokens, scores, types
/// and merges each.
const MAX_ARRAY_ELEMENTS: u64 = 1 << 23;

/// A GGUF file's header.
#[derive(Debug)]
pub struct GgufHeader {
    pub(super) metadata: BTreeMap<String, GgufValue>,
    pub(super) tensors: Vec<GgufTensor>,
    /// The offset of the tensors' data.
    pub(super) data_start: u64,
    pub(super) file_bytes: u64,
}

/// A value of the metadata.
#[derive(Debug)]
pub(super) enum GgufValue {
    Text(String),
    Texts(Vec<String>),
    Number(u64),
    Other,
}

#[derive(Debug)]
pub(super) struct GgufTensor {
    pub name: String,
    pub shape: Vec<usize>,
    /// GGML's number of the type.
    pub kind: u32,
    /// From the beginning of the data.
    pub offset: u64,
}

impl GgufHeader {
    /// # Errors
    /// Returns an error if the file is not GGUF, is truncated, names something twice, or has a
    /// count, length, size or place that does not fit it.
    pub fn read(path: &Path) -> Result<Self> {
        let file = chartbench_core::input::open_content(path)?;
        let file_bytes = file.metadata()?.len();
        let mut reader = HeaderReader {
            reader: BufReader::new(file),
            file_bytes,
            elements: 0,
        };
        let (tensor_count, value_count) = reader.counts().context("no GGUF file, or truncated")?;
        ensure!(
            value_count <= MAX_ENTRIES,
            "{value_count} entries of metadata, more than the {MAX_ENTRIES} allowed"
        );
        ensure!(
            tensor_count <= MAX_ENTRIES,
            "{tensor_count} tensors, more than the {MAX_ENTRIES} allowed"
        );
        let mut metadata = BTreeMap::new();
        for _ in 0..value_count {
            let (key, value) = reader
                .key_value()
                .context("its metadata is damaged, or the file truncated")?;
            ensure!(
                !metadata.contains_key(&key),
                "its metadata has {} twice",
                shorten(&key)
            );
            metadata.insert(key, value);
        }
        let alignment = match metadata.get(ALIGNMENT) {
            None => DEFAULT_ALIGNMENT,
            Some(GgufValue::Number(number)) if number.is_power_of_two() => *number,
            Some(_) => bail!("{ALIGNMENT} is no power of two"),
        };
        let tensors = reader.tensors(tensor_count, alignment)?;
        let header_end = reader.reader.stream_position()?;
        let data_start = header_end
            .checked_next_multiple_of(alignment)
            .context("its alignment is too large")?;
        for tensor in &tensors {
            let start = data_start.saturating_add(tensor.offset);
            let name = shorten(&tensor.name);
            ensure!(
                start <= file_bytes,
                "truncated: tensor {name} begins at byte {start} of {file_bytes}"
            );
        }
        Ok(Self {
            metadata,
            tensors,
            data_start,
            file_bytes,
        })
    }
}

struct HeaderReader {
    reader: BufReader<File>,
    file_bytes: u64,
    /// Array elements so far.
    elements: u64,
}

impl HeaderReader {
    /// How many tensors and how many entries of metadata follow.
    fn counts(&mut self) -> Result<(u64, u64)> {
        let mut magic = [0; 4];
        self.reader.read_exact(&mut magic)?;
        ensure!(&magic == b"GGUF", "it does not begin with GGUF");
        let version = self.u32()?;
        ensure!(
            (2..=3).contains(&version),
            "version {version} is not read here (2 and 3 are)"
        );
        Ok((self.u64()?, self.u64()?))
    }

    fn key_value(&mut self) -> Result<(String, GgufValue)> {
        let key = self.text()?;
        let kind = self.u32()?;
        let value = self.value(kind).with_context(|| shorten(&key))?;
        Ok((key, value))
    }

    fn value(&mut self, kind: u32) -> Result<GgufValue> {
        const TEXT: u32 = 8;
        const ARRAY: u32 = 9;
        match kind {
            TEXT => self.text().map(GgufValue::Text),
            ARRAY => self.texts(),
            kind => self.scalar(kind),
        }
    }

    /// An array's texts; elements of other types are passed over.
    fn texts(&mut self) -> Result<GgufValue> {
        let (kind, count) = (self.u32()?, self.u64()?);
        self.elements = self.elements.saturating_add(count);
        ensure!(
            self.elements <= MAX_ARRAY_ELEMENTS,
            "arrays of more than {MAX_ARRAY_ELEMENTS} elements"
        );
        let mut texts = Vec::new();
        for _ in 0..count {
            if kind == 8 {
                texts.push(self.text()?);
            } else {
                self.scalar(kind)?;
            }
        }
        Ok(GgufValue::Texts(texts))
    }

    fn scalar(&mut self, kind: u32) -> Result<GgufValue> {
        match kind {
            0 | 1 | 7 => self.number(1),
            2 | 3 => self.number(2),
            4 | 5 => self.number(4),
            6 => self.number(4).map(|_| GgufValue::Other),
            10 | 11 => self.number(8),
            12 => self.number(8).map(|_| GgufValue::Other),
            9 => bail!("an array of arrays"),
            other => bail!("a value of unknown type {other}"),
        }
    }

    fn tensors(&mut self, count: u64, alignment: u64) -> Result<Vec<GgufTensor>> {
        let (mut tensors, mut names) = (Vec::new(), BTreeSet::new());
        for _ in 0..count {
            let tensor = self
                .tensor()
                .context("its list of tensors is damaged, or the file truncated")?;
            let name = shorten(&tensor.name);
            ensure!(
                names.insert(tensor.name.clone()),
                "tensor {name} is there twice"
            );
            ensure!(
                tensor.offset.is_multiple_of(alignment),
                "tensor {name} is not at a multiple of {alignment} bytes"
            );
            tensors.push(tensor);
        }
        Ok(tensors)
    }

    fn tensor(&mut self) -> Result<GgufTensor> {
        let name = self.text()?;
        let dimensions = self.u32()?;
        ensure!(
            dimensions <= 4,
            "tensor {} has {dimensions} dimensions",
            shorten(&name)
        );
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(usize::try_from(self.u64()?)?);
        }
        shape.reverse();
        let elements = shape
            .iter()
            .try_fold(1u64, |product, &size| product.checked_mul(size as u64));
        // No type takes less than a bit an element.
        let fits = elements.is_some_and(|elements| elements / 8 <= self.file_bytes);
        ensure!(
            fits,
            "tensor {} of shape {shape:?} is larger than the file",
            shorten(&name)
        );
        Ok(GgufTensor {
            name,
            shape,
            kind: self.u32()?,
            offset: self.u64()?,
        })
    }

    fn text(&mut self) -> Result<String> {
        let length = self.u64()?;
        ensure!(
            length <= self.file_bytes,
            "a text of {length} bytes in a file of {}",
            self.file_bytes
        );
        let mut text = Vec::new();
        self.reader.by_ref().take(length).read_to_end(&mut text)?;
        ensure!(text.len() as u64 == length, "the file ends inside it");
        // As candle reads it: zeros at the end do not count.
        Ok(String::from_utf8_lossy(&text)
            .trim_end_matches('\0')
            .to_owned())
    }

    fn number(&mut self, bytes: usize) -> Result<GgufValue> {
        let mut number = [0; 8];
        self.reader.read_exact(&mut number[..bytes])?;
        Ok(GgufValue::Number(u64::from_le_bytes(number)))
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
