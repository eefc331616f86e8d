//! Reads prediction logs in chunks, so that logs of any length take the memory of one chunk.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use rayon::prelude::*;

use super::PredictionRecord;
use super::judgements::Judgements;
use super::log_files::LogFiles;
use chartbench_core::shard::Shard;
use chartbench_core::terminal::shorten;

/// Bytes read at a time.
const CHUNK_BYTES: u64 = 1 << 20;

/// Iterates over the predictions of finished or running logs, in chunks, in the order they were
/// answered, one log after the other. A torn last line is left out; a missing log has no
/// predictions. A line of a shard's log that is in the whole log, too, comes once: a merge is putting
/// the whole log in the place of the others, or was killed.
///
/// The iterator ends after an error: a file that cannot be read, a broken line before the last one,
/// or a question with two answers.
pub struct Predictions {
    files: LogFiles,
    file: Option<File>,
    /// How many logs were opened.
    opened: u32,
    /// The beginning of a line whose end is not read yet.
    rest: Vec<u8>,
    /// Lines of the log read so far.
    lines: usize,
    /// An adapter's folder whose verdicts are not read yet.
    judged: Option<PathBuf>,
    /// The verdicts on the predictions in an adapter's folder.
    judgements: Judgements,
    /// Leaves out the predictions about charts that are none of this shard's.
    shard: Option<Shard>,
    /// By 128-bit hashes of the ids seen: storing the ids would dominate memory.
    seen: HashMap<[u64; 2], SeenLine>,
    hashers: [RandomState; 2],
    over: bool,
}

/// The line that answers a question.
struct SeenLine {
    /// Hash of its bytes.
    hash: u64,
    /// How many logs were opened up to its own.
    opened: u32,
    /// Whether that is the log of a whole run.
    is_whole: bool,
}

impl Predictions {
    /// The predictions of one log. Opens nothing before the first chunk is requested.
    pub fn new(path: &Path) -> Self {
        Self::over([path.to_owned()])
    }

    /// The predictions of several logs, which nobody replaces meanwhile.
    pub fn over(logs: impl IntoIterator<Item = PathBuf>) -> Self {
        Self::read_from(LogFiles::over(logs))
    }

    /// The predictions of all [`logs`](super::logs) in an adapter's folder, also while they are
    /// merged, with the verdicts on them.
    pub fn in_folder(adapter_dir: &Path) -> Self {
        Self {
            judged: Some(adapter_dir.to_owned()),
            ..Self::read_from(LogFiles::in_folder(adapter_dir))
        }
    }

    fn read_from(files: LogFiles) -> Self {
        Self {
            files,
            file: None,
            opened: 0,
            rest: Vec::new(),
            lines: 0,
            judged: None,
            judgements: Judgements::default(),
            shard: None,
            seen: HashMap::new(),
            hashers: [RandomState::new(), RandomState::new()],
            over: false,
        }
    }

    /// Only the predictions about charts of `shard`.
    #[must_use]
    pub fn held_by(mut self, shard: Option<Shard>) -> Self {
        (self.shard, self.files.shard) = (shard, shard);
        self
    }

    /// The log that the last chunk is from.
    pub fn log(&self) -> Option<&Path> {
        self.files.path()
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
        if let Some(folder) = self.judged.take() {
            self.judgements = Judgements::read(&folder)?;
        }
        loop {
            let file = match &mut self.file {
                Some(file) => file,
                None => {
                    let Some(file) = self.files.open_next()? else {
                        return Ok(None);
                    };
                    (self.lines, self.rest) = (0, Vec::new());
                    self.opened += 1;
                    self.file.insert(file)
                }
            };
            let already_searched = self.rest.len();
            let read = file
                .take(CHUNK_BYTES)
                .read_to_end(&mut self.rest)
                .with_context(|| cannot_read(&self.files))?;
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
            }
        }
    }

    /// Parses the lines in the first `whole` bytes and removes them from the buffer.
    fn parse(&mut self, whole: usize) -> Result<Vec<PredictionRecord>> {
        let lines: Vec<&[u8]> = self.rest[..whole]
            .split_inclusive(|&byte| byte == b'\n')
            .collect();
        let [hasher, _] = &self.hashers;
        let parsed: Vec<(serde_json::Result<PredictionRecord>, u64)> = lines
            .par_iter()
            .map(|line| (serde_json::from_slice(line), hasher.hash_one(line)))
            .collect();
        let mut records = Vec::with_capacity(parsed.len());
        for (record, hash) in parsed {
            self.lines += 1;
            let record = record.with_context(|| {
                format!("{} is not a prediction: remove this line alone, and its question is asked again", self.location())
            })?;
            let line = SeenLine {
                hash,
                opened: self.opened,
                is_whole: self.files.is_whole(),
            };
            let id = self.hashers.each_ref();
            match self
                .seen
                .entry(id.map(|hasher| hasher.hash_one(&record.id)))
            {
                Entry::Vacant(entry) => {
                    entry.insert(line);
                }
                Entry::Occupied(seen) if self.files.may_repeat(seen.get(), &line) => continue,
                Entry::Occupied(_) => return Err(self.answered_twice(&record.id)),
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
        let mut earlier = self.files.earlier();
        match earlier.find_map(|log| Some((log.display(), find_line(log, id)?))) {
            Some((first, line)) => anyhow!(
                "{second}: question `{shown}` is answered in {first}, line {line}, too: remove one of the two lines"
            ),
            None => anyhow!(
                "{second}: question `{shown}` is answered twice: remove one of its two lines"
            ),
        }
    }
}

impl LogFiles {
    /// Whether the line read now is one that was read from another log: that of a whole run holds
    /// the lines of those in whose place it is put, and logs are read again where one has vanished.
    fn may_repeat(&self, seen: &SeenLine, now: &SeenLine) -> bool {
        let is_merged = seen.is_whole || now.is_whole || self.begins_again();
        is_merged && seen.opened != now.opened && seen.hash == now.hash
    }
}

fn cannot_read(files: &LogFiles) -> String {
    format!(
        "cannot read {}",
        files.path().unwrap_or(Path::new("")).display()
    )
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

/// Counts the whole lines of logs without reading what they say, one a question: a line that stands
/// in two of them counts once.
///
/// # Errors
/// Returns an error if a log cannot be read.
pub(super) fn count_lines(mut files: LogFiles) -> Result<usize> {
    let (hasher, mut lines, mut line) = (RandomState::new(), HashSet::new(), Vec::new());
    while let Some(file) = files.open_next()? {
        let mut reader = BufReader::new(file);
        while reader
            .read_until(b'\n', &mut line)
            .with_context(|| cannot_read(&files))?
            > 0
        {
            if line.ends_with(b"\n") {
                lines.insert(hasher.hash_one(&line));
            }
            line.clear();
        }
    }
    Ok(lines.len())
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
        // A merge was killed before it removed this one.
        write("predictions.1-of-3.jsonl", &[7, 1]);
        assert_eq!(ids(all()), ["q3", "q1", "q2", "q7"]);
        let counted = |name: &str| {
            let log = dir.path().join(name);
            count_lines(LogFiles::over([log])).unwrap()
        };
        assert_eq!(counted("predictions.1-of-3.jsonl"), 2);
        assert_eq!(counted("predictions.9-of-9.jsonl"), 0);
        assert_eq!(count_lines(LogFiles::in_folder(dir.path())).unwrap(), 4);
        // Another answer to it, and the same in two logs of shards.
        let at = dir.path().display();
        std::fs::write(dir.path().join("predictions.1-of-3.jsonl"), line(1, 1)).unwrap();
        assert_eq!(
            all().read().unwrap_err().to_string(),
            format!(
                "{at}/predictions.1-of-3.jsonl, line 1: question `q1` is answered in {at}/predictions.jsonl, line 2, too: \
                 remove one of the two lines"
            )
        );
        write("predictions.1-of-3.jsonl", &[2]);
        let error = all().read().unwrap_err().to_string();
        assert!(
            error.contains("`q2` is answered in") && error.contains("predictions.1-of-2.jsonl"),
            "{error}"
        );
    }

    /// A merge at each moment of a reader's way: while logs are listed, before one is opened, and
    /// after the last is read.
    #[test]
    fn a_merge_meanwhile_takes_and_adds_nothing() {
        let merge = |dir: &Path| {
            let text: String = (0..4).map(|id| line(id, 0)).collect();
            std::fs::write(dir.join("whole"), text).unwrap();
            std::fs::rename(dir.join("whole"), dir.join("predictions.jsonl")).unwrap();
            for shard in 1..=3 {
                std::fs::remove_file(dir.join(format!("predictions.{shard}-of-3.jsonl"))).unwrap();
            }
        };
        for whole in [false, true] {
            for chunks in 0..=3 + usize::from(whole) {
                let dir = tempfile::tempdir().unwrap();
                for shard in 1..=3 {
                    let log = dir.path().join(format!("predictions.{shard}-of-3.jsonl"));
                    std::fs::write(log, line(shard, 0)).unwrap();
                }
                if whole {
                    std::fs::write(dir.path().join("predictions.jsonl"), line(0, 0)).unwrap();
                }
                let mut predictions = Predictions::in_folder(dir.path());
                let mut ids = Vec::new();
                let mut take = |chunk: Result<Vec<PredictionRecord>>| {
                    ids.extend(chunk.unwrap().into_iter().map(|record| record.id));
                };
                predictions.by_ref().take(chunks).for_each(&mut take);
                merge(dir.path());
                predictions.for_each(&mut take);
                ids.sort();
                assert_eq!(ids, ["q0", "q1", "q2", "q3"], "{whole}, {chunks}");
            }
        }
    }

    #[test]
    fn a_run_that_is_removed_meanwhile_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a");
        std::fs::create_dir(&folder).unwrap();
        for shard in 1..=2 {
            let log = folder.join(format!("predictions.{shard}-of-2.jsonl"));
            std::fs::write(log, line(shard, 0)).unwrap();
        }
        let mut predictions = Predictions::in_folder(&folder);
        assert_eq!(predictions.next().unwrap().unwrap().len(), 1);
        std::fs::remove_dir_all(&folder).unwrap();
        let error = predictions.next().unwrap().unwrap_err().to_string();
        let log = folder.join("predictions.2-of-2.jsonl");
        assert_eq!(
            error,
            format!(
                "{} is gone: another process has changed the run; start the command again",
                log.display()
            )
        );
    }
}
