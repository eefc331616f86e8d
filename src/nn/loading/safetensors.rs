//! The directory of a safetensors file, and of a sharded set.
//!
//! Format: 8 bytes little-endian header length, the JSON header (name → dtype, shape, offsets), the data.
//! <https://huggingface.co/docs/safetensors>

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::DType;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;

use super::Entry;

const LENGTH_BYTES: u64 = 8;

/// Where each tensor of one file lies; every tensor is checked to end inside the file.
pub(super) fn entries(path: &Path) -> Result<BTreeMap<String, Entry>> {
    let mut file = File::open(path)?;
    let file_bytes = file.metadata()?.len();
    let mut length = [0; LENGTH_BYTES as usize];
    file.read_exact(&mut length).with_context(|| format!("truncated: {file_bytes} bytes, no header"))?;
    let header_bytes = u64::from_le_bytes(length);
    let data_start = header_bytes.saturating_add(LENGTH_BYTES);
    ensure!(
        data_start <= file_bytes,
        "truncated, or not a safetensors file: the header should take {header_bytes} bytes, the file has {file_bytes}"
    );
    let mut header = vec![0; header_bytes as usize];
    file.read_exact(&mut header)?;
    let metadata: Metadata = serde_json::from_slice(&header).context("the safetensors header is not valid")?;
    let mut entries = BTreeMap::new();
    for (name, info) in metadata.tensors() {
        let entry = entry(path, data_start, info).with_context(|| format!("tensor {name}"))?;
        let end = entry.end();
        ensure!(end <= file_bytes, "truncated: tensor {name} ends at byte {end}, the file has {file_bytes} bytes");
        entries.insert(name, entry);
    }
    Ok(entries)
}

fn entry(path: &Path, data_start: u64, info: &TensorInfo) -> Result<Entry> {
    let dtype = match info.dtype {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::F64 => DType::F64,
        Dtype::I64 => DType::I64,
        other => bail!("stored as {other:?}, which is not read here (F32, F16, BF16, F64, I64 are)"),
    };
    let (start, end) = info.data_offsets;
    let entry = Entry::new(path, data_start.saturating_add(start as u64), info.shape.clone(), dtype)?;
    let bytes = end.saturating_sub(start) as u64;
    ensure!(entry.bytes == bytes, "shape {:?} does not fill its {bytes} bytes", info.shape);
    Ok(entry)
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

/// The shard files an index names, in order; each must exist beside the index.
pub(super) fn shards(index: &Path) -> Result<Vec<PathBuf>> {
    let parsed: ShardIndex = serde_json::from_slice(&std::fs::read(index)?)?;
    let names: BTreeSet<&String> = parsed.weight_map.values().collect();
    let dir = index.parent().unwrap_or(Path::new("."));
    let mut files = Vec::new();
    for name in names {
        let plain = Path::new(name).file_name().is_some_and(|file| file == name.as_str());
        ensure!(plain, "{name:?} is not the name of a file in this folder");
        let file = dir.join(name);
        ensure!(file.is_file(), "the shard {name} is not in this folder");
        files.push(file);
    }
    Ok(files)
}
