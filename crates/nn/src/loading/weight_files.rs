//! Which files of a folder hold its weights, and where the tensors lie in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::{QuantizationInfo, TensorLocation, gguf, pytorch, safetensors};
use chartbench_core::terminal::shorten;

const SAFETENSORS: &str = "model.safetensors";
const SAFETENSORS_INDEX: &str = "model.safetensors.index.json";
const PYTORCH: &str = "pytorch_model.bin";
const PYTORCH_INDEX: &str = "pytorch_model.bin.index.json";
/// Looked for last: full weights beside it come first.
pub const GGUF: &str = "model.gguf";

/// The files that weights can begin with, the preferred first.
pub const WEIGHT_FILES: [&str; 5] = [SAFETENSORS, SAFETENSORS_INDEX, PYTORCH, PYTORCH_INDEX, GGUF];

/// The weight files of a folder.
pub(super) enum WeightFiles {
    Safetensors(Vec<PathBuf>),
    PyTorch(Vec<PathBuf>),
    Gguf(PathBuf),
}

/// The tensors of a folder by name, and how its matrices are quantized, if they are.
pub(super) struct LocatedTensors {
    pub(super) locations: BTreeMap<String, TensorLocation>,
    pub(super) quantized: Option<QuantizationInfo>,
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

/// Whether `dir` has one of [`WEIGHT_FILES`].
pub fn has_weights(dir: &Path) -> bool {
    WEIGHT_FILES.iter().any(|name| dir.join(name).is_file())
}

impl WeightFiles {
    pub(super) fn find(dir: &Path) -> Result<Self> {
        let file = WEIGHT_FILES
            .into_iter()
            .find(|name| dir.join(name).is_file());
        let Some(name) = file else {
            bail!(
                "{}: no weights here (looked for {})",
                dir.display(),
                WEIGHT_FILES.join(", ")
            )
        };
        let path = dir.join(name);
        let shards = |index: &Path| shards(index).with_context(|| index.display().to_string());
        Ok(match name {
            SAFETENSORS => Self::Safetensors(vec![path]),
            SAFETENSORS_INDEX => Self::Safetensors(shards(&path)?),
            PYTORCH => Self::PyTorch(vec![path]),
            PYTORCH_INDEX => Self::PyTorch(shards(&path)?),
            _ => Self::Gguf(path),
        })
    }

    pub(super) fn into_paths(self) -> Vec<PathBuf> {
        match self {
            Self::Safetensors(files) | Self::PyTorch(files) => files,
            Self::Gguf(file) => vec![file],
        }
    }

    /// Reads the headers of the files.
    ///
    /// # Errors
    /// Returns an error that names the file if one is truncated or malformed, or a tensor is in two
    /// of them.
    pub(super) fn locate(&self) -> Result<LocatedTensors> {
        let mut quantized = None;
        let locations = match self {
            Self::Safetensors(files) => merge_shards(files, safetensors::locate_tensors)?,
            Self::PyTorch(files) => merge_shards(files, pytorch::locate_tensors)?,
            Self::Gguf(file) => {
                let (locations, info) =
                    gguf::locate_tensors(file).with_context(|| file.display().to_string())?;
                quantized = Some(info);
                locations
            }
        };
        Ok(LocatedTensors {
            locations,
            quantized,
        })
    }
}

fn merge_shards(
    files: &[PathBuf],
    locate: fn(&Path) -> Result<BTreeMap<String, TensorLocation>>,
) -> Result<BTreeMap<String, TensorLocation>> {
    let mut locations: BTreeMap<String, TensorLocation> = BTreeMap::new();
    for file in files {
        let shard = locate(file).with_context(|| file.display().to_string())?;
        if let Some((name, location)) = shard.keys().find_map(|name| locations.get_key_value(name))
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
    Ok(locations)
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

/// The shard files an index names, in order; each must exist beside the index.
fn shards(index: &Path) -> Result<Vec<PathBuf>> {
    let parsed: ShardIndex = serde_json::from_slice(&chartbench_core::input::read(
        index,
        chartbench_core::input::MAX_DOCUMENT_BYTES,
    )?)?;
    let names: BTreeSet<&String> = parsed.weight_map.values().collect();
    let dir = index.parent().unwrap_or(Path::new("."));
    let mut files = Vec::new();
    for name in names {
        let plain = Path::new(name)
            .file_name()
            .is_some_and(|file| file == name.as_str());
        ensure!(
            plain,
            "{:?} is not the name of a file in this folder",
            shorten(name)
        );
        let file = dir.join(name);
        ensure!(
            file.is_file(),
            "the shard {} is not in this folder",
            shorten(name)
        );
        files.push(file);
    }
    Ok(files)
}
