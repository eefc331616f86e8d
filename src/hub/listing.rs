//! Which files a repository has at a commit: the hub's lists, and the one that is kept in the cache.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

#[cfg(feature = "hub")]
use super::body::Reply;
use super::cache::CachedRepo;
#[cfg(feature = "hub")]
use super::{
    cache::{Repo, is_commit},
    client::{HubClient, encode_part},
};
use chartbench_core::input;

/// Longest list of a repository's files that is read, in bytes: a page of the hub's, or the one in
/// the cache.
const MAX_LISTING: u64 = 64 << 20;
/// Most files of a repository.
const MAX_FILES: usize = 500_000;
/// Most pages of a list; the hub's have a thousand files.
#[cfg(feature = "hub")]
const MAX_PAGES: usize = 5_000;
/// Folder of the cached lists in a repository's folder. Hugging Face's own tools pass over it.
const FOLDER: &str = ".chartbench";

/// What the hub states about a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ListedFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// SHA-256 or git's SHA-1 of the content, in lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}

/// The files of a repository at a commit, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listing {
    pub files: BTreeMap<String, ListedFile>,
}

impl Listing {
    /// The list that the cache has of a commit; `None` where it has none that can be read.
    pub(super) fn read(cached: &CachedRepo, commit: &str) -> Option<Self> {
        let text = input::read_text(&path(cached, commit), MAX_LISTING).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Keeps the list in the cache; one that is too long is not kept.
    ///
    /// # Errors
    /// Returns an error if the cache cannot be written.
    #[cfg(feature = "hub")]
    pub(super) fn write(&self, cached: &CachedRepo, commit: &str) -> Result<()> {
        let text = serde_json::to_string(self).context("cannot encode a list of files")?;
        if text.len() as u64 > MAX_LISTING {
            return Ok(());
        }
        std::fs::create_dir_all(cached.folder.join(FOLDER))?;
        chartbench_core::files::write_file(&path(cached, commit), text.as_bytes())
    }

    /// The files in the snapshot folder of a commit, which another program may have downloaded.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read, or has too many files.
    pub(super) fn of_snapshot(snapshot: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let path = snapshot.join(&folder);
            let entries = std::fs::read_dir(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            for entry in entries {
                let entry = entry?;
                let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                    continue;
                };
                let name = if folder.is_empty() {
                    name
                } else {
                    format!("{folder}/{name}")
                };
                // Only a folder itself: a link to one could lead round in a circle.
                if entry.file_type()?.is_dir() {
                    folders.push(name);
                } else if let Ok(metadata) = entry.path().metadata() {
                    let bytes = metadata.is_file().then_some(metadata.len());
                    let checksum = None;
                    files.insert(name, ListedFile { bytes, checksum });
                }
                anyhow::ensure!(
                    files.len() + folders.len() <= MAX_FILES,
                    "{}: more than {MAX_FILES} files",
                    snapshot.display()
                );
            }
        }
        Ok(Self { files })
    }
}

fn path(cached: &CachedRepo, commit: &str) -> PathBuf {
    cached.folder.join(FOLDER).join(format!("{commit}.json"))
}

#[cfg(feature = "hub")]
impl HubClient<'_> {
    /// The commit that the revision stands for, and the names of its files.
    ///
    /// # Errors
    /// Returns an error if the hub does not answer with both.
    pub(super) fn listing(&self, repo: Repo<'_>) -> Result<(String, Vec<String>)> {
        #[derive(Deserialize)]
        struct Info {
            sha: Option<String>,
            #[serde(default)]
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        let what = &repo.to_string();
        let url = self.url(&format!(
            "{}/revision/{}",
            repo.api_path(),
            encode_part(repo.revision)
        ));
        let body = match self.get(&url, MAX_LISTING, what)? {
            Reply::Content { body, .. } => body,
            Reply::Refusal(response) => return Err(self.refusal(&response, repo, None)),
        };
        let info: Info =
            serde_json::from_slice(&body).map_err(|error| self.no_hub(what, &error))?;
        let hub = &self.display_address;
        let name = repo.name;
        let commit = info.sha.with_context(|| {
            format!("{hub} answered without a commit id for {name}: is it a hub?")
        })?;
        anyhow::ensure!(
            is_commit(&commit),
            "{hub} answered with `{}` as the commit id for {name}: is it a hub?",
            chartbench_core::terminal::shorten(&commit)
        );
        let names = info.siblings.into_iter().map(|file| file.rfilename);
        Ok((commit, names.collect()))
    }

    /// The files of a repository at a commit, page by page; `None` where the server has no such
    /// list.
    ///
    /// # Errors
    /// Returns an error if the hub refuses, or its list is malformed or too long.
    pub(super) fn tree(&self, repo: Repo<'_>, commit: &str) -> Result<Option<Listing>> {
        #[derive(Deserialize)]
        struct Entry {
            #[serde(rename = "type")]
            kind: String,
            path: String,
            oid: Option<String>,
            size: Option<u64>,
            lfs: Option<Lfs>,
        }
        #[derive(Deserialize)]
        struct Lfs {
            oid: Option<String>,
            size: Option<u64>,
        }
        let what = &repo.to_string();
        let mut url = self.url(&format!("{}/tree/{commit}?recursive=true", repo.api_path()));
        let mut listing = Listing::default();
        let mut seen = std::collections::HashSet::from([url.clone()]);
        while seen.len() < MAX_PAGES {
            let (headers, body) = match self.get(&url, MAX_LISTING, what)? {
                Reply::Content { headers, body } => (headers, body),
                Reply::Refusal(response) if response.status().as_u16() == 404 => return Ok(None),
                Reply::Refusal(response) => return Err(self.refusal(&response, repo, None)),
            };
            let page: Vec<Entry> =
                serde_json::from_slice(&body).map_err(|error| self.no_hub(what, &error))?;
            for entry in page.into_iter().filter(|entry| entry.kind == "file") {
                let (checksum, bytes) = match entry.lfs {
                    Some(lfs) => (lfs.oid, lfs.size.or(entry.size)),
                    None => (entry.oid, entry.size),
                };
                let checksum = checksum
                    .map(|checksum| checksum.to_lowercase())
                    .filter(|checksum| is_checksum(checksum));
                listing
                    .files
                    .insert(entry.path, ListedFile { bytes, checksum });
            }
            anyhow::ensure!(
                listing.files.len() <= MAX_FILES,
                "{what} has more than {MAX_FILES} files: fetch it with Hugging Face's tools and name it with {}",
                repo.flag()
            );
            let links = headers.get("link").and_then(|links| links.to_str().ok());
            let next = links
                .and_then(next_link)
                .and_then(|link| self.next_page(&url, link));
            match next {
                None => return Ok(Some(listing)),
                Some(next) if !seen.insert(next.clone()) => break,
                Some(next) => url = next,
            }
        }
        anyhow::bail!(
            "{}: the list of {what} does not end: is it a hub?",
            self.display_address
        )
    }

    /// The address of a list's next page at this hub: a mirror may name that of the hub it mirrors,
    /// and the token goes nowhere else.
    fn next_page(&self, url: &str, link: &str) -> Option<String> {
        let here = url::Url::parse(url).ok()?;
        let next = here.join(link).ok()?;
        if next.origin() == here.origin() {
            return Some(next.into());
        }
        let path = &next[url::Position::BeforePath..url::Position::AfterQuery];
        path.starts_with("/api/")
            .then(|| self.url(path.trim_start_matches('/')))
    }

    fn no_hub(&self, what: &str, error: &serde_json::Error) -> anyhow::Error {
        anyhow::anyhow!(
            "{} does not answer as a hub for {what}: {error}",
            self.display_address
        )
    }
}

/// SHA-256 or SHA-1 in lower-case hexadecimal.
#[cfg(feature = "hub")]
fn is_checksum(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    matches!(text.len(), 40 | 64) && text.bytes().all(is_hex)
}

/// The address of the next page in a `Link` header.
#[cfg(feature = "hub")]
fn next_link(links: &str) -> Option<&str> {
    links.split('<').skip(1).find_map(|link| {
        let (url, parameters) = link.split_once('>')?;
        let parameters = parameters.split(',').next()?.replace(' ', "");
        (parameters.contains("rel=\"next\"") || parameters.contains("rel=next")).then_some(url)
    })
}

#[cfg(all(test, feature = "hub"))]
mod tests {
    use super::next_link;

    #[test]
    fn the_next_page_is_told_from_others() {
        assert_eq!(
            next_link("<https://h/a?cursor=x>; rel=\"next\""),
            Some("https://h/a?cursor=x")
        );
        let both = "<https://h/1>; rel=\"prev\", <https://h/3>; title=\"a\"; rel=\"next\"";
        assert_eq!(next_link(both), Some("https://h/3"));
        for links in ["", "<https://h/1>; rel=\"prev\"", "nonsense", "<https://h"] {
            assert_eq!(next_link(links), None, "{links}");
        }
    }
}
