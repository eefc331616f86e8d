//! Which files of a model must be in the cache.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::hub::{Needed, is_name};
use chartbench_nn::loading::{LORA_CONFIG, LORA_WEIGHTS, WEIGHT_FILES};
use chartbench_nn::preprocess::{PREPROCESSOR_CONFIG, PROCESSOR_CONFIG};

/// The end of the names of lists of shards, for weights that are too large for one file.
const INDEX: &str = ".index.json";
/// Files read when they are there. `processor_config.json` may nest the image processor.
const OPTIONAL: [&str; 5] = [
    "added_tokens.json",
    "generation_config.json",
    PROCESSOR_CONFIG,
    "special_tokens_map.json",
    "tokenizer_config.json",
];
/// Files that must be there beside the weights, any one of each line; the first there is taken.
const REQUIRED: [&[&str]; 3] = [
    &["config.json"],
    &["tokenizer.json"],
    &[PREPROCESSOR_CONFIG, PROCESSOR_CONFIG],
];

/// The files of a model that `has` them, shards of the weights aside; of a PEFT LoRA folder, which
/// has no weights of its own, the adapter's.
///
/// # Errors
/// Returns the first missing file.
pub(super) fn needed(has: &dyn Fn(&str) -> bool) -> Result<Vec<String>, String> {
    let weights = WEIGHT_FILES.iter().find(|name| has(name));
    if weights.is_none() && has(LORA_CONFIG) {
        let factors = LORA_WEIGHTS.iter().find(|name| has(name));
        let factors = factors.ok_or_else(|| LORA_WEIGHTS.join(" or "))?;
        return Ok(vec![LORA_CONFIG.to_owned(), (*factors).to_owned()]);
    }
    let mut files = beside_weights(has)?;
    files.push((*weights.ok_or_else(|| WEIGHT_FILES.join(" or "))?).to_owned());
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
    for name in OPTIONAL {
        if has(name) && !files.iter().any(|file| file == name) {
            files.push(name.to_owned());
        }
    }
    Ok(files)
}

/// The first needed file that a model folder lacks, if any.
pub(super) fn missing(folder: &Path, needed: Needed<'_>) -> Option<String> {
    let has = |name: &str| folder.join(name).is_file();
    let files = match needed(&has) {
        Ok(files) => files,
        Err(missing) => return Some(missing),
    };
    let index = shard_index(&files)?;
    match shards(&folder.join(index)) {
        Ok(shards) => shards.into_iter().find(|shard| !has(shard)),
        Err(_) => Some(format!("a readable {index}")),
    }
}

/// The list of shards among the files of a model, if its weights are sharded.
pub(super) fn shard_index(files: &[String]) -> Option<&str> {
    files
        .iter()
        .map(String::as_str)
        .find(|name| name.ends_with(INDEX))
}

/// The files that an index of sharded weights names.
pub(super) fn shards(index: &Path) -> Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let text = chartbench_core::input::read_text(index, chartbench_core::input::MAX_DOCUMENT_BYTES)
        .with_context(|| format!("cannot read {}", index.display()))?;
    let parsed: Index = serde_json::from_str(&text)
        .with_context(|| format!("{}: not an index of shards", index.display()))?;
    let shards = parsed.weight_map.into_values().collect::<BTreeSet<_>>();
    if let Some(shard) = shards.iter().find(|shard| !is_name(shard)) {
        let name = index.file_name().unwrap_or_default().to_string_lossy();
        bail!("{name}: `{shard}` is no plain file name");
    }
    Ok(shards)
}
