//! The project's own files as seeds, and folders for inputs that are read from disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

/// A path of the repository.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(relative)
}

pub fn read(relative: &str) -> Vec<u8> {
    fs::read(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

/// The contents of all files in a folder, in the order of their names.
pub fn read_all(folder: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = fs::read_dir(path(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .iter()
        .filter(|file| file.is_file())
        .map(|file| fs::read(file).unwrap())
        .collect()
}

/// Texts as seeds.
pub fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// The process's folder for inputs, with `fill` called on it once.
pub fn scratch(fill: impl FnOnce(&Path)) -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = tempfile::tempdir().expect("cannot make a folder");
            fill(folder.path());
            folder
        })
        .path()
}

pub fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("cannot write the input");
}
