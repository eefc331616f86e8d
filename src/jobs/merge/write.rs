//! Writes the logs of a merged run: the stored lines byte for byte, in the order of the questions.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result};

use super::line_index::{LineIndex, Place};
use super::sources::{Row, Sources, in_use};
use crate::run::store::{FINGERPRINT, MANIFEST, log_name};
use chartbench_core::files::{FileLock, replace_file, sync_folder, write_file};
use chartbench_core::input;

/// Most logs that are open at a time: some systems allow a process no more than 256 files.
const MAX_OPEN: usize = 64;
/// Most bytes that are read at a time, but for a longer line.
const MAX_STRETCH: u64 = 1 << 20;

/// Writes the merged run into an empty folder.
///
/// # Errors
/// Returns an error if a log has changed or a file cannot be read or written.
pub(super) fn write_run(folder: &Path, sources: &Sources, rows: &[LineIndex]) -> Result<()> {
    let entries = sources.manifest.adapters.iter();
    for ((entry, row), lines) in entries.zip(&sources.rows).zip(rows) {
        let dir = folder.join(&row.id);
        fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        write_log(&dir.join(log_name(None)), row, lines)?;
        let fingerprint = format!("{}\n", entry.fingerprint);
        write_file(&dir.join(FINGERPRINT), fingerprint.as_bytes())?;
    }
    if let Some((_, data)) = &sources.data_folder {
        data.write(folder)?;
    }
    sources.manifest.write(&folder.join(MANIFEST))
}

/// Locks the whole log of each row of the run at `dir`.
///
/// # Errors
/// Returns an error if a process writes one of them.
pub(super) fn lock_whole_logs(dir: &Path, sources: &Sources) -> Result<Vec<FileLock>> {
    let lock = |row: &Row| {
        let folder = dir.join(&row.id);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let log = folder.join(log_name(None));
        FileLock::try_acquire(&log)?.with_context(|| in_use(&log))
    };
    sources.rows.iter().map(lock).collect()
}

/// Puts a whole log in the place of each row's logs in the run at `dir`. A kill leaves every answer
/// in a whole log or in a shard's.
///
/// # Errors
/// Returns an error if a log has changed or a file cannot be read, written or removed.
pub(super) fn replace_logs(dir: &Path, sources: &Sources, rows: &[LineIndex]) -> Result<()> {
    for (row, lines) in sources.rows.iter().zip(rows) {
        let folder = dir.join(&row.id);
        if !is_whole(row, lines) {
            write_log(&folder.join(log_name(None)), row, lines)?;
        }
        for log in row.logs.iter().filter(|log| log.shard.is_some()) {
            remove_file(&log.path)?;
        }
        sync_folder(&folder).with_context(|| format!("cannot write {}", folder.display()))?;
    }
    Ok(())
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("cannot remove {}", path.display())),
    }
}

/// Whether a row has a whole log alone, which is in the order of the questions.
fn is_whole(row: &Row, lines: &LineIndex) -> bool {
    let [log] = row.logs.as_slice() else {
        return false;
    };
    let mut end = Some(0);
    for place in lines.places().iter().flatten() {
        end = end.filter(|end| *end == place.offset).map(|_| place.end());
    }
    log.shard.is_none() && end.is_some() && end == log.path.metadata().ok().map(|file| file.len())
}

/// Writes the lines of a row to `path`, a file that appears whole or not at all.
fn write_log(path: &Path, row: &Row, lines: &LineIndex) -> Result<()> {
    replace_file(path, |to| copy(row, lines, to))
}

fn copy(row: &Row, lines: &LineIndex, to: &mut dyn Write) -> io::Result<()> {
    let mut logs = OpenLogs {
        row,
        files: HashMap::new(),
    };
    let mut stretch: Vec<&Place> = Vec::new();
    let mut bytes = Vec::new();
    for place in lines.places().iter().flatten() {
        let goes_on = match (stretch.first(), stretch.last()) {
            (Some(first), Some(last)) => {
                last.log == place.log
                    && last.end() == place.offset
                    && place.end() - first.offset <= MAX_STRETCH
            }
            _ => true,
        };
        if !goes_on {
            logs.read(&stretch, lines, &mut bytes)?;
            to.write_all(&bytes)?;
            stretch.clear();
        }
        stretch.push(place);
    }
    logs.read(&stretch, lines, &mut bytes)?;
    to.write_all(&bytes)
}

/// The logs of a row, some of them open.
struct OpenLogs<'a> {
    row: &'a Row,
    files: HashMap<u32, File>,
}

impl OpenLogs<'_> {
    /// Reads lines that follow each other in one log into `bytes`.
    fn read(
        &mut self,
        stretch: &[&Place],
        lines: &LineIndex,
        bytes: &mut Vec<u8>,
    ) -> io::Result<()> {
        bytes.clear();
        let (Some(first), Some(last)) = (stretch.first(), stretch.last()) else {
            return Ok(());
        };
        let Some(log) = self.row.logs.get(first.log as usize) else {
            return Ok(());
        };
        let failed = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("cannot read {}: {error}", log.path.display()),
            )
        };
        if self.files.len() >= MAX_OPEN && !self.files.contains_key(&first.log) {
            self.files.clear();
        }
        let file = match self.files.entry(first.log) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(input::open(&log.path).map_err(failed)?),
        };
        file.seek(SeekFrom::Start(first.offset)).map_err(failed)?;
        file.take(last.end() - first.offset)
            .read_to_end(bytes)
            .map_err(failed)?;
        let mut rest = bytes.as_slice();
        for place in stretch {
            let line = rest.split_off(..place.length.get() as usize);
            if !line.is_some_and(|line| lines.is_same(place, line)) {
                return Err(io::Error::other(format!(
                    "{} was changed while it was merged: merge again when its run has ended",
                    log.path.display()
                )));
            }
        }
        Ok(())
    }
}
