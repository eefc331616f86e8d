//! The Hugging Face cache on disk: its layout, and which files of a model must be in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use chartbench_nn::loading::{LORA_CONFIG, LORA_WEIGHTS, WEIGHT_FILES};
use chartbench_nn::preprocess::{PREPROCESSOR_CONFIG, PROCESSOR_CONFIG};

/// Options of the hub and its cache.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// Never touch the network.
    pub offline: bool,
    /// The Hugging Face cache, which holds `models--OWNER--NAME` folders. Created when something is
    /// downloaded.
    pub cache: PathBuf,
    /// The hub's address, without a trailing slash.
    pub endpoint: String,
    /// Number of retries after a transient failure (no connection, 429, 5xx).
    pub retries: usize,
    /// Timeout of a connection, and of each read of a response.
    pub timeout: Duration,
}

/// [`HubOptions::timeout`] where `HF_HUB_DOWNLOAD_TIMEOUT` does not say otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

impl HubOptions {
    /// As the environment has it: the cache from `HF_HUB_CACHE`, `HF_HOME` or the usual place under
    /// the home folder, the hub from `HF_ENDPOINT`, the time-out from `HF_HUB_DOWNLOAD_TIMEOUT`
    /// (seconds); `HF_HUB_OFFLINE` set to `1`, `ON`, `YES` or `TRUE` is `offline` too.
    ///
    /// The token is no option: `HF_TOKEN`, or the file `huggingface-cli login` left, is read at
    /// each download.
    pub fn from_env(offline: bool) -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let is_true =
            |value: String| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str());
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        Self {
            offline: offline || set("HF_HUB_OFFLINE").is_some_and(is_true),
            cache: cache_folder(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            retries: 5,
            timeout: set("HF_HUB_DOWNLOAD_TIMEOUT")
                .and_then(|value| seconds(&value))
                .unwrap_or(TIMEOUT),
        }
    }
}

/// Hugging Face's folder: `HF_HOME`, else `huggingface` in `XDG_CACHE_HOME` or in `.cache` of the
/// home folder.
pub(super) fn hf_home() -> PathBuf {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("HF_HOME").unwrap_or_else(|| user_cache().unwrap_or_default().join("huggingface"))
}

/// The user's folder of caches: `XDG_CACHE_HOME`, else `.cache` of the home folder, on every system, as Hugging Face's
/// tools have it. None where there is no home.
pub fn user_cache() -> Option<PathBuf> {
    let set = std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty());
    set.map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".cache")))
}

/// The cache of models: `HF_HUB_CACHE` or `HUGGINGFACE_HUB_CACHE`, else `hub` in [`hf_home`].
fn cache_folder() -> PathBuf {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("HF_HUB_CACHE")
        .or_else(|| set("HUGGINGFACE_HUB_CACHE"))
        .unwrap_or_else(|| hf_home().join("hub"))
}

/// One repository's folder in the cache: `blobs/CHECKSUM`, `snapshots/COMMIT/FILE` -> blob,
/// `refs/REVISION` = commit.
pub(super) struct CachedRepo {
    pub folder: PathBuf,
}

impl CachedRepo {
    pub(super) fn new(repo: &str, options: &HubOptions) -> Self {
        Self {
            folder: options
                .cache
                .join(format!("models--{}", repo.replace('/', "--"))),
        }
    }

    /// The commit that `revision` was when it was last downloaded.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let commit = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        Some(commit.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }
}

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

/// Selects the needed files of a repository; returns a missing one as the error.
pub(super) type Needed<'a> = &'a dyn Fn(&dyn Fn(&str) -> bool) -> Result<Vec<String>, String>;

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

/// A number of seconds above 0 and up to an hour.
fn seconds(text: &str) -> Option<Duration> {
    let seconds = text
        .trim()
        .parse::<f64>()
        .ok()
        .filter(|seconds| *seconds > 0.0 && *seconds <= 3600.0)?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A whole commit id.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `OWNER/NAME`, or the bare name of one of the hub's oldest models.
pub(super) fn is_repo(repo: &str) -> bool {
    repo.split('/').count() <= 2 && repo.split('/').all(is_name)
}

/// A path that cannot lead out of the folder it is joined to.
pub(super) fn is_relative(path: &str) -> bool {
    path.split('/').all(is_name)
}

fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(is_plain)
}
