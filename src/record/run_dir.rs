//! `results/<name>/`: opening one to add predictions, reading one back to score them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::files::UNFINISHED;
use super::{AdapterEntry, Manifest, PredictionLog, PredictionRecord, Predictions};

const MANIFEST: &str = "run.toml";
const PREDICTIONS: &str = "predictions.jsonl";

/// A run directory that is being written.
pub struct RunDir {
    path: PathBuf,
    manifest: Manifest,
}

impl RunDir {
    /// Opens `path` to go on with the run described by `manifest`, whose adapters are still to be added. Nothing is
    /// created before the first adapter is.
    ///
    /// # Errors
    /// A directory that holds something else, or a run on other questions.
    pub fn open(path: &Path, manifest: Manifest) -> Result<Self> {
        let file = path.join(MANIFEST);
        if !file.exists() {
            ensure!(is_empty(path), "{} exists and is not a run directory: choose another --name", path.display());
            return Ok(Self { path: path.to_owned(), manifest });
        }
        let stored = Manifest::read(&file)?;
        if stored.benchmark != manifest.benchmark {
            let difference = difference(&stored.benchmark, &manifest.benchmark);
            bail!(
                "{} holds a run on other questions ({difference}): choose another --name, or remove it",
                path.display()
            );
        }
        Ok(Self { path: path.to_owned(), manifest: stored })
    }

    /// Refuses an adapter whose stored predictions were made with other settings.
    ///
    /// # Errors
    /// Names the settings that differ.
    pub fn check_adapter(&self, entry: &AdapterEntry) -> Result<()> {
        let Some(stored) = self.manifest.adapters.iter().find(|stored| stored.id == entry.id) else { return Ok(()) };
        if stored.fingerprint != entry.fingerprint {
            bail!(
                "{} holds predictions of another {} (fingerprint {}, now {}; {}): choose another --name, or remove {}",
                self.path.display(),
                entry.id,
                short(&stored.fingerprint),
                short(&entry.fingerprint),
                difference(&stored.settings, &entry.settings),
                self.path.join(&entry.id).display()
            );
        }
        Ok(())
    }

    /// Adds an adapter to the manifest and opens its prediction log.
    ///
    /// # Errors
    /// Another fingerprint, or a directory or file that cannot be made.
    pub fn add_adapter(&mut self, entry: AdapterEntry, retry_failed: bool) -> Result<PredictionLog> {
        self.check_adapter(&entry)?;
        let create =
            |dir: &Path| std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()));
        let dir = self.path.join(&entry.id);
        match self.manifest.adapters.iter_mut().find(|stored| stored.id == entry.id) {
            Some(stored) => *stored = entry,
            None => self.manifest.adapters.push(entry),
        }
        // The manifest comes first: killed right after, the directory is a run all the same.
        create(&self.path)?;
        self.manifest.write(&self.path.join(MANIFEST))?;
        create(&dir)?;
        PredictionLog::open(&dir.join(PREDICTIONS), retry_failed)
    }

    /// Makes it a run directory before its first adapter is added.
    ///
    /// # Errors
    /// A directory or file that cannot be made.
    pub fn create(&self) -> Result<()> {
        std::fs::create_dir_all(&self.path).with_context(|| format!("cannot create {}", self.path.display()))?;
        self.manifest.write(&self.path.join(MANIFEST))
    }

    /// Where the run lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether nothing lies there but what a killed process was writing.
fn is_empty(dir: &Path) -> bool {
    let Ok(mut entries) = std::fs::read_dir(dir) else { return true };
    entries.all(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(UNFINISHED)))
}

fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}

/// The keys whose values differ, told as `key: old, now new`.
fn difference<T: serde::Serialize>(stored: &T, now: &T) -> String {
    let table = |value: &T| toml::Table::try_from(value).unwrap_or_default();
    let (stored, now) = (table(stored), table(now));
    let mut keys: Vec<&String> = stored.keys().chain(now.keys()).collect();
    keys.sort();
    keys.dedup();
    let text = |value: Option<&toml::Value>| value.map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let told = keys
        .into_iter()
        .filter(|&key| stored.get(key) != now.get(key))
        .map(|key| format!("{key} was {}, is {}", text(stored.get(key)), text(now.get(key))));
    told.collect::<Vec<_>>().join("; ")
}

/// A run on disk, whose predictions are read as they are gone through and not held.
pub struct RunReader {
    path: PathBuf,
    pub manifest: Manifest,
}

impl RunReader {
    /// Opens a run directory.
    ///
    /// # Errors
    /// A directory that is no run, or a broken manifest.
    pub fn open(path: &Path) -> Result<Self> {
        let file = path.join(MANIFEST);
        ensure!(file.exists(), "{} is not a run directory: it has no {MANIFEST}", path.display());
        Ok(Self { path: path.to_owned(), manifest: Manifest::read(&file)? })
    }

    /// The adapters in the manifest's order, each with its predictions. One that was killed before its first answer has none.
    pub fn predictions(&self) -> impl Iterator<Item = (&str, Predictions)> {
        let log = |adapter: &str| Predictions::of(&self.path.join(adapter).join(PREDICTIONS));
        self.manifest.adapters.iter().map(move |entry| (entry.id.as_str(), log(&entry.id)))
    }
}

/// A run read back from disk, whole.
pub struct StoredRun {
    pub manifest: Manifest,
    /// The adapters in the manifest's order, each with its predictions in the order they were answered.
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
    /// A directory that is no run, or a broken file in it.
    pub fn read(path: &Path) -> Result<Self> {
        let run = RunReader::open(path)?;
        let predictions = run.predictions().map(|(adapter, predictions)| Ok((adapter.to_owned(), predictions.read()?)));
        Ok(Self { predictions: predictions.collect::<Result<_>>()?, manifest: run.manifest })
    }

    /// The run with one of its adapters.
    ///
    /// # Errors
    /// A run that does not have it.
    pub fn only(mut self, adapter: &str) -> Result<Self> {
        self.predictions.retain(|(name, _)| name == adapter);
        let known: Vec<&str> = self.manifest.adapters.iter().map(|entry| entry.id.as_str()).collect();
        ensure!(!self.predictions.is_empty(), "{} has no {adapter}: it has {}", self.manifest.name, known.join(", "));
        self.manifest.adapters.retain(|entry| entry.id == adapter);
        Ok(self)
    }

    /// Refuses another run that was asked other questions.
    ///
    /// # Errors
    /// Names both runs with their questions.
    pub fn same_questions(&self, other: &Self) -> Result<()> {
        let (a, b) = (&self.manifest, &other.manifest);
        ensure!(
            a.benchmark.hash == b.benchmark.hash,
            "{} and {} were asked different questions ({} of {}, {} of {}): run both on the same benchmark, seed and limit",
            a.name,
            b.name,
            a.benchmark.questions,
            a.benchmark.name,
            b.benchmark.questions,
            b.benchmark.name
        );
        Ok(())
    }

    /// The answers of all adapters, one adapter after the other.
    pub fn records(&self) -> impl Iterator<Item = &PredictionRecord> + Clone {
        self.predictions.iter().flat_map(|(_, records)| records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BenchmarkEntry, FORMAT_VERSION};

    fn manifest() -> Manifest {
        let benchmark = BenchmarkEntry {
            name: "b".to_owned(),
            title: "B".to_owned(),
            split: "test".to_owned(),
            charts: 1,
            questions: 1,
            questions_per_chart: "all".to_owned(),
            seed: 0,
            limit: 0,
            hash: "00".to_owned(),
        };
        Manifest { format: FORMAT_VERSION, name: "r".to_owned(), program: "0".to_owned(), benchmark, adapters: vec![] }
    }

    fn entry() -> AdapterEntry {
        let identity = crate::adapter::Identity { id: "a".to_owned(), settings: Vec::new() };
        AdapterEntry::new(&identity, &[])
    }

    #[test]
    fn a_run_killed_before_its_first_answer_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join(".writing-x"), "form").unwrap();
        RunDir::open(&path, manifest()).unwrap().add_adapter(entry(), false).unwrap();
        std::fs::remove_dir_all(path.join("a")).unwrap();
        assert_eq!(StoredRun::read(&path).unwrap().predictions, [("a".to_owned(), Vec::new())]);
        RunDir::open(&path, manifest()).unwrap().add_adapter(entry(), false).unwrap();
    }

    #[test]
    fn a_directory_with_something_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("thesis.tex"), "").unwrap();
        let error = RunDir::open(dir.path(), manifest()).err().unwrap();
        assert!(error.to_string().contains("is not a run directory"), "{error:#}");
    }
}
