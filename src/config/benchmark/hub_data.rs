//! The `[hub]` table of a benchmark: where its data set is published.

use std::collections::BTreeMap;

use glob::Pattern;
use serde::Deserialize;
use url::Url;

/// Most patterns, archives or checksums of a table.
const MAX_ENTRIES: usize = 1000;

/// Where a benchmark's data set is published, and how it can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubData {
    /// The files that a program can fetch; `None` where only a person can get them.
    pub source: Option<HubSource>,
    /// The part of the repository that is the data set: a folder or a file in it, as `--data` would
    /// name it. All of it where it is absent.
    pub path: Option<String>,
    /// Size of the test split's files in bytes, as their page states it.
    pub bytes: Option<u64>,
    /// How the data set can be had where fetching is not enough, in a sentence.
    pub obtain: Option<String>,
}

/// Where files can be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HubSource {
    /// A data set's repository of the hub.
    Repo(HubRepo),
    /// One file elsewhere.
    Url(UrlFile),
}

/// A data set's repository of the hub, and which of its files are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubRepo {
    /// `OWNER/NAME`.
    pub repo: String,
    /// The commit; `None` is `main`, whatever it is when it is first fetched.
    pub revision: Option<String>,
    /// Patterns of the files that the test split needs.
    pub test: Vec<String>,
    /// Patterns of the files that the train split needs; empty without one.
    pub train: Vec<String>,
    /// Archives, which are unpacked into folders of their names.
    pub unpack: Vec<String>,
    /// SHA-256 of files in lower-case hexadecimal, where the hub's own checksum is not trusted.
    pub sha256: BTreeMap<String, String>,
}

/// A file at an address, told by its MD5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlFile {
    /// The address.
    pub url: String,
    /// The file's name: the last part of the address.
    pub name: String,
    /// The file's MD5 in lower-case hexadecimal.
    pub md5: String,
}

impl HubSource {
    /// Whether the files are always the same: those of a commit, or of a checksum.
    pub fn is_pinned(&self) -> bool {
        match self {
            Self::Repo(repo) => repo.revision.is_some(),
            Self::Url(_) => true,
        }
    }
}

impl HubData {
    /// The source in few words, e.g. `lmms-lab/ChartQA@9e63b7df`; a repository without a commit is
    /// shown as unpinned. `None` where nothing can be fetched.
    pub fn describe_source(&self) -> Option<String> {
        Some(match self.source.as_ref()? {
            HubSource::Repo(HubRepo { repo, revision, .. }) => match revision {
                Some(commit) => format!("{repo}@{}", commit.get(..8).unwrap_or(commit)),
                None => format!("{repo}@main, not pinned"),
            },
            HubSource::Url(file) => file.name.clone(),
        })
    }
}

/// The table as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireHub {
    repo: Option<String>,
    revision: Option<String>,
    #[serde(default)]
    test: Vec<String>,
    #[serde(default)]
    train: Vec<String>,
    #[serde(default)]
    unpack: Vec<String>,
    #[serde(default)]
    sha256: BTreeMap<String, String>,
    url: Option<String>,
    md5: Option<String>,
    path: Option<String>,
    bytes: Option<u64>,
    obtain: Option<String>,
}

/// A key of the table and what is wrong with it.
pub(super) struct HubFault {
    pub key: &'static str,
    pub what: String,
}

impl HubFault {
    fn new(key: &'static str, what: impl Into<String>) -> Self {
        Self {
            key,
            what: what.into(),
        }
    }
}

impl WireHub {
    /// # Errors
    /// Returns the first key that is wrong.
    pub(super) fn validate(self) -> Result<HubData, HubFault> {
        if let Some(path) = self.path.as_deref().filter(|path| !is_inside(path)) {
            return Err(HubFault::new(
                "path",
                format!("`{path}` is no path in a repository"),
            ));
        }
        let (path, bytes, obtain) = (self.path.clone(), self.bytes, self.obtain.clone());
        let source = match (self.repo.is_some(), self.url.is_some()) {
            (true, true) => {
                return Err(HubFault::new(
                    "url",
                    "does not go with `repo`: name one of them",
                ));
            }
            (true, false) => Some(HubSource::Repo(self.repo()?)),
            (false, true) => Some(HubSource::Url(self.url_file()?)),
            (false, false) if obtain.is_none() => {
                return Err(HubFault::new(
                    "repo",
                    "is missing: name `repo`, `url` or `obtain`",
                ));
            }
            (false, false) => None,
        };
        Ok(HubData {
            source,
            path,
            bytes,
            obtain,
        })
    }

    fn repo(self) -> Result<HubRepo, HubFault> {
        let repo = self.repo.unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let is_name =
            |name: &str| !name.is_empty() && !name.starts_with('.') && name.chars().all(is_plain);
        if repo.split('/').count() != 2 || !repo.split('/').all(is_name) {
            return Err(HubFault::new(
                "repo",
                format!("`{repo}` is no repository: expected OWNER/NAME"),
            ));
        }
        let revision = self.revision.map(|revision| revision.to_ascii_lowercase());
        if revision.as_deref().is_some_and(|text| !is_hex(text, 40)) {
            return Err(HubFault::new(
                "revision",
                "must be a commit, 40 hex digits; leave it out for main",
            ));
        }
        if self.md5.is_some() {
            return Err(HubFault::new("md5", "belongs to `url` only"));
        }
        for (key, patterns) in [("test", &self.test), ("train", &self.train)] {
            if patterns.len() > MAX_ENTRIES {
                return Err(HubFault::new(
                    key,
                    format!("more than {MAX_ENTRIES} patterns"),
                ));
            }
            let is_fine = |text: &String| is_inside_pattern(text) && Pattern::new(text).is_ok();
            if let Some(text) = patterns.iter().find(|text| !is_fine(text)) {
                let what = format!("`{text}` is no pattern of files, such as data/test-*.parquet");
                return Err(HubFault::new(key, what));
            }
        }
        if self.test.is_empty() && self.unpack.is_empty() {
            return Err(HubFault::new(
                "test",
                "is missing: the files that the test split needs",
            ));
        }
        let is_archive = |name: &String| {
            is_inside(name)
                && [".zip", ".tar.gz", ".tgz"]
                    .iter()
                    .any(|end| name.ends_with(end))
        };
        if let Some(name) = self.unpack.iter().find(|name| !is_archive(name)) {
            let what =
                format!("`{name}` is no archive that can be unpacked: .zip, .tar.gz or .tgz");
            return Err(HubFault::new("unpack", what));
        }
        let sha256: BTreeMap<_, _> = self
            .sha256
            .into_iter()
            .map(|(name, hash)| (name, hash.to_ascii_lowercase()))
            .collect();
        if let Some((name, _)) = sha256.iter().find(|(_, hash)| !is_hex(hash, 64)) {
            let what = format!("that of `{name}` must be 64 hex digits");
            return Err(HubFault::new("sha256", what));
        }
        Ok(HubRepo {
            repo,
            revision,
            test: self.test,
            train: self.train,
            unpack: self.unpack,
            sha256,
        })
    }

    fn url_file(self) -> Result<UrlFile, HubFault> {
        let lists = [
            ("test", &self.test),
            ("train", &self.train),
            ("unpack", &self.unpack),
        ];
        let of_repo = lists
            .iter()
            .find(|(_, list)| !list.is_empty())
            .map(|(key, _)| *key)
            .or_else(|| self.revision.is_some().then_some("revision"))
            .or_else(|| (!self.sha256.is_empty()).then_some("sha256"))
            .or_else(|| self.path.is_some().then_some("path"));
        if let Some(key) = of_repo {
            return Err(HubFault::new(key, "belongs to `repo` only"));
        }
        let url = self.url.unwrap_or_default();
        let parsed = Url::parse(&url).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty()
        });
        let name = parsed
            .as_ref()
            .and_then(|url| Some(url.path_segments()?.next_back()?.to_owned()))
            .filter(|name| is_inside(name) && !name.contains('%') && !name.starts_with('.'));
        let Some(name) = name else {
            return Err(HubFault::new(
                "url",
                "must be the address of a file: http or https, a host, and the file's name at its end",
            ));
        };
        let md5 = self.md5.unwrap_or_default().to_ascii_lowercase();
        if !is_hex(&md5, 32) {
            return Err(HubFault::new(
                "md5",
                "must be the file's MD5, 32 hex digits",
            ));
        }
        Ok(UrlFile { url, name, md5 })
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A relative path that leads into no other folder.
fn is_inside(path: &str) -> bool {
    let is_fine = |name: &str| !name.is_empty() && name != "." && name != "..";
    path.len() <= 1024
        && !path.contains(['\\', ':'])
        && !path.contains(char::is_control)
        && path.split('/').all(is_fine)
}

/// As [`is_inside`], of a pattern.
fn is_inside_pattern(pattern: &str) -> bool {
    !pattern.contains('\\')
        && pattern
            .split('/')
            .all(|part| !part.is_empty() && part != "..")
}
