//! The base of a PEFT LoRA folder: the model that its factors change.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::locate::locate;
use crate::hub::{HubOptions, Repo, RepoKind, Unavailable};
use chartbench_core::files::recover_folder;
use chartbench_core::terminal::shorten;
use chartbench_nn::loading::{LORA_CONFIG, LoraConfig, is_lora_folder};

/// The base of a LoRA folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoraBase {
    /// The folder with its configuration, tokenizer, image processor and weights.
    pub folder: PathBuf,
    /// Its repository and revision, or that it is a folder, as the manifest names it.
    pub origin: String,
}

impl LoraBase {
    /// Finds the base that `adapter_config.json` of `lora` names: a folder, seen from the working
    /// folder or else from `lora`; else a repository in the cache or on the hub.
    ///
    /// # Errors
    /// Returns an error that names the file if it is no supported LoRA, or its base is neither a
    /// model folder nor a repository that can be had.
    pub fn locate(lora: &Path, options: &HubOptions) -> Result<Self> {
        let config = LoraConfig::read(lora)?;
        let found = match local_folder(lora, &config.base) {
            Some(folder) => Self::in_folder(folder),
            None => Self::in_repository(&config, options),
        };
        let base = found.with_context(|| {
            let file = lora.join(LORA_CONFIG);
            format!("{}: base_model_name_or_path", file.display())
        })?;
        ensure!(
            !is_lora_folder(&base.folder),
            "{}: its base {} is a LoRA folder too: merge one of them with PEFT",
            lora.display(),
            base.folder.display()
        );
        Ok(base)
    }

    fn in_folder(folder: PathBuf) -> Result<Self> {
        recover_folder(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        ensure!(
            folder.join("config.json").is_file() || is_lora_folder(&folder),
            Unavailable::NotFound.because(format!(
                "{}: no config.json in it (it must be a model folder as transformers saves it)",
                folder.display()
            ))
        );
        Ok(Self {
            folder,
            origin: "a folder".to_owned(),
        })
    }

    fn in_repository(config: &LoraConfig, options: &HubOptions) -> Result<Self> {
        let LoraConfig { base, revision, .. } = config;
        if Repo::new(RepoKind::Model, base, "main").is_err() {
            bail!(Unavailable::NotFound.because(format!(
                "no folder {} on this machine: write the base's folder or its repository there",
                shorten(base)
            )));
        }
        let revision = revision.as_deref().unwrap_or("main");
        Ok(Self {
            folder: locate(base, revision, None, options)?,
            origin: format!("{base}@{revision}"),
        })
    }
}

fn local_folder(lora: &Path, base: &str) -> Option<PathBuf> {
    [PathBuf::from(base), lora.join(base)]
        .into_iter()
        .find(|folder| folder.is_dir())
}
