//! Opens the logs of an adapter one after the other, also while a merge puts a whole log in the place
//! of those of shards.

use std::collections::HashSet;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::logs::{PREDICTIONS, overlapping_logs};
use chartbench_core::input;
use chartbench_core::shard::Shard;

/// How often logs may vanish before it is an error: a file system may list what is gone for a while.
const MAX_VANISHED: usize = 10;

/// Logs that are opened one after the other.
pub(super) struct LogFiles {
    /// The folder of logs that a merge may replace meanwhile; `None` where a lock keeps them.
    folder: Option<PathBuf>,
    /// Leaves out the logs in the folder that answer no question of this shard.
    pub(super) shard: Option<Shard>,
    logs: Vec<PathBuf>,
    /// How many of them were opened.
    opened: usize,
    /// How often one was gone that was listed.
    vanished: usize,
}

impl LogFiles {
    /// These logs, which nobody replaces; missing ones are passed over.
    pub(super) fn over(logs: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            folder: None,
            shard: None,
            logs: logs.into_iter().collect(),
            opened: 0,
            vanished: 0,
        }
    }

    /// All logs in an adapter's folder.
    pub(super) fn in_folder(adapter_dir: &Path) -> Self {
        Self {
            folder: Some(adapter_dir.to_owned()),
            ..Self::over([])
        }
    }

    /// Opens the next log; `None` after the last. Where a log of the folder is gone, a merge has
    /// written its lines into the whole log: the logs that are there now are opened, those that were
    /// read once again.
    ///
    /// # Errors
    /// Returns an error if the folder or a log cannot be read.
    pub(super) fn open_next(&mut self) -> Result<Option<File>> {
        loop {
            if self.opened == self.logs.len() {
                self.list_new()?;
            }
            let Some(path) = self.logs.get(self.opened) else {
                return Ok(None);
            };
            match input::open(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => self.list_again()?,
                file => {
                    let file = file.with_context(|| format!("cannot read {}", path.display()))?;
                    self.opened += 1;
                    return Ok(Some(file));
                }
            }
        }
    }

    /// Adds the logs of the folder that were not there before.
    fn list_new(&mut self) -> Result<()> {
        if let Some(folder) = &self.folder {
            let known: HashSet<&PathBuf> = self.logs.iter().collect();
            let mut new = overlapping_logs(folder, self.shard)?;
            new.retain(|log| !known.contains(log));
            self.logs.extend(new);
        }
        Ok(())
    }

    /// The next log is gone: begins again with those that are there.
    fn list_again(&mut self) -> Result<()> {
        let Some(folder) = &self.folder else {
            self.opened += 1;
            return Ok(());
        };
        self.vanished += 1;
        let listed = overlapping_logs(folder, self.shard)?;
        ensure!(
            self.vanished <= MAX_VANISHED && !listed.is_empty(),
            "{} is gone: another process has changed the run; start the command again",
            self.logs.get(self.opened).unwrap_or(folder).display()
        );
        (self.logs, self.opened) = (listed, 0);
        Ok(())
    }

    /// The log that was opened last.
    pub(super) fn path(&self) -> Option<&Path> {
        let place = self.opened.checked_sub(1)?;
        self.logs.get(place).map(PathBuf::as_path)
    }

    /// Whether that is the log of a whole run.
    pub(super) fn is_whole(&self) -> bool {
        self.path().is_some_and(|log| log.ends_with(PREDICTIONS))
    }

    /// Whether lines that were read once may come again.
    pub(super) fn begins_again(&self) -> bool {
        self.vanished > 0
    }

    /// The logs that were opened before the last one.
    pub(super) fn earlier(&self) -> impl Iterator<Item = &Path> {
        let earlier = self.opened.saturating_sub(1);
        self.logs.iter().take(earlier).map(PathBuf::as_path)
    }
}
