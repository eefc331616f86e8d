//! The log of batches: one line an event, on disk before anything follows from it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::super::turns::Turn;
use chartbench_core::files::{FileLock, JsonLines};
use chartbench_core::input;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum BatchEvent {
    /// A file of requests is at the server, and a batch is about to be made of it.
    Uploaded {
        /// The batch's number in this log, from 1.
        batch: usize,
        /// SHA-256 over the endpoint's settings.
        settings_sha256: String,
        /// The file's name at the server.
        file: String,
        requests: Vec<BatchRequest>,
    },
    /// The server has made the batch.
    Submitted {
        batch: usize,
        /// Its name at the server.
        id: String,
    },
    /// The batch is done with: all answers are stored, or the server refused to make it.
    Closed { batch: usize },
}

/// A request of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchRequest {
    /// Its name in the file, unique in the log.
    pub custom_id: String,
    /// The question's id, or the prompt's hash.
    pub owner: String,
    /// How many requests the same question made before it.
    pub turn: usize,
    /// SHA-256 of the request's body.
    pub body_sha256: String,
}

impl BatchRequest {
    pub(super) fn turn(&self) -> Turn {
        Turn {
            owner: self.owner.clone(),
            number: self.turn,
        }
    }
}

/// An open log. It holds a lock, so that two processes cannot submit the same questions.
pub(super) struct BatchLog {
    path: PathBuf,
    lines: JsonLines,
}

impl BatchLog {
    /// Opens or creates the log, and reads it. A torn last line, left by a killed process, is cut
    /// off: nothing followed from it.
    ///
    /// # Errors
    /// Returns an error if another process has the log open, a line is broken, or the file cannot be
    /// read or written.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<BatchEvent>)> {
        let lock = FileLock::try_acquire(path)?.with_context(|| {
            format!(
                "{} is in use by another chartbench process: start this one again when that has ended",
                path.display()
            )
        })?;
        let lines = JsonLines::open(path, lock)?;
        let bytes = input::read(path, u64::MAX);
        let bytes = bytes.with_context(|| format!("cannot read {}", path.display()))?;
        let events = bytes.split_inclusive(|&byte| byte == b'\n').enumerate();
        let events = events.map(|(index, line)| {
            serde_json::from_slice(line).with_context(|| {
                format!(
                    "{}, line {} is no event of a batch: move the file away, and what its batches have not answered is \
                     submitted again",
                    path.display(),
                    index + 1
                )
            })
        });
        let events = events.collect::<Result<_>>()?;
        let path = path.to_owned();
        Ok((Self { path, lines }, events))
    }

    /// Appends events, and returns once they are on disk.
    ///
    /// # Errors
    /// Returns an error if a write fails (a full disk), after the log is cut back to its last whole
    /// line.
    pub(super) fn append(&mut self, events: &[BatchEvent]) -> Result<()> {
        self.lines
            .append(events)
            .and_then(|()| self.lines.sync())
            .with_context(|| format!("the batches cannot be stored in {}", self.path.display()))
    }
}

/// How many batches of the log at `path` are not closed, of any endpoint; none where it is missing or
/// broken.
pub(in crate::adapter) fn count_waiting_batches(path: &Path) -> usize {
    let lines = input::read_text(path, u64::MAX).unwrap_or_default();
    let events = lines
        .lines()
        .map_while(|line| serde_json::from_str(line).ok());
    events.fold(0, |count, event| match event {
        BatchEvent::Uploaded { .. } => count + 1,
        BatchEvent::Submitted { .. } => count,
        BatchEvent::Closed { .. } => count.saturating_sub(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_read_back_and_a_broken_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("batches.jsonl");
        let uploaded = BatchEvent::Uploaded {
            batch: 1,
            settings_sha256: "5e".to_owned(),
            file: "file-1".to_owned(),
            requests: vec![BatchRequest {
                custom_id: "r1".to_owned(),
                owner: "q\n1".to_owned(),
                turn: 0,
                body_sha256: "b0".to_owned(),
            }],
        };
        let events = [
            uploaded,
            BatchEvent::Submitted {
                batch: 1,
                id: "batch_1".to_owned(),
            },
            BatchEvent::Closed { batch: 1 },
        ];
        let (mut log, found) = BatchLog::open(&path).unwrap();
        assert_eq!(found, []);
        assert!(BatchLog::open(&path).is_err(), "the log is locked");
        log.append(&events).unwrap();
        drop(log);
        assert_eq!(BatchLog::open(&path).unwrap().1, events);
        assert_eq!(count_waiting_batches(&path), 0);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(BatchLog::open(&path).unwrap().1, events[..2]);
        assert_eq!(count_waiting_batches(&path), 1);
        std::fs::write(&path, "{\"event\": \"lost\"}\n").unwrap();
        let error = BatchLog::open(&path).err().unwrap();
        assert!(
            format!("{error:#}").contains("batches.jsonl, line 1 is no event of a batch"),
            "{error:#}"
        );
    }
}
