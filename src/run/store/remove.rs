//! Removes a run directory, and nothing that is not part of a run.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::Manifest;
use super::data_folder::DATA_FOLDER;
use super::logs::PREDICTIONS;
use super::run_dir::{FINGERPRINT, LEADERBOARD, MANIFEST};
use chartbench_core::files::{FileLock, is_temporary, remove_leftovers};

/// Removes the run at `dir` while it holds the locks of the manifest and of every log. No link is
/// followed. The manifest goes last: what a killed removal leaves is still a run, to be removed
/// again.
///
/// # Errors
/// Returns an error before anything is removed if the folder is a link or is not a run directory,
/// holds something that no run has, or another process works on the run; and if a file cannot be
/// removed.
pub fn remove_run(dir: &Path) -> Result<()> {
    // A path that ends in a slash would lead through a link.
    let dir: PathBuf = dir.components().collect();
    let is_named = matches!(dir.components().next_back(), Some(Component::Normal(_)));
    let kind = dir.symlink_metadata();
    let kind = kind.with_context(|| format!("cannot read {}", dir.display()))?;
    ensure!(
        is_named && kind.is_dir(),
        "{} is not a folder of its own but leads to one: name that folder",
        dir.display()
    );
    let manifest_file = dir.join(MANIFEST);
    ensure!(
        manifest_file
            .symlink_metadata()
            .is_ok_and(|file| file.is_file()),
        "{} is not a run directory: it has no {MANIFEST}",
        dir.display()
    );
    let manifest_lock = lock(&manifest_file, &dir)?;
    let manifest = Manifest::read(&manifest_file)?;
    remove_leftovers(&dir);
    let contents = Contents::list(&dir, &manifest)?;
    let mut log_locks = Vec::new();
    for folder in &contents.adapters {
        for log in logs(folder)? {
            log_locks.push(lock(&log, &dir)?);
        }
    }
    for folder in &contents.adapters {
        fs::remove_dir_all(folder).with_context(|| cannot_remove(folder))?;
    }
    for file in contents.files.iter().chain([&manifest_file]) {
        fs::remove_file(file).with_context(|| cannot_remove(file))?;
    }
    drop((log_locks, manifest_lock));
    if cfg!(not(unix)) {
        // There a released lock leaves its file.
        let _ = fs::remove_file(dir.join(format!(".{MANIFEST}.lock")));
    }
    // Not with what is in it: another process may have begun a run of this name.
    fs::remove_dir(&dir).with_context(|| cannot_remove(&dir))
}

fn cannot_remove(path: &Path) -> String {
    format!("cannot remove {}", path.display())
}

fn lock(guarded: &Path, dir: &Path) -> Result<FileLock> {
    FileLock::try_acquire(guarded)?.with_context(|| {
        format!(
            "{} is in use by another chartbench process: remove it when that has ended",
            dir.display()
        )
    })
}

/// What a run directory holds besides its manifest, locks and unfinished files.
#[derive(Default)]
struct Contents {
    adapters: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Contents {
    /// # Errors
    /// Returns an error if the folder cannot be read, or holds something that no run has.
    fn list(dir: &Path, manifest: &Manifest) -> Result<Self> {
        let mut contents = Self::default();
        for path in entries(dir)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let kind = path.symlink_metadata();
            let kind = kind.with_context(|| format!("cannot read {}", path.display()))?;
            let in_manifest = || manifest.adapters.iter().any(|entry| entry.id == *name);
            if kind.is_dir() && (in_manifest() || is_adapter_folder(&path)?) {
                contents.adapters.push(path);
            } else if kind.is_file() && (name == LEADERBOARD || name == DATA_FOLDER) {
                contents.files.push(path);
            } else {
                ensure!(
                    name == MANIFEST || is_temporary(&name),
                    "{} is not part of the run: move it away first",
                    path.display()
                );
            }
        }
        Ok(contents)
    }
}

/// Whether a folder is an adapter's that the manifest does not name yet: it has a log or a
/// fingerprint, or nothing at all.
fn is_adapter_folder(folder: &Path) -> Result<bool> {
    let is_empty = entries(folder)?.is_empty();
    let has_fingerprint = folder.join(FINGERPRINT).is_file();
    Ok(is_empty || has_fingerprint || logs(folder)?.iter().any(|log| log.is_file()))
}

/// The logs of an adapter: predictions, whether there are any yet, and whatever else is appended to
/// while a process works.
fn logs(folder: &Path) -> Result<Vec<PathBuf>> {
    let predictions = folder.join(PREDICTIONS);
    let mut logs = entries(folder)?;
    logs.retain(|path| *path != predictions && path.extension().is_some_and(|end| end == "jsonl"));
    logs.push(predictions);
    Ok(logs)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot_read = || format!("cannot read {}", folder.display());
    let entries = fs::read_dir(folder).with_context(cannot_read)?;
    let paths = entries.map(|entry| Ok(entry.with_context(cannot_read)?.path()));
    paths.collect()
}
