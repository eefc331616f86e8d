//! The state from which a training resumes after a kill: saved atomically, verified when it is
//! read.

mod checksummed_dir;
mod history;
mod state_dir;

pub use checksummed_dir::{FORMAT_VERSION, FileChecksum};
pub(super) use checksummed_dir::{file_checksums, verify_files};
pub use history::{History, ValidationPoint};
pub use state_dir::{SavedState, StateDir};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::run::store::is_same_repository;

/// The saved state without its tensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingState {
    /// Finished steps; the order of the data and the learning rate follow from it.
    pub step: u64,
    /// Position of the dropout generator.
    pub generator: u64,
    /// Protocol, model and data of the training; a training only resumes with the same settings.
    pub settings: Vec<(String, String)>,
    /// All validations so far: the best one and an early stop follow from them.
    pub history: History,
    /// The files of the checkpoint of the best step. Absent from states of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<FileChecksum>,
}

impl TrainingState {
    /// # Errors
    /// Returns an error that names the settings that differ from the state's.
    pub fn check_settings(&self, now: &[(String, String)]) -> Result<()> {
        let find = |all: &[(String, String)], key: &str| {
            all.iter()
                .find(|(other, _)| other == key)
                .map_or("nothing".to_owned(), |(_, value)| format!("`{value}`"))
        };
        // The hash is compared too: the same weights may come from a revision of another name.
        let is_renamed = |key: &str| {
            let value = |all: &[(String, String)]| {
                let found = all.iter().find(|(other, _)| other == key);
                found.map(|(_, value)| value.clone()).unwrap_or_default()
            };
            key == "weights" && is_same_repository(&value(&self.settings), &value(now))
        };
        let keys = self.settings.iter().chain(now).map(|(key, _)| key.as_str());
        let mut differences: Vec<String> = Vec::new();
        for key in keys {
            let (then, now) = (find(&self.settings, key), find(now, key));
            let line = format!("{key} was {then}, is {now}");
            if then != now && !differences.contains(&line) && !is_renamed(key) {
                differences.push(line);
            }
        }
        if differences.is_empty() {
            return Ok(());
        }
        bail!(
            "the training at step {} was started with other settings ({}): give the same, or train under another name",
            self.step,
            differences.join("; ")
        )
    }
}
