//! The checkpoint that is kept: the best step's so far, whole at every moment.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::state::{SealedFile, check_files, sealed_files};
use crate::adapter::training::{Precision, Provenance, Trainable};
use chartbench_core::files;

/// The folder's name when training has ended.
const FINISHED: &str = "checkpoint";
/// How its name begins until then.
const SO_FAR: &str = "checkpoint-step-";

/// The place of the kept checkpoint in a training's folder.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    parent: PathBuf,
}

impl Kept {
    pub(super) fn new(parent: &Path) -> Self {
        Self { parent: parent.to_owned() }
    }

    /// The finished checkpoint, where training has ended.
    pub(super) fn finished(&self) -> Option<PathBuf> {
        Some(self.parent.join(FINISHED)).filter(|path| path.is_dir())
    }

    /// Keeps the weights as they are now, beside those kept before; the files that hold them.
    ///
    /// # Errors
    /// Returns an error if a file cannot be written.
    pub(super) fn keep(
        &self,
        step: u64,
        (model, precision): (&dyn Trainable, Precision),
        provenance: &Provenance,
    ) -> Result<Vec<SealedFile>> {
        let target = self.of_step(step);
        let failed = || format!("cannot keep the weights of step {step} in {}", target.display());
        let write = |folder: &Path| {
            model.write(folder, precision)?;
            provenance.write(folder)
        };
        files::replace_folder(&target, write).with_context(failed)?;
        sealed_files(&target).with_context(failed)
    }

    /// Removes the weights of all steps but one, once the saved state knows that one, and what killed trainings left half
    /// written.
    ///
    /// # Errors
    /// Returns an error if a folder cannot be removed.
    pub(super) fn remove_others(&self, step: u64) -> Result<()> {
        let target = self.of_step(step);
        let failed = || format!("cannot read {}", self.parent.display());
        files::remove_leftovers(&self.parent);
        for entry in fs::read_dir(&self.parent).with_context(failed)? {
            let path = entry.with_context(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with(SO_FAR) && path != target {
                fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Refuses weights of `step` whose `files` are not as they were kept.
    ///
    /// # Errors
    /// Returns an error that names the first such file.
    pub(super) fn check(&self, step: u64, files: &[SealedFile]) -> Result<()> {
        let folder = self.of_step(step);
        let check = || {
            ensure!(folder.is_dir(), "there is no folder {}", folder.display());
            check_files(&folder, files)
        };
        check().with_context(|| {
            format!("the weights kept so far are damaged: remove {} to train anew", self.parent.display())
        })
    }

    /// Gives the weights of `step` their final name.
    ///
    /// # Errors
    /// They are not there, or cannot be renamed.
    pub(super) fn finish(&self, step: u64) -> Result<PathBuf> {
        self.remove_others(step)?;
        let (from, to) = (self.of_step(step), self.parent.join(FINISHED));
        let rename = || fs::rename(&from, &to).and_then(|()| files::sync_folder(&self.parent));
        rename().with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))?;
        Ok(to)
    }

    pub(super) fn of_step(&self, step: u64) -> PathBuf {
        self.parent.join(format!("{SO_FAR}{step}"))
    }
}
