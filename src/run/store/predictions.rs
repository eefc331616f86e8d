//! Reads `predictions.jsonl` in chunks, so that a log of any length takes the memory of one chunk.

use std::collections::HashSet;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;

use super::PredictionRecord;
use chartbench_core::input;
use chartbench_core::terminal::shorten;

/// Bytes read at a time.
const CHUNK_BYTES: u64 = 1 << 20;

/// Iterates over the predictions of a finished or running log, in chunks, in the order they were
/// answered. A torn last line is left out; a missing log has no predictions.
///
/// The iterator ends after an error: a file that cannot be read, a broken line before the last one,
/// or a duplicate id.
pub struct Predictions {
    path: PathBuf,
    file: Option<File>,
    /// The beginning of a line whose end is not read yet.
    rest: Vec<u8>,
    /// Lines read so far.
    lines: usize,
    /// 128-bit hashes of the ids seen: storing the ids would dominate memory.
    seen: HashSet<[u64; 2]>,
    hashers: [RandomState; 2],
    over: bool,
}

impl Predictions {
    /// Opens nothing before the first chunk is requested.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: None,
            rest: Vec::new(),
            lines: 0,
            seen: HashSet::new(),
            hashers: [RandomState::new(), RandomState::new()],
            over: false,
        }
    }

    /// Reads all predictions.
    ///
    /// # Errors
    /// Returns the first error of a chunk.
    pub fn read(self) -> Result<Vec<PredictionRecord>> {
        let mut records = Vec::new();
        for chunk in self {
            records.extend(chunk?);
        }
        Ok(records)
    }

    /// Reads the next chunk; returns `None` at the end.
    fn chunk(&mut self) -> Result<Option<Vec<PredictionRecord>>> {
        loop {
            let cannot_read = || format!("cannot read {}", self.path.display());
            let file = match &mut self.file {
                Some(file) => file,
                None => match input::open(&self.path) {
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                    file => self.file.insert(file.with_context(cannot_read)?),
                },
            };
            let already_searched = self.rest.len();
            let read = file
                .take(CHUNK_BYTES)
                .read_to_end(&mut self.rest)
                .with_context(cannot_read)?;
            // Only a newline at the end proves that a line was written whole. The earlier bytes
            // hold none.
            if let Some(newline) = self.rest[already_searched..]
                .iter()
                .rposition(|&byte| byte == b'\n')
            {
                return self.parse(already_searched + newline + 1).map(Some);
            }
            if read == 0 {
                return Ok(None);
            }
        }
    }

    /// Parses the lines in the first `whole` bytes and removes them from the buffer.
    fn parse(&mut self, whole: usize) -> Result<Vec<PredictionRecord>> {
        let lines: Vec<&[u8]> = self.rest[..whole]
            .split_inclusive(|&byte| byte == b'\n')
            .collect();
        let parsed: Vec<serde_json::Result<PredictionRecord>> = lines
            .par_iter()
            .map(|line| serde_json::from_slice(line))
            .collect();
        let mut records = Vec::with_capacity(parsed.len());
        for record in parsed {
            self.lines += 1;
            let location = || format!("{}, line {}", self.path.display(), self.lines);
            let record = record.with_context(|| {
                format!("{} is not a prediction: remove this line alone, and its question is asked again", location())
            })?;
            let new = self.seen.insert(
                self.hashers
                    .each_ref()
                    .map(|hasher| hasher.hash_one(&record.id)),
            );
            ensure!(
                new,
                "{}: question `{}` is answered twice: remove one of its two lines",
                location(),
                shorten(&record.id)
            );
            records.push(record);
        }
        self.rest.drain(..whole);
        Ok(records)
    }
}

/// Counts the whole lines of a log; a missing log has none.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub(super) fn count_lines(path: &Path) -> Result<usize> {
    let cannot_read = || format!("cannot read {}", path.display());
    let file = match input::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        file => file.with_context(cannot_read)?,
    };
    let (mut reader, mut lines) = (BufReader::new(file), 0);
    loop {
        let bytes = reader.fill_buf().with_context(cannot_read)?;
        if bytes.is_empty() {
            return Ok(lines);
        }
        lines += bytes.iter().filter(|byte| **byte == b'\n').count();
        let read = bytes.len();
        reader.consume(read);
    }
}

impl Iterator for Predictions {
    type Item = Result<Vec<PredictionRecord>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let chunk = self.chunk().transpose();
        self.over = !matches!(chunk, Some(Ok(_)));
        chunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: usize, completion: usize) -> String {
        format!(
            "{{\"id\":\"q{id}\",\"chart\":\"c\",\"question\":\"?\",\"gold\":\"1\",\"prediction\":\"1\",\"completions\":[\"{}\"],\
             \"error\":null,\"latency_ms\":1.0}}\n",
            "x".repeat(completion)
        )
    }

    /// 3 MiB in lines of 10 kB, one of them of 2.5 MiB.
    fn log() -> (tempfile::TempDir, PathBuf, Vec<String>) {
        let lines: Vec<String> = (0..300)
            .map(|id| line(id, if id == 100 { 5 << 19 } else { 10_000 }))
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("predictions.jsonl");
        std::fs::write(&path, lines.concat()).unwrap();
        (dir, path, lines)
    }

    #[test]
    fn lines_across_pieces_and_longer_than_one_are_read_whole() {
        let (_dir, path, lines) = log();
        let mut predictions = Predictions::new(&path);
        let chunks: Vec<Vec<PredictionRecord>> =
            predictions.by_ref().collect::<Result<_>>().unwrap();
        assert!(chunks.len() > 3, "{}", chunks.len());
        let ids: Vec<String> = chunks
            .iter()
            .flatten()
            .map(|record| record.id.clone())
            .collect();
        assert_eq!(ids, (0..300).map(|id| format!("q{id}")).collect::<Vec<_>>());
        assert_eq!(predictions.lines, lines.len());
    }

    #[test]
    fn faults_in_later_pieces_name_their_line_and_end_it() {
        let (_dir, path, mut lines) = log();
        lines[250] = line(3, 0);
        std::fs::write(&path, lines.concat()).unwrap();
        let mut predictions = Predictions::new(&path);
        let error = predictions.find_map(Result::err).unwrap();
        assert!(
            error.to_string().contains(
                "predictions.jsonl, line 251: question `q3` is answered twice: remove one"
            ),
            "{error:#}"
        );
        assert!(predictions.next().is_none());
        lines[250] = "{}\n".to_owned();
        std::fs::write(&path, lines.concat()).unwrap();
        let error = Predictions::new(&path).read().unwrap_err();
        assert!(
            error
                .to_string()
                .contains("predictions.jsonl, line 251 is not a prediction"),
            "{error:#}"
        );
    }
}
