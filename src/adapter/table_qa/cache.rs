//! Tables that were read, on disk: one file a reader, one line a chart.
//!
//! `tables/FINGERPRINT.jsonl` under `$CHARTBENCH_CACHE`, else under `chartbench` in the user's cache folder. Lines are
//! appended whole and flushed; one that was torn by a crash is passed over and its table read again.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::adapter::{Identity, settings_sha256};

/// The tables that one reader has read.
#[derive(Debug)]
pub struct TableCache {
    path: PathBuf,
    tables: HashMap<String, String>,
    /// Opened at the first table to keep.
    file: Option<File>,
}

/// One line.
#[derive(Serialize, Deserialize)]
struct Line {
    /// SHA-256 of the encoded image.
    image: String,
    table: String,
}

impl TableCache {
    /// Reads what is kept in `folder` of the tables of the reader that is `identity`: its settings count, its name does not.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn open(folder: &Path, identity: &Identity) -> Result<Self> {
        let path = folder.join(format!("{}.jsonl", settings_sha256(&identity.settings)));
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read the kept tables {}", path.display())),
        };
        let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Line>(line).ok());
        let tables = lines.map(|line| (line.image, line.table)).collect();
        Ok(Self { path, tables, file: None })
    }

    /// Where tables are kept when nobody says.
    ///
    /// # Errors
    /// No home folder and no `CHARTBENCH_CACHE`.
    pub fn folder() -> Result<PathBuf> {
        let set = std::env::var_os("CHARTBENCH_CACHE").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let cache = set.or_else(|| Some(dirs::cache_dir()?.join("chartbench")));
        Ok(cache.context("no folder to keep tables in: set CHARTBENCH_CACHE to one")?.join("tables"))
    }

    /// The table of the image with this hash.
    pub fn get(&self, image: &str) -> Option<&str> {
        self.tables.get(image).map(String::as_str)
    }

    /// Keeps the table of an image.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn put(&mut self, image: String, table: &str) -> Result<()> {
        let line = Line { image, table: table.to_owned() };
        let text = serde_json::to_string(&line)? + "\n";
        let shown = self.path.display().to_string();
        let mut write = || -> Result<File> {
            let mut file = match self.file.take() {
                Some(file) => file,
                None => append(&self.path)?,
            };
            file.write_all(text.as_bytes())?;
            Ok(file)
        };
        self.file = Some(write().with_context(|| format!("cannot write {shown}"))?);
        self.tables.insert(line.image, line.table);
        Ok(())
    }
}

/// Opens a file to append to, behind the end of a line.
fn append(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

/// SHA-256 of an encoded image, in hexadecimal.
pub fn image_sha256(image: &[u8]) -> String {
    format!("{:x}", Sha256::digest(image))
}
