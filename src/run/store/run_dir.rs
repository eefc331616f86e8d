//! A run directory, `results/<name>/`, that is being written.

mod shards;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use thiserror::Error;

use super::logs::{log_name, logs, related_logs};
use super::prediction_log::LockedLog;
use super::{AdapterEntry, BenchmarkEntry, Manifest, OLDEST_FORMAT, PredictionLog, Predictions};
use chartbench_core::files::{FileLock, JsonLines, is_temporary, remove_leftovers, write_file};
use chartbench_core::input::{self, MAX_SETTINGS_BYTES};
use chartbench_core::shard::Shard;
use chartbench_core::terminal::shorten;

/// The manifest of a run.
pub const MANIFEST: &str = "run.toml";
/// The stored leaderboard of a run.
pub const LEADERBOARD: &str = "leaderboard.md";
/// The log of a training, in the folder of the adapter that it trains.
pub const TRAINING_LOG: &str = "training.jsonl";
/// Beside the predictions: the fingerprint of the settings they were made with.
pub const FINGERPRINT: &str = "fingerprint";

/// A run directory that is being written. Other processes may add other adapters to it at the same
/// time.
pub struct RunDir {
    path: PathBuf,
    /// The manifest as last read, with the questions that are asked now.
    manifest: Manifest,
    /// The stored questions that those asked now contain, where the run grows.
    grows_from: Option<BenchmarkEntry>,
    /// The names of the rows that an uncut run asks, where this process asks a shard.
    order: Vec<String>,
    /// The entries that this process added.
    added: Vec<AdapterEntry>,
    /// The shard's logs to which this process adds answers.
    grown: Vec<PathBuf>,
}

impl RunDir {
    /// Opens `path` to go on with the run described by `manifest`, whose adapters are still to be
    /// added. Nothing is created before the first adapter is.
    ///
    /// # Errors
    /// Returns an error if the directory holds something else, or a run on other questions.
    pub fn open(path: &Path, manifest: Manifest) -> Result<Self> {
        Self::open_grown(path, manifest, None)
    }

    /// As [`Self::open`]; a stored run on the questions `grows_from`, all of which `manifest` has
    /// too, is one that grows to those of `manifest`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_grown(
        path: &Path,
        manifest: Manifest,
        grows_from: Option<BenchmarkEntry>,
    ) -> Result<Self> {
        let mut run = Self {
            path: path.to_owned(),
            manifest,
            grows_from,
            order: Vec::new(),
            added: Vec::new(),
            grown: Vec::new(),
        };
        if run.read_manifest()?.is_none() {
            ensure!(
                is_free(path),
                "{} exists and is not a run directory: choose another --name",
                path.display()
            );
        }
        Ok(run)
    }

    /// The manifest of the run at `path`; `None` where there is no run.
    ///
    /// # Errors
    /// Returns an error if the manifest is broken.
    pub fn manifest_at(path: &Path) -> Result<Option<Manifest>> {
        let file = path.join(MANIFEST);
        file.exists().then(|| Manifest::read(&file)).transpose()
    }

    /// Loads the stored manifest; returns it as it is stored, if there is one.
    fn read_manifest(&mut self) -> Result<Option<Manifest>> {
        let Some(stored) = Self::manifest_at(&self.path)? else {
            return Ok(None);
        };
        if self.grows_from.as_ref() != Some(&stored.benchmark) {
            check_questions(&self.path, &stored.benchmark, &self.manifest.benchmark)?;
        }
        self.manifest = Manifest {
            benchmark: self.manifest.benchmark.clone(),
            ..stored.clone()
        };
        Ok(Some(stored))
    }

    /// Changes the manifest on disk with `change`. One lock spans reading, changing and writing, so
    /// that processes that work on the same run keep each other's additions.
    fn change_manifest<T>(&mut self, change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        create(&self.path)?;
        let file = self.path.join(MANIFEST);
        let _lock = FileLock::acquire(&file)?;
        remove_leftovers(&self.path);
        // The manifest comes first: killed right after, the directory is a run all the same.
        let before = match self.read_manifest()? {
            Some(stored) => stored,
            None => {
                self.add_order();
                self.manifest.write(&file)?;
                self.manifest.clone()
            }
        };
        self.add_order();
        let changed = change(self)?;
        if self.manifest != before {
            self.manifest.write(&file)?;
        }
        Ok(changed)
    }

    /// Adds an adapter to the manifest and opens its prediction log.
    ///
    /// # Errors
    /// Returns an error if the fingerprint differs, if the settings of stored answers are unknown,
    /// if another process runs the same adapter, or if a directory or file cannot be created.
    pub fn add_adapter(
        &mut self,
        entry: AdapterEntry,
        retry_failed: bool,
    ) -> Result<PredictionLog> {
        self.add_log(entry, None, retry_failed)
    }

    /// As [`Self::add_adapter`], with the log of `shard` where the run is cut into shards.
    ///
    /// # Errors
    /// As [`Self::add_adapter`], also if another process writes a log that may answer the same
    /// questions.
    pub fn add_log(
        &mut self,
        entry: AdapterEntry,
        shard: Option<Shard>,
        retry_failed: bool,
    ) -> Result<PredictionLog> {
        let log = self.change_manifest(|run| {
            // A run keeps the format that it began with.
            let entry = if run.manifest.format > OLDEST_FORMAT {
                entry
            } else {
                entry.with_folder(None).with_sources(Vec::new())
            };
            let entry = run.resuming(entry);
            run.check_adapter(&entry)?;
            let dir = run.path.join(&entry.id);
            create(&dir)?;
            let path = dir.join(log_name(shard));
            let lock = PredictionLog::lock(&path)?;
            // Each process begins under the lock of the manifest: none looks at the locks of the
            // others while one of them begins.
            let logs = related_logs(&dir, shard)?;
            for other in logs.iter().filter(|log| **log != path) {
                drop(PredictionLog::lock(other)?);
            }
            remove_leftovers(&dir);
            run.check_answers(&dir, &entry)?;
            let lines = JsonLines::open(&path, lock)?;
            run.restore_left_out(&entry.id);
            // The run asks the missing questions from now on.
            run.manifest.partial = false;
            run.put(entry.clone());
            run.added.retain(|added| added.id != entry.id);
            run.added.push(entry);
            Ok(LockedLog {
                path,
                lines,
                shard,
                logs,
            })
        })?;
        PredictionLog::read(log, retry_failed)
    }

    /// Puts an entry in the place of the adapter's, or behind all others.
    fn put(&mut self, entry: AdapterEntry) {
        let adapters = &mut self.manifest.adapters;
        match adapters.iter_mut().find(|stored| stored.id == entry.id) {
            Some(stored) => *stored = entry,
            None => adapters.push(entry),
        }
    }

    /// The entry as it goes on with the stored answers of its adapter.
    fn resuming(&self, entry: AdapterEntry) -> AdapterEntry {
        let adapters = &self.manifest.adapters;
        match adapters.iter().find(|stored| stored.id == entry.id) {
            Some(stored) => entry.resuming(stored),
            None => entry,
        }
    }

    /// Returns an error if the adapter's entry in the manifest has other settings.
    fn check_adapter(&self, entry: &AdapterEntry) -> Result<()> {
        let Some(stored) = self
            .manifest
            .adapters
            .iter()
            .find(|stored| stored.id == entry.id)
        else {
            return Ok(());
        };
        if stored.fingerprint == entry.fingerprint {
            return Ok(());
        }
        self.refuse(
            &stored.fingerprint,
            entry,
            &format!("; {}", difference(&stored.settings, &entry.settings)),
        )
    }

    /// Checks, and changes nothing, that the stored answers of `entry`'s adapter were made with its
    /// settings.
    ///
    /// # Errors
    /// Returns an error if they were made with others.
    pub fn check_stored(&self, entry: &AdapterEntry) -> Result<()> {
        let entry = self.resuming(entry.clone());
        self.check_adapter(&entry)?;
        match read_fingerprint(&self.path.join(&entry.id))? {
            Some(fingerprint) if fingerprint != entry.fingerprint => {
                self.refuse(&fingerprint, &entry, "")
            }
            _ => Ok(()),
        }
    }

    /// The stored answers of an adapter to the questions of `shard`, or to all; none where it has
    /// not answered.
    pub fn predictions(&self, adapter: &str, shard: Option<Shard>) -> Predictions {
        Predictions::in_folder(&self.path.join(adapter)).held_by(shard)
    }

    /// Returns an error if the adapter's stored answers were made with other or unknown settings:
    /// answers have known settings where the manifest has their entry or the directory their
    /// fingerprint. Then stores the fingerprint.
    fn check_answers(&self, dir: &Path, entry: &AdapterEntry) -> Result<()> {
        let has_entry = self
            .manifest
            .adapters
            .iter()
            .any(|stored| stored.id == entry.id);
        let has_answers = |log: &PathBuf| log.metadata().is_ok_and(|log| log.len() > 0);
        let mut logs = logs(dir)?.into_iter().map(|(_, log)| log);
        let answered = logs.find(has_answers);
        match read_fingerprint(dir)? {
            Some(fingerprint) if fingerprint != entry.fingerprint => {
                return self.refuse(&fingerprint, entry, "");
            }
            Some(_) => {
                if let Some(log) = answered.filter(|_| !has_entry) {
                    chartbench_core::note!(
                        "note: {MANIFEST} had no entry of {}: the answers in {} were made with the same settings and are kept",
                        entry.id,
                        log.display()
                    );
                }
            }
            None => {
                if let Some(log) = answered.filter(|_| !has_entry) {
                    bail!(
                        "{} has answers, but {MANIFEST} has no entry of {}: nothing shows with which settings they were made; \
                         choose another --name, or move {} away",
                        log.display(),
                        entry.id,
                        dir.display()
                    );
                }
                write_file(
                    &dir.join(FINGERPRINT),
                    format!("{}\n", entry.fingerprint).as_bytes(),
                )?;
            }
        }
        Ok(())
    }

    /// The error for stored answers whose fingerprint is `stored`.
    fn refuse(&self, stored: &str, entry: &AdapterEntry, difference: &str) -> Result<()> {
        bail!(
            "{} holds predictions of another {} (fingerprint {}, now {}{difference}): choose another --name, or remove {}",
            self.path.display(),
            entry.id,
            shorten(short(stored)),
            short(&entry.fingerprint),
            self.path.join(&entry.id).display()
        )
    }

    /// Creates the run directory before its first adapter is added.
    ///
    /// # Errors
    /// Returns an error if a directory or file cannot be created.
    pub fn create(&mut self) -> Result<()> {
        self.change_manifest(|_| Ok(()))
    }

    /// The run's path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn create(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))
}

/// Stored answers are to other questions. What is displayed is the whole line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct OtherQuestions(pub String);

/// Returns [`OtherQuestions`] if the stored run is on other questions.
fn check_questions(path: &Path, stored: &BenchmarkEntry, now: &BenchmarkEntry) -> Result<()> {
    if stored != now {
        bail!(OtherQuestions(format!(
            "{} holds a run on other questions ({}): choose another --name, or remove it",
            path.display(),
            difference(stored, now)
        )));
    }
    Ok(())
}

/// The fingerprint stored beside an adapter's answers; runs of earlier versions have none.
pub(super) fn read_fingerprint(dir: &Path) -> Result<Option<String>> {
    let path = dir.join(FINGERPRINT);
    match input::read_text(&path, MAX_SETTINGS_BYTES) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Whether the directory holds nothing but trainings, whose checkpoints a run may ask, and temporary
/// files and locks of a killed process.
fn is_free(dir: &Path) -> bool {
    let Ok(mut entries) = std::fs::read_dir(dir) else {
        return true;
    };
    entries.all(|entry| {
        entry.is_ok_and(|entry| {
            is_temporary(&entry.file_name().to_string_lossy())
                || entry.path().join(TRAINING_LOG).is_file()
        })
    })
}

/// The beginning of a hash, for people.
pub fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// Describes the keys whose values differ: `KEY was OLD, is NEW`.
pub fn difference<T: serde::Serialize>(stored: &T, now: &T) -> String {
    let table = |value: &T| toml::Table::try_from(value).unwrap_or_default();
    let (stored, now) = (table(stored), table(now));
    let mut keys: Vec<&String> = stored.keys().chain(now.keys()).collect();
    keys.sort();
    keys.dedup();
    let text = |value: Option<&toml::Value>| {
        value.map_or_else(|| "nothing".to_owned(), ToString::to_string)
    };
    let differences = keys
        .into_iter()
        .filter(|&key| stored.get(key) != now.get(key))
        .map(|key| {
            format!(
                "{key} was {}, is {}",
                text(stored.get(key)),
                text(now.get(key))
            )
        });
    differences.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
