//! The directory of a safetensors file.
//!
//! Format: 8 bytes little-endian header length, the JSON header (name → dtype, shape, offsets), the
//! data. <https://huggingface.co/docs/safetensors>

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::DType;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::{Encoding, TensorLocation};
use chartbench_core::terminal::shorten;

const LENGTH_BYTES: u64 = 8;
/// Longest header, as the reference implementation has it.
const MAX_HEADER: u64 = 100_000_000;
/// The header's key that is no tensor.
const METADATA: &str = "__metadata__";

/// A tensor as a file's header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTensor {
    /// The tensor's key in the header, e.g. `decoder.lm_head.weight`.
    pub name: String,
    /// The format's name of it: `F32`, `BF16`, `F8_E4M3` ...
    pub dtype: String,
    /// Its dimensions; empty for a single value.
    pub shape: Vec<usize>,
    /// Where its bytes begin in the file.
    pub offset: u64,
    /// The number of its bytes in the file.
    pub bytes: u64,
}

/// Reads the header of a file: its tensors in the order of their bytes, which fill the rest of the
/// file without a gap.
///
/// # Errors
/// Returns an error if the file is truncated or not a safetensors file, a name occurs twice, or
/// tensors overlap or leave bytes between or behind them.
pub fn read_header(path: &Path) -> Result<Vec<StoredTensor>> {
    let mut file = chartbench_core::input::open_content(path)?;
    let file_bytes = file.metadata()?.len();
    let mut length = [0; LENGTH_BYTES as usize];
    file.read_exact(&mut length)
        .with_context(|| format!("truncated: {file_bytes} bytes, no header"))?;
    let header_bytes = u64::from_le_bytes(length);
    let data_start = header_bytes.saturating_add(LENGTH_BYTES);
    ensure!(
        data_start <= file_bytes,
        "truncated, or not a safetensors file: the header should take {header_bytes} bytes, the file has {file_bytes}"
    );
    ensure!(
        header_bytes <= MAX_HEADER,
        "a header of {header_bytes} bytes, more than the {MAX_HEADER} allowed"
    );
    let mut header = vec![0; header_bytes as usize];
    file.read_exact(&mut header)?;
    let Header(tensors) =
        serde_json::from_slice(&header).context("the safetensors header is not valid")?;
    let mut stored = Vec::new();
    for (
        name,
        Info {
            dtype,
            shape,
            data_offsets: [start, end],
        },
    ) in tensors
    {
        ensure!(
            start <= end,
            "tensor {} ends before it begins",
            shorten(&name)
        );
        let offset = data_start.saturating_add(start);
        stored.push(StoredTensor {
            name,
            dtype,
            shape,
            offset,
            bytes: end - start,
        });
    }
    stored.sort_by_key(|tensor| (tensor.offset, tensor.bytes));
    check_layout(&stored, data_start, file_bytes)?;
    Ok(stored)
}

fn check_layout(stored: &[StoredTensor], data_start: u64, file_bytes: u64) -> Result<()> {
    let mut end = data_start;
    for tensor in stored {
        let name = shorten(&tensor.name);
        ensure!(
            tensor.offset >= end,
            "tensor {name} overlaps the one before it"
        );
        ensure!(
            tensor.offset == end,
            "{} bytes before tensor {name} belong to no tensor",
            tensor.offset - end
        );
        end = end.saturating_add(tensor.bytes);
        ensure!(
            end <= file_bytes,
            "truncated: tensor {name} ends at byte {end}, the file has {file_bytes} bytes"
        );
    }
    ensure!(
        end == file_bytes,
        "{} bytes after the last tensor belong to none",
        file_bytes - end
    );
    Ok(())
}

/// The locations of one file's tensors.
pub(super) fn locate_tensors(path: &Path) -> Result<BTreeMap<String, TensorLocation>> {
    let mut locations = BTreeMap::new();
    for tensor in read_header(path)? {
        let name = tensor.name.clone();
        let location =
            locate(path, tensor).with_context(|| format!("tensor {}", shorten(&name)))?;
        locations.insert(name, location);
    }
    Ok(locations)
}

fn locate(path: &Path, tensor: StoredTensor) -> Result<TensorLocation> {
    let StoredTensor {
        dtype,
        shape,
        offset,
        bytes,
        ..
    } = tensor;
    let encoding = match dtype.as_str() {
        "F32" => Encoding::Plain(DType::F32),
        "F16" => Encoding::Plain(DType::F16),
        "BF16" => Encoding::Plain(DType::BF16),
        "F64" => Encoding::Plain(DType::F64),
        "I64" => Encoding::Plain(DType::I64),
        other => Encoding::Unsupported(shorten(other)),
    };
    let is_read = !matches!(encoding, Encoding::Unsupported(_));
    let shown = shorten(&format!("{shape:?}"));
    let location = TensorLocation::new(path, offset, shape, encoding)?;
    ensure!(
        !is_read || location.bytes == bytes,
        "shape {shown} does not fill its {bytes} bytes"
    );
    Ok(location)
}

/// The header's tensors, in its order.
struct Header(Vec<(String, Info)>);

#[derive(Deserialize)]
struct Info {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a key for each tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let (mut tensors, mut names) = (Vec::new(), BTreeSet::new());
        while let Some(name) = map.next_key::<String>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format!(
                    "{} is there twice",
                    shorten(&name)
                )));
            }
            if name == METADATA {
                map.next_value::<IgnoredAny>()?;
            } else {
                tensors.push((name, map.next_value()?));
            }
        }
        Ok(Header(tensors))
    }
}
