//! Folders that tell whether they are whole: `state.json`, written last, has the length and checksum of every other file.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::TrainingState;
use chartbench_core::files::sync_folder;

/// The format of a saved state; one of another is refused.
pub const FORMAT_VERSION: u32 = 1;
/// The file that makes a folder whole.
const SEAL: &str = "state.json";
/// Bytes read at a time for a checksum.
const CHUNK: usize = 1 << 20;

/// The content of `state.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    format: u32,
    state: TrainingState,
    files: Vec<SealedFile>,
}

/// A file as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedFile {
    pub name: String,
    pub bytes: u64,
    /// CRC-32C.
    pub crc32c: u32,
}

/// Only its format number: what the rest means depends on it.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Forces every file of `folder` to disk and writes its `state.json`.
///
/// # Errors
/// Names the file that cannot be written.
pub(super) fn seal(folder: &Path, state: &TrainingState) -> Result<()> {
    let files = sealed_files(folder)?;
    let path = folder.join(SEAL);
    let seal = Seal { format: FORMAT_VERSION, state: state.clone(), files };
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

/// Forces every file of `folder` to disk; their lengths and checksums, in the order of their names.
///
/// # Errors
/// Returns an error if a file cannot be read or written, and names it.
pub(in crate::finetune) fn sealed_files(folder: &Path) -> Result<Vec<SealedFile>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let sealed = || -> Result<SealedFile> {
            let name = path.file_name().and_then(|name| name.to_str()).context("a name that is no text")?;
            let mut file = chartbench_core::input::open(&path)?;
            file.sync_all()?;
            let (bytes, crc32c) = checksum(&mut file)?;
            Ok(SealedFile { name: name.to_owned(), bytes, crc32c })
        };
        files.push(sealed().with_context(|| format!("cannot write {}", path.display()))?);
    }
    files.sort_by(|a: &SealedFile, b| a.name.cmp(&b.name));
    Ok(files)
}

/// The state of a folder all of whose files are as they were sealed.
///
/// # Errors
/// Says which file is missing, cut or changed; a format of another version.
pub(super) fn open(folder: &Path) -> Result<TrainingState> {
    let path = folder.join(SEAL);
    let text = chartbench_core::input::read(&path, chartbench_core::input::MAX_DOCUMENT_BYTES)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let told: Format = serde_json::from_slice(&text).with_context(|| format!("{} is torn", path.display()))?;
    ensure!(
        told.format == FORMAT_VERSION,
        "{} has format {}, this program reads {FORMAT_VERSION}: use the version that wrote it",
        path.display(),
        told.format
    );
    let seal: Seal = serde_json::from_slice(&text).with_context(|| format!("{} is torn", path.display()))?;
    check_files(folder, &seal.files)?;
    Ok(seal.state)
}

/// Refuses a folder one of whose `files` is not as it was sealed.
///
/// # Errors
/// Returns an error if a file is missing, cut or changed, and names it.
pub(in crate::finetune) fn check_files(folder: &Path, files: &[SealedFile]) -> Result<()> {
    for sealed in files {
        let path = folder.join(&sealed.name);
        let mut file =
            chartbench_core::input::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let found = checksum(&mut file).with_context(|| format!("cannot read {}", path.display()))?;
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
