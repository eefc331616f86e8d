//! Writing a file so that it is there whole or not at all.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

/// How the name of a file begins that is still being written.
pub(super) const UNFINISHED: &str = ".writing-";

/// Writes a file through a temporary sibling and a rename: after a crash or on a full disk the old content, or no
/// file, is left.
///
/// # Errors
/// Names the file that could not be written.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(UNFINISHED);
        // A temporary file is private; the finished one is a file like any other.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(parent)?;
        file.write_all(content)?;
        file.as_file().sync_data()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
