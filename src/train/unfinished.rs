//! Folders that are being written: they take their name when all their files are there.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

/// How the name of a folder begins that is still being written; of a killed training it stays.
pub(super) const UNFINISHED: &str = ".writing-";

/// A new one in `parent`; dropped, and so removed, on every error.
pub(super) fn unfinished_in(parent: &Path) -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED);
    // A temporary folder is private; the finished one is a folder like any other.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    builder.tempdir_in(parent)
}

/// Writes a folder that is there whole or not at all, in the place of one of its name.
///
/// # Errors
/// What `write` refuses, and a disk that does.
pub fn write_whole(target: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let folder = unfinished_in(target.parent().unwrap_or(Path::new(".")))?;
    write(folder.path())?;
    for entry in fs::read_dir(folder.path())? {
        File::open(entry?.path())?.sync_all()?;
    }
    if target.exists() {
        fs::remove_dir_all(target)?;
    }
    fs::rename(folder.path(), target)?;
    Ok(())
}
