//! A data set's files on the hub: what the cache holds of them, and the download of the rest.

#[cfg(feature = "hub")]
mod fetch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use glob::{MatchOptions, Pattern};

use super::cache::{CachedRepo, HubOptions, Repo, RepoKind};
use super::listing::{ListedFile, Listing};
use super::unavailable::Unavailable;
use super::url_file;
use crate::config::{HubData, HubRepo, HubSource};
use chartbench_core::question::Split;

/// The branch of repositories whose commit nobody pinned.
const MAIN: &str = "main";

/// A data set in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSetCopy {
    /// The data set's folder or file.
    pub path: PathBuf,
    /// The repository; `None` of a file from elsewhere.
    pub repo: Option<String>,
    /// The commit of the repository.
    pub commit: Option<String>,
}

/// How much of a data set the cache holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataSetSize {
    /// Whether it is whole.
    pub is_here: bool,
    /// Bytes that are in the cache.
    pub here: u64,
    /// Bytes that are to be downloaded; `None` where nobody says.
    pub left: Option<u64>,
}

/// The files of `splits` of a benchmark's data set, from the cache or else downloaded into it, with
/// progress on a terminal's stderr. What a killed download left is gone on with.
///
/// `benchmark` is the name that messages say.
///
/// # Errors
/// Returns an error in one line with what is missing and what to do: there is no copy while
/// offline, the repository is unknown, gated or lacks files, the server is down, a file is not what
/// its checksum says, or the disk is full.
pub fn locate_data_set(
    benchmark: &str,
    data: &HubData,
    splits: &[Split],
    options: &HubOptions,
) -> Result<Option<DataSetCopy>> {
    let hub = match &data.source {
        None => return Ok(None),
        Some(HubSource::Url(file)) => {
            return Ok(Some(DataSetCopy {
                path: url_file::locate(benchmark, file, options)?,
                repo: None,
                commit: None,
            }));
        }
        Some(HubSource::Repo(hub)) => hub,
    };
    let (commit, snapshot) = DataSetRepo::new(benchmark, hub, splits)?.locate(options)?;
    let path = match &data.path {
        Some(path) => snapshot.join(path),
        None => snapshot,
    };
    ensure!(
        path.exists(),
        "{}: benchmark `{benchmark}` looks for its data set there (`hub.path`), and its files do not have it",
        path.display()
    );
    Ok(Some(DataSetCopy {
        path,
        repo: Some(hub.repo.clone()),
        commit: Some(commit),
    }))
}

/// How much of the test split's files the cache holds.
pub fn data_set_size(data: &HubData, options: &HubOptions) -> DataSetSize {
    let unknown = DataSetSize {
        left: data.bytes,
        ..DataSetSize::default()
    };
    match &data.source {
        None => DataSetSize::default(),
        Some(HubSource::Url(file)) => match url_file::cached_bytes(file, options) {
            Some(here) => DataSetSize {
                is_here: true,
                here,
                left: Some(0),
            },
            None => unknown,
        },
        Some(HubSource::Repo(hub)) => DataSetRepo::new("", hub, &[Split::Test])
            .ok()
            .and_then(|set| set.size(data.bytes, options))
            .unwrap_or(unknown),
    }
}

/// The files of a repository that some splits need.
struct DataSetRepo<'a> {
    benchmark: &'a str,
    hub: &'a HubRepo,
    repo: Repo<'a>,
    /// Patterns of the files.
    patterns: Vec<&'a str>,
}

/// Files that are needed, with what is known of each.
type NeededFiles = Vec<(String, ListedFile)>;

impl<'a> DataSetRepo<'a> {
    fn new(benchmark: &'a str, hub: &'a HubRepo, splits: &[Split]) -> Result<Self> {
        let revision = hub.revision.as_deref().unwrap_or(MAIN);
        let of_split = |split: &Split| match split {
            Split::Test => &hub.test,
            Split::Train => &hub.train,
        };
        let patterns = splits.iter().flat_map(of_split).chain(&hub.unpack);
        Ok(Self {
            benchmark,
            hub,
            repo: Repo::new(RepoKind::DataSet, &hub.repo, revision)?,
            patterns: patterns.map(String::as_str).collect(),
        })
    }

    /// The files of a list that are needed.
    ///
    /// # Errors
    /// Returns the pattern that none of them fits.
    fn needed(&self, listing: &Listing) -> Result<NeededFiles, String> {
        let mut needed = NeededFiles::new();
        for text in &self.patterns {
            // An archive is named as it is, whatever characters are in its name.
            let is_literal = self.hub.unpack.iter().any(|name| name == text);
            let pattern = Pattern::new(text).map_err(|_| (*text).to_owned())?;
            let fits = |name: &str| {
                if is_literal {
                    name == *text
                } else {
                    pattern.matches_with(name, MATCHING)
                }
            };
            let before = needed.len();
            let files = listing.files.iter().filter(|(name, _)| fits(name));
            needed.extend(files.map(|(name, file)| (name.clone(), file.clone())));
            if needed.len() == before {
                return Err((*text).to_owned());
            }
        }
        needed.sort_by(|(a, _), (b, _)| a.cmp(b));
        needed.dedup_by(|(a, _), (b, _)| a == b);
        Ok(needed)
    }

    /// The commit in the cache and the files that are needed of it.
    ///
    /// # Errors
    /// Returns what the cache lacks, in words.
    fn cached(&self, cached: &CachedRepo) -> Result<(String, NeededFiles), String> {
        let none = || "no copy".to_owned();
        let commit = cached.commit(self.repo.revision).ok_or_else(none)?;
        let snapshot = cached.snapshot(&commit);
        let (listing, is_hubs) = match Listing::read(cached, &commit) {
            Some(listing) => (listing, true),
            None if snapshot.is_dir() => {
                let listing = Listing::of_snapshot(&snapshot);
                (listing.map_err(|error| format!("{error:#}"))?, false)
            }
            None => return Err(none()),
        };
        let needed = self
            .needed(&listing)
            .map_err(|pattern| format!("a copy without {pattern}"))?;
        // Another program's copy has no list: parts of a table tell by their names how many they are.
        if let Some(part) = (!is_hubs).then(|| missing_part(&needed)).flatten() {
            return Err(format!("a copy without {part}"));
        }
        Ok((commit, needed))
    }

    /// As [`Self::cached`], of a copy that is whole.
    ///
    /// # Errors
    /// Returns what the cache lacks, in words.
    fn whole(&self, cached: &CachedRepo) -> Result<(String, PathBuf), String> {
        let (commit, needed) = self.cached(cached)?;
        let snapshot = cached.snapshot(&commit);
        let missing = needed
            .iter()
            .filter(|(name, _)| !snapshot.join(name).is_file())
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>();
        match missing.as_slice() {
            [] => Ok((commit, snapshot)),
            [name] => Err(format!("a copy without {name}")),
            [name, others @ ..] => Err(format!(
                "a copy without {name} and {} other files",
                others.len()
            )),
        }
    }

    fn locate(&self, options: &HubOptions) -> Result<(String, PathBuf)> {
        let cached = CachedRepo::new(self.repo, options);
        let missing = match self.whole(&cached) {
            Ok(found) => {
                self.unpack(&cached, &found.0)?;
                return Ok(found);
            }
            Err(missing) => missing,
        };
        if options.offline {
            bail!(Unavailable::Offline.because(format!(
                "the data set of benchmark `{name}`: {missing} of {repo} in the cache {cache}, and downloads are off: run \
                 `chartbench data get {name}` where there is a network, or name a copy with --data",
                name = self.benchmark,
                repo = self.repo,
                cache = options.cache.display()
            )));
        }
        self.download(&cached, options)
    }

    /// The bytes here and those that are left; `None` where the cache has no list of the files.
    fn size(&self, stated: Option<u64>, options: &HubOptions) -> Option<DataSetSize> {
        let cached = CachedRepo::new(self.repo, options);
        let (commit, needed) = self.cached(&cached).ok()?;
        let snapshot = cached.snapshot(&commit);
        let (mut here, mut left, mut is_here) = (0, Some(0), true);
        for (name, file) in &needed {
            match snapshot.join(name).metadata() {
                Ok(metadata) if metadata.is_file() => here += metadata.len(),
                _ => {
                    is_here = false;
                    left = left
                        .zip(file.bytes)
                        .map(|(left, bytes): (u64, u64)| left.saturating_add(bytes));
                }
            }
        }
        Some(DataSetSize {
            is_here,
            here,
            left: left.or_else(|| Some(stated?.saturating_sub(here))),
        })
    }
}

/// How a pattern fits a name: `*` stays within a folder, `**` goes into folders.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// A part `…-00002-of-00003…` that is not among files of which others are.
fn missing_part(files: &NeededFiles) -> Option<String> {
    let mut tables: BTreeMap<(&str, usize), BTreeSet<usize>> = BTreeMap::new();
    for (name, _) in files {
        let Some((before, after)) = name.split_once("-of-") else {
            continue;
        };
        let number = |text: &str| {
            let is_number = text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<usize>().ok().filter(|_| is_number)
        };
        let Some((stem, part)) = before.rsplit_once('-') else {
            continue;
        };
        if let (Some(part), Some(count)) = (number(part), after.get(..5).and_then(number)) {
            tables.entry((stem, count)).or_default().insert(part);
        }
    }
    tables.into_iter().find_map(|((stem, count), parts)| {
        let part = (0..count).find(|part| !parts.contains(part))?;
        Some(format!("{stem}-{part:05}-of-{count:05}"))
    })
}

/// The stand-ins without the feature.
#[cfg(not(feature = "hub"))]
impl DataSetRepo<'_> {
    fn download(&self, _: &CachedRepo, _: &HubOptions) -> Result<(String, PathBuf)> {
        bail!(Unavailable::Offline.because(format!(
            "the data set of benchmark `{}` ({}) is not in the cache, and this build downloads nothing: build with \
             `--features hub`, or name a copy with --data",
            self.benchmark, self.repo
        )))
    }

    fn unpack(&self, _: &CachedRepo, _: &str) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[&str]) -> Listing {
        let file = |name: &&str| ((*name).to_owned(), ListedFile::default());
        Listing {
            files: names.iter().map(file).collect(),
        }
    }

    fn repo(test: &[&str], unpack: &[&str]) -> HubRepo {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        HubRepo {
            repo: "someone/charts".to_owned(),
            revision: None,
            test: texts(test),
            train: texts(&["data/train-*.parquet"]),
            unpack: texts(unpack),
            sha256: Default::default(),
        }
    }

    #[test]
    fn patterns_choose_the_files_of_a_split() {
        let files = [
            "README.md",
            "charts [1].zip",
            "data/sub/test-1.parquet",
            "data/test-00000-of-00002.parquet",
            "data/test-00001-of-00002.parquet",
            "data/train-00000-of-00001.parquet",
        ];
        let chosen = |hub: &HubRepo, splits: &[Split]| {
            let set = DataSetRepo::new("b", hub, splits).unwrap();
            let needed = set.needed(&listing(&files));
            needed.map(|files| files.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        };
        let hub = repo(&["data/test-*.parquet"], &["charts [1].zip"]);
        let test = [files[1], files[3], files[4]].map(str::to_owned);
        assert_eq!(chosen(&hub, &[Split::Test]).unwrap(), test);
        let both = [files[1], files[3], files[4], files[5]].map(str::to_owned);
        assert_eq!(chosen(&hub, &[Split::Test, Split::Train]).unwrap(), both);
        let deep = repo(&["data/**/test-*", "data/sub/*"], &[]);
        assert_eq!(chosen(&deep, &[Split::Test]).unwrap(), files[2..5]);
        let absent = repo(&["data/val-*"], &[]);
        assert_eq!(
            chosen(&absent, &[Split::Test]),
            Err("data/val-*".to_owned())
        );
    }

    #[test]
    fn a_part_that_is_missing_is_named() {
        let missing = |names: &[&str]| {
            let files = listing(names).files.into_iter().collect();
            missing_part(&files)
        };
        let whole = [
            "d/test-00000-of-00002-ab.parquet",
            "d/test-00001-of-00002-cd.parquet",
            "x-of-y",
        ];
        assert_eq!(missing(&whole), None);
        let part = missing(&whole[1..]);
        assert_eq!(part.as_deref(), Some("d/test-00000-of-00002"));
    }
}
