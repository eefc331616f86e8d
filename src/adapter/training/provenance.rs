//! The provenance of a fine-tuned checkpoint (`finetune.json`).

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// The file's name.
const FILE: &str = "finetune.json";
/// The file's format version; other versions are errors.
const FORMAT: u32 = 1;

/// How a checkpoint was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    format: u32,
    /// The step whose weights these are.
    pub step: u64,
    /// Model, data and protocol, in order: what decided the weights.
    pub settings: Vec<(String, String)>,
}

impl Provenance {
    /// The provenance of the weights after `step`, in the present format.
    pub fn new(step: u64, settings: Vec<(String, String)>) -> Self {
        Self {
            format: FORMAT,
            step,
            settings,
        }
    }

    /// Reads the provenance of a checkpoint folder; `None` if this program did not train it.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or has another format.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        if !path.is_file() {
            return Ok(None);
        }
        let read = || -> Result<Self> {
            let provenance: Self = serde_json::from_slice(&chartbench_core::input::read(
                &path,
                chartbench_core::input::MAX_SETTINGS_BYTES,
            )?)?;
            ensure!(
                provenance.format == FORMAT,
                "format {}, this program reads {FORMAT}",
                provenance.format
            );
            Ok(provenance)
        };
        read()
            .map(Some)
            .with_context(|| format!("cannot read {}", path.display()))
    }

    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let text =
            serde_json::to_string_pretty(self).context("cannot encode what the training was")?;
        std::fs::write(&path, text + "\n")
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// The provenance as settings of the adapter that answers with the checkpoint.
    pub fn into_settings(self) -> Vec<(String, String)> {
        let settings = self
            .settings
            .into_iter()
            .map(|(key, value)| (format!("finetune.{key}"), value));
        std::iter::once(("finetune.step".to_owned(), self.step.to_string()))
            .chain(settings)
            .collect()
    }
}
