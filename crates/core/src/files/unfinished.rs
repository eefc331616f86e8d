//! Files and folders that are still being written. The process that writes one locks it: an
//! unlocked one is left over from a killed process, and the next write into the same folder removes
//! it.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use tempfile::{Builder, NamedTempFile, TempDir};

use super::lock;

/// Prefix of the name of a file or folder that is still being written.
const PREFIX: &str = ".writing-";
/// Random letters and digits after the prefix: more than in any name that a user would choose.
const RANDOM_CHARS: usize = 16;

/// A folder that is still being written. Dropping it removes it.
pub struct UnfinishedFolder {
    // Removed before the lock is released.
    folder: TempDir,
    _lock: Option<File>,
}

impl UnfinishedFolder {
    /// Creates an empty folder in `parent`, and removes leftovers of killed processes there.
    ///
    /// # Errors
    /// Returns an error if `parent` cannot be written to.
    pub fn create_in(parent: &Path) -> io::Result<Self> {
        remove_matching(parent, is_unmistakable);
        loop {
            let folder = builder(0o777).tempdir_in(parent)?;
            match hold(folder.path()) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                lock => {
                    return Ok(Self {
                        folder,
                        _lock: lock?,
                    });
                }
            }
        }
    }

    /// The folder's path under its temporary name, e.g. `.writing-0123456789abcdef`.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Creates an empty file in `parent`, with the permissions of `mode` that the user's mask leaves,
/// and removes leftovers of killed processes there.
pub(super) fn create_file_in(parent: &Path, mode: u32) -> io::Result<NamedTempFile> {
    remove_matching(parent, is_unmistakable);
    loop {
        let file = builder(mode).tempfile_in(parent)?;
        // Writing goes on without a lock on file systems that have none.
        let _ = file.as_file().lock();
        match file.path().symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            _ => return Ok(file),
        }
    }
}

/// Removes leftovers of killed processes from a folder that only this program writes to.
pub fn remove_leftovers(folder: &Path) {
    remove_matching(folder, |name| name.starts_with(PREFIX));
}

/// Whether a file of this name is temporary: unfinished, or a lock.
pub fn is_temporary(name: &str) -> bool {
    name.starts_with(PREFIX) || lock::is_lock(name)
}

/// Creates files with the permissions of `mode`, because a finished file is a file like any other:
/// the system makes temporary ones private.
fn builder(mode: u32) -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX).rand_bytes(RANDOM_CHARS);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

/// Locks a folder that was just created; `None` on a file system without locks. `NotFound` means
/// that another process has already removed it as a leftover.
fn hold(path: &Path) -> io::Result<Option<File>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(error),
        Err(_) => return Ok(None),
        Ok(file) => file,
    };
    if file.lock().is_err() {
        return Ok(None);
    }
    path.symlink_metadata()?;
    Ok(Some(file))
}

fn is_unmistakable(name: &str) -> bool {
    let random = name.strip_prefix(PREFIX).unwrap_or_default();
    random.len() == RANDOM_CHARS && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Removes the files and folders of these names that no living process locks. Those that cannot be
/// removed stay.
fn remove_matching(folder: &Path, is_leftover: impl Fn(&str) -> bool) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(&is_leftover) {
            let _ = remove_unheld(&entry.path());
        }
    }
}

fn remove_unheld(path: &Path) -> io::Result<()> {
    let kind = path.symlink_metadata()?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Ok(());
    }
    let file = File::open(path)?;
    file.try_lock()?;
    if kind.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_removed_and_unfinished_files_stay() {
        let parent = tempfile::tempdir().unwrap();
        let (file, folder) = (
            parent.path().join(".writing-0123456789abcdef"),
            parent.path().join(".writing-fedcba9876543210"),
        );
        fs::write(&file, "half").unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("weights"), "half").unwrap();
        // A user may choose such names.
        for name in [".writing-drafts", ".writing-0123456789abcde."] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let (held_file, held_folder) = (
            create_file_in(parent.path(), 0o666).unwrap(),
            UnfinishedFolder::create_in(parent.path()).unwrap(),
        );
        assert!(!file.exists() && !folder.exists());
        UnfinishedFolder::create_in(parent.path()).unwrap();
        remove_leftovers(parent.path());
        assert!(held_file.path().exists() && held_folder.path().exists());
        assert_eq!(
            fs::read_dir(parent.path()).unwrap().count(),
            2,
            "in a folder of the program the prefix is enough"
        );
        drop((held_file, held_folder));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_users_names_are_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        fs::create_dir(parent.path().join(".writing-drafts")).unwrap();
        fs::write(parent.path().join(".writing-0123456789abcde."), "").unwrap();
        create_file_in(parent.path(), 0o666).unwrap();
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 2);
    }
}
