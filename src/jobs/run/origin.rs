//! Where an adapter's files came from: stored beside its settings, and no part of what is compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::adapter::HubSnapshot;
use crate::adapter::hub::HubOptions;
use crate::config::WeightsSource;
use crate::jobs::SelectedAdapter;
use crate::run::store::{AdapterEntry, HubSource};
use chartbench_nn::file_sha256;

/// The kinds of files that a checkpoint or an export is made of.
const EXTENSIONS: [&str; 7] = [
    "json",
    "safetensors",
    "bin",
    "gguf",
    "onnx",
    "onnx_data",
    "data",
];
/// Most files of a repository whose hashes are stored.
const MAX_FILES: usize = 256;

/// Where an adapter's files came from.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    folder: Option<String>,
    sources: Vec<HubSource>,
}

impl Origin {
    /// The origin of an adapter of the run in the folder `run`, once it is loaded.
    pub(super) fn new(selected: &SelectedAdapter, run: &Path, hub: &HubOptions) -> Self {
        let models = std::iter::once(&selected.model).chain(&selected.reader);
        let snapshots = models.filter_map(|model| HubSnapshot::find(model, hub));
        Self {
            folder: checkpoint_folder(selected, run),
            sources: snapshots.map(source).collect(),
        }
    }

    /// The entry with its origin.
    pub(super) fn describe(self, entry: AdapterEntry) -> AdapterEntry {
        entry.with_folder(self.folder).with_sources(self.sources)
    }
}

/// The checkpoint's folder as the user or the adapter file names it; one of the run's own is no
/// news.
fn checkpoint_folder(selected: &SelectedAdapter, run: &Path) -> Option<String> {
    let own = match selected.model.spec.family.weights() {
        Some(WeightsSource::Folder(folder)) => Some(folder),
        _ => None,
    };
    let folder = selected.model.weights.as_ref().or(own)?;
    (!folder.starts_with(run)).then(|| folder.display().to_string())
}

/// The repository with the hashes of the files that are in the cache.
fn source(snapshot: HubSnapshot) -> HubSource {
    let mut files = BTreeMap::new();
    add_files(&snapshot.folder, "", &mut files);
    // Exports lie at the top of a repository or in a folder of this name.
    add_files(&snapshot.folder.join("onnx"), "onnx/", &mut files);
    HubSource {
        repo: snapshot.repo,
        revision: snapshot.revision,
        commit: snapshot.commit,
        files,
    }
}

/// Adds the files of a folder; one that cannot be read has no hash.
fn add_files(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_part = extension.is_some_and(|extension| EXTENSIONS.contains(&extension));
        let name = entry.file_name().into_string();
        if let (true, true, Ok(name)) = (is_part, files.len() < MAX_FILES, name)
            && let Some(hash) = sha256(&path)
        {
            files.insert(format!("{prefix}{name}"), hash);
        }
    }
}

/// The SHA-256 of a file. A large file of the cache is a link to a blob whose name is its hash,
/// which was checked when it was downloaded.
fn sha256(path: &Path) -> Option<String> {
    let blob = fs::read_link(path).ok();
    let name = blob
        .as_deref()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str())
        .filter(|name| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()));
    match name {
        Some(name) => Some(name.to_lowercase()),
        None => file_sha256(path).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_snapshot_is_stored_with_the_hashes_of_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("snapshots").join("0a".repeat(20));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.json"), "{}").unwrap();
        fs::write(folder.join("README.md"), "text").unwrap();
        let blob = "F".repeat(64);
        let link = Path::new("../../blobs").join(&blob);
        std::os::unix::fs::symlink(link, folder.join("model.safetensors")).unwrap();
        let stored = source(HubSnapshot {
            repo: "a/b".to_owned(),
            revision: "main".to_owned(),
            commit: "0a".repeat(20),
            folder,
        });
        let files: Vec<(&str, &str)> = stored
            .files
            .iter()
            .map(|(name, hash)| (name.as_str(), hash.as_str()))
            .collect();
        let empty_object = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(
            files,
            [
                ("config.json", empty_object),
                ("model.safetensors", blob.to_lowercase().as_str())
            ]
        );
    }
}
