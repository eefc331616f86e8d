//! Locks between processes, each in a file of its own: the guarded file may be replaced while the
//! lock is held.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

const SUFFIX: &str = ".lock";
/// Waits are reported after this time.
const PATIENCE: Duration = Duration::from_secs(2);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A lock that is held until it is dropped, or its process ends. The lock of `FILE` is `.FILE.lock`
/// beside it.
#[derive(Debug)]
pub struct FileLock {
    path: PathBuf,
    file: File,
}

impl FileLock {
    /// Waits for the lock of `guarded`, whose folder exists.
    ///
    /// # Errors
    /// Returns an error if the lock's file cannot be created or locked.
    pub fn acquire(guarded: &Path) -> Result<Self> {
        let (started, mut is_reported) = (Instant::now(), false);
        loop {
            if let Some(lock) = Self::try_acquire(guarded)? {
                return Ok(lock);
            }
            if !is_reported && started.elapsed() > PATIENCE {
                crate::note!(
                    "waiting until another chartbench process has written {}",
                    guarded.display()
                );
                is_reported = true;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Takes the lock of `guarded`, whose folder exists; `None` while another process has it.
    ///
    /// # Errors
    /// Returns an error if the lock's file cannot be created or locked.
    pub fn try_acquire(guarded: &Path) -> Result<Option<Self>> {
        let path = lock_path(guarded);
        loop {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path);
            let file = file.with_context(|| format!("cannot create {}", path.display()))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock {}", path.display()));
                }
            }
            // Its last holder may remove the file between the two calls.
            if is_at(&file, &path) {
                return Ok(Some(Self { path, file }));
            }
        }
    }

    /// Whether a process has the lock of `guarded`. Nothing is created.
    ///
    /// # Errors
    /// Returns an error if the lock's file cannot be opened or locked.
    pub fn is_held(guarded: &Path) -> Result<bool> {
        let path = lock_path(guarded);
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            file => file.with_context(|| format!("cannot open {}", path.display()))?,
        };
        match file.try_lock_shared() {
            Ok(()) => {
                let _ = file.unlock();
                Ok(false)
            }
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }
}

impl Drop for FileLock {
    /// Closing alone would leave the lock with a child process that was being started meanwhile.
    fn drop(&mut self) {
        if cfg!(unix) {
            let _ = std::fs::remove_file(&self.path);
        }
        let _ = self.file.unlock();
    }
}

/// Whether a file's name is that of a lock's file.
pub(super) fn is_lock(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(SUFFIX)
}

fn lock_path(guarded: &Path) -> PathBuf {
    let name = guarded.file_name().unwrap_or_default().to_string_lossy();
    guarded.with_file_name(format!(".{name}{SUFFIX}"))
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let both = file.metadata().ok().zip(path.metadata().ok());
    both.is_some_and(|(held, found)| identity(held) == identity(found))
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_has_the_lock_and_its_file_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let guarded = dir.path().join("log");
        let first = FileLock::try_acquire(&guarded).unwrap().unwrap();
        assert!(FileLock::try_acquire(&guarded).unwrap().is_none());
        assert!(FileLock::is_held(&guarded).unwrap());
        drop(first);
        assert!(!FileLock::is_held(&guarded).unwrap());
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            usize::from(cfg!(not(unix)))
        );
        assert!(FileLock::try_acquire(&guarded).unwrap().is_some());
        // The file of a killed process is left, without a lock.
        std::fs::write(lock_path(&guarded), "").unwrap();
        assert!(!FileLock::is_held(&guarded).unwrap());
        assert!(lock_path(&guarded).exists());
    }

    #[test]
    fn waiting_processes_take_turns() {
        let dir = tempfile::tempdir().unwrap();
        let guarded = dir.path().join("count");
        std::fs::write(&guarded, "0").unwrap();
        let add = || {
            for _ in 0..20 {
                let _lock = FileLock::acquire(&guarded).unwrap();
                let count: usize = std::fs::read_to_string(&guarded).unwrap().parse().unwrap();
                std::fs::write(&guarded, (count + 1).to_string()).unwrap();
            }
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(add))));
        assert_eq!(std::fs::read_to_string(&guarded).unwrap(), "80");
    }
}
