//! The download of a data set's files: its list, several files at a time, its archives.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};

use super::{DataSetRepo, NeededFiles};
use crate::hub::cache::{CachedRepo, HubOptions, is_inside};
use crate::hub::client::{FileFacts, HubClient, MAX_CONNECTIONS, RemoteFile};
use crate::hub::download::{
    Fetched, Progress, fetch, lock, note_unchecked, on_disk, sha256, write_ref,
};
use crate::hub::listing::{ListedFile, Listing};
use crate::hub::reach::check_reachable;
use crate::hub::unavailable::Unavailable;
use crate::hub::unpack::{is_unpacked, unpack};
use chartbench_core::terminal::shorten;

impl DataSetRepo<'_> {
    /// Downloads the files that the cache lacks.
    pub(super) fn download(
        &self,
        cached: &CachedRepo,
        options: &HubOptions,
    ) -> Result<(String, PathBuf)> {
        check_reachable(options, &self.repo.to_string()).map_err(|cause| {
            Unavailable::Unreachable.because(format!(
                "{cause}: check the network or HF_ENDPOINT, or name a copy of the data set with --data"
            ))
        })?;
        let hub = HubClient::new(options, self.repo)?;
        let (commit, listing) = self.list(&hub)?;
        let needed = self.needed(&listing).map_err(|pattern| {
            Unavailable::NotFound.because(format!(
                "{} has no file `{pattern}`, which benchmark `{}` needs",
                self.repo, self.benchmark
            ))
        })?;
        if let Some((name, _)) = needed.iter().find(|(name, _)| !is_inside(name)) {
            bail!(
                "{} has a file `{}`, whose name cannot be that of a file here",
                self.repo,
                shorten(name)
            );
        }
        let _lock = lock(cached)?;
        listing
            .write(cached, &commit)
            .map_err(|error| match error.downcast() {
                Ok(error) => on_disk(error, &cached.folder),
                Err(error) => error,
            })?;
        self.fetch_all(&hub, cached, &commit, &needed)?;
        if self.repo.revision != commit {
            write_ref(cached, self.repo.revision, &commit)?;
        }
        self.unpack_locked(cached, &commit)?;
        let snapshot = cached.snapshot(&commit);
        Ok((commit, snapshot))
    }

    /// The commit, and its files: with sizes and checksums where the hub has such a list.
    fn list(&self, hub: &HubClient<'_>) -> Result<(String, Listing)> {
        if let Some(commit) = &self.hub.revision
            && let Some(listing) = hub.tree(self.repo, commit)?
        {
            return Ok((commit.clone(), listing));
        }
        let (commit, names) = hub.listing(self.repo)?;
        // A tree has what the names lack, and all of them where there are thousands.
        if self.hub.revision.is_none()
            && let Some(listing) = hub.tree(self.repo, &commit)?
        {
            return Ok((commit, listing));
        }
        let files = names
            .into_iter()
            .map(|name| (name, ListedFile::default()))
            .collect();
        Ok((commit, Listing { files }))
    }

    /// Fetches the files, several at a time.
    fn fetch_all(
        &self,
        hub: &HubClient<'_>,
        cached: &CachedRepo,
        commit: &str,
        needed: &NeededFiles,
    ) -> Result<()> {
        let snapshot = cached.snapshot(commit);
        let missing: Vec<&(String, ListedFile)> = needed
            .iter()
            .filter(|(name, _)| !snapshot.join(name).is_file())
            .collect();
        let sizes = missing.iter().filter_map(|(_, file)| file.bytes);
        let bytes = sizes.fold(0, u64::saturating_add);
        if missing.is_empty() {
            return Ok(());
        }
        let unpinned = match self.hub.revision {
            Some(_) => "",
            None => " (no commit is pinned: it is what main is now)",
        };
        let size = match bytes {
            0 => String::new(),
            bytes => format!(", {}", indicatif::DecimalBytes(bytes)),
        };
        chartbench_core::note!(
            "fetching {} from {}: {}{size}{unpinned}",
            self.repo,
            hub.display_address,
            count_files(missing.len()),
        );
        let progress = Progress::new(self.repo.name.to_owned(), bytes);
        // Files of one content are one blob: they come after one another, as all do whose checksum
        // is not known yet.
        let mut seen = HashSet::new();
        let (mut first, mut again) = (Vec::new(), Vec::new());
        for file in missing {
            let checksum = file.1.checksum.as_ref();
            let is_new = checksum.is_some_and(|checksum| seen.insert(checksum));
            let files = if is_new { &mut first } else { &mut again };
            files.push(file);
        }
        let one = |(name, file): &(String, ListedFile)| -> Result<Fetched> {
            let remote = RemoteFile {
                repo: self.repo,
                commit,
                name,
            };
            let known = FileFacts {
                checksum: file.checksum.clone(),
                bytes: file.bytes,
            };
            let fetched = fetch(hub, &remote, Some(known), cached, &progress)?;
            self.check_pinned(cached, commit, name)?;
            Ok(fetched)
        };
        let fetched = in_parallel(&first, &one).and_then(|mut fetched| {
            for file in again {
                fetched.push(one(file)?);
            }
            Ok(fetched)
        });
        progress.bar.finish_and_clear();
        let unchecked = fetched?
            .iter()
            .filter(|fetched| **fetched == Fetched::Unchecked)
            .count();
        note_unchecked(hub, self.repo.name, unchecked);
        Ok(())
    }

    /// Compares a file with the SHA-256 that the benchmark states; a file with another one is
    /// removed.
    fn check_pinned(&self, cached: &CachedRepo, commit: &str, name: &str) -> Result<()> {
        let Some(pinned) = self.hub.sha256.get(name) else {
            return Ok(());
        };
        let path = cached.snapshot(commit).join(name);
        let found = sha256(&path).map_err(|error| on_disk(error, &cached.folder))?;
        if found == *pinned {
            return Ok(());
        }
        if let Ok(blob) = path.canonicalize() {
            let _ = std::fs::remove_file(blob);
        }
        let _ = std::fs::remove_file(&path);
        bail!(
            "{name} of {}: its SHA-256 is {found}, and benchmark `{}` states {pinned}: it is not used",
            self.repo,
            self.benchmark
        )
    }

    /// Unpacks the archives that are not unpacked yet.
    pub(super) fn unpack(&self, cached: &CachedRepo, commit: &str) -> Result<()> {
        let snapshot = cached.snapshot(commit);
        let is_done = |name: &String| is_unpacked(&snapshot.join(name));
        if self.hub.unpack.iter().all(is_done) {
            return Ok(());
        }
        let _lock = lock(cached)?;
        self.unpack_locked(cached, commit)
    }

    fn unpack_locked(&self, cached: &CachedRepo, commit: &str) -> Result<()> {
        let snapshot = cached.snapshot(commit);
        self.hub
            .unpack
            .iter()
            .try_for_each(|name| unpack(&snapshot.join(name)))
    }
}

/// `3 files`, or `1 file`.
fn count_files(count: usize) -> String {
    match count {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    }
}

/// Does `work` for every item, a few at a time; nothing more is begun after the first error.
fn in_parallel<T: Sync, R: Send>(
    items: &[&T],
    work: &(impl Fn(&T) -> Result<R> + Sync),
) -> Result<Vec<R>> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let results: Mutex<Result<Vec<R>>> = Mutex::new(Ok(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..MAX_CONNECTIONS.min(items.len()) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed)
                    && let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let result = work(item);
                    failed.fetch_or(result.is_err(), Ordering::Relaxed);
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    match result {
                        Ok(result) => {
                            if let Ok(results) = results.as_mut() {
                                results.push(result);
                            }
                        }
                        Err(error) if results.is_ok() => *results = Err(error),
                        Err(_) => {}
                    }
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}
