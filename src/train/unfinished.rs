//! Folders that are being written: they take their name when all their files are there.

use std::io;
use std::path::Path;

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
