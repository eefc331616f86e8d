//! Reads a run directory: [`RunReader`] goes through its predictions, [`StoredRun`] holds them.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::log_files::LogFiles;
use super::predictions::count_lines;
use super::run_dir::{MANIFEST, read_fingerprint, short};
use super::{Manifest, OtherQuestions, PredictionRecord, Predictions};
use chartbench_core::terminal::shorten;

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
        let mut manifest = Manifest::read(&file)?;
        manifest.sort_adapters();
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

    /// Counts the whole lines of an adapter's logs, one a question, without reading what they say. A
    /// line that a killed merge left in two logs counts once.
    ///
    /// # Errors
    /// Returns an error if a log cannot be read.
    pub fn count_rows(&self, adapter: &str) -> Result<usize> {
        count_lines(LogFiles::in_folder(&self.path.join(adapter)))
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

    /// The adapters in the manifest's order, each with the predictions of all its logs. One that was
    /// killed before its first answer has none.
    pub fn predictions(&self) -> impl Iterator<Item = (&str, Predictions)> {
        let logs = |adapter: &str| Predictions::in_folder(&self.path.join(adapter));
        self.manifest
            .adapters
            .iter()
            .map(move |entry| (entry.id.as_str(), logs(&entry.id)))
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
