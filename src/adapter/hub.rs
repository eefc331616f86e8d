//! Downloading a model into the Hugging Face cache.
//!
//! hf-hub does the transport (redirects, tokens, retries, the hub's chunk storage) into a folder aside. A file takes its
//! name in the cache only after its content was compared with the checksum that the hub states: SHA-256 for large files,
//! git's SHA-1 for the others. A hub that states neither (a mirror with tags of its own) cannot be checked.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use hf_hub::progress::{DownloadEvent, ProgressEvent, ProgressHandler};
use hf_hub::repository::RepoTypeModel;
use hf_hub::{HFClient, HFError, HFRepositorySync};
use indicatif::{ProgressBar, ProgressStyle};
use sha1::Digest;

use super::cache::{Cached, HubOptions, INDEX, Needed, shards};
use crate::files::UnfinishedFolder;

/// Fetches what the cache lacks of the files that `choose` wants of `repo` at `revision`; the snapshot's folder.
///
/// # Errors
/// See [`super::weights::locate`].
pub(super) fn download(
    repo: &str,
    revision: &str,
    cached: &Cached,
    options: &HubOptions,
    choose: Needed<'_>,
) -> Result<PathBuf> {
    let disk = |error| on_disk(error, &cached.folder);
    fs::create_dir_all(&cached.folder).map_err(disk)?;
    let staging = UnfinishedFolder::create_in(&cached.folder).map_err(disk)?;
    let session = Session { repo, revision, cached, options, hub: connect(repo, staging.path(), options)? };
    let (commit, names) = session.listing()?;
    let snapshot = cached.snapshot(&commit);
    let files = choose(&|name| names.iter().any(|listed| listed == name))
        .map_err(|missing| anyhow!("{repo}@{revision} has no {missing}"))?;
    for file in &files {
        session.fetch(file, &commit)?;
    }
    if files.iter().any(|file| file == INDEX) {
        for shard in shards(&snapshot.join(INDEX))? {
            session.fetch(&shard, &commit)?;
        }
    }
    if revision != commit {
        write_ref(&cached.folder.join("refs").join(revision), &commit).map_err(disk)?;
    }
    Ok(snapshot)
}

fn connect(repo: &str, staging: &Path, options: &HubOptions) -> Result<HFRepositorySync<RepoTypeModel>> {
    let client = HFClient::builder()
        .endpoint(&options.endpoint)
        .cache_dir(staging)
        .retry_max_attempts(options.retries)
        .build_sync()
        .map_err(|error| match error {
            HFError::Url(error) => anyhow!("HF_ENDPOINT `{}` is no address: {error}", options.endpoint),
            error => anyhow!("cannot set up a connection to {}: {error}", options.endpoint),
        })?;
    let (owner, name) = hf_hub::split_id(repo);
    Ok(client.model(owner, name))
}

/// One download of one repository.
struct Session<'a> {
    repo: &'a str,
    revision: &'a str,
    cached: &'a Cached,
    options: &'a HubOptions,
    hub: HFRepositorySync<RepoTypeModel>,
}

impl Session<'_> {
    /// The commit the revision stands for, and the names of its files.
    fn listing(&self) -> Result<(String, Vec<String>)> {
        let info = self.hub.info().revision(self.revision).send().map_err(|error| self.explain(error, None))?;
        let commit = info.sha.filter(|sha| sha.len() == 40 && sha.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let commit = commit.with_context(|| {
            format!("{} answered without a commit id for {}: is it a hub?", self.options.endpoint, self.repo)
        })?;
        let files = info.siblings.unwrap_or_default();
        Ok((commit, files.into_iter().map(|file| file.rfilename).collect()))
    }

    /// Puts one file into the snapshot, unless it is there.
    fn fetch(&self, file: &str, commit: &str) -> Result<()> {
        let place = self.cached.snapshot(commit).join(file);
        if place.is_file() {
            return Ok(());
        }
        let bar = Bar::new(self.repo, file);
        let staged = self.hub.download_file().filename(file).revision(commit).progress(bar.clone()).send();
        bar.0.finish_and_clear();
        let staged = staged.map_err(|error| self.explain(error, Some(file)))?;
        let disk = |error| on_disk(error, &self.cached.folder);
        let blob = fs::canonicalize(staged).map_err(disk)?;
        let checksum = blob.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !matches_checksum(&blob, checksum).map_err(disk)? {
            fs::remove_file(&blob).map_err(disk)?;
            bail!(
                "{}: the {file} that came from {} does not have the checksum stated there: run again",
                self.repo,
                self.options.endpoint
            );
        }
        self.keep(&blob, checksum, &place).map_err(disk)
    }

    /// Moves a checked file to its place, the way the cache has it: a blob, and a link to it in the snapshot.
    fn keep(&self, staged: &Path, checksum: &str, place: &Path) -> io::Result<()> {
        let blobs = self.cached.folder.join("blobs");
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        #[cfg(unix)]
        {
            fs::create_dir_all(&blobs)?;
            fs::rename(staged, blobs.join(checksum))?;
            // What is in the way is a link to a blob that is gone: a file that can be read is not fetched again.
            match fs::remove_file(place) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let depth = place.strip_prefix(&self.cached.folder).map_or(0, |inside| inside.components().count());
            let up = Path::new("..").components().cycle().take(depth.saturating_sub(1)).collect::<PathBuf>();
            match std::os::unix::fs::symlink(up.join("blobs").join(checksum), place) {
                // Another process fetched the same file meanwhile.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
                linked => linked,
            }
        }
        #[cfg(not(unix))]
        {
            let _ = (blobs, checksum);
            fs::rename(staged, place)
        }
    }

    /// hf-hub's error in one line with what to do about it; never with an address that may carry a signature.
    fn explain(&self, error: HFError, file: Option<&str>) -> anyhow::Error {
        let (repo, revision, endpoint) = (self.repo, self.revision, &self.options.endpoint);
        let what = file.map_or_else(|| format!("{repo}@{revision}"), |file| format!("{file} of {repo}@{revision}"));
        match error {
            HFError::AuthRequired { context } if context.error_code.as_deref() == Some("RepoNotFound") => anyhow!(
                "{endpoint} has no public repository {repo}: check the name, or set HF_TOKEN if it is a private one"
            ),
            HFError::AuthRequired { .. } | HFError::Forbidden { .. } => anyhow!(
                "{endpoint} refuses {what}: it is gated or private; accept its terms there and set HF_TOKEN to a token \
                 that may read it"
            ),
            HFError::RevisionNotFound { context: Some(context), .. }
                if context.error_code.as_deref() == Some("RevisionNotFound") =>
            {
                anyhow!("{repo} at {endpoint} has no revision `{revision}`")
            }
            HFError::RepoNotFound { .. } | HFError::RevisionNotFound { .. } => {
                anyhow!("{endpoint} has no repository {repo}, or no revision `{revision}` of it: check the name")
            }
            HFError::EntryNotFound { .. } => anyhow!("{endpoint} has no {what}, though it lists it"),
            HFError::RateLimited { .. } => anyhow!("{endpoint} gives {what} only later (429): wait, or set HF_TOKEN"),
            HFError::Http { context } => {
                anyhow!("{endpoint} answered {} for {what}: try again later", context.status.as_u16())
            }
            HFError::Request { source, .. } if source.is_connect() => anyhow!(
                "cannot reach {endpoint} for {what} ({}): check the network or HF_ENDPOINT, or name a folder with \
                 --weights",
                root(&source)
            ),
            HFError::Request { source, .. } => anyhow!("{what} broke off ({}): run again", root(&source)),
            HFError::Io(error) => on_disk(error, &self.cached.folder),
            HFError::Xet { source, .. } => anyhow!("{what} broke off ({}): run again", root(source.as_ref())),
            HFError::MalformedResponse { what: lacking, .. } => {
                anyhow!("{endpoint} does not answer as a hub for {what}: {lacking}")
            }
            other => anyhow!("{what} cannot be downloaded from {endpoint}: {other}"),
        }
    }
}

/// The innermost cause of an error: the one that does not repeat addresses.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

fn on_disk(error: io::Error, folder: &Path) -> anyhow::Error {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            anyhow!("the disk is full: free some space for {} or set HF_HUB_CACHE to another disk", folder.display())
        }
        _ => anyhow::Error::new(error).context(format!("cannot write the cache {}", folder.display())),
    }
}

/// Whether a file has the checksum, in hexadecimal, that names it; true of a name that is no checksum.
fn matches_checksum(path: &Path, checksum: &str) -> io::Result<bool> {
    let is_hex = checksum.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut file = fs::File::open(path)?;
    let digest = match checksum.len() {
        64 if is_hex => hex(&digest(sha2::Sha256::new(), &mut file)?),
        40 if is_hex => {
            let header = format!("blob {}\0", file.metadata()?.len());
            hex(&digest(sha1::Sha1::new_with_prefix(header), &mut file)?)
        }
        _ => return Ok(true),
    };
    Ok(digest == checksum.to_lowercase())
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
#[derive(Clone)]
struct Bar(ProgressBar);

impl Bar {
    fn new(repo: &str, file: &str) -> Self {
        let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::new(0).with_style(style).with_message(format!("{repo} {file}")))
    }
}

impl ProgressHandler for Bar {
    fn on_progress(&self, event: &ProgressEvent) {
        match event {
            ProgressEvent::Download(DownloadEvent::Start { total_bytes, .. }) => self.0.set_length(*total_bytes),
            ProgressEvent::Download(DownloadEvent::Progress { files }) => {
                self.0.set_position(files.iter().map(|file| file.bytes_completed).sum());
            }
            ProgressEvent::Download(DownloadEvent::AggregateProgress { bytes_completed, .. }) => {
                self.0.set_position(*bytes_completed);
            }
            _ => {}
        }
    }
}
