//! A run directory, `results/<name>/`: [`RunDir`] adds predictions, [`RunReader`] and [`StoredRun`]
//! read them back.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use thiserror::Error;

use super::predictions::count_lines;
use super::{
    AdapterEntry, BenchmarkEntry, Manifest, OLDEST_FORMAT, PredictionLog, PredictionRecord,
    Predictions,
};
use chartbench_core::files::{FileLock, is_temporary, remove_leftovers, write_file};
use chartbench_core::input::{self, MAX_SETTINGS_BYTES};
use chartbench_core::terminal::shorten;

pub(super) const MANIFEST: &str = "run.toml";
/// The stored leaderboard of a run.
pub const LEADERBOARD: &str = "leaderboard.md";
pub(super) const PREDICTIONS: &str = "predictions.jsonl";
/// Beside the predictions: the fingerprint of the settings they were made with.
pub(super) const FINGERPRINT: &str = "fingerprint";

/// A run directory that is being written. Other processes may add other adapters to it at the same
/// time.
pub struct RunDir {
    path: PathBuf,
    /// The manifest as last read, with the questions that are asked now.
    manifest: Manifest,
    /// The stored questions that those asked now contain, where the run grows.
    grows_from: Option<BenchmarkEntry>,
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
        };
        if run.read_manifest()?.is_none() {
            ensure!(
                is_empty(path),
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
                self.manifest.write(&file)?;
                self.manifest.clone()
            }
        };
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
        let log = self.path.join(&entry.id).join(PREDICTIONS);
        let lock = self.change_manifest(|run| {
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
            let lock = PredictionLog::lock(&log)?;
            remove_leftovers(&dir);
            run.check_answers(&dir, &entry)?;
            match run
                .manifest
                .adapters
                .iter_mut()
                .find(|stored| stored.id == entry.id)
            {
                Some(stored) => *stored = entry,
                None => run.manifest.adapters.push(entry),
            }
            Ok(lock)
        })?;
        PredictionLog::open_locked(&log, lock, retry_failed)
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

    /// The stored answers of an adapter; none where it has not answered.
    pub fn predictions(&self, adapter: &str) -> Predictions {
        Predictions::new(&self.path.join(adapter).join(PREDICTIONS))
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
        let log = dir.join(PREDICTIONS);
        let answered = log.metadata().is_ok_and(|log| log.len() > 0);
        match read_fingerprint(dir)? {
            Some(fingerprint) if fingerprint != entry.fingerprint => {
                return self.refuse(&fingerprint, entry, "");
            }
            Some(_) if !has_entry && answered => {
                chartbench_core::note!(
                    "note: {MANIFEST} had no entry of {}: the answers in {} were made with the same settings and are kept",
                    entry.id,
                    log.display()
                );
            }
            Some(_) => {}
            None => {
                ensure!(
                    has_entry || !answered,
                    "{} has answers, but {MANIFEST} has no entry of {}: nothing shows with which settings they were made; \
                     choose another --name, or move {} away",
                    log.display(),
                    entry.id,
                    dir.display()
                );
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
fn read_fingerprint(dir: &Path) -> Result<Option<String>> {
    let path = dir.join(FINGERPRINT);
    match input::read_text(&path, MAX_SETTINGS_BYTES) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Whether the directory holds nothing but temporary files and locks of a killed process.
fn is_empty(dir: &Path) -> bool {
    let Ok(mut entries) = std::fs::read_dir(dir) else {
        return true;
    };
    entries.all(|entry| entry.is_ok_and(|entry| is_temporary(&entry.file_name().to_string_lossy())))
}

fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}

/// Describes the keys whose values differ: `KEY was OLD, is NEW`.
fn difference<T: serde::Serialize>(stored: &T, now: &T) -> String {
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

/// A run on disk whose predictions are read while they are iterated over.
pub struct RunReader {
    path: PathBuf,
    /// The content of `run.toml` when the run was opened.
    pub manifest: Manifest,
}

impl RunReader {
    /// Opens a run directory.
    ///
    /// # Errors
    /// Returns an error if the directory is no run, or its manifest is broken.
    pub fn open(path: &Path) -> Result<Self> {
        let file = path.join(MANIFEST);
        ensure!(
            file.exists(),
            "{} is not a run directory: it has no {MANIFEST}",
            path.display()
        );
        let manifest = Manifest::read(&file)?;
        for entry in &manifest.adapters {
            let dir = path.join(&entry.id);
            let stored = read_fingerprint(&dir)?.unwrap_or_else(|| entry.fingerprint.clone());
            ensure!(
                stored == entry.fingerprint,
                "the answers in {} have the fingerprint {}, their entry in {} has {}: it is not of the settings they were made \
                 with; restore it, or move the answers away",
                dir.display(),
                shorten(short(&stored)),
                file.display(),
                shorten(short(&entry.fingerprint))
            );
        }
        Ok(Self {
            path: path.to_owned(),
            manifest,
        })
    }

    /// The run with one of its adapters alone.
    ///
    /// # Errors
    /// Returns an error if the run does not have the adapter.
    pub fn with_adapter(mut self, adapter: &str) -> Result<Self> {
        self.manifest.retain_adapter(adapter)?;
        Ok(self)
    }

    /// Counts the whole lines of an adapter's log, one a question, without reading what they say.
    ///
    /// # Errors
    /// Returns an error if the log cannot be read.
    pub fn count_rows(&self, adapter: &str) -> Result<usize> {
        count_lines(&self.path.join(adapter).join(PREDICTIONS))
    }

    /// Reads the predictions of all adapters.
    ///
    /// # Errors
    /// Returns an error if a log is broken.
    pub fn read(self) -> Result<StoredRun> {
        let predictions = self
            .predictions()
            .map(|(adapter, predictions)| Ok((adapter.to_owned(), predictions.read()?)));
        Ok(StoredRun {
            predictions: predictions.collect::<Result<_>>()?,
            manifest: self.manifest,
        })
    }

    /// The adapters in the manifest's order, each with its predictions. One that was killed before
    /// its first answer has none.
    pub fn predictions(&self) -> impl Iterator<Item = (&str, Predictions)> {
        let log = |adapter: &str| Predictions::new(&self.path.join(adapter).join(PREDICTIONS));
        self.manifest
            .adapters
            .iter()
            .map(move |entry| (entry.id.as_str(), log(&entry.id)))
    }
}

/// A run read back from disk, whole.
pub struct StoredRun {
    /// The content of `run.toml`, cut down to one adapter by [`Self::with_adapter`].
    pub manifest: Manifest,
    /// The adapters in the manifest's order, each with its predictions in the order they were
    /// answered.
    pub predictions: Vec<(String, Vec<PredictionRecord>)>,
}

impl StoredRun {
    /// Whether `path` is a run directory.
    pub fn is_at(path: &Path) -> bool {
        path.join(MANIFEST).exists()
    }

    /// Reads a run directory.
    ///
    /// # Errors
    /// Returns an error if the directory is no run, or a file in it is broken.
    pub fn read(path: &Path) -> Result<Self> {
        RunReader::open(path)?.read()
    }

    /// The run with one of its adapters alone.
    ///
    /// # Errors
    /// Returns an error if the run does not have the adapter.
    pub fn with_adapter(mut self, adapter: &str) -> Result<Self> {
        self.manifest.retain_adapter(adapter)?;
        self.predictions.retain(|(name, _)| name == adapter);
        Ok(self)
    }

    /// # Errors
    /// Returns an error that names both runs if they were asked different questions.
    pub fn same_questions(&self, other: &Self) -> Result<()> {
        let (a, b) = (&self.manifest, &other.manifest);
        ensure!(
            a.benchmark.hash == b.benchmark.hash,
            OtherQuestions(format!(
                "{} and {} were asked different questions ({} of {}, {} of {}): run both on the same benchmark, seed and limit",
                a.name,
                b.name,
                a.benchmark.questions,
                a.benchmark.name,
                b.benchmark.questions,
                b.benchmark.name
            ))
        );
        Ok(())
    }

    /// The answers of all adapters, one adapter after the other.
    pub fn records(&self) -> impl Iterator<Item = &PredictionRecord> + Clone {
        self.predictions.iter().flat_map(|(_, records)| records)
    }
}

#[cfg(test)]
mod tests;
