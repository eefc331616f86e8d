//! What the configuration files of all architectures share.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::terminal::shorten;

pub(super) const CONFIG: &str = "config.json";
pub(super) const GENERATION_CONFIG: &str = "generation_config.json";

/// A token id, or several, as `eos_token_id` is stored.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

impl From<OneOrMany> for Vec<u32> {
    fn from(ids: OneOrMany) -> Self {
        match ids {
            OneOrMany::One(id) => vec![id],
            OneOrMany::Many(ids) => ids,
        }
    }
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// Refuses the configuration of another architecture than `needed`, naming it.
pub(super) fn check_architecture(json: &Value, needed: &str) -> Result<()> {
    let model_type = json.get("model_type").and_then(Value::as_str);
    if model_type == Some(needed) {
        return Ok(());
    }
    let class = json.pointer("/architectures/0").and_then(Value::as_str);
    match (model_type, class) {
        (None, None) => bail!("has no model_type; a {needed} checkpoint is needed here"),
        (kind, class) => bail!(
            "is the configuration of another architecture: {}{}; a {needed} checkpoint is needed here",
            shorten(kind.unwrap_or("no model_type")),
            class.map(|class| format!(" ({})", shorten(class))).unwrap_or_default()
        ),
    }
}

/// Refuses probabilities of dropout, given with their keys, that leave nothing.
pub(super) fn check_probabilities(keys: &[(&str, f64)]) -> Result<()> {
    for (key, p) in keys {
        ensure!((0.0..1.0).contains(p), "{key} {p} is no probability below 1");
    }
    Ok(())
}
