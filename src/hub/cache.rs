//! The Hugging Face cache on disk: its options and its layout.

use std::fmt;
#[cfg(feature = "models")]
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use chartbench_core::input::{self, MAX_SETTINGS_BYTES};

/// Options of the hub and its cache.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// Never touch the network.
    pub offline: bool,
    /// The Hugging Face cache, which holds `models--OWNER--NAME` and `datasets--OWNER--NAME` folders. Created
    /// when something is downloaded.
    pub cache: PathBuf,
    /// The hub's address, without a trailing slash.
    pub endpoint: String,
    /// Number of retries after a transient failure (no connection, 429, 5xx).
    pub retries: usize,
    /// Timeout of a connection, and of each read of a response.
    pub timeout: Duration,
}

/// Longest name of a file, in bytes: what file systems take.
#[cfg(any(feature = "hub", test))]
const MAX_NAME_BYTES: usize = 255;
/// Longest path of a file in its repository, in bytes.
#[cfg(any(feature = "hub", test))]
const MAX_PATH_BYTES: usize = 1024;

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

/// The program's own folder of caches: `CHARTBENCH_CACHE`, else `chartbench` in [`user_cache`].
pub fn program_cache() -> Option<PathBuf> {
    let set = std::env::var_os("CHARTBENCH_CACHE").filter(|folder| !folder.is_empty());
    set.map(PathBuf::from)
        .or_else(|| Some(user_cache()?.join("chartbench")))
}

/// The cache of repositories: `HF_HUB_CACHE` or `HUGGINGFACE_HUB_CACHE`, else `hub` in [`hf_home`].
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

/// What a repository holds: hub and cache keep models and data sets apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RepoKind {
    /// A model.
    #[cfg_attr(
        not(feature = "models"),
        expect(dead_code, reason = "no model is looked for")
    )]
    Model,
    /// A data set.
    DataSet,
}

/// A repository of the hub at a revision, and what a user can do without it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repo<'a> {
    pub kind: RepoKind,
    /// `OWNER/NAME`.
    pub name: &'a str,
    /// A branch, a tag or a whole commit id.
    pub revision: &'a str,
}

impl<'a> Repo<'a> {
    /// # Errors
    /// Returns an error if the name or the revision is none: both become parts of paths.
    pub(crate) fn new(kind: RepoKind, name: &'a str, revision: &'a str) -> Result<Self> {
        ensure!(
            is_repo(name),
            "`{name}` is no Hugging Face repository: expected OWNER/NAME"
        );
        ensure!(
            is_relative(revision),
            "`{revision}` is no revision: expected a branch, a tag or a commit id"
        );
        Ok(Self {
            kind,
            name,
            revision,
        })
    }

    /// The flag that names a copy of the user's own.
    #[cfg(feature = "hub")]
    pub(super) fn flag(self) -> &'static str {
        match self.kind {
            RepoKind::Model => "--weights",
            RepoKind::DataSet => "--data",
        }
    }

    /// The path of the repository's content at the hub.
    #[cfg(feature = "hub")]
    pub(super) fn path(self) -> String {
        match self.kind {
            RepoKind::Model => self.name.to_owned(),
            RepoKind::DataSet => format!("datasets/{}", self.name),
        }
    }

    /// The path of the repository in the hub's API.
    #[cfg(feature = "hub")]
    pub(super) fn api_path(self) -> String {
        match self.kind {
            RepoKind::Model => format!("api/models/{}", self.name),
            RepoKind::DataSet => format!("api/datasets/{}", self.name),
        }
    }
}

impl fmt::Display for Repo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.revision)
    }
}

/// One repository's folder in the cache: `blobs/CHECKSUM`, `snapshots/COMMIT/FILE` -> blob,
/// `refs/REVISION` = commit.
pub(crate) struct CachedRepo {
    pub folder: PathBuf,
}

impl CachedRepo {
    pub(crate) fn new(repo: Repo<'_>, options: &HubOptions) -> Self {
        let kind = match repo.kind {
            RepoKind::Model => "models",
            RepoKind::DataSet => "datasets",
        };
        let name = format!("{kind}--{}", repo.name.replace('/', "--"));
        Self {
            folder: options.cache.join(name),
        }
    }

    /// The commit that `revision` was when it was last downloaded.
    pub(crate) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let path = self.folder.join("refs").join(revision);
        let commit = input::read_text(&path, MAX_SETTINGS_BYTES).ok()?;
        Some(commit.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }
}

/// Selects the needed files of a repository; returns a missing one as the error.
#[cfg(feature = "models")]
pub(crate) type Needed<'a> = &'a dyn Fn(&dyn Fn(&str) -> bool) -> Result<Vec<String>, String>;

/// Names further files by the snapshot's folder and the files that were selected.
#[cfg(feature = "models")]
pub(crate) type FurtherFiles<'a> = &'a dyn Fn(&Path, &[String]) -> Result<Vec<String>>;

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
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `OWNER/NAME`, or the bare name of one of the hub's oldest models.
fn is_repo(repo: &str) -> bool {
    repo.split('/').count() <= 2 && repo.split('/').all(is_name)
}

/// A path of plain names, which cannot lead out of the folder it is joined to.
pub(crate) fn is_relative(path: &str) -> bool {
    path.split('/').all(is_name)
}

/// A plain name: a letter, a digit or one of `._-+` throughout, and no dot at its beginning.
pub(crate) fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(is_plain)
}

/// A path that cannot lead out of the folder it is joined to, on any system, whatever its names
/// are: those of data sets have spaces and letters of all languages.
#[cfg(any(feature = "hub", test))]
pub(crate) fn is_inside(path: &str) -> bool {
    let is_fine = |name: &str| {
        let is_plain = |c: char| !c.is_control() && !r#"\:*?"<>|"#.contains(c);
        !name.is_empty()
            && name.len() <= MAX_NAME_BYTES
            && !name.ends_with(['.', ' '])
            && name.chars().all(is_plain)
    };
    path.len() <= MAX_PATH_BYTES && path.split('/').all(is_fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_elsewhere_are_told_from_names() {
        for path in [
            "ChartQA Dataset/test/png/a (1).png",
            "données/é.jsonl",
            ".gitattributes",
        ] {
            assert!(is_inside(path), "{path}");
        }
        let long = "a".repeat(300);
        for path in [
            "",
            "/etc/passwd",
            "..",
            "a/../b",
            "a//b",
            "a/",
            ".",
            "a\\b",
            "C:/x",
            "a\nb",
            "a.",
            &long,
        ] {
            assert!(!is_inside(path), "{path}");
        }
    }
}
