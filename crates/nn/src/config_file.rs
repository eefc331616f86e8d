//! Reading and checking the configuration files of all architectures.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use chartbench_core::terminal::shorten;

pub(super) const CONFIG: &str = "config.json";
pub(super) const GENERATION_CONFIG: &str = "generation_config.json";
/// Largest size of a layer, vocabulary or table; no checkpoint has more.
pub(super) const LARGEST: usize = 1 << 24;
/// Most layers in a stack.
pub(super) const MOST_LAYERS: usize = 1024;

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

/// Keys whose null is a value of its own and not the default.
const NULLABLE: [&str; 1] = ["forced_eos_token_id"];

/// Reads a JSON file. A null counts as an absent key, so that the default holds, as transformers
/// has it for sizes and ids.
///
/// # Errors
/// Returns an error if the file cannot be read or is not JSON, or as [`parse_json`].
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let json = serde_json::from_slice(&chartbench_core::input::read(
        path,
        chartbench_core::input::MAX_SETTINGS_BYTES,
    )?)?;
    parse_json(without_nulls(json))
}

/// Makes a configuration of its JSON.
///
/// # Errors
/// Returns an error that names the key if a value has the wrong type.
pub(super) fn parse_json<T: DeserializeOwned>(json: Value) -> Result<T> {
    Ok(serde_path_to_error::deserialize(json)?)
}

fn without_nulls(json: Value) -> Value {
    match json {
        Value::Object(keys) => keys
            .into_iter()
            .filter(|(key, value)| !value.is_null() || NULLABLE.contains(&key.as_str()))
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        other => other,
    }
}

/// Refuses the configuration of an architecture other than `needed`. The error names it.
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
            class
                .map(|class| format!(" ({})", shorten(class)))
                .unwrap_or_default()
        ),
    }
}

/// Refuses a size, given with its key, that is 0 or above `largest`: a slip or a broken file, which
/// would take all memory.
pub(super) fn check_sizes(largest: usize, keys: &[(&str, usize)]) -> Result<()> {
    for (key, size) in keys {
        ensure!(
            (1..=largest).contains(size),
            "{key} is {size}: must be from 1 to {largest}"
        );
    }
    Ok(())
}

/// Refuses the epsilon of a norm, given with its key, that lets the norm divide by zero or take the
/// root of a negative number.
pub(super) fn check_epsilons(keys: &[(&str, f64)]) -> Result<()> {
    for (key, epsilon) in keys {
        ensure!(
            *epsilon > 0.0 && *epsilon < 1.0,
            "{key} is {epsilon}: must be above 0 and below 1, e.g. 1e-6"
        );
    }
    Ok(())
}

/// Refuses token ids, given with their keys, outside the vocabulary.
pub(super) fn check_token_ids(vocabulary: usize, keys: &[(&str, u32)]) -> Result<()> {
    for (key, id) in keys {
        ensure!(
            (*id as usize) < vocabulary,
            "{key} is {id}: the vocabulary has {vocabulary} tokens, from 0 on"
        );
    }
    Ok(())
}

/// Refuses deviations and factors of initial weights, given with their keys, that are negative or
/// absurd.
pub(super) fn check_factors(keys: &[(&str, f64)]) -> Result<()> {
    for (key, factor) in keys {
        ensure!(
            *factor >= 0.0 && *factor <= 1e3,
            "{key} is {factor}: must be from 0 to 1000"
        );
    }
    Ok(())
}

/// Refuses probabilities of dropout, given with their keys, outside [0, 1).
pub(super) fn check_probabilities(keys: &[(&str, f64)]) -> Result<()> {
    for (key, p) in keys {
        ensure!(
            (0.0..1.0).contains(p),
            "{key} {p} is no probability below 1"
        );
    }
    Ok(())
}
