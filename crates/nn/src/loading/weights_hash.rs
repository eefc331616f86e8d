//! The hash that identifies the weights of a run.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::lora_merge::lora_weights;
use super::{LORA_CONFIG, WeightFiles};
use chartbench_core::input;

const BUFFER: usize = 1 << 18;

/// SHA-256 over the weight files and `config.json` of `dir`, as lower-case hex: the hash of one
/// line `<sha256>  <file name>\n` a file, in the order of their names. So
/// `sha256sum config.json model.safetensors | sha256sum`, run in the folder, gives the same.
///
/// # Errors
/// Returns an error if there are no weight files, or one cannot be read.
pub fn weights_sha256(dir: &Path) -> Result<String> {
    let mut files = WeightFiles::find(dir)?.into_paths();
    files.push(dir.join("config.json"));
    files_sha256(files)
}

/// As [`weights_sha256`], of the LoRA folder `lora` over its base `dir`: the lines of the base's
/// files, then those of `adapter_config.json` and the adapter's weights.
///
/// # Errors
/// Returns an error if there are no weight files in one of them, or one cannot be read.
pub fn weights_sha256_with_lora(dir: &Path, lora: &Path) -> Result<String> {
    let mut files = WeightFiles::find(dir)?.into_paths();
    files.push(dir.join("config.json"));
    files.sort();
    files.extend([lora.join(LORA_CONFIG), lora_weights(lora)?]);
    sha256_of_lines(&files)
}

/// The same hash over any files.
///
/// # Errors
/// Returns an error if one of the files cannot be read.
pub fn files_sha256(mut files: Vec<PathBuf>) -> Result<String> {
    files.sort();
    sha256_of_lines(&files)
}

fn sha256_of_lines(files: &[PathBuf]) -> Result<String> {
    let lines: Vec<String> = files
        .par_iter()
        .map(|file| sum_line(file.as_path()))
        .collect::<Result<_>>()?;
    Ok(hex(&Sha256::digest(lines.concat())))
}

fn sum_line(file: &Path) -> Result<String> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let sum = file_sha256(file).with_context(|| file.display().to_string())?;
    Ok(format!("{sum}  {name}\n"))
}

/// SHA-256 of a file, in hexadecimal.
pub fn file_sha256(path: &Path) -> Result<String> {
    let mut file = input::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
