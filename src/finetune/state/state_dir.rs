//! The directory of a training's saved states: one sub-folder per state, the newest few of them.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};

use super::TrainingState;
use super::checksummed_dir::{read_state, write_state};
use chartbench_core::files::{remove_leftovers, replace_folder};
use chartbench_core::terminal::shorten;
use chartbench_nn::loading::{StoredTensor, read_header};

/// Prefix of a state that an earlier version was replacing when it was killed.
const REPLACED: &str = ".replaced-";
/// The optimiser's tensors.
const TENSORS: &str = "optimizer.safetensors";

/// Where a training saves its states.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
    kept: usize,
}

/// A saved state whose files are intact.
#[derive(Clone, Debug)]
pub struct SavedState {
    /// The state that `state.json` holds; its tensors are read by [`Self::tensors`].
    pub state: TrainingState,
    /// The folder with all its files.
    pub path: PathBuf,
    /// Newer states that are damaged, each with its fault.
    pub passed_over: Vec<String>,
}

impl StateDir {
    /// Keeps the newest `kept` states, at least one.
    pub fn new(path: &Path, kept: usize) -> Self {
        Self {
            path: path.to_owned(),
            kept: kept.max(1),
        }
    }

    /// Saves a state: the optimiser's `tensors`, and the files that `more` writes into the given
    /// folder (none in sub-folders). All files appear together or, after a kill or on a full disk,
    /// not at all; the former states stay until then.
    ///
    /// # Errors
    /// Returns an error if a file cannot be written, or `more` fails.
    pub fn save(
        &self,
        state: &TrainingState,
        tensors: &[(String, Tensor)],
        more: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let failed = || {
            format!(
                "cannot save the training at step {} in {}",
                state.step,
                self.path.display()
            )
        };
        self.write(state, tensors, more).with_context(failed)
    }

    fn write(
        &self,
        state: &TrainingState,
        tensors: &[(String, Tensor)],
        more: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        std::fs::create_dir_all(&self.path)?;
        remove_leftovers(&self.path);
        let target = self.path.join(format!("step-{:09}", state.step));
        replace_folder(&target, |folder| {
            let named = tensors.iter().map(|(name, tensor)| (name, tensor));
            safetensors::serialize_to_file(named, None, &folder.join(TENSORS))
                .with_context(|| format!("cannot write {TENSORS}"))?;
            more(folder)?;
            write_state(folder, state)
        })?;
        self.clear_old(&target)?;
        Ok(target)
    }

    /// The newest intact state; `None` if no state was saved yet.
    ///
    /// # Errors
    /// Returns an error if every state is damaged or of another format, or the folder cannot be
    /// read.
    pub fn latest(&self) -> Result<Option<SavedState>> {
        let mut passed_over = Vec::new();
        for (_, path) in self.finished()? {
            match read_state(&path) {
                Ok(state) => {
                    return Ok(Some(SavedState {
                        state,
                        path,
                        passed_over,
                    }));
                }
                Err(error) => passed_over.push(format!("{error:#}")),
            }
        }
        if passed_over.is_empty() {
            return Ok(None);
        }
        bail!(
            "no saved state is whole ({}): remove {} to start anew",
            passed_over.join("; "),
            self.path.display()
        )
    }

    /// The folders of finished states, the newest first.
    fn finished(&self) -> Result<Vec<(u64, PathBuf)>> {
        let mut found = Vec::new();
        for (name, path) in self.entries()? {
            let rest = name
                .strip_prefix("step-")
                .or_else(|| name.strip_prefix(REPLACED));
            if let Some(step) = rest.and_then(|step| step.parse::<u64>().ok()) {
                found.push((step, name.starts_with(REPLACED), path));
            }
        }
        // The replacement precedes the state that it replaces.
        found.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        Ok(found
            .into_iter()
            .map(|(step, _, path)| (step, path))
            .collect())
    }

    fn entries(&self) -> Result<Vec<(String, PathBuf)>> {
        let failed = || format!("cannot read {}", self.path.display());
        let entries = match std::fs::read_dir(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(failed)?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let entry = entry.with_context(failed)?;
            if let Some(name) = entry.file_name().to_str() {
                all.push((name.to_owned(), entry.path()));
            }
        }
        Ok(all)
    }

    /// Removes all but the newest states, `newest` being the one just saved. States of later steps
    /// are removed too: a training that went back makes them again.
    fn clear_old(&self, newest: &Path) -> Result<()> {
        let finished = self.finished()?;
        let newest_step = finished
            .iter()
            .find(|(_, path)| path == newest)
            .map_or(u64::MAX, |&(step, _)| step);
        let is_current =
            |(step, path): &&(u64, PathBuf)| *step <= newest_step && !is_replaced(path);
        let kept: Vec<&PathBuf> = finished
            .iter()
            .filter(is_current)
            .take(self.kept)
            .map(|(_, path)| path)
            .collect();
        for (_, path) in finished.iter().filter(|(_, path)| !kept.contains(&path)) {
            std::fs::remove_dir_all(path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }
}

fn is_replaced(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(REPLACED))
}

impl SavedState {
    /// The optimiser's tensors, read one after the other.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is no safetensors file, or the device has no
    /// memory.
    pub fn tensors(&self, device: &Device) -> Result<HashMap<String, Tensor>> {
        let path = self.path.join(TENSORS);
        read_tensors(&path, device).with_context(|| format!("cannot read {}", path.display()))
    }
}

fn read_tensors(path: &Path, device: &Device) -> Result<HashMap<String, Tensor>> {
    let mut file = chartbench_core::input::open(path)?;
    let mut tensors = HashMap::new();
    for StoredTensor {
        name,
        dtype,
        shape,
        offset,
        bytes,
    } in read_header(path)?
    {
        let kept = match dtype.as_str() {
            "F32" => DType::F32,
            "U32" => DType::U32,
            other => bail!(
                "`{}` is of {}, which no optimiser keeps",
                shorten(&name),
                shorten(other)
            ),
        };
        let elements = shape
            .iter()
            .try_fold(1u64, |product, &size| product.checked_mul(size as u64));
        let fits = elements.and_then(|elements| elements.checked_mul(4)) == Some(bytes);
        ensure!(
            fits,
            "`{}`: its shape does not fill its {bytes} bytes",
            shorten(&name)
        );
        let mut values = vec![0; usize::try_from(bytes)?];
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut values)?;
        let tensor = Tensor::from_raw_buffer(&values, kept, &shape, device)?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}
