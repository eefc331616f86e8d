//! Writes a folder whole or not at all.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;

use super::UnfinishedFolder;
use super::atomic::{follow_links, parent, sync_folder};

/// Prefix of a folder's name while another takes its place, on systems that cannot exchange two in
/// one step.
const FORMER: &str = ".former-";

/// Writes a folder whole or not at all. An existing folder at `target` is removed after the new one
/// has taken its place: whenever the process is killed, one of the two exists and is whole.
///
/// # Errors
/// Returns an error if `write` does, or if the folder cannot be written; the old folder then stays.
pub fn replace_folder(target: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let target = follow_links(target)?;
    recover_folder(&target)?;
    let replaced = match target.metadata() {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", target.display()));
        }
    };
    ensure!(
        replaced.as_ref().is_none_or(|replaced| replaced.is_dir()),
        "{} is not a folder",
        target.display()
    );
    let unfinished = fill(&target, write)?;
    match replaced {
        None => fs::rename(unfinished.path(), &target)?,
        Some(replaced) => {
            fs::set_permissions(unfinished.path(), replaced.permissions())?;
            exchange(unfinished.path(), &target).or_else(|_| swap(unfinished.path(), &target))?;
        }
    }
    // The old folder may now have the name of `unfinished`, and is removed with it.
    Ok(sync_folder(parent(&target))?)
}

/// Writes a folder whole or not at all; `target` is an empty folder, or does not exist.
///
/// # Errors
/// Returns an error if `write` does, if `target` is not empty, or if the folder cannot be written.
pub fn create_folder(target: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let target = follow_links(target)?;
    let unfinished = fill(&target, write)?;
    if cfg!(not(unix)) {
        let _ = fs::remove_dir(&target);
    }
    fs::rename(unfinished.path(), &target)
        .with_context(|| format!("cannot create {}", target.display()))?;
    Ok(sync_folder(parent(&target))?)
}

/// Restores the name of a folder after a process was killed while [`replace_folder`] replaced it in
/// two steps.
///
/// # Errors
/// Returns an error if the folder cannot be renamed.
pub fn recover_folder(target: &Path) -> io::Result<()> {
    let former = former(target);
    if former.symlink_metadata().is_err() {
        return Ok(());
    }
    match target.symlink_metadata() {
        Ok(_) => fs::remove_dir_all(former),
        Err(_) => fs::rename(former, target),
    }
}

/// Writes the folder under a temporary name beside `target`, and forces it to disk.
fn fill(target: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<UnfinishedFolder> {
    let unfinished = UnfinishedFolder::create_in(parent(target))
        .with_context(|| format!("cannot write into {}", parent(target).display()))?;
    write(unfinished.path())?;
    sync_tree(unfinished.path()).with_context(|| format!("cannot write {}", target.display()))?;
    Ok(unfinished)
}

/// Forces every file of a folder and its sub-folders to disk.
fn sync_tree(folder: &Path) -> io::Result<()> {
    let paths: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    paths.par_iter().try_for_each(|path| match path.is_dir() {
        true => sync_tree(path),
        false => File::open(path)?.sync_all(),
    })?;
    sync_folder(folder)
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn exchange(new: &Path, target: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, new, CWD, target, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// [`exchange`] in two steps; [`recover_folder`] repairs the state after a kill between them.
fn swap(new: &Path, target: &Path) -> io::Result<()> {
    let former = former(target);
    fs::rename(target, &former)?;
    if let Err(error) = fs::rename(new, target) {
        fs::rename(&former, target)?;
        return Err(error);
    }
    sync_folder(parent(target))?;
    fs::remove_dir_all(former)
}

fn former(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!("{FORMER}{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill_with(content: &'static str) -> impl FnOnce(&Path) -> Result<()> {
        move |folder| {
            fs::create_dir(folder.join("sub"))?;
            fs::write(folder.join("sub/b"), content)?;
            Ok(fs::write(folder.join("a"), content)?)
        }
    }

    /// The content of the folder's files, which must be equal.
    fn content(folder: &Path) -> String {
        let [a, b] = ["a", "sub/b"].map(|name| fs::read_to_string(folder.join(name)).unwrap());
        assert_eq!(a, b);
        a
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_folder_is_replaced_whole_and_nothing_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("checkpoint");
        for text in ["one", "two"] {
            replace_folder(&target, fill_with(text)).unwrap();
            assert_eq!(content(&target), text);
        }
        let failed = replace_folder(&target, |folder| {
            fs::write(folder.join("a"), "half")?;
            anyhow::bail!("no space left on device")
        });
        assert_eq!(failed.unwrap_err().to_string(), "no space left on device");
        assert_eq!(content(&target), "two");
        assert_eq!(names(dir.path()), ["checkpoint"]);
        let error = replace_folder(&target.join("a"), fill_with("x")).unwrap_err();
        assert!(error.to_string().ends_with("is not a folder"), "{error:#}");
    }

    #[test]
    fn a_kill_between_two_steps_leaves_the_old_folder() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("checkpoint");
        replace_folder(&target, fill_with("old")).unwrap();
        // The state between the two renames of a system that cannot exchange.
        fs::rename(&target, former(&target)).unwrap();
        recover_folder(&target).unwrap();
        assert_eq!(content(&target), "old");
        fs::rename(&target, former(&target)).unwrap();
        assert!(replace_folder(&target, |_| anyhow::bail!("full")).is_err());
        assert_eq!(content(&target), "old");
        let unfinished = fill(&target, fill_with("new")).unwrap();
        swap(unfinished.path(), &target).unwrap();
        assert_eq!(content(&target), "new");
        // Killed before the old one was removed.
        fs::create_dir(former(&target)).unwrap();
        replace_folder(&target, fill_with("newer")).unwrap();
        drop(unfinished);
        assert_eq!(
            (content(&target).as_str(), names(dir.path())),
            ("newer", vec!["checkpoint".to_owned()])
        );
    }

    #[test]
    fn a_folder_with_something_in_it_is_not_created_anew() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("data");
        fs::create_dir(&target).unwrap();
        create_folder(&target, fill_with("new")).unwrap();
        assert_eq!(content(&target), "new");
        assert!(create_folder(&target, fill_with("newer")).is_err());
        assert_eq!(
            (content(&target).as_str(), names(dir.path())),
            ("new", vec!["data".to_owned()])
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_the_folder_behind_it_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        replace_folder(&real, fill_with("old")).unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        replace_folder(&link, fill_with("new")).unwrap();
        assert_eq!(content(&real), "new");
        assert!(link.symlink_metadata().unwrap().file_type().is_symlink());
    }
}
