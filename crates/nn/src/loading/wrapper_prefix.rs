//! Prefixes that wrappers put before the names of a model's tensors when they save it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use super::TensorLocation;
use chartbench_core::terminal::shorten;

/// PEFT, `torch.compile`, `DistributedDataParallel`, and modules that hold the model as `model`. No
/// tensor of an architecture here has a name that begins with one of them.
const PREFIXES: [&str; 4] = ["base_model.model.", "_orig_mod.", "module.", "model."];

/// The name without the prefixes, however many wrappers there are.
pub(super) fn unwrap_name(name: &str) -> &str {
    let mut inner = name;
    while let Some(rest) = PREFIXES
        .iter()
        .find_map(|prefix| inner.strip_prefix(prefix))
    {
        inner = rest;
    }
    inner
}

/// Tensors under their names without prefixes.
pub(super) struct UnwrappedTensors {
    pub(super) locations: BTreeMap<String, TensorLocation>,
    /// Describes what was taken off, if anything was.
    pub(super) note: Option<String>,
}

/// Takes the prefixes off all names.
///
/// # Errors
/// Returns an error if two tensors then have one name.
pub(super) fn unwrap_names(stored: BTreeMap<String, TensorLocation>) -> Result<UnwrappedTensors> {
    let mut locations = BTreeMap::new();
    let (mut prefixes, mut count) = (BTreeSet::new(), 0);
    for (name, location) in stored {
        let inner = unwrap_name(&name);
        if inner.len() < name.len() {
            prefixes.insert(name[..name.len() - inner.len()].to_owned());
            count += 1;
        }
        let inner = inner.to_owned();
        ensure!(
            !locations.contains_key(&inner),
            "tensor {} is in the weights under another prefix too",
            shorten(&name)
        );
        locations.insert(inner, location);
    }
    let note = prefixes.first().map(|first| {
        let others = match prefixes.len() {
            1 => String::new(),
            several => format!(" (and {} others)", several - 1),
        };
        format!(
            "the prefix `{}`{others} is taken off the names of {count} tensors",
            shorten(first)
        )
    });
    Ok(UnwrappedTensors { locations, note })
}
