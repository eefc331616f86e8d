//! `run.toml`: what produced a run's predictions.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::adapter::{Identity, settings_sha256};
use crate::config::names::check_folder_name;
use crate::files::write_file;
use crate::input::{self, MAX_SETTINGS_BYTES};

/// The run directory's format; a directory written in another one is refused.
pub const FORMAT_VERSION: u32 = 1;

/// The content of `run.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`].
    pub format: u32,
    pub name: String,
    /// The program's version that began the run.
    pub program: String,
    pub benchmark: BenchmarkEntry,
    /// One entry an adapter, in the order they were first run.
    #[serde(default)]
    pub adapters: Vec<AdapterEntry>,
}

/// Which questions were asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchmarkEntry {
    pub name: String,
    /// Told in every table's heading, so that synthetic data are named as such.
    pub title: String,
    pub split: String,
    pub charts: usize,
    pub questions: usize,
    /// `all`, or how many questions a chart were drawn.
    pub questions_per_chart: String,
    /// Seed of that draw.
    pub seed: u64,
    /// Only the first so many questions; 0 means no limit.
    pub limit: usize,
    /// SHA-256 over the questions, golds and chart ids, in order.
    pub hash: String,
}

/// One adapter's part of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterEntry {
    pub id: String,
    /// [`fingerprint`] of the settings below.
    pub fingerprint: String,
    /// Device, threads and batch size: they change the speed, not the answers.
    pub execution: toml::Table,
    /// Everything that decides the answers: weights hash, prompt, preprocessing, generation.
    pub settings: toml::Table,
}

impl AdapterEntry {
    /// The entry of an adapter that is about to answer.
    pub fn new(identity: &Identity, execution: &[(String, String)]) -> Self {
        let table = |pairs: &[(String, String)]| {
            pairs.iter().map(|(key, value)| (key.clone(), toml::Value::String(value.clone()))).collect()
        };
        Self {
            id: identity.id.clone(),
            fingerprint: fingerprint(identity),
            execution: table(execution),
            settings: table(&identity.settings),
        }
    }
}

/// SHA-256 over an adapter's name and settings: predictions are only ever added to under the same one.
pub fn fingerprint(identity: &Identity) -> String {
    let id = ("id".to_owned(), identity.id.clone());
    settings_sha256(std::iter::once(&id).chain(&identity.settings))
}

impl Manifest {
    /// # Errors
    /// A file that cannot be read, is not a manifest, or is one of another format version.
    pub fn read(path: &Path) -> Result<Self> {
        let text = input::read_text(path, MAX_SETTINGS_BYTES);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        let table: toml::Table = text.parse().with_context(|| format!("{} is not TOML", path.display()))?;
        if let Some(format) = table.get("format").and_then(toml::Value::as_integer) {
            ensure!(
                format == i64::from(FORMAT_VERSION),
                "{} has format {format}, this program reads {FORMAT_VERSION}: use the version that wrote it",
                path.display()
            );
        }
        let manifest: Self = table.try_into().with_context(|| format!("{} is not a run manifest", path.display()))?;
        manifest.check_names().with_context(|| format!("{} is not a run manifest", path.display()))?;
        Ok(manifest)
    }

    /// Refuses names that lead out of the run's folder, or of one that is made for it.
    fn check_names(&self) -> Result<()> {
        check_folder_name("`name`", &self.name)?;
        self.adapters.iter().try_for_each(|adapter| check_folder_name("`adapters.id`", &adapter.id))
    }

    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(self).context("cannot encode the run manifest")?;
        write_file(path, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(settings: &[(&str, &str)]) -> Identity {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Identity { id: "a".to_owned(), settings }
    }

    #[test]
    fn every_setting_changes_the_fingerprint() {
        let base = fingerprint(&identity(&[("prompt", "x"), ("weights", "y")]));
        for other in [
            identity(&[("prompt", "xy"), ("weights", "")]),
            identity(&[("prompt", "x"), ("weights", "z")]),
            identity(&[("prompt", "x")]),
            identity(&[("weights", "y"), ("prompt", "x")]),
        ] {
            assert_ne!(base, fingerprint(&other));
        }
    }

    #[test]
    fn another_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.toml");
        std::fs::write(&path, "format = 99\n").unwrap();
        let error = Manifest::read(&path).unwrap_err();
        assert!(error.to_string().contains("has format 99"), "{error:#}");
    }
}
