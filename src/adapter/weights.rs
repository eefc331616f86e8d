//! Finding a model's folder: the one the user names, the Hugging Face cache, or a download into that cache.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::hub;

/// Where weights may come from.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// Never touch the network.
    pub offline: bool,
    /// The Hugging Face cache, which holds `models--OWNER--NAME` folders. Created when something is downloaded.
    pub cache: PathBuf,
    /// The hub's address, without a trailing slash.
    pub endpoint: String,
    /// How often a request that failed for a passing reason (no connection, 429, 5xx) is sent again.
    pub retries: usize,
}

impl HubOptions {
    /// As the environment has it: the cache from `HF_HUB_CACHE`, `HF_HOME` or the usual place under the home folder,
    /// the hub from `HF_ENDPOINT`; `HF_HUB_OFFLINE` set to `1`, `ON`, `YES` or `TRUE` is `offline` too.
    ///
    /// The token is no option: hf-hub reads `HF_TOKEN`, or the file `huggingface-cli login` left, at each download.
    pub fn from_env(offline: bool) -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let is_true = |value: String| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str());
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        Self {
            offline: offline || set("HF_HUB_OFFLINE").is_some_and(is_true),
            cache: hf_hub::resolve_cache_dir(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            retries: 5,
        }
    }
}

/// The folder with the model `repo` (`OWNER/NAME`) at `revision` (a branch, a tag or a whole commit id).
///
/// `explicit`, the user's `--weights`, goes before everything and needs only a `config.json`. Then the cache, if the
/// copy in it is complete: configuration, tokenizer, preprocessor and weights. Else what is missing is downloaded, with
/// a bar on stderr when that is a terminal, each file checked against the hub's checksum before it takes its name.
///
/// # Errors
/// One line that says what is missing and what to do: an explicit folder that is none, no copy while offline, an
/// unknown or gated repository, one without the needed files, a hub that is down, a broken or changed download, a full
/// disk. A failed download leaves the files that came whole and nothing half-written.
pub fn locate(repo: &str, revision: &str, explicit: Option<&Path>, options: &HubOptions) -> Result<PathBuf> {
    if let Some(folder) = explicit {
        ensure!(folder.is_dir(), "--weights {}: no such folder", folder.display());
        ensure!(
            folder.join("config.json").is_file(),
            "--weights {}: no config.json in it (it must be a model folder as transformers saves it)",
            folder.display()
        );
        return Ok(folder.to_owned());
    }
    ensure!(is_repo(repo), "`{repo}` is no Hugging Face repository: expected OWNER/NAME");
    ensure!(is_relative(revision), "`{revision}` is no revision: expected a branch, a tag or a commit id");
    let cached = Cached::of(repo, options);
    let snapshot = cached.commit(revision).map(|commit| cached.snapshot(&commit));
    let missing = match &snapshot {
        None => "no copy".to_owned(),
        Some(snapshot) => match missing(snapshot) {
            None => return Ok(snapshot.clone()),
            Some(missing) => format!("a copy without {missing}"),
        },
    };
    if options.offline {
        bail!(
            "{repo}@{revision}: {missing} in the cache {}, and downloads are off: run `huggingface-cli download {repo} \
             --revision {revision}` where there is a network, or name a folder with --weights",
            options.cache.display()
        );
    }
    hub::download(repo, revision, &cached, options, &|has| {
        let files = needed(has).map_err(|missing| format!("{missing}: it is no model this program can load"))?;
        Ok(files.into_iter().map(str::to_owned).collect())
    })
}

/// One file of a hub repository's `main` revision, from the cache or else downloaded.
///
/// # Errors
/// As [`locate`].
pub fn file(repo: &str, name: &str, options: &HubOptions) -> Result<PathBuf> {
    let cached = Cached::of(repo, options);
    let found = cached.commit("main").map(|commit| cached.snapshot(&commit).join(name)).filter(|path| path.is_file());
    if let Some(path) = found {
        return Ok(path);
    }
    ensure!(!options.offline, "{name} of {repo} is not in the cache and downloads are off");
    let wanted = |has: &dyn Fn(&str) -> bool| if has(name) { Ok(vec![name.to_owned()]) } else { Err(name.to_owned()) };
    Ok(hub::download(repo, "main", &cached, options, &wanted)?.join(name))
}

/// Whether the cache holds everything [`locate`] needs of a model.
pub fn is_cached(repo: &str, revision: &str, options: &HubOptions) -> bool {
    let cached = Cached::of(repo, options);
    cached.commit(revision).is_some_and(|commit| missing(&cached.snapshot(&commit)).is_none())
}

/// One repository's folder in the cache: `blobs/CHECKSUM`, `snapshots/COMMIT/FILE` -> blob, `refs/REVISION` = commit.
pub(super) struct Cached {
    pub folder: PathBuf,
}

impl Cached {
    fn of(repo: &str, options: &HubOptions) -> Self {
        Self { folder: options.cache.join(format!("models--{}", repo.replace('/', "--"))) }
    }

    /// The commit that `revision` was when it was last downloaded.
    fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let commit = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        Some(commit.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }
}

/// The weights a folder can have, the preferred first.
const WEIGHTS: [&str; 3] = ["model.safetensors", INDEX, "pytorch_model.bin"];
/// The list of the shards of weights that are too large for one file.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// Files read when they are there.
const OPTIONAL: [&str; 4] =
    ["added_tokens.json", "generation_config.json", "special_tokens_map.json", "tokenizer_config.json"];
/// Files that must be there, any one of each line; the first there is taken.
const REQUIRED: [&[&str]; 4] =
    [&["config.json"], &["tokenizer.json"], &["preprocessor_config.json", "processor_config.json"], &WEIGHTS];

/// The files of a model that `has` them, shards of the weights aside.
///
/// # Errors
/// Names the first file that is required and not there.
fn needed(has: &dyn Fn(&str) -> bool) -> Result<Vec<&'static str>, String> {
    let mut files = Vec::new();
    for choices in REQUIRED {
        let found = choices.iter().find(|name| has(name));
        files.push(*found.ok_or_else(|| choices.join(" or "))?);
    }
    files.extend(OPTIONAL.iter().filter(|name| has(name)));
    Ok(files)
}

/// What a model folder lacks, if anything.
fn missing(folder: &Path) -> Option<String> {
    let has = |name: &str| folder.join(name).is_file();
    let files = match needed(&has) {
        Ok(files) => files,
        Err(missing) => return Some(missing),
    };
    if !files.contains(&INDEX) {
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
    let text = fs::read_to_string(index).with_context(|| format!("cannot read {}", index.display()))?;
    let index: Index =
        serde_json::from_str(&text).with_context(|| format!("{}: not an index of shards", index.display()))?;
    let shards = index.weight_map.into_values().collect::<BTreeSet<_>>();
    if let Some(shard) = shards.iter().find(|shard| !is_name(shard)) {
        bail!("{INDEX}: `{shard}` is no plain file name");
    }
    Ok(shards)
}

fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `OWNER/NAME`, or the bare name of one of the hub's oldest models.
fn is_repo(repo: &str) -> bool {
    repo.split('/').count() <= 2 && repo.split('/').all(is_name)
}

/// A path that cannot lead out of the folder it is joined to.
fn is_relative(path: &str) -> bool {
    path.split('/').all(is_name)
}

fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(is_plain)
}
