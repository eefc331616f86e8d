//! Downloading a model into the Hugging Face cache.
//!
//! A file is written aside, and takes its name in the cache only after its content was compared
//! with the checksum that the hub states: SHA-256 for large files, git's SHA-1 for the others. A
//! hub that states neither (a mirror with tags of its own) cannot be checked. Paths are made of
//! names that were asked for, a checked commit id and checksums: nothing that a hub sends leads out
//! of the cache.

use std::fs;
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use sha1::Digest;

use super::cache::{CachedRepo, HubOptions, Needed, is_relative, shard_index, shards};
use super::client::{HubClient, RemoteFile};
use chartbench_core::files::UnfinishedFolder;

/// Downloads the files that `choose` selects of `repo` at `revision` and the cache lacks; returns
/// the snapshot's folder.
///
/// # Errors
/// See [`super::locate`].
pub(super) fn download(
    repo: &str,
    revision: &str,
    cached: &CachedRepo,
    options: &HubOptions,
    choose: Needed<'_>,
) -> Result<PathBuf> {
    let disk = |error| on_disk(error, &cached.folder);
    let hub = HubClient::new(options)?;
    let (commit, names) = hub.listing(repo, revision)?;
    let snapshot = cached.snapshot(&commit);
    let files = choose(&|name| names.iter().any(|listed| listed == name))
        .map_err(|missing| anyhow!("{repo}@{revision} has no {missing}"))?;
    fs::create_dir_all(&cached.folder).map_err(disk)?;
    let staging = UnfinishedFolder::create_in(&cached.folder).map_err(disk)?;
    let staged = staging.path().join("file");
    let mut unchecked = 0;
    let mut fetch_named = |name: &str| -> Result<()> {
        let file = RemoteFile {
            repo,
            revision,
            commit: &commit,
            name,
        };
        unchecked += usize::from(fetch(&hub, &file, &staged, cached)? == Fetched::Unchecked);
        Ok(())
    };
    for file in &files {
        fetch_named(file)?;
    }
    if let Some(index) = shard_index(&files) {
        for shard in shards(&snapshot.join(index))? {
            fetch_named(&shard)?;
        }
    }
    if unchecked > 0 {
        let hub = &hub.display_address;
        chartbench_core::note!(
            "note: {hub} states no checksum for {unchecked} files of {repo}: they are kept unchecked"
        );
    }
    if revision != commit {
        write_ref(&cached.folder.join("refs").join(revision), &commit).map_err(disk)?;
    }
    Ok(snapshot)
}

/// How a file came into the snapshot.
#[derive(PartialEq, Eq)]
enum Fetched {
    AlreadyThere,
    Checked,
    /// The hub states no checksum.
    Unchecked,
}

/// Downloads one file into the snapshot by way of `staged`, unless the snapshot has it.
fn fetch(
    hub: &HubClient<'_>,
    file: &RemoteFile<'_>,
    staged: &Path,
    cached: &CachedRepo,
) -> Result<Fetched> {
    ensure!(
        is_relative(file.name),
        "`{}` is no file of a repository",
        file.name
    );
    let target = cached.snapshot(file.commit).join(file.name);
    if target.is_file() {
        return Ok(Fetched::AlreadyThere);
    }
    let facts = hub.facts(file)?;
    let disk = |error| on_disk(error, &cached.folder);
    let bar = progress_bar(file, facts.bytes);
    let mut out = BufWriter::new(fs::File::create(staged).map_err(disk)?);
    let fetched = hub.fetch(file, facts.bytes, &mut out, &mut |bytes| {
        bar.set_position(bytes)
    });
    bar.finish_and_clear();
    fetched.map_err(|error| match error.downcast::<io::Error>() {
        Ok(error) => disk(error),
        Err(error) => error,
    })?;
    out.flush()
        .and_then(|()| out.get_ref().sync_all())
        .map_err(disk)?;
    drop(out);
    let (checksum, fetched) = match facts.checksum {
        Some(checksum) if matches_checksum(staged, &checksum).map_err(disk)? => {
            (checksum, Fetched::Checked)
        }
        Some(_) => bail!(
            "{}: the {} that came from {} does not have the checksum stated there: run again",
            file.repo,
            file.name,
            hub.display_address
        ),
        None => (sha256(staged).map_err(disk)?, Fetched::Unchecked),
    };
    keep(staged, &checksum, &target, cached).map_err(disk)?;
    Ok(fetched)
}

/// Moves a file to its place, the way the cache has it: a blob under its checksum, and a link to it
/// in the snapshot.
fn keep(staged: &Path, checksum: &str, target: &Path, cached: &CachedRepo) -> io::Result<()> {
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    #[cfg(unix)]
    {
        let blobs = cached.folder.join("blobs");
        fs::create_dir_all(&blobs)?;
        fs::rename(staged, blobs.join(checksum))?;
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
        match std::os::unix::fs::symlink(up.join("blobs").join(checksum), target) {
            // Another process fetched the same file meanwhile.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    }
    #[cfg(not(unix))]
    {
        let _ = (cached, checksum);
        fs::rename(staged, target)
    }
}

fn on_disk(error: io::Error, folder: &Path) -> anyhow::Error {
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
    let mut file = fs::File::open(path)?;
    let header = format!("blob {}\0", file.metadata()?.len());
    Ok(hex(&digest(sha1::Sha1::new_with_prefix(header), &mut file)?) == checksum)
}

fn sha256(path: &Path) -> io::Result<String> {
    Ok(hex(&digest(
        sha2::Sha256::new(),
        &mut fs::File::open(path)?,
    )?))
}

fn digest<D: Digest>(mut hasher: D, file: &mut fs::File) -> io::Result<Vec<u8>> {
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
fn write_ref(path: &Path, commit: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(commit.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

/// One file's progress on stderr; draws nothing where that is no terminal.
fn progress_bar(file: &RemoteFile<'_>, bytes: Option<u64>) -> ProgressBar {
    let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(bytes.unwrap_or(0)).with_style(style);
    bar.with_message(format!("{} {}", file.repo, file.name))
}
