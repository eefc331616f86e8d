//! What a training needs to go on after a kill: saved whole or not at all, checked when it is read.

mod folder;
mod history;
mod sealed;

pub use folder::{Saved, StateFolder};
pub use history::{History, ValidationPoint};
pub use sealed::{FORMAT_VERSION, SealedFile};
pub(super) use sealed::{check_files, sealed_files};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// All but the tensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingState {
    /// Finished steps; the order of the data and the learning rate follow from it.
    pub step: u64,
    /// How far the generator of the dropout has come, as its owner counts.
    pub generator: u64,
    /// What the training was started with: protocol, model, data. A training only goes on under the same.
    pub settings: Vec<(String, String)>,
    /// All validations so far: the best one and an early stop follow from them.
    pub history: History,
    /// The files of the checkpoint of the best step. Absent from states of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<SealedFile>,
}

impl TrainingState {
    /// # Errors
    /// Names the settings that are not those of the state.
    pub fn check_settings(&self, now: &[(String, String)]) -> Result<()> {
        let find = |all: &[(String, String)], key: &str| {
            all.iter().find(|(other, _)| other == key).map_or("nothing".to_owned(), |(_, value)| format!("`{value}`"))
        };
        let keys = self.settings.iter().chain(now).map(|(key, _)| key.as_str());
        let mut differences: Vec<String> = Vec::new();
        for key in keys {
            let (then, now) = (find(&self.settings, key), find(now, key));
            let line = format!("{key} was {then}, is {now}");
            if then != now && !differences.contains(&line) {
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
