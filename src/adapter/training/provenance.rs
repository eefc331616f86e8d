//! What a fine-tuned checkpoint's folder says of its training (`finetune.json`).

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// The file's name.
const FILE: &str = "finetune.json";
/// The file's format; one of another is refused.
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
    pub fn new(step: u64, settings: Vec<(String, String)>) -> Self {
        Self { format: FORMAT, step, settings }
    }

    /// That of a checkpoint's folder, where this program trained it.
    ///
    /// # Errors
    /// A file that cannot be read or is of another format.
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
            ensure!(provenance.format == FORMAT, "format {}, this program reads {FORMAT}", provenance.format);
            Ok(provenance)
        };
        read().map(Some).with_context(|| format!("cannot read {}", path.display()))
    }

    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let text = serde_json::to_string_pretty(self).context("cannot encode what the training was")?;
        std::fs::write(&path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
    }

    /// As settings of the adapter that answers with the checkpoint.
    pub fn into_settings(self) -> Vec<(String, String)> {
        let settings = self.settings.into_iter().map(|(key, value)| (format!("finetune.{key}"), value));
        std::iter::once(("finetune.step".to_owned(), self.step.to_string())).chain(settings).collect()
    }
}
