//! A checkpoint directory: on disk, or embedded in the program and unpacked while it is loaded.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::hub::LoraBase;
use super::model_files::report_unpinned;
use super::training::Provenance;
use super::{AdapterContext, Settings, hub};
use crate::config::WeightsSource;
use chartbench_nn::kernels::ComputeDtype;
use chartbench_nn::loading::{LORA_CONFIG, is_lora_folder, weights_sha256_with_lora};
use chartbench_nn::{
    Checkpoint, CheckpointSource, LayerStack, PackedSource, QuantizationInfo, QuantizingSource,
    TensorSource, WeightFormat, weights_sha256,
};

/// The files of an embedded checkpoint: names and bytes.
fn embedded(name: &str) -> Option<&'static [(&'static str, &'static [u8])]> {
    chartbench_models_matcha::files(name).or_else(|| chartbench_models_unichart::files(name))
}

/// The `config.json` of an embedded checkpoint.
pub fn embedded_config(name: &str) -> Option<&'static [u8]> {
    let mut files = embedded(name)?.iter();
    let (_, bytes) = files.find(|(file, _)| *file == "config.json")?;
    Some(bytes)
}

/// A checkpoint directory and its origin, as the manifest names it.
pub(super) struct CheckpointDir {
    location: Location,
    origin: String,
    lora: Option<LoraDir>,
}

/// A PEFT LoRA folder, whose base is the checkpoint directory.
struct LoraDir {
    path: PathBuf,
    /// The base's origin.
    base: String,
}

/// Finds the folder of a repository at a revision, or the explicit one.
type Locate<'a> = &'a dyn Fn(&str, &str, Option<&Path>) -> Result<PathBuf>;

enum Location {
    OnDisk(PathBuf),
    /// An embedded checkpoint, unpacked while it is loaded.
    Unpacked(TempDir),
}

impl CheckpointDir {
    /// The folder named by `--weights`, else what the adapter file says. A PEFT LoRA folder leads
    /// to its base, whose weights it changes as they are read.
    ///
    /// # Errors
    /// As [`hub::locate`] and [`hub::LoraBase::locate`].
    pub(super) fn locate(context: &AdapterContext<'_>, source: &WeightsSource) -> Result<Self> {
        let found = Self::find(context, source, &|repo, revision, explicit| {
            hub::locate(repo, revision, explicit, context.hub)
        })?;
        if !is_lora_folder(found.path()) {
            return Ok(found);
        }
        let base = LoraBase::locate(found.path(), context.hub)?;
        Ok(Self {
            lora: Some(LoraDir {
                path: found.path().to_owned(),
                base: base.origin,
            }),
            location: Location::OnDisk(base.folder),
            origin: found.origin,
        })
    }

    /// As [`Self::locate`], of an ONNX export.
    ///
    /// # Errors
    /// As [`hub::locate_export`].
    #[cfg(feature = "onnx")]
    pub(super) fn locate_export(
        context: &AdapterContext<'_>,
        source: &WeightsSource,
        quantized: bool,
    ) -> Result<Self> {
        let found = Self::find(context, source, &|repo, revision, explicit| {
            hub::locate_export(repo, revision, explicit, context.hub, quantized)
        })?;
        ensure!(
            !is_lora_folder(found.path()),
            "{}: a LoRA folder, and no ONNX export",
            found.path().display()
        );
        Ok(found)
    }

    fn find(
        context: &AdapterContext<'_>,
        source: &WeightsSource,
        locate: Locate<'_>,
    ) -> Result<Self> {
        let explicit = context.model.weights.as_deref();
        match source {
            WeightsSource::Embedded(name) if explicit.is_none() => Self::unpack(name),
            WeightsSource::Given if explicit.is_none() => {
                bail!("no weights come with it: name a folder with --weights")
            }
            WeightsSource::Folder(path) if explicit.is_none() => {
                ensure!(
                    path.is_dir(),
                    hub::Unavailable::NotFound.because(format!(
                        "`weights.path`: {} is no folder (a relative one is seen from the adapter file's folder)",
                        path.display()
                    ))
                );
                Ok(Self {
                    location: Location::OnDisk(locate("", "", Some(path))?),
                    origin: "given by weights.path".to_owned(),
                    lora: None,
                })
            }
            WeightsSource::Embedded(_) | WeightsSource::Folder(_) | WeightsSource::Given => {
                Self::on_disk("", "", explicit, locate)
            }
            WeightsSource::Hub { repo, revision } => {
                let dir = Self::on_disk(repo, revision, explicit, locate)?;
                if explicit.is_none() {
                    report_unpinned(repo, revision, dir.path());
                }
                Ok(dir)
            }
        }
    }

    fn on_disk(
        repo: &str,
        revision: &str,
        explicit: Option<&Path>,
        locate: Locate<'_>,
    ) -> Result<Self> {
        let path = locate(repo, revision, explicit)?;
        // A path differs from machine to machine; the hash identifies the weights.
        let origin = if explicit.is_some() {
            "given by --weights".to_owned()
        } else {
            format!("{repo}@{revision}")
        };
        Ok(Self {
            location: Location::OnDisk(path),
            origin,
            lora: None,
        })
    }

    fn unpack(name: &str) -> Result<Self> {
        let files = embedded(name)
            .with_context(|| format!("no checkpoint {name:?} is embedded in the program"))?;
        let unpack = || -> Result<TempDir> {
            let dir = tempfile::tempdir()?;
            for (file, bytes) in files {
                std::fs::write(dir.path().join(file), bytes)?;
            }
            Ok(dir)
        };
        let dir =
            unpack().with_context(|| format!("cannot unpack the embedded checkpoint {name}"))?;
        Ok(Self {
            location: Location::Unpacked(dir),
            origin: format!("embedded {name}"),
            lora: None,
        })
    }

    pub(super) fn path(&self) -> &Path {
        match &self.location {
            Location::OnDisk(path) => path,
            Location::Unpacked(dir) => dir.path(),
        }
    }

    /// Opens the weights, with the changes of the LoRA folder if there is one, and notes what was
    /// done to them.
    ///
    /// # Errors
    /// Returns an error if they are malformed, or have more layers than `stacks`.
    pub(super) fn checkpoint(&self, stacks: &[LayerStack]) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::open(self.path())?;
        if let Some(note) = checkpoint.note() {
            chartbench_core::note!("note: {}: {note}", self.path().display());
        }
        match &self.lora {
            Some(lora) => {
                checkpoint = checkpoint.with_lora(&lora.path)?;
                chartbench_core::note!(
                    "note: {}: LoRA is merged into its base, {}",
                    lora.path.display(),
                    self.path().display()
                );
            }
            None if self.path().join(LORA_CONFIG).is_file() => {
                chartbench_core::note!(
                    "note: {}: {LORA_CONFIG} is not used, since the folder has whole weights",
                    self.path().display()
                );
            }
            None => {}
        }
        checkpoint.check_layers(stacks)?;
        Ok(checkpoint)
    }

    /// The settings that say which weights these are.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read.
    pub(super) fn weights_settings(&self) -> Result<Settings> {
        let mut settings = vec![("weights", self.origin.clone())];
        let sha256 = match &self.lora {
            None => weights_sha256(self.path())?,
            Some(lora) => {
                settings.push(("lora_base", lora.base.clone()));
                weights_sha256_with_lora(self.path(), &lora.path)?
            }
        };
        settings.push(("weights_sha256", sha256));
        Ok(settings)
    }

    /// Loads a model of `family` in the precision that its files have, or that the row's name asks
    /// for, with the settings that say which weights these are.
    ///
    /// # Errors
    /// Returns an error if `model` fails, if the weights have more layers than `stacks`, or if they
    /// are stored in another precision than requested.
    pub(super) fn load<M>(
        &self,
        context: &AdapterContext<'_>,
        family: &str,
        stacks: &[LayerStack],
        model: impl FnOnce(&dyn TensorSource) -> Result<M>,
    ) -> Result<(M, Settings)> {
        let dir = self.path();
        let checkpoint = self.checkpoint(stacks)?;
        let full = CheckpointSource {
            checkpoint: &checkpoint,
            device: context.device,
        };
        let packed = |dtype| PackedSource {
            source: &full,
            dtype,
        };
        let source = packed(ComputeDtype::F32);
        let (model, dtype, kept) = match (checkpoint.quantized(), context.model.precision) {
            (None, None | Some(WeightFormat::F32)) => (model(&source)?, WeightFormat::F32, None),
            (None, Some(WeightFormat::Bf16)) => (
                model(&packed(ComputeDtype::Bf16))?,
                WeightFormat::Bf16,
                None,
            ),
            (None, Some(format @ (WeightFormat::Q8_0 | WeightFormat::Q4K))) => (
                model(&QuantizingSource {
                    source: &source,
                    format,
                })?,
                format,
                Some(Vec::new()),
            ),
            (Some(QuantizationInfo { format, kept }), asked) => {
                if let Some(asked) = asked.filter(|asked| asked != format) {
                    bail!(
                        "{}: the weights are {format}, not {asked}: full ones could be made {asked}",
                        dir.display()
                    );
                }
                (model(&source)?, *format, Some(kept.clone()))
            }
        };
        let mut settings = vec![("family", family.to_owned())];
        settings.extend(self.weights_settings()?);
        settings.push(("dtype", dtype.to_string()));
        settings.extend(kept.map(|kept| ("kept_full", kept.join(" "))));
        Ok((model, settings))
    }

    /// The settings of the training, if this program trained the weights.
    ///
    /// # Errors
    /// As [`Provenance::read`].
    pub(super) fn training(&self) -> Result<Vec<(String, String)>> {
        Ok(Provenance::read(self.path())?.map_or_else(Vec::new, Provenance::into_settings))
    }

    /// The checkpoint's origin.
    #[cfg(feature = "onnx")]
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }
}
