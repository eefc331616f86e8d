//! `predictions.jsonl`: one line a question, appended and flushed as it is answered, read back on resume.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use litemap::LiteMap;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Predictions;
use crate::adapter::Usage;
use crate::sample::{AnswerType, Gold, Prediction, Taxonomy};

/// One line of `predictions.jsonl`: the raw answer with all that scoring and slicing need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictionRecord {
    pub id: String,
    pub chart: String,
    pub question: String,
    pub gold: Gold,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_type: Option<AnswerType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taxonomy: Option<Taxonomy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The question's template, where the data set has templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// What else is known of the chart and the question, by name.
    #[serde(default, skip_serializing_if = "LiteMap::is_empty")]
    pub slices: LiteMap<String, String>,
    /// As decoded, before any normalisation; `null` when the question failed.
    pub prediction: Option<Prediction>,
    /// The generated token ids, end-of-sequence token included; absent for adapters without tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_ids: Vec<u32>,
    /// What a language model wrote, whole, where the prediction is only a part of it; absent elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub completions: Vec<String>,
    /// What the answer took of a metered service; absent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Why the question failed; `null` when it was answered.
    pub error: Option<String>,
    /// Wall time in milliseconds: the call's time divided by the questions answered in it.
    pub latency_ms: f64,
}

/// Records that one task encodes.
const ENCODED_TOGETHER: usize = 64;

/// An open prediction log. It holds a lock: two processes cannot add to the same one.
pub struct PredictionLog {
    path: PathBuf,
    file: File,
    /// Length in bytes up to which every line is whole.
    end: u64,
}

impl PredictionLog {
    /// Opens or creates a log. A torn last line, left by a killed process, is cut off; with `drop_failed` the
    /// failed rows are dropped as well, to be asked again.
    ///
    /// # Errors
    /// A broken line that is not the last, an id that stands twice, another process at work on the log, or a
    /// file that cannot be read or written.
    pub fn open(path: &Path, drop_failed: bool) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("{} is in use by another chartbench run", path.display()),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        let (mut stored, mut failures) = (Predictions::of(path), false);
        for piece in stored.by_ref() {
            failures |= piece?.iter().any(|record| record.error.is_some());
        }
        let mut log = Self { path: path.to_owned(), file, end: stored.end() };
        log.cut()?;
        if drop_failed && failures {
            let mut records = log.stored().read()?;
            records.retain(|record| record.error.is_none());
            log.rewrite(&records)?;
        }
        Ok(log)
    }

    /// What the log holds, in the order it was answered.
    pub fn stored(&self) -> Predictions {
        Predictions::of(&self.path)
    }

    /// Appends answers in one write, so that they survive a kill right after.
    ///
    /// # Errors
    /// A failed write (a full disk): the log is cut back to its last whole line first.
    pub fn append(&mut self, records: &[PredictionRecord]) -> Result<()> {
        let lines: Vec<Vec<u8>> = records.par_chunks(ENCODED_TOGETHER).map(encode).collect::<Result<_>>()?;
        let lines = lines.concat();
        if let Err(error) = self.file.write_all(&lines).and_then(|()| self.file.flush()) {
            self.cut()?;
            return Err(error).with_context(|| {
                format!("cannot append to {}; the run resumes from here when started again", self.path.display())
            });
        }
        self.end += lines.len() as u64;
        Ok(())
    }

    /// Cuts the file at the end of its last whole line and goes there.
    fn cut(&mut self) -> Result<()> {
        self.file
            .set_len(self.end)
            .and_then(|()| self.file.seek(SeekFrom::Start(self.end)))
            .with_context(|| format!("cannot cut {} to its last whole line", self.path.display()))?;
        Ok(())
    }

    /// Puts `records` in the place of all lines, in the same file, so that the lock stays.
    fn rewrite(&mut self, records: &[PredictionRecord]) -> Result<()> {
        self.end = 0;
        self.cut()?;
        self.append(records)
    }
}

/// One line each.
fn encode(records: &[PredictionRecord]) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, record).context("cannot encode a prediction")?;
        lines.push(b'\n');
    }
    Ok(lines)
}

impl Drop for PredictionLog {
    /// Closing alone would leave the lock with a child process that was being started meanwhile.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, error: Option<&str>) -> PredictionRecord {
        PredictionRecord {
            id: id.to_owned(),
            chart: "c".to_owned(),
            question: "What?".to_owned(),
            gold: "5".into(),
            answer_type: None,
            taxonomy: None,
            chart_type: None,
            source: None,
            template: None,
            slices: Default::default(),
            prediction: error.is_none().then(|| Prediction("4".to_owned())),
            token_ids: vec![1, 2],
            completions: Vec::new(),
            usage: None,
            error: error.map(str::to_owned),
            latency_ms: 1.5,
        }
    }

    fn with_log(test: impl FnOnce(&Path)) {
        let dir = tempfile::tempdir().unwrap();
        test(&dir.path().join("predictions.jsonl"));
    }

    #[test]
    fn what_is_appended_is_read_back() {
        with_log(|path| {
            let mut log = PredictionLog::open(path, false).unwrap();
            log.append(&[record("a", None), record("b", Some("broken"))]).unwrap();
            drop(log);
            assert_eq!(Predictions::of(path).read().unwrap(), [record("a", None), record("b", Some("broken"))]);
        });
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_written_anew() {
        with_log(|path| {
            PredictionLog::open(path, false).unwrap().append(&[record("a", None), record("b", None)]).unwrap();
            let whole = std::fs::read(path).unwrap();
            for length in 0..whole.len() {
                std::fs::write(path, &whole[..length]).unwrap();
                let mut log = PredictionLog::open(path, false).unwrap();
                let found = log.stored().read().unwrap().len();
                let missing: Vec<_> = ["a", "b"].into_iter().skip(found).map(|id| record(id, None)).collect();
                log.append(&missing).unwrap();
                assert_eq!(std::fs::read(path).unwrap(), whole, "cut at {length}");
            }
        });
    }

    #[test]
    fn a_broken_line_in_the_middle_is_an_error_that_names_it() {
        with_log(|path| {
            std::fs::write(path, "{\"id\":\n{}\n").unwrap();
            let error = PredictionLog::open(path, false).err().unwrap();
            assert!(error.to_string().contains("predictions.jsonl, line 1 is not a prediction"), "{error:#}");
        });
    }

    #[test]
    fn a_doubled_id_is_an_error() {
        with_log(|path| {
            PredictionLog::open(path, false).unwrap().append(&[record("a", None), record("a", None)]).unwrap();
            let error = Predictions::of(path).read().unwrap_err();
            assert!(error.to_string().ends_with("line 2: question `a` is answered twice"), "{error:#}");
        });
    }

    #[test]
    fn two_runs_cannot_share_a_log() {
        with_log(|path| {
            let _first = PredictionLog::open(path, false).unwrap();
            let error = PredictionLog::open(path, false).err().unwrap();
            assert!(error.to_string().contains("in use by another"), "{error:#}");
        });
    }

    #[test]
    fn failed_rows_are_dropped_on_request() {
        with_log(|path| {
            PredictionLog::open(path, false).unwrap().append(&[record("a", Some("x")), record("b", None)]).unwrap();
            assert_eq!(PredictionLog::open(path, false).unwrap().stored().read().unwrap().len(), 2);
            assert_eq!(PredictionLog::open(path, true).unwrap().stored().read().unwrap(), [record("b", None)]);
            assert_eq!(Predictions::of(path).read().unwrap(), [record("b", None)]);
        });
    }
}
