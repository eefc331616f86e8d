//! Which adapter asks a checkpoint whose adapter the user does not name: found by its
//! `config.json`, or by that of the base of a PEFT LoRA folder.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::adapter::embedded_config;
use crate::adapter::hub::{self, HubOptions, LoraBase};
use crate::config::{AdapterSpec, Family, WeightsSource};
use chartbench_core::files::recover_folder;
use chartbench_core::input::{self, MAX_SETTINGS_BYTES};
use chartbench_core::terminal::shorten;
use chartbench_nn::loading::is_lora_folder;

/// An architecture by its `model_type`, with the keys that make its shape and their defaults in
/// transformers.
struct Architecture {
    model_type: &'static str,
    shape: [(&'static str, &'static str); 4],
}

const ARCHITECTURES: [Architecture; 2] = [
    Architecture {
        model_type: "pix2struct",
        shape: [
            ("/vision_config/num_hidden_layers", "12"),
            ("/vision_config/hidden_size", "768"),
            ("/text_config/num_layers", "12"),
            ("/text_config/hidden_size", "768"),
        ],
    },
    Architecture {
        model_type: "vision-encoder-decoder",
        shape: [
            ("/encoder/depths", "[2,2,6,2]"),
            ("/encoder/embed_dim", "96"),
            ("/decoder/decoder_layers", "12"),
            ("/decoder/d_model", "1024"),
        ],
    },
];

/// What an adapter is to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Answers to questions.
    Questions,
    /// Data tables.
    Tables,
}

/// A checkpoint's `config.json`.
struct CheckpointConfig {
    architecture: &'static Architecture,
    shape: Vec<String>,
    /// The repository that it was loaded from before it was saved, as transformers notes it.
    origin: Option<String>,
}

impl CheckpointConfig {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let json: Value = serde_json::from_slice(bytes).context("is not JSON")?;
        let model_type = json.get("model_type").and_then(Value::as_str);
        let architecture = ARCHITECTURES
            .iter()
            .find(|architecture| Some(architecture.model_type) == model_type)
            .with_context(|| {
                format!(
                    "is of the model_type {}: checkpoints of pix2struct and vision-encoder-decoder (Donut) can be asked",
                    model_type.map_or_else(|| "none".to_owned(), |name| format!("`{}`", shorten(name)))
                )
            })?;
        let value = |&(key, default): &(&str, &str)| {
            json.pointer(key)
                .filter(|value| !value.is_null())
                .map_or_else(|| default.to_owned(), ToString::to_string)
        };
        Ok(Self {
            shape: architecture.shape.iter().map(value).collect(),
            architecture,
            origin: json
                .get("_name_or_path")
                .and_then(Value::as_str)
                .map(str::to_owned),
        })
    }

    /// Whether the checkpoint was made from the adapter's own.
    fn is_origin(&self, spec: &AdapterSpec) -> bool {
        match spec.family.weights() {
            Some(WeightsSource::Hub { repo, .. }) => Some(repo) == self.origin.as_ref(),
            _ => false,
        }
    }

    /// Whether the adapter is of this architecture: an export where `exported`, else a checkpoint.
    fn is_family(&self, family: &Family, exported: bool) -> bool {
        match (family, self.architecture.model_type) {
            (Family::Onnx(_), _) => exported,
            (Family::Pix2Struct(_), "pix2struct") => !exported,
            (Family::UniChart(_), "vision-encoder-decoder") => !exported,
            _ => false,
        }
    }
}

/// The name of the adapter that asks the checkpoint in `folder`: of its architecture and shape, and
/// fit for `task`. Of several that ask in the same way it is the first.
///
/// # Errors
/// Returns an error if the folder is no checkpoint, no adapter fits, or adapters fit that ask in
/// different ways; the error names them.
pub fn adapter_for_weights(
    folder: &Path,
    adapters_dir: Option<&Path>,
    task: Task,
) -> Result<String> {
    let shown = folder.display();
    ensure!(
        folder
            .extension()
            .is_none_or(|extension| extension != "gguf")
            || folder.is_dir(),
        "--weights {shown}: a language model answers from tables: name what reads them with it, --adapters TABLES+READER"
    );
    recover_folder(folder).with_context(|| format!("cannot read {shown}"))?;
    ensure!(folder.is_dir(), "--weights {shown}: no such folder");
    let config =
        read_config(folder).with_context(|| format!("--weights {shown} without --adapters"))?;
    let exported = ["encoder_model.onnx", "onnx/encoder_model.onnx"]
        .iter()
        .any(|graph| folder.join(graph).is_file());
    let all = AdapterSpec::all(adapters_dir)?;
    let family: Vec<&AdapterSpec> = all
        .iter()
        .filter(|spec| config.is_family(&spec.family, exported))
        .filter(|spec| is_fit(&spec.family, task, config.is_origin(spec)))
        .collect();
    let fitting = fitting(&config, &family);
    match ask_alike(&fitting).as_slice() {
        [name] => Ok((*name).to_owned()),
        [] => bail!(
            "--weights {shown}: no adapter asks a {} checkpoint for this: name one with --adapters",
            config.architecture.model_type
        ),
        names => bail!(
            "--weights {shown}: its config.json ({}) fits {}, which ask in different ways: name one with --adapters",
            config.architecture.model_type,
            names.join(", ")
        ),
    }
}

/// The configuration of the checkpoint in `folder`; that of its base, if it is a PEFT LoRA folder.
fn read_config(folder: &Path) -> Result<CheckpointConfig> {
    let parse = |folder: &Path| {
        let file = folder.join("config.json");
        let read = || CheckpointConfig::parse(&input::read(&file, MAX_SETTINGS_BYTES)?);
        read().with_context(|| file.display().to_string())
    };
    if !is_lora_folder(folder) {
        return parse(folder);
    }
    let base = LoraBase::locate(folder, &HubOptions::from_env(true))
        .context("the base of its LoRA cannot be looked at: name its adapter with --adapters")?;
    let config = parse(&base.folder)?;
    let repository = base.origin.split_once('@').map(|(repo, _)| repo.to_owned());
    Ok(CheckpointConfig {
        origin: repository.or(config.origin),
        ..config
    })
}

/// Whether the family does `task`. What answers with summaries asks no checkpoint but those that were
/// made from its own (`is_origin`).
fn is_fit(family: &Family, task: Task, is_origin: bool) -> bool {
    match (family, task) {
        (Family::Pix2Struct(spec), Task::Questions) => {
            spec.answers_questions && (is_origin || !spec.summarizes)
        }
        (Family::Pix2Struct(spec), Task::Tables) => spec.table_prompt.is_some(),
        (Family::UniChart(spec), Task::Questions) => spec.question_prompt.is_some(),
        (Family::UniChart(spec), Task::Tables) => spec.table_prompt.is_some(),
        _ => true,
    }
}

/// The adapters whose own checkpoint is the one this one was made from, else those with a
/// checkpoint of its shape, else those whose checkpoint is not on this machine.
fn fitting<'a>(config: &CheckpointConfig, family: &[&'a AdapterSpec]) -> Vec<&'a AdapterSpec> {
    let options = HubOptions::from_env(true);
    let shapes: Vec<Option<Vec<String>>> = family
        .iter()
        .map(|spec| own_shape(spec, &options))
        .collect();
    let with_shape = |wanted: Option<&Vec<String>>| -> Vec<&'a AdapterSpec> {
        let has_it = family
            .iter()
            .zip(&shapes)
            .filter(|(_, shape)| shape.as_ref() == wanted);
        has_it.map(|(spec, _)| *spec).collect()
    };
    let origin: Vec<_> = family
        .iter()
        .copied()
        .filter(|spec| config.is_origin(spec))
        .collect();
    [origin, with_shape(Some(&config.shape)), with_shape(None)]
        .into_iter()
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

/// The shape of the adapter's own checkpoint, where it is on this machine.
fn own_shape(spec: &AdapterSpec, options: &HubOptions) -> Option<Vec<String>> {
    let read = |folder: &Path| input::read(&folder.join("config.json"), MAX_SETTINGS_BYTES).ok();
    let bytes = match spec.family.weights()? {
        WeightsSource::Embedded(name) => embedded_config(name)?.to_vec(),
        WeightsSource::Folder(folder) => read(folder)?,
        WeightsSource::Hub { repo, revision } => {
            read(&hub::locate(repo, revision, None, options).ok()?)?
        }
        WeightsSource::Given => return None,
    };
    Some(CheckpointConfig::parse(&bytes).ok()?.shape)
}

/// The first of each group of adapters that differ in nothing but their weights.
fn ask_alike<'a>(specs: &[&'a AdapterSpec]) -> Vec<&'a str> {
    let mut groups: Vec<(Family, &str)> = Vec::new();
    for spec in specs {
        let family = spec.family.without_weights();
        if groups.iter().all(|(known, _)| *known != family) {
            groups.push((family, &spec.id));
        }
    }
    groups.into_iter().map(|(_, name)| name).collect()
}
