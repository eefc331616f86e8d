//! Append-only logs, one JSON object a line. A torn last line, which a kill leaves, is cut off when
//! a log is opened.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use serde::Serialize;

use super::atomic::{parent, sync_folder};
use super::{FileLock, replace_file};

/// Records that one task encodes together.
const ENCODE_CHUNK: usize = 64;
/// Bytes read at a time while looking for the last newline.
const CHUNK: u64 = 1 << 16;

/// An open log. Only a newline proves that a line is whole: bytes after the last newline, left by a
/// killed process or a full disk, are cut off.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: File,
    /// Length in bytes up to which every line is whole.
    end: u64,
    _lock: FileLock,
}

impl JsonLines {
    /// Opens or creates the log that `lock` guards, and cuts off a torn last line.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened or cut.
    pub fn open(path: &Path, lock: FileLock) -> Result<Self> {
        let mut file = open(path)?;
        let end =
            end_of_lines(&mut file).with_context(|| format!("cannot read {}", path.display()))?;
        let mut log = Self {
            path: path.to_owned(),
            file,
            end,
            _lock: lock,
        };
        log.truncate(end)?;
        Ok(log)
    }

    /// Appends one line for each record, all in one write, so that they survive a kill right after.
    ///
    /// # Errors
    /// Returns an error if another process has written to the log, which then stays as it is; and if
    /// the write fails, as on a full disk: the log is first cut back to its last whole line.
    pub fn append<T: Serialize + Sync>(&mut self, records: &[T]) -> Result<()> {
        let lines = if records.len() > ENCODE_CHUNK {
            records
                .par_chunks(ENCODE_CHUNK)
                .map(encode)
                .collect::<Result<Vec<_>>>()?
                .concat()
        } else {
            encode(records)?
        };
        self.check_end()?;
        if let Err(error) = self.file.write_all(&lines).and_then(|()| self.file.flush()) {
            self.truncate(self.end)?;
            return Err(error).with_context(|| format!("cannot append to {}", self.path.display()));
        }
        self.end += lines.len() as u64;
        Ok(())
    }

    /// Forces the log to disk: what was appended survives a crash of the system too.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub fn sync(&self) -> Result<()> {
        let synced = self.file.sync_all();
        synced
            .and_then(|()| sync_folder(parent(&self.path)))
            .with_context(|| format!("cannot write {} to disk", self.path.display()))
    }

    /// Checks that the log still ends where this process left it.
    fn check_end(&self) -> Result<()> {
        let metadata = std::fs::metadata(&self.path)
            .with_context(|| format!("cannot append to {}", self.path.display()))?;
        ensure!(
            metadata.len() == self.end,
            "another process writes to {} ({} bytes long, left at {}), so that the locks of this file system do not hold: \
             nothing more is written; stop the other process",
            self.path.display(),
            metadata.len(),
            self.end
        );
        Ok(())
    }

    /// Cuts the log at `end`, the end of a line.
    ///
    /// # Errors
    /// Returns an error if the file cannot be cut.
    pub fn truncate(&mut self, end: u64) -> Result<()> {
        self.file
            .set_len(end)
            .and_then(|()| self.file.seek(SeekFrom::Start(end)))
            .with_context(|| {
                format!("cannot cut {} to its last whole line", self.path.display())
            })?;
        self.end = end;
        Ok(())
    }

    /// Keeps only the lines for which `keep` is true. The log is replaced by a new file: after a
    /// kill or on a full disk it has either all its lines or the kept ones.
    ///
    /// # Errors
    /// Returns an error if `keep` does, or the file cannot be read or written.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8]) -> io::Result<bool>) -> Result<()> {
        let failed = || format!("cannot read {}", self.path.display());
        let mut lines = BufReader::new(File::open(&self.path).with_context(failed)?).take(self.end);
        replace_file(&self.path, |to| {
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line)? > 0 {
                if keep(&line)? {
                    to.write_all(&line)?;
                }
                line.clear();
            }
            Ok(())
        })?;
        self.file = open(&self.path)?;
        self.end = self.file.seek(SeekFrom::End(0)).with_context(failed)?;
        Ok(())
    }
}

fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path);
    file.with_context(|| format!("cannot open {}", path.display()))
}

fn encode<T: Serialize>(records: &[T]) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, record).context("cannot encode a line")?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// The position after the last newline.
fn end_of_lines(file: &mut File) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut chunk = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        file.seek(SeekFrom::Start(start))?;
        chunk.clear();
        Read::by_ref(file)
            .take(end - start)
            .read_to_end(&mut chunk)?;
        if let Some(newline) = chunk.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + newline as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_log(test: impl FnOnce(&Path)) {
        let dir = tempfile::tempdir().unwrap();
        test(&dir.path().join("log.jsonl"));
    }

    fn open_log(path: &Path) -> JsonLines {
        JsonLines::open(path, FileLock::acquire(path).unwrap()).unwrap()
    }

    #[test]
    fn a_torn_last_line_of_any_length_is_cut_off() {
        with_log(|path| {
            open_log(path).append(&["a", "b"]).unwrap();
            for torn in [1, CHUNK as usize - 5, CHUNK as usize * 2 + 7] {
                let mut text = b"\"a\"\n\"b\"\n".to_vec();
                text.resize(text.len() + torn, 0);
                std::fs::write(path, text).unwrap();
                open_log(path).append(&["c"]).unwrap();
                assert_eq!(
                    std::fs::read_to_string(path).unwrap(),
                    "\"a\"\n\"b\"\n\"c\"\n"
                );
            }
            std::fs::write(path, "no newline").unwrap();
            open_log(path);
            assert_eq!(std::fs::read(path).unwrap(), b"");
        });
    }

    #[test]
    fn lines_are_left_out_by_another_file() {
        with_log(|path| {
            let mut log = open_log(path);
            log.append(&[1, 2, 3]).unwrap();
            let before = File::open(path).unwrap();
            log.retain(|line| Ok(line != b"2\n")).unwrap();
            log.append(&[4]).unwrap();
            assert_eq!(std::fs::read_to_string(path).unwrap(), "1\n3\n4\n");
            let mut old = String::new();
            (&before).read_to_string(&mut old).unwrap();
            assert_eq!(
                old, "1\n2\n3\n",
                "who reads the log meanwhile reads it whole"
            );
            assert!(
                log.retain(|_| Err(io::ErrorKind::StorageFull.into()))
                    .is_err()
            );
            assert_eq!(std::fs::read_to_string(path).unwrap(), "1\n3\n4\n");
        });
    }

    #[test]
    fn lines_of_another_process_are_noticed_and_stay() {
        with_log(|path| {
            let mut log = open_log(path);
            log.append(&[1]).unwrap();
            let mut other = OpenOptions::new().append(true).open(path).unwrap();
            other.write_all(b"2\n").unwrap();
            let error = log.append(&[3]).unwrap_err().to_string();
            assert!(
                error.contains("log.jsonl (4 bytes long, left at 2), so that the locks"),
                "{error}"
            );
            assert_eq!(std::fs::read_to_string(path).unwrap(), "1\n2\n");
            std::fs::remove_file(path).unwrap();
            let error = log.append(&[3]).unwrap_err().to_string();
            assert!(error.starts_with("cannot append to"), "{error}");
        });
    }

    #[test]
    fn many_records_are_in_order() {
        with_log(|path| {
            open_log(path)
                .append(&(0..1000).collect::<Vec<_>>())
                .unwrap();
            let expected: String = (0..1000).map(|number| format!("{number}\n")).collect();
            assert_eq!(std::fs::read_to_string(path).unwrap(), expected);
        });
    }
}
