//! Writes a file whole or not at all.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::unfinished::create_file_in;

/// The longest chain of symbolic links that is followed.
const MAX_LINKS: usize = 40;

/// Writes a file: after a crash or on a full disk it has the old content or the new, never a part.
/// Symbolic links are followed, and a replaced file keeps its mode. A terminal, a pipe or a device
/// is written to directly.
///
/// # Errors
/// Returns an error if the file cannot be written, and names it.
pub fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    replace_file(path, |to| to.write_all(content))
}

/// [`write_file`], with the content that `write` writes.
///
/// # Errors
/// Returns an error if the file cannot be written, and names it.
pub fn replace_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let replace = || -> io::Result<()> {
        let target = follow_links(path)?;
        if let Some(number) = descriptor(&target) {
            return write_descriptor(number, &target, write);
        }
        match target.metadata() {
            Ok(metadata) if metadata.is_dir() => Err(ErrorKind::IsADirectory.into()),
            Ok(metadata) if metadata.is_file() => replace_regular(&target, Some(&metadata), write),
            Ok(_) => write_through(OpenOptions::new().write(true).open(&target)?, write),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                replace_regular(&target, None, write)
            }
            Err(error) => Err(error),
        }
    };
    replace().with_context(|| format!("cannot write {}", path.display()))
}

/// Forces a folder's list of files to disk, on systems that support it.
///
/// # Errors
/// Returns an error if the disk fails.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Not every file system can, and not every folder that can be written to can be read.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// The folder that `path` is in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// The path that a symbolic link, or a chain of them, leads to. It need not exist.
pub(super) fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        // A link to an open file does not lead to a path.
        if descriptor(&target).is_some() {
            return Ok(target);
        }
        match fs::read_link(&target) {
            Ok(link) => target = parent(&target).join(link),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn replace_regular(
    target: &Path,
    replaced: Option<&Metadata>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let file = create_file_in(parent(target), replaced.map_or(0o666, mode))?;
    if let Some(replaced) = replaced {
        keep_permissions(file.as_file(), replaced)?;
    }
    let mut writer = BufWriter::new(file.as_file());
    write(&mut writer)?;
    writer.flush()?;
    drop(writer);
    file.as_file().sync_all()?;
    let file = file.persist(target).map_err(|error| error.error)?;
    // Closing alone would leave the lock with a child process that was being started meanwhile.
    let _ = file.unlock();
    sync_folder(parent(target))
}

fn write_through(
    file: File,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut writer = BufWriter::new(file);
    write(&mut writer)?;
    writer.flush()
}

/// Writes to standard output and standard error where they are: opening a file behind them again
/// would overwrite it.
fn write_descriptor(
    number: u32,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    match number {
        1 => {
            let mut stdout = io::stdout().lock();
            write(&mut stdout).and_then(|()| stdout.flush())
        }
        2 => write(&mut io::stderr().lock()),
        _ => write_through(OpenOptions::new().append(true).open(path)?, write),
    }
}

/// The number of the open file of this process that `path` names: `/proc/self/fd/1` or `/dev/fd/1`.
fn descriptor(path: &Path) -> Option<u32> {
    let folder = path.parent()?;
    let is_own = |process: &Path| {
        let name = process
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        process.parent() == Some(Path::new("/proc"))
            && (name == "self" || name == std::process::id().to_string())
    };
    let is_list = folder == Path::new("/dev/fd")
        || (folder.ends_with("fd") && folder.parent().is_some_and(is_own));
    path.file_name().filter(|_| is_list)?.to_str()?.parse().ok()
}

#[cfg(unix)]
fn mode(metadata: &Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777
}

#[cfg(not(unix))]
fn mode(_: &Metadata) -> u32 {
    0
}

/// Gives `file` the mode of the file it replaces and, where the user may, its owner.
fn keep_permissions(file: &File, replaced: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (replaced.uid(), replaced.gid()) {
            let _ = fchown(file, Some(replaced.uid()), Some(replaced.gid()));
        }
    }
    file.set_permissions(replaced.permissions())
}

/// Whether the system refused to store more: the disk, the user's quota or the largest size of a
/// file is used up.
pub fn is_disk_full(error: &anyhow::Error) -> bool {
    const FULL: [ErrorKind; 3] = [
        ErrorKind::StorageFull,
        ErrorKind::QuotaExceeded,
        ErrorKind::FileTooLarge,
    ];
    // Errors of this program's own bounds have no error number of the system.
    let is_full =
        |error: &io::Error| error.raw_os_error().is_some() && FULL.contains(&error.kind());
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref())
        .any(is_full)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_and_a_link_its_target() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("private"), dir.path().join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        symlink("private", &link).unwrap();
        write_file(&link, b"new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o7777,
            0o600
        );
        assert!(link.symlink_metadata().unwrap().file_type().is_symlink());
        // A link to a file that is still to be made, through another link.
        symlink("later", dir.path().join("second")).unwrap();
        symlink("second", dir.path().join("first")).unwrap();
        write_file(&dir.path().join("first"), b"made").unwrap();
        assert_eq!(
            fs::read_to_string(dir.path().join("later")).unwrap(),
            "made"
        );
        assert_eq!(
            names(dir.path()),
            ["first", "later", "link", "private", "second"]
        );
        symlink("round", dir.path().join("round")).unwrap();
        let error = write_file(&dir.path().join("round"), b"").unwrap_err();
        assert!(
            format!("{error:#}").ends_with("round: too many symbolic links"),
            "{error:#}"
        );
    }

    #[test]
    fn a_pipe_is_written_to_and_a_folder_refused() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut text = String::new();
                File::open(pipe).unwrap().read_to_string(&mut text).unwrap();
                text
            }
        });
        write_file(&pipe, b"through").unwrap();
        assert_eq!(reader.join().unwrap(), "through");
        assert_eq!(names(dir.path()), ["pipe"]);
        let error = write_file(dir.path(), b"").unwrap_err();
        assert!(
            format!("{error:#}").starts_with(&format!("cannot write {}", dir.path().display())),
            "{error:#}"
        );
        write_file(Path::new("/dev/null"), b"gone").unwrap();
        assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
    }

    #[test]
    fn a_disk_that_is_full_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "old").unwrap();
        let full = |to: &mut dyn Write| {
            to.write_all(b"half")?;
            Err(ErrorKind::StorageFull.into())
        };
        assert!(format!("{:#}", replace_file(&file, full).unwrap_err()).contains("cannot write"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        assert_eq!(names(dir.path()), ["file"]);
        // A device that is always full says so.
        assert!(
            write_file(Path::new("/dev/full"), b"x").is_err() || !Path::new("/dev/full").exists()
        );
    }

    #[test]
    fn the_open_files_of_this_process_are_known_by_name() {
        let own = format!("/proc/{}/fd/7", std::process::id());
        for (path, number) in [("/dev/fd/1", 1), ("/proc/self/fd/2", 2), (own.as_str(), 7)] {
            assert_eq!(descriptor(Path::new(path)), Some(number), "{path}");
        }
        for path in [
            "/proc/1/fd/1",
            "/srv/fd/1",
            "fd/1",
            "/dev/fd",
            "/dev/stdout",
            "/",
        ] {
            assert_eq!(descriptor(Path::new(path)), None, "{path}");
        }
    }
}
