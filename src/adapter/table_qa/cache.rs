//! The table cache on disk: one file per reader, one line per chart.
//!
//! `tables/FINGERPRINT.jsonl` under `$CHARTBENCH_CACHE`, else under `chartbench` in the user's
//! cache folder (`.cache`). Lines are appended whole and flushed; one that was torn by a crash is cut off or
//! passed over, and its table read again.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::adapter::hub::program_cache;
use chartbench_core::answer::{Identity, settings_sha256};
use chartbench_core::files::{FileLock, JsonLines};

/// The tables that one reader has read.
#[derive(Debug)]
pub struct TableCache {
    path: PathBuf,
    tables: HashMap<String, String>,
    /// Whether tables are still stored; a disk that refuses costs reading them again, and no
    /// answer.
    is_stored: bool,
}

/// One line.
#[derive(Serialize, Deserialize)]
struct Line {
    /// SHA-256 of the encoded image.
    image: String,
    table: String,
}

impl TableCache {
    /// Reads what is kept in `folder` of the tables of the reader that is `identity`: its settings
    /// count, its name does not. A file that cannot be read is reported, and left alone.
    pub fn open(folder: &Path, identity: &Identity) -> Self {
        let path = folder.join(format!("{}.jsonl", settings_sha256(&identity.settings)));
        let (bytes, is_stored) = match fs::read(&path) {
            Ok(bytes) => (bytes, true),
            Err(error) if error.kind() == ErrorKind::NotFound => (Vec::new(), true),
            Err(error) => {
                chartbench_core::note!(
                    "note: cannot read {}: {error}; tables are read again and not kept",
                    path.display()
                );
                (Vec::new(), false)
            }
        };
        // A line without its newline is cut off when the next is appended.
        let whole = bytes
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| line.ends_with(b"\n"));
        let lines = whole.filter_map(|line| serde_json::from_slice::<Line>(line).ok());
        let tables = lines.map(|line| (line.image, line.table)).collect();
        Self {
            path,
            tables,
            is_stored,
        }
    }

    /// The default folder of the tables.
    ///
    /// # Errors
    /// Returns an error if there is no home folder and no `CHARTBENCH_CACHE`.
    pub fn folder() -> Result<PathBuf> {
        Ok(program_cache()
            .context("no folder to keep tables in: set CHARTBENCH_CACHE to one")?
            .join("tables"))
    }

    /// The table of the image with this hash.
    pub fn get(&self, image: &str) -> Option<&str> {
        self.tables.get(image).map(String::as_str)
    }

    /// Keeps the table of an image. The first failure to store one is reported; from then on tables
    /// are kept in memory.
    pub fn put(&mut self, image: String, table: &str) {
        let line = Line {
            image,
            table: table.to_owned(),
        };
        if self.is_stored
            && let Err(error) = append(&self.path, &line)
        {
            self.is_stored = false;
            chartbench_core::note!(
                "note: {error:#}: tables that are read from now on are not kept for other runs"
            );
        }
        self.tables.insert(line.image, line.table);
    }
}

/// Appends a line; the lock is held for that long only, since many processes may keep tables of one
/// reader.
fn append(path: &Path, line: &Line) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    JsonLines::open(path, FileLock::acquire(path)?)?.append(std::slice::from_ref(line))
}

/// SHA-256 of an encoded image, in hexadecimal.
pub(super) fn image_sha256(image: &[u8]) -> String {
    format!("{:x}", Sha256::digest(image))
}
