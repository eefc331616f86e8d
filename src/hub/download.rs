//! Downloading files of a repository into the Hugging Face cache.
//!
//! A file is written aside, and takes its name in the cache only after its content was compared
//! with the checksum that the hub states: SHA-256 for large files, git's SHA-1 for the others. A
//! hub that states neither (a mirror with tags of its own) cannot be checked. Paths are made of
//! names that were asked for, a checked commit id and checksums: nothing that a hub sends leads out
//! of the cache.
//!
//! What a killed process or a broken connection leaves of a file with a checksum stays as
//! `blobs/CHECKSUM.incomplete`, and the next download goes on with it. One process at a time
//! downloads from a repository.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, anyhow, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use sha1::Digest;

use super::cache::{CachedRepo, is_inside};
#[cfg(feature = "models")]
use super::cache::{FurtherFiles, HubOptions, Needed, Repo};
use super::client::{FileFacts, HubClient, RemoteFile};
use super::unavailable::WeightsUnavailable;
use chartbench_core::files::{FileLock, UnfinishedFolder};

/// Downloads the files that `choose` selects of `repo` and the cache lacks; returns the snapshot's
/// folder. `more` names further files by what the snapshot then has.
///
/// # Errors
/// See [`crate::adapter::hub::locate`].
#[cfg(feature = "models")]
pub(crate) fn download(
    repo: Repo<'_>,
    cached: &CachedRepo,
    options: &HubOptions,
    choose: Needed<'_>,
    more: FurtherFiles<'_>,
) -> Result<PathBuf> {
    let hub = HubClient::new(options, repo)?;
    let (commit, names) = hub.listing(repo)?;
    let snapshot = cached.snapshot(&commit);
    let files = choose(&|name| names.iter().any(|listed| listed == name))
        .map_err(|missing| anyhow!("{repo} has no {missing}"))?;
    let _lock = lock(cached)?;
    let mut unchecked = 0;
    let mut fetch_named = |name: &str| -> Result<()> {
        let file = RemoteFile {
            repo,
            commit: &commit,
            name,
        };
        let progress = Progress::of_file(&file);
        let fetched = fetch(&hub, &file, None, cached, &progress);
        progress.bar.finish_and_clear();
        unchecked += usize::from(fetched? == Fetched::Unchecked);
        Ok(())
    };
    for file in &files {
        fetch_named(file)?;
    }
    for file in more(&snapshot, &files)? {
        fetch_named(&file)?;
    }
    note_unchecked(&hub, repo.name, unchecked);
    if repo.revision != commit {
        write_ref(cached, repo.revision, &commit)?;
    }
    Ok(snapshot)
}

/// Says how many files could not be compared with a checksum.
pub(super) fn note_unchecked(hub: &HubClient<'_>, repo: &str, unchecked: usize) {
    if unchecked > 0 {
        let hub = &hub.display_address;
        chartbench_core::note!(
            "note: {hub} states no checksum for {unchecked} files of {repo}: they are kept unchecked"
        );
    }
}

/// Makes the repository's folder and waits until no other process downloads into it. A file system
/// without locks has none.
///
/// # Errors
/// Returns an error if the folder cannot be made.
pub(super) fn lock(cached: &CachedRepo) -> Result<Option<FileLock>> {
    fs::create_dir_all(&cached.folder).map_err(|error| on_disk(error, &cached.folder))?;
    Ok(FileLock::acquire(&cached.folder.join("download")).ok())
}

/// How a file came into the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    AlreadyThere,
    Checked,
    /// The hub states no checksum.
    Unchecked,
}

/// The bytes of one file or of several, on stderr; nothing is drawn where that is no terminal.
pub(super) struct Progress {
    pub bar: ProgressBar,
    done: AtomicU64,
}

impl Progress {
    /// `bytes` in all, under a message.
    pub(super) fn new(message: String, bytes: u64) -> Self {
        let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self {
            bar: ProgressBar::new(bytes)
                .with_style(style)
                .with_message(message),
            done: AtomicU64::new(0),
        }
    }

    #[cfg(feature = "models")]
    fn of_file(file: &RemoteFile<'_>) -> Self {
        Self::new(format!("{} {}", file.repo.name, file.name), 0)
    }

    /// Counts a file that has `now` bytes and had `before` when it was last counted; a file that
    /// begins anew has fewer.
    pub(super) fn count(&self, before: u64, now: u64) {
        // Wrapping: the sum of all changes is never negative.
        let change = now.wrapping_sub(before);
        let done = self.done.fetch_add(change, Ordering::Relaxed);
        let done = done.wrapping_add(change);
        if self.bar.length().is_some_and(|length| length < done) {
            self.bar.set_length(done);
        }
        self.bar.set_position(done);
    }
}

/// Downloads one file into the snapshot, unless the snapshot has it. What the hub states about it
/// is asked for where it is not `known`.
///
/// # Errors
/// Returns an error if it cannot be had, is not what the hub states, or cannot be written.
pub(super) fn fetch(
    hub: &HubClient<'_>,
    file: &RemoteFile<'_>,
    known: Option<FileFacts>,
    cached: &CachedRepo,
    progress: &Progress,
) -> Result<Fetched> {
    ensure!(
        is_inside(file.name),
        "`{}` is no file of a repository",
        file.name
    );
    let target = cached.snapshot(file.commit).join(file.name);
    if target.is_file() {
        return Ok(Fetched::AlreadyThere);
    }
    let facts = match known {
        Some(facts) if facts.checksum.is_some() => facts,
        _ => hub.facts(file)?,
    };
    let disk = |error| on_disk(error, &cached.folder);
    let fetched = match &facts.checksum {
        Some(checksum) => {
            let blobs = cached.folder.join("blobs");
            fs::create_dir_all(&blobs).map_err(disk)?;
            let blob = blobs.join(checksum);
            if !blob.is_file() {
                let part = blobs.join(format!("{checksum}.incomplete"));
                complete(hub, file, &facts, &part, cached, progress)?;
                fs::rename(&part, &blob).map_err(disk)?;
            }
            link(&blob, &target, cached).map_err(disk)?;
            Fetched::Checked
        }
        None => {
            let staging = UnfinishedFolder::create_in(&cached.folder).map_err(disk)?;
            let part = staging.path().join("file");
            append(hub, file, facts.bytes, &part, progress)
                .map_err(|error| disk_error(error, cached))?;
            let checksum = sha256(&part).map_err(disk)?;
            let blobs = cached.folder.join("blobs");
            fs::create_dir_all(&blobs).map_err(disk)?;
            let blob = blobs.join(checksum);
            fs::rename(&part, &blob).map_err(disk)?;
            link(&blob, &target, cached).map_err(disk)?;
            Fetched::Unchecked
        }
    };
    Ok(fetched)
}

/// Completes `part`, until it has the stated checksum. A part from an earlier start that turns out
/// to be wrong is downloaded once more.
fn complete(
    hub: &HubClient<'_>,
    file: &RemoteFile<'_>,
    facts: &FileFacts,
    part: &Path,
    cached: &CachedRepo,
    progress: &Progress,
) -> Result<()> {
    let checksum = facts.checksum.as_deref().unwrap_or_default();
    let disk = |error| on_disk(error, &cached.folder);
    let mut resumed = part.metadata().is_ok_and(|metadata| metadata.len() > 0);
    loop {
        if let Err(error) = append(hub, file, facts.bytes, part, progress) {
            // What came is the file's beginning where the connection or the disk failed.
            let goes_on = error.is::<io::Error>() || error.is::<WeightsUnavailable>();
            let is_empty = part.metadata().is_ok_and(|metadata| metadata.len() == 0);
            if !goes_on || is_empty {
                let _ = fs::remove_file(part);
            }
            return Err(disk_error(error, cached));
        }
        if matches_checksum(part, checksum).map_err(disk)? {
            return Ok(());
        }
        let length = part.metadata().map_or(0, |metadata| metadata.len());
        fs::remove_file(part).map_err(disk)?;
        progress.count(length, 0);
        if !std::mem::take(&mut resumed) {
            bail!(
                "{}: the {} that came from {} does not have the checksum stated there: run again",
                file.repo.name,
                file.name,
                hub.display_address
            );
        }
    }
}

/// Adds to the file `part` what it lacks, and forces it to disk.
fn append(
    hub: &HubClient<'_>,
    file: &RemoteFile<'_>,
    bytes: Option<u64>,
    part: &Path,
    progress: &Progress,
) -> Result<()> {
    if let Some(bytes) = bytes.filter(|_| progress.bar.length() == Some(0)) {
        progress.bar.set_length(bytes);
    }
    let mut part = open_part(part)?;
    let mut counted = 0;
    let mut count = |there: u64| {
        progress.count(counted, there);
        counted = there;
    };
    count(part.metadata()?.len());
    hub.fetch(file, bytes, &mut part, &mut count)?;
    Ok(part.sync_all()?)
}

/// Opens a file to go on with, or an empty one.
pub(super) fn open_part(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// Puts a blob into the snapshot, the way the cache has it: by a link to it.
fn link(blob: &Path, target: &Path, cached: &CachedRepo) -> io::Result<()> {
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    #[cfg(unix)]
    {
        // Only a link to a blob that is gone can be in the way: a file that can be read is not
        // fetched again.
        match fs::remove_file(target) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let depth = target
            .strip_prefix(&cached.folder)
            .map_or(0, |inside| inside.components().count());
        let up = Path::new("..")
            .components()
            .cycle()
            .take(depth.saturating_sub(1))
            .collect::<PathBuf>();
        let name = blob.file_name().unwrap_or_default();
        match std::os::unix::fs::symlink(up.join("blobs").join(name), target) {
            // Another process fetched the same file meanwhile.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    }
    #[cfg(not(unix))]
    {
        let _ = cached;
        fs::rename(blob, target)
    }
}

/// The error of a download: of the cache's disk, or as it is.
fn disk_error(error: anyhow::Error, cached: &CachedRepo) -> anyhow::Error {
    match error.downcast::<io::Error>() {
        Ok(error) => on_disk(error, &cached.folder),
        Err(error) => error,
    }
}

/// The error of a disk that does not take the cache's files.
pub(super) fn on_disk(error: io::Error, folder: &Path) -> anyhow::Error {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            anyhow!(
                "the disk is full: free some space for {} or set HF_HUB_CACHE to another disk",
                folder.display()
            )
        }
        _ => anyhow::Error::new(error)
            .context(format!("cannot write the cache {}", folder.display())),
    }
}

/// Whether a file has the checksum: 64 hexadecimal digits are its SHA-256, 40 the SHA-1 that git
/// gives it.
fn matches_checksum(path: &Path, checksum: &str) -> io::Result<bool> {
    if checksum.len() == 64 {
        return Ok(sha256(path)? == checksum);
    }
    let mut file = File::open(path)?;
    let header = format!("blob {}\0", file.metadata()?.len());
    Ok(hex(&digest(sha1::Sha1::new_with_prefix(header), &mut file)?) == checksum)
}

/// The SHA-256 of a file in lower-case hexadecimal.
pub(super) fn sha256(path: &Path) -> io::Result<String> {
    Ok(hex(&digest(sha2::Sha256::new(), &mut File::open(path)?)?))
}

/// The MD5 of a file in lower-case hexadecimal.
pub(super) fn md5(path: &Path) -> io::Result<String> {
    Ok(hex(&digest(md5::Md5::new(), &mut File::open(path)?)?))
}

fn digest<D: Digest>(mut hasher: D, file: &mut File) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().to_vec()),
            length => hasher.update(buffer.get(..length).unwrap_or_default()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Notes which commit a revision stands for, in one move.
///
/// # Errors
/// Returns an error if the cache cannot be written.
pub(super) fn write_ref(cached: &CachedRepo, revision: &str, commit: &str) -> Result<()> {
    let path = cached.folder.join("refs").join(revision);
    let folder = path.parent().unwrap_or(&path);
    let write = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(commit.as_bytes())?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(|error| on_disk(error, &cached.folder))
}
