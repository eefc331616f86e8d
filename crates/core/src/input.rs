//! Opens files from outside safely. A data set may name a device, a FIFO that nobody writes to, or
//! a private file elsewhere: only regular files up to a size are opened, and with a [`Boundary`]
//! only those below one folder.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, IsTerminal, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(unix)]
use rustix::fs::OFlags;

/// Size limit of an image file.
pub const MAX_IMAGE_BYTES: u64 = 64 << 20;
/// Size limit of a file of settings: an adapter, a benchmark, a run's manifest, a model's
/// configuration.
pub const MAX_SETTINGS_BYTES: u64 = 16 << 20;
/// Size limit of a document into which tables are written, and of a model's tokenizer, index or
/// font.
pub const MAX_DOCUMENT_BYTES: u64 = 64 << 20;

/// The first line of a Git LFS pointer, the small text that a clone without Git LFS has in the
/// place of a large file: <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1";

/// Opens a regular file. Never waits for a FIFO's writer.
///
/// # Errors
/// Returns an error if the file cannot be opened, or is a directory, a FIFO, a socket or a device.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32,
    );
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok(file)
    } else {
        Err(not_regular(&metadata))
    }
}

/// Opens a regular file with [`open`] and checks that it is no Git LFS pointer.
///
/// # Errors
/// Returns an error if [`open`] does, or if the file is a Git LFS pointer.
pub fn open_content(path: &Path) -> io::Result<File> {
    let mut file = open(path)?;
    let mut start = Vec::with_capacity(LFS_POINTER.len());
    (&mut file)
        .take(LFS_POINTER.len() as u64)
        .read_to_end(&mut start)?;
    check_no_pointer(&start)?;
    file.rewind()?;
    Ok(file)
}

/// Opens a file that a user names to be read once: a regular file, or a pipe such as `/dev/stdin`
/// or `<(command)`.
///
/// # Errors
/// Returns an error if the file cannot be opened, or is a directory or a device without an end.
pub fn open_stream(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() || is_pipe(&metadata) || file.is_terminal() {
        Ok(file)
    } else {
        Err(not_regular(&metadata))
    }
}

/// Reads a UTF-8 text from a file or a pipe ([`open_stream`]).
///
/// # Errors
/// Returns an error if the file cannot be opened or read, or is not UTF-8.
pub fn read_stream(path: &Path) -> io::Result<String> {
    io::read_to_string(open_stream(path)?)
}

/// Reads a regular file of at most `max` bytes.
///
/// # Errors
/// Returns an error if the file cannot be opened ([`open`]) or read, is larger, or is a Git LFS
/// pointer.
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    read_at_most(open(path)?, max)
}

/// Reads a UTF-8 text with [`read`].
///
/// # Errors
/// Returns an error if [`read`] does, or if the file is not UTF-8.
pub fn read_text(path: &Path, max: u64) -> io::Result<String> {
    String::from_utf8(read(path, max)?)
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// Reads an open file to its end.
///
/// # Errors
/// Returns an error if the file cannot be read, has more than `max` bytes, or is a Git LFS pointer.
pub fn read_at_most(file: File, max: u64) -> io::Result<Vec<u8>> {
    check_size(file.metadata()?.len(), max)?;
    let mut bytes = Vec::new();
    // A file of /proc does not state its size.
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    check_size(bytes.len() as u64, max)?;
    check_no_pointer(&bytes)?;
    Ok(bytes)
}

fn check_no_pointer(start: &[u8]) -> io::Result<()> {
    if start.starts_with(LFS_POINTER) {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "it is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder",
        ));
    }
    Ok(())
}

/// Checks that a file has at most `max` bytes.
///
/// # Errors
/// Returns an error if it has more; the error states the limit.
pub fn check_size(bytes: u64, max: u64) -> io::Result<()> {
    if bytes <= max {
        return Ok(());
    }
    Err(io::Error::new(
        ErrorKind::FileTooLarge,
        format!("it has more than {} MiB", max >> 20),
    ))
}

fn not_regular(metadata: &Metadata) -> io::Error {
    if metadata.is_dir() {
        return io::Error::new(ErrorKind::IsADirectory, "it is a directory");
    }
    io::Error::new(
        ErrorKind::InvalidInput,
        "it is not a regular file but a pipe, a socket or a device",
    )
}

#[cfg(unix)]
fn is_pipe(metadata: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    metadata.file_type().is_fifo() || metadata.file_type().is_socket()
}

#[cfg(not(unix))]
fn is_pipe(_: &Metadata) -> bool {
    false
}

/// The folder that the files of a data set must lie in, after symbolic links are followed. That of
/// a data set in the Hugging Face cache is its repository's: the files of a snapshot are links to
/// blobs beside it.
#[derive(Clone, Debug, Default)]
pub struct Boundary(Option<Arc<Path>>);

impl Boundary {
    /// The boundary `folder`, or none if `allow_outside`.
    pub fn new(folder: &Path, allow_outside: bool) -> Self {
        let real = || {
            let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
            cached_repository(&folder).unwrap_or(&folder).into()
        };
        Self((!allow_outside).then(real))
    }

    /// Whether `path` exists inside the boundary.
    pub fn contains(&self, path: &Path) -> bool {
        self.0.is_none() || self.resolve(path).is_ok()
    }

    /// Opens a regular file inside the boundary ([`open`]).
    ///
    /// # Errors
    /// Returns an error if [`open`] does, or if the file lies outside.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        open(&self.resolve(path)?)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let Some(folder) = &self.0 else {
            return Ok(path.to_owned());
        };
        let real = fs::canonicalize(path)?;
        if real.starts_with(folder) {
            return Ok(real);
        }
        let outside = format!(
            "it lies outside the data set's folder {}; --allow-outside reads it",
            folder.display()
        );
        Err(io::Error::new(ErrorKind::PermissionDenied, outside))
    }
}

/// The folder `datasets--OWNER--NAME` of the Hugging Face cache in one of whose snapshots `folder`
/// lies.
fn cached_repository(folder: &Path) -> Option<&Path> {
    let is_commit =
        |name: &str| name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    folder.ancestors().find_map(|snapshot| {
        let name = snapshot.file_name()?.to_str()?;
        let snapshots = snapshot.parent()?;
        let repository = snapshots.parent()?;
        let is_repository = repository.file_name()?.to_str()?.starts_with("datasets--");
        (is_commit(name) && snapshots.ends_with("snapshots") && is_repository).then_some(repository)
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_of_the_cache_reaches_its_blobs_and_nothing_else() {
        let cache = tempfile::tempdir().unwrap();
        let repository = cache.path().join("datasets--someone--charts");
        let snapshot = repository
            .join("snapshots")
            .join("0".repeat(40))
            .join("images");
        for folder in [&snapshot, &repository.join("blobs")] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(repository.join("blobs/abc"), "blob").unwrap();
        fs::write(cache.path().join("private"), "mine").unwrap();
        std::os::unix::fs::symlink("../../../blobs/abc", snapshot.join("a.png")).unwrap();
        std::os::unix::fs::symlink("../../../../private", snapshot.join("b.png")).unwrap();
        let boundary = Boundary::new(&snapshot, false);
        assert!(boundary.contains(&snapshot.join("a.png")));
        assert!(boundary.open(&snapshot.join("b.png")).is_err());
        // A folder that is no snapshot ends at itself.
        let blobs = Boundary::new(&repository.join("blobs"), false);
        assert!(!blobs.contains(&snapshot));
    }
}
