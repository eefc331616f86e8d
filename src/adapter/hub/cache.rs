//! Which files of a model must be in the cache.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::hub::{Needed, is_name};
use chartbench_nn::loading::GGUF;

/// The weights a folder can have, the preferred first.
const WEIGHTS: [&str; 4] = ["model.safetensors", INDEX, "pytorch_model.bin", GGUF];
/// The list of the shards of weights that are too large for one file.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// Files read when they are there.
const OPTIONAL: [&str; 4] = [
    "added_tokens.json",
    "generation_config.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
];
/// Files that must be there beside the weights, any one of each line; the first there is taken.
const REQUIRED: [&[&str]; 3] = [
    &["config.json"],
    &["tokenizer.json"],
    &["preprocessor_config.json", "processor_config.json"],
];

/// The files of a model that `has` them, shards of the weights aside.
///
/// # Errors
/// Returns the first missing file.
pub(super) fn needed(has: &dyn Fn(&str) -> bool) -> Result<Vec<String>, String> {
    let mut files = beside_weights(has)?;
    let weights = WEIGHTS.iter().find(|name| has(name));
    files.push((*weights.ok_or_else(|| WEIGHTS.join(" or "))?).to_owned());
    Ok(files)
}

/// The files of a model besides its weights.
///
/// # Errors
/// As [`needed`].
pub(in crate::adapter) fn beside_weights(
    has: &dyn Fn(&str) -> bool,
) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    for choices in REQUIRED {
        let found = choices.iter().find(|name| has(name));
        files.push((*found.ok_or_else(|| choices.join(" or "))?).to_owned());
    }
    files.extend(
        OPTIONAL
            .iter()
            .filter(|name| has(name))
            .map(|&name| name.to_owned()),
    );
    Ok(files)
}

/// The first needed file that a model folder lacks, if any.
pub(super) fn missing(folder: &Path, needed: Needed<'_>) -> Option<String> {
    let has = |name: &str| folder.join(name).is_file();
    let files = match needed(&has) {
        Ok(files) => files,
        Err(missing) => return Some(missing),
    };
    if !files.iter().any(|name| name == INDEX) {
        return None;
    }
    match shards(&folder.join(INDEX)) {
        Ok(shards) => shards.into_iter().find(|shard| !has(shard)),
        Err(_) => Some(format!("a readable {INDEX}")),
    }
}

/// The files that an index of sharded weights names.
pub(super) fn shards(index: &Path) -> Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let text = chartbench_core::input::read_text(index, chartbench_core::input::MAX_DOCUMENT_BYTES)
        .with_context(|| format!("cannot read {}", index.display()))?;
    let index: Index = serde_json::from_str(&text)
        .with_context(|| format!("{}: not an index of shards", index.display()))?;
    let shards = index.weight_map.into_values().collect::<BTreeSet<_>>();
    if let Some(shard) = shards.iter().find(|shard| !is_name(shard)) {
        bail!("{INDEX}: `{shard}` is no plain file name");
    }
    Ok(shards)
}
