//! Checksummed directories: `state.json`, written last, holds the length and checksum of every
//! other file.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::TrainingState;
use chartbench_core::files::sync_folder;

/// The format version of a saved state; other versions are errors.
pub const FORMAT_VERSION: u32 = 1;
/// The file with the checksums.
const STATE_FILE: &str = "state.json";
/// Bytes read at a time for a checksum.
const CHUNK: usize = 1 << 20;

/// The content of `state.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateFile {
    format: u32,
    state: TrainingState,
    files: Vec<FileChecksum>,
}

/// Length and checksum of a file as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileChecksum {
    /// File name within the folder.
    pub name: String,
    /// Length of the file.
    pub bytes: u64,
    /// CRC-32C.
    pub crc32c: u32,
}

/// The format number alone, which decides how the rest is read.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Forces every file of `folder` to disk and writes its `state.json`.
///
/// # Errors
/// Returns an error that names the file if one cannot be written.
pub(super) fn write_state(folder: &Path, state: &TrainingState) -> Result<()> {
    let files = file_checksums(folder)?;
    let path = folder.join(STATE_FILE);
    let seal = StateFile {
        format: FORMAT_VERSION,
        state: state.clone(),
        files,
    };
    let text = serde_json::to_vec_pretty(&seal).context("cannot encode the training state")?;
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&path)?;
        file.write_all(&text)?;
        file.sync_all()?;
        // The folder's own list of files.
        sync_folder(folder)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Forces every file of `folder` to disk; returns their lengths and checksums, in the order of
/// their names.
///
/// # Errors
/// Returns an error if a file cannot be read or written, and names it.
pub(in crate::finetune) fn file_checksums(folder: &Path) -> Result<Vec<FileChecksum>> {
    let mut files = Vec::new();
    for entry in
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry
            .with_context(|| format!("cannot read {}", folder.display()))?
            .path();
        let sealed = || -> Result<FileChecksum> {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .context("a name that is no text")?;
            let mut file = chartbench_core::input::open(&path)?;
            file.sync_all()?;
            let (bytes, crc32c) = checksum(&mut file)?;
            Ok(FileChecksum {
                name: name.to_owned(),
                bytes,
                crc32c,
            })
        };
        files.push(sealed().with_context(|| format!("cannot write {}", path.display()))?);
    }
    files.sort_by(|a: &FileChecksum, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Reads the state of a folder and verifies its files.
///
/// # Errors
/// Returns an error if a file is missing, cut or changed, and names it; or if the format has
/// another version.
pub(super) fn read_state(folder: &Path) -> Result<TrainingState> {
    let path = folder.join(STATE_FILE);
    let text = chartbench_core::input::read(&path, chartbench_core::input::MAX_DOCUMENT_BYTES)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let version: Format =
        serde_json::from_slice(&text).with_context(|| format!("{} is torn", path.display()))?;
    ensure!(
        version.format == FORMAT_VERSION,
        "{} has format {}, this program reads {FORMAT_VERSION}: use the version that wrote it",
        path.display(),
        version.format
    );
    let seal: StateFile =
        serde_json::from_slice(&text).with_context(|| format!("{} is torn", path.display()))?;
    verify_files(folder, &seal.files)?;
    Ok(seal.state)
}

/// Checks that the `files` of a folder are as they were written.
///
/// # Errors
/// Returns an error if a file is missing, cut or changed, and names it.
pub(in crate::finetune) fn verify_files(folder: &Path, files: &[FileChecksum]) -> Result<()> {
    for sealed in files {
        let path = folder.join(&sealed.name);
        let mut file = chartbench_core::input::open(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let found =
            checksum(&mut file).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(
            found == (sealed.bytes, sealed.crc32c),
            "{} is not as it was written: {} bytes, should have {}, or other content",
            path.display(),
            found.0,
            sealed.bytes
        );
    }
    Ok(())
}

/// Length and CRC-32C.
fn checksum(file: &mut File) -> std::io::Result<(u64, u32)> {
    let mut chunk = vec![0; CHUNK];
    let (mut bytes, mut crc) = (0, 0);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok((bytes, crc)),
            read => {
                bytes += read as u64;
                crc = crc32c::crc32c_append(crc, &chunk[..read]);
            }
        }
    }
}
