//! Reads prediction logs in chunks, so that logs of any length take the memory of one chunk.

use std::collections::HashSet;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use rayon::prelude::*;

use super::PredictionRecord;
use super::judgements::Judgements;
use super::logs::logs;
use chartbench_core::input;
use chartbench_core::shard::Shard;
use chartbench_core::terminal::shorten;

/// Bytes read at a time.
const CHUNK_BYTES: u64 = 1 << 20;

/// Iterates over the predictions of finished or running logs, in chunks, in the order they were
/// answered, one log after the other. A torn last line is left out; a missing log has no
/// predictions.
///
/// The iterator ends after an error: a file that cannot be read, a broken line before the last one,
/// or a duplicate id.
pub struct Predictions {
    /// An adapter's folder whose logs are not listed yet.
    folder: Option<PathBuf>,
    logs: Vec<PathBuf>,
    /// Place of the log that is read.
    place: usize,
    file: Option<File>,
    /// The beginning of a line whose end is not read yet.
    rest: Vec<u8>,
    /// Lines of the log read so far.
    lines: usize,
    /// The verdicts on the predictions in an adapter's folder.
    judgements: Judgements,
    /// Leaves out the predictions about charts that are none of this shard's.
    shard: Option<Shard>,
    /// 128-bit hashes of the ids seen: storing the ids would dominate memory.
    seen: HashSet<[u64; 2]>,
    hashers: [RandomState; 2],
    over: bool,
}

impl Predictions {
    /// The predictions of one log. Opens nothing before the first chunk is requested.
    pub fn new(path: &Path) -> Self {
        Self::over([path.to_owned()])
    }

    /// The predictions of several logs, in which no question is answered twice.
    pub fn over(logs: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            folder: None,
            logs: logs.into_iter().collect(),
            place: 0,
            file: None,
            rest: Vec::new(),
            lines: 0,
            judgements: Judgements::default(),
            shard: None,
            seen: HashSet::new(),
            hashers: [RandomState::new(), RandomState::new()],
            over: false,
        }
    }

    /// The predictions of all [`logs`] in an adapter's folder, with the verdicts on them.
    pub fn in_folder(adapter_dir: &Path) -> Self {
        Self {
            folder: Some(adapter_dir.to_owned()),
            ..Self::over([])
        }
    }

    /// Only the predictions about charts of `shard`.
    #[must_use]
    pub fn held_by(self, shard: Option<Shard>) -> Self {
        Self { shard, ..self }
    }

    /// The log that the last chunk is from.
    pub fn log(&self) -> Option<&Path> {
        self.logs.get(self.place).map(PathBuf::as_path)
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
        if let Some(folder) = self.folder.take() {
            self.logs = logs(&folder)?.into_iter().map(|(_, log)| log).collect();
            self.judgements = Judgements::read(&folder)?;
        }
        loop {
            let Some(path) = self.logs.get(self.place) else {
                return Ok(None);
            };
            let cannot_read = || format!("cannot read {}", path.display());
            let file = match &mut self.file {
                Some(file) => file,
                None => match input::open(path) {
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        self.place += 1;
                        continue;
                    }
                    file => {
                        (self.lines, self.rest) = (0, Vec::new());
                        self.file.insert(file.with_context(cannot_read)?)
                    }
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
                self.file = None;
                self.place += 1;
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
            let record = record.with_context(|| {
                format!("{} is not a prediction: remove this line alone, and its question is asked again", self.location())
            })?;
            let new = self.seen.insert(
                self.hashers
                    .each_ref()
                    .map(|hasher| hasher.hash_one(&record.id)),
            );
            if !new {
                return Err(self.answered_twice(&record.id));
            }
            if self.shard.is_none_or(|shard| shard.holds(&record.chart)) {
                records.push(record);
            }
        }
        self.rest.drain(..whole);
        self.judgements.attach(&mut records);
        Ok(records)
    }

    /// The log and the line that was read last.
    fn location(&self) -> String {
        let log = self.log().unwrap_or(Path::new(""));
        format!("{}, line {}", log.display(), self.lines)
    }

    /// The error that the line read last answers question `id` again.
    fn answered_twice(&self, id: &str) -> anyhow::Error {
        let (second, shown) = (self.location(), shorten(id));
        let first = self
            .logs
            .iter()
            .take(self.place)
            .find_map(|log| Some((log.display(), find_line(log, id)?)));
        match first {
            Some((first, line)) => anyhow!(
                "{second}: question `{shown}` is answered in {first}, line {line}, too: `chartbench merge RUN` finishes a merge that was \
                 killed; else remove one of the two lines"
            ),
            None => anyhow!(
                "{second}: question `{shown}` is answered twice: remove one of its two lines"
            ),
        }
    }
}

/// The line of a log that answers question `id`.
fn find_line(log: &Path, id: &str) -> Option<usize> {
    let records = Predictions::new(log).map_while(Result::ok).flatten();
    Some(
        1 + records
            .map(|record| record.id)
            .position(|found| found == id)?,
    )
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

    #[test]
    fn several_logs_are_read_one_after_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, ids: &[usize]| {
            let lines: String = ids.iter().map(|id| line(*id, 0)).collect();
            std::fs::write(dir.path().join(name), lines).unwrap();
        };
        write("predictions.jsonl", &[3, 1]);
        write("predictions.1-of-2.jsonl", &[2]);
        write("predictions.2-of-2.jsonl", &[]);
        write("predictions.1-of-3.jsonl", &[7, 5]);
        let ids = |predictions: Predictions| -> Vec<String> {
            let records = predictions.read().unwrap().into_iter();
            records.map(|record| record.id).collect()
        };
        let all = || Predictions::in_folder(dir.path());
        assert_eq!(ids(all()), ["q3", "q1", "q2", "q7", "q5"]);
        // All of them are about one chart.
        let shards = ["1/2", "2/2"].map(|shard| ids(all().held_by(shard.parse().ok())));
        let mut counts = shards.map(|ids| ids.len());
        counts.sort_unstable();
        assert_eq!(counts, [0, 5]);
        assert_eq!(
            ids(Predictions::in_folder(&dir.path().join("none"))),
            [""; 0]
        );
        write("predictions.1-of-3.jsonl", &[7, 1]);
        let error = all().read().unwrap_err().to_string();
        let at = dir.path().display();
        assert_eq!(
            error,
            format!(
                "{at}/predictions.1-of-3.jsonl, line 2: question `q1` is answered in {at}/predictions.jsonl, line 2, too: \
                 `chartbench merge RUN` finishes a merge that was killed; else remove one of the two lines"
            )
        );
    }
}
