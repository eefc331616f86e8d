//! The folder of the best checkpoint so far. One intact checkpoint exists at every moment. Which
//! step is the best, [`History`](super::state::History) says.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::state::{FileChecksum, file_checksums, verify_files};
use crate::adapter::training::{Precision, Provenance, Trainable};
use chartbench_core::files;

/// The folder's name after the training.
const FINISHED: &str = "checkpoint";
/// The prefix of its name during the training.
const SO_FAR: &str = "checkpoint-step-";

/// The best checkpoint in a training's folder.
#[derive(Clone, Debug)]
pub(super) struct BestCheckpoint {
    parent: PathBuf,
}

impl BestCheckpoint {
    pub(super) fn new(parent: &Path) -> Self {
        Self {
            parent: parent.to_owned(),
        }
    }

    /// The finished checkpoint, if the training has ended.
    pub(super) fn finished(&self) -> Option<PathBuf> {
        Some(self.parent.join(FINISHED)).filter(|path| path.is_dir())
    }

    /// Saves the current weights beside the former best ones; returns their files.
    ///
    /// # Errors
    /// Returns an error if a file cannot be written.
    pub(super) fn keep(
        &self,
        step: u64,
        model: &dyn Trainable,
        precision: Precision,
        provenance: &Provenance,
    ) -> Result<Vec<FileChecksum>> {
        let target = self.step_path(step);
        let failed = || {
            format!(
                "cannot keep the weights of step {step} in {}",
                target.display()
            )
        };
        let write = |folder: &Path| {
            model.write(folder, precision)?;
            provenance.write(folder)
        };
        files::replace_folder(&target, write).with_context(failed)?;
        file_checksums(&target).with_context(failed)
    }

    /// Removes the weights of all steps but `step`, which the saved state names, and the leftovers
    /// of killed trainings.
    ///
    /// # Errors
    /// Returns an error if a folder cannot be removed.
    pub(super) fn remove_others(&self, step: u64) -> Result<()> {
        let target = self.step_path(step);
        let failed = || format!("cannot read {}", self.parent.display());
        files::remove_leftovers(&self.parent);
        for entry in fs::read_dir(&self.parent).with_context(failed)? {
            let path = entry.with_context(failed)?.path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            if name.starts_with(SO_FAR) && path != target {
                fs::remove_dir_all(&path)
                    .with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Verifies the `files` of the weights of `step`.
    ///
    /// # Errors
    /// Returns an error that names the first damaged file.
    pub(super) fn check(&self, step: u64, files: &[FileChecksum]) -> Result<()> {
        let folder = self.step_path(step);
        let check = || {
            ensure!(folder.is_dir(), "there is no folder {}", folder.display());
            verify_files(&folder, files)
        };
        check().with_context(|| {
            format!(
                "the weights kept so far are damaged: remove {} to train anew",
                self.parent.display()
            )
        })
    }

    /// Gives the weights of `step` their final name.
    ///
    /// # Errors
    /// Returns an error if they are missing or cannot be renamed.
    pub(super) fn finish(&self, step: u64) -> Result<PathBuf> {
        self.remove_others(step)?;
        let (from, to) = (self.step_path(step), self.parent.join(FINISHED));
        let rename = || fs::rename(&from, &to).and_then(|()| files::sync_folder(&self.parent));
        rename()
            .with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))?;
        Ok(to)
    }

    pub(super) fn step_path(&self, step: u64) -> PathBuf {
        self.parent.join(format!("{SO_FAR}{step}"))
    }
}
