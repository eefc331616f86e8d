//! A run directory, `results/<name>/`: [`RunDir`] adds predictions, [`RunReader`] and [`StoredRun`] read them back.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::{AdapterEntry, BenchmarkEntry, Manifest, PredictionLog, PredictionRecord, Predictions};
use chartbench_core::files::{FileLock, is_temporary, remove_leftovers, write_file};
use chartbench_core::input::{self, MAX_SETTINGS_BYTES};
use chartbench_core::terminal::shorten;

const MANIFEST: &str = "run.toml";
const PREDICTIONS: &str = "predictions.jsonl";
/// Beside the predictions: the fingerprint of the settings they were made with.
const FINGERPRINT: &str = "fingerprint";

/// A run directory that is being written. Other processes may add other adapters to it at the same time.
pub struct RunDir {
    path: PathBuf,
    /// The manifest as last read.
    manifest: Manifest,
}

impl RunDir {
    /// Opens `path` to go on with the run described by `manifest`, whose adapters are still to be added. Nothing is
    /// created before the first adapter is.
    ///
    /// # Errors
    /// Returns an error if the directory holds something else, or a run on other questions.
    pub fn open(path: &Path, manifest: Manifest) -> Result<Self> {
        let mut run = Self { path: path.to_owned(), manifest };
        if !run.read_manifest()? {
            ensure!(is_empty(path), "{} exists and is not a run directory: choose another --name", path.display());
        }
        Ok(run)
    }

    /// Loads the stored manifest; returns whether there is one.
    fn read_manifest(&mut self) -> Result<bool> {
        let file = self.path.join(MANIFEST);
        if !file.exists() {
            return Ok(false);
        }
        let stored = Manifest::read(&file)?;
        check_questions(&self.path, &stored.benchmark, &self.manifest.benchmark)?;
        self.manifest = stored;
        Ok(true)
    }

    /// Changes the manifest on disk with `change`. One lock spans reading, changing and writing, so that processes that work on
    /// the same run keep each other's additions.
    fn change_manifest<T>(&mut self, change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        create(&self.path)?;
        let file = self.path.join(MANIFEST);
        let _lock = FileLock::acquire(&file)?;
        remove_leftovers(&self.path);
        // The manifest comes first: killed right after, the directory is a run all the same.
        if !self.read_manifest()? {
            self.manifest.write(&file)?;
        }
        let before = self.manifest.clone();
        let changed = change(self)?;
        if self.manifest != before {
            self.manifest.write(&file)?;
        }
        Ok(changed)
    }

    /// Adds an adapter to the manifest and opens its prediction log.
    ///
    /// # Errors
    /// Returns an error if the fingerprint differs, if the settings of stored answers are unknown, if another process runs the
    /// same adapter, or if a directory or file cannot be created.
    pub fn add_adapter(&mut self, entry: AdapterEntry, retry_failed: bool) -> Result<PredictionLog> {
        let log = self.path.join(&entry.id).join(PREDICTIONS);
        let lock = self.change_manifest(|run| {
            run.check_adapter(&entry)?;
            let dir = run.path.join(&entry.id);
            create(&dir)?;
            let lock = PredictionLog::lock(&log)?;
            remove_leftovers(&dir);
            run.check_answers(&dir, &entry)?;
            match run.manifest.adapters.iter_mut().find(|stored| stored.id == entry.id) {
                Some(stored) => *stored = entry,
                None => run.manifest.adapters.push(entry),
            }
            Ok(lock)
        })?;
        PredictionLog::open_locked(&log, lock, retry_failed)
    }

    /// Returns an error if the adapter's entry in the manifest has other settings.
    fn check_adapter(&self, entry: &AdapterEntry) -> Result<()> {
        let Some(stored) = self.manifest.adapters.iter().find(|stored| stored.id == entry.id) else { return Ok(()) };
        if stored.fingerprint == entry.fingerprint {
            return Ok(());
        }
        self.refuse(&stored.fingerprint, entry, &format!("; {}", difference(&stored.settings, &entry.settings)))
    }

    /// Returns an error if the adapter's stored answers were made with other or unknown settings: answers have known settings
    /// where the manifest has their entry or the directory their fingerprint. Then stores the fingerprint.
    fn check_answers(&self, dir: &Path, entry: &AdapterEntry) -> Result<()> {
        let has_entry = self.manifest.adapters.iter().any(|stored| stored.id == entry.id);
        let log = dir.join(PREDICTIONS);
        let answered = log.metadata().is_ok_and(|log| log.len() > 0);
        match read_fingerprint(dir)? {
            Some(fingerprint) if fingerprint != entry.fingerprint => return self.refuse(&fingerprint, entry, ""),
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
                write_file(&dir.join(FINGERPRINT), format!("{}\n", entry.fingerprint).as_bytes())?;
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

/// Returns an error if the stored run is on other questions.
fn check_questions(path: &Path, stored: &BenchmarkEntry, now: &BenchmarkEntry) -> Result<()> {
    if stored != now {
        bail!(
            "{} holds a run on other questions ({}): choose another --name, or remove it",
            path.display(),
            difference(stored, now)
        );
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
    let Ok(mut entries) = std::fs::read_dir(dir) else { return true };
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
    let text = |value: Option<&toml::Value>| value.map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let differences = keys
        .into_iter()
        .filter(|&key| stored.get(key) != now.get(key))
        .map(|key| format!("{key} was {}, is {}", text(stored.get(key)), text(now.get(key))));
    differences.collect::<Vec<_>>().join("; ")
}

/// A run on disk whose predictions are read while they are iterated over.
pub struct RunReader {
    path: PathBuf,
    pub manifest: Manifest,
}

impl RunReader {
    /// Opens a run directory.
    ///
    /// # Errors
    /// Returns an error if the directory is no run, or its manifest is broken.
    pub fn open(path: &Path) -> Result<Self> {
        let file = path.join(MANIFEST);
        ensure!(file.exists(), "{} is not a run directory: it has no {MANIFEST}", path.display());
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
        Ok(Self { path: path.to_owned(), manifest })
    }

    /// The adapters in the manifest's order, each with its predictions. One that was killed before its first answer has none.
    pub fn predictions(&self) -> impl Iterator<Item = (&str, Predictions)> {
        let log = |adapter: &str| Predictions::new(&self.path.join(adapter).join(PREDICTIONS));
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
    /// Returns an error if the directory is no run, or a file in it is broken.
    pub fn read(path: &Path) -> Result<Self> {
        let run = RunReader::open(path)?;
        let predictions = run.predictions().map(|(adapter, predictions)| Ok((adapter.to_owned(), predictions.read()?)));
        Ok(Self { predictions: predictions.collect::<Result<_>>()?, manifest: run.manifest })
    }

    /// The run with one of its adapters alone.
    ///
    /// # Errors
    /// Returns an error if the run does not have the adapter.
    pub fn with_adapter(mut self, adapter: &str) -> Result<Self> {
        self.predictions.retain(|(name, _)| name == adapter);
        let adapters: Vec<&str> = self.manifest.adapters.iter().map(|entry| entry.id.as_str()).collect();
        ensure!(
            !self.predictions.is_empty(),
            "{} has no {adapter}: it has {}",
            self.manifest.name,
            adapters.join(", ")
        );
        self.manifest.adapters.retain(|entry| entry.id == adapter);
        Ok(self)
    }

    /// # Errors
    /// Returns an error that names both runs if they were asked different questions.
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
    use crate::run::store::{BenchmarkEntry, FORMAT_VERSION};

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
        assert!(!path.join(".writing-x").exists());
        std::fs::remove_dir_all(path.join("a")).unwrap();
        assert_eq!(StoredRun::read(&path).unwrap().predictions, [("a".to_owned(), Vec::new())]);
        RunDir::open(&path, manifest()).unwrap().add_adapter(entry(), false).unwrap();
    }

    fn entry_with(setting: &str) -> AdapterEntry {
        let settings = vec![("patches".to_owned(), setting.to_owned())];
        AdapterEntry::new(&crate::adapter::Identity { id: "a".to_owned(), settings }, &[])
    }

    /// A run in which the adapter `a` has answers, made with the setting 256.
    fn answered(dir: &Path) -> PathBuf {
        let path = dir.join("r");
        RunDir::open(&path, manifest()).unwrap().add_adapter(entry_with("256"), false).unwrap();
        std::fs::write(
            path.join("a").join(PREDICTIONS),
            concat!(
                "{\"id\":\"q\",\"chart\":\"c\",\"question\":\"?\",\"gold\":\"1\",\"prediction\":\"1\",",
                "\"error\":null,\"latency_ms\":1.0}\n"
            ),
        )
        .unwrap();
        path
    }

    fn add(path: &Path, setting: &str) -> Result<()> {
        RunDir::open(path, manifest())?.add_adapter(entry_with(setting), false).map(drop)
    }

    #[test]
    fn adapters_added_by_several_at_once_all_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r");
        let ids: Vec<String> = (0..8).map(|id| format!("a{id}")).collect();
        // All have read the manifest, or found none, before the first writes it.
        let runs: Vec<RunDir> = ids.iter().map(|_| RunDir::open(&path, manifest()).unwrap()).collect();
        std::thread::scope(|scope| {
            for (mut run, id) in runs.into_iter().zip(&ids) {
                scope.spawn(move || {
                    let identity = crate::adapter::Identity { id: id.clone(), settings: Vec::new() };
                    run.add_adapter(AdapterEntry::new(&identity, &[]), false).unwrap();
                });
            }
        });
        let mut stored: Vec<String> =
            StoredRun::read(&path).unwrap().manifest.adapters.into_iter().map(|entry| entry.id).collect();
        stored.sort();
        assert_eq!(stored, ids);
        let left: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 9, "{left:?}");
    }

    #[test]
    fn answers_are_never_taken_for_those_of_other_settings() {
        let dir = tempfile::tempdir().unwrap();
        let path = answered(dir.path());
        let error = add(&path, "64").unwrap_err().to_string();
        assert!(error.contains("holds predictions of another a") && error.contains("patches was"), "{error}");
        // Their entry is lost, and then replaced by another one.
        manifest().write(&path.join(MANIFEST)).unwrap();
        let error = add(&path, "64").unwrap_err().to_string();
        assert!(error.contains("holds predictions of another a (fingerprint"), "{error}");
        assert_eq!(Manifest::read(&path.join(MANIFEST)).unwrap(), manifest());
        let wrong = Manifest { adapters: vec![entry_with("64")], ..manifest() };
        wrong.write(&path.join(MANIFEST)).unwrap();
        assert!(add(&path, "64").is_err());
        let error = StoredRun::read(&path).err().unwrap().to_string();
        assert!(error.contains("not of the settings they were made with"), "{error}");
        manifest().write(&path.join(MANIFEST)).unwrap();
        add(&path, "256").unwrap();
        assert_eq!(StoredRun::read(&path).unwrap().predictions[0].1.len(), 1);
    }

    #[test]
    fn answers_without_a_fingerprint_need_their_entry() {
        let dir = tempfile::tempdir().unwrap();
        let path = answered(dir.path());
        let fingerprint = path.join("a").join(FINGERPRINT);
        std::fs::remove_file(&fingerprint).unwrap();
        // As an earlier version left it.
        add(&path, "256").unwrap();
        assert_eq!(std::fs::read_to_string(&fingerprint).unwrap().trim(), entry_with("256").fingerprint);
        std::fs::remove_file(&fingerprint).unwrap();
        manifest().write(&path.join(MANIFEST)).unwrap();
        for setting in ["64", "256"] {
            let error = add(&path, setting).unwrap_err().to_string();
            assert!(error.contains("nothing shows with which settings"), "{error}");
        }
        // No answers, nothing to adopt.
        std::fs::write(path.join("a").join(PREDICTIONS), "").unwrap();
        add(&path, "64").unwrap();
    }

    #[test]
    fn a_second_run_of_one_adapter_is_refused_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r");
        let _log = RunDir::open(&path, manifest()).unwrap().add_adapter(entry_with("256"), false).unwrap();
        let before = std::fs::read(path.join(MANIFEST)).unwrap();
        let error = add(&path, "256").unwrap_err().to_string();
        assert!(error.contains("is in use by another chartbench run"), "{error}");
        assert_eq!(std::fs::read(path.join(MANIFEST)).unwrap(), before);
    }

    #[test]
    fn a_directory_with_something_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("thesis.tex"), "").unwrap();
        let error = RunDir::open(dir.path(), manifest()).err().unwrap();
        assert!(error.to_string().contains("is not a run directory"), "{error:#}");
    }
}
