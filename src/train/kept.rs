//! The checkpoint that is kept: the best step's so far, whole at every moment.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::adapter::training::{Precision, Provenance, Trainable};
use crate::files;

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

    /// Keeps the weights as they are now and lets go of those kept before.
    ///
    /// # Errors
    /// A file that cannot be written; what was kept before then stays.
    pub(super) fn keep(
        &self,
        step: u64,
        (model, precision): (&dyn Trainable, Precision),
        provenance: &Provenance,
    ) -> Result<PathBuf> {
        let target = self.of_step(step);
        let failed = || format!("cannot keep the weights of step {step} in {}", target.display());
        let write = |folder: &Path| {
            model.write(folder, precision)?;
            provenance.write(folder)
        };
        files::replace_folder(&target, write).with_context(failed)?;
        // What killed trainings left half written goes too.
        files::remove_leftovers(&self.parent);
        for entry in fs::read_dir(&self.parent).with_context(failed)? {
            let path = entry.with_context(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with(SO_FAR) && path != target {
                fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(target)
    }

    /// Gives the weights of `step` their final name.
    ///
    /// # Errors
    /// They are not there, or cannot be renamed.
    pub(super) fn finish(&self, step: u64) -> Result<PathBuf> {
        let (from, to) = (self.of_step(step), self.parent.join(FINISHED));
        let rename = || fs::rename(&from, &to).and_then(|()| files::sync_folder(&self.parent));
        rename().with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))?;
        Ok(to)
    }

    pub(super) fn of_step(&self, step: u64) -> PathBuf {
        self.parent.join(format!("{SO_FAR}{step}"))
    }
}
