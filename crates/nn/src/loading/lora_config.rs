//! `adapter_config.json` of a PEFT LoRA folder: which base it changes, how strongly, and the options
//! that are not read here.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

use super::has_weights;
use chartbench_core::input::{self, MAX_SETTINGS_BYTES};
use chartbench_core::terminal::shorten;

/// The file's name.
pub const LORA_CONFIG: &str = "adapter_config.json";

/// Largest absolute value of `lora_alpha`.
const MAX_ALPHA: f64 = 1e6;
/// Largest rank.
const MAX_RANK: u64 = 1 << 16;
/// Keys that say how the factors were trained and change nothing afterwards.
const TRAINING_KEYS: [&str; 15] = [
    "auto_mapping",
    "corda_config",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "target_modules",
    "task_type",
];
/// Keys that are read.
const READ_KEYS: [&str; 10] = [
    "base_model_name_or_path",
    "bias",
    "init_lora_weights",
    "lora_alpha",
    "modules_to_save",
    "peft_type",
    "r",
    "rank_pattern",
    "revision",
    "use_rslora",
];
/// Initial factors that leave the base as it is; the others store the rest of it elsewhere.
const PLAIN_INITS: [&str; 3] = ["eva", "gaussian", "orthogonal"];

/// The settings of a PEFT LoRA folder.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraConfig {
    /// `base_model_name_or_path`: the folder or the hub repository of the model that it changes.
    pub base: String,
    /// The base's revision on the hub, if the file gives one.
    pub revision: Option<String>,
    /// The rank of all factors; `None` if it differs between them.
    pub(super) rank: Option<usize>,
    /// `lora_alpha`.
    pub(super) alpha: f64,
    /// Whether the product counts alpha / sqrt(rank) times instead of alpha / rank.
    pub(super) rank_stabilized: bool,
    /// Modules that are stored whole.
    pub(super) modules_to_save: Vec<String>,
}

/// Whether `dir` holds a PEFT adapter and no weights of its own.
pub fn is_lora_folder(dir: &Path) -> bool {
    dir.join(LORA_CONFIG).is_file() && !has_weights(dir)
}

impl LoraConfig {
    /// Reads `adapter_config.json` of `dir`.
    ///
    /// # Errors
    /// Returns an error that names the file and the key if it is malformed, of another kind than
    /// LoRA, or has an option that is not supported.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(LORA_CONFIG);
        let read = || -> Result<Self> {
            let keys = serde_json::from_slice(&input::read(&path, MAX_SETTINGS_BYTES)?)?;
            Self::parse(&keys)
        };
        read().with_context(|| path.display().to_string())
    }

    /// How many times the product of factors of `rank` counts.
    pub(super) fn scale(&self, rank: usize) -> f64 {
        let rank = rank as f64;
        self.alpha
            / if self.rank_stabilized {
                rank.sqrt()
            } else {
                rank
            }
    }

    fn parse(keys: &Map<String, Value>) -> Result<Self> {
        check_options(keys)?;
        let base = keys.get("base_model_name_or_path").and_then(Value::as_str);
        let alpha = keys.get("lora_alpha").and_then(Value::as_f64);
        let rank = keys.get("r").and_then(Value::as_u64);
        Ok(Self {
            base: base
                .filter(|base| !base.is_empty())
                .context("base_model_name_or_path is missing: write the base's folder or repository there")?
                .to_owned(),
            revision: keys
                .get("revision")
                .and_then(Value::as_str)
                .map(str::to_owned),
            alpha: alpha
                .filter(|alpha| alpha.abs() <= MAX_ALPHA)
                .with_context(|| format!("lora_alpha must be a number of at most {MAX_ALPHA}"))?,
            rank: if is_off(keys.get("rank_pattern")) {
                let rank = rank.filter(|rank| (1..=MAX_RANK).contains(rank));
                Some(rank.with_context(|| format!("r must be from 1 to {MAX_RANK}"))? as usize)
            } else {
                None
            },
            rank_stabilized: keys.get("use_rslora") == Some(&Value::Bool(true)),
            modules_to_save: texts(keys.get("modules_to_save"))
                .context("modules_to_save must be a list of names")?,
        })
    }
}

/// Refuses options that change what the model computes and are not read here.
fn check_options(keys: &Map<String, Value>) -> Result<()> {
    match keys.get("peft_type").and_then(Value::as_str) {
        Some("LORA") => {}
        Some(other) => bail!(
            "peft_type is {}: LORA adapters are read here, merge others into their base with PEFT",
            shorten(other)
        ),
        None => bail!("peft_type is missing: it is no adapter of PEFT"),
    }
    let bias = keys.get("bias").unwrap_or(&Value::Null);
    ensure!(
        bias.is_null() || bias == "none",
        "bias is {}: only \"none\" is supported, merge the adapter into its base with PEFT",
        shorten(&bias.to_string())
    );
    let init = keys.get("init_lora_weights").unwrap_or(&Value::Null);
    ensure!(
        init.is_null()
            || init.is_boolean()
            || init
                .as_str()
                .is_some_and(|init| PLAIN_INITS.contains(&init)),
        "init_lora_weights is {}: it changes the base too, convert the adapter to plain LoRA with PEFT",
        shorten(&init.to_string())
    );
    let unread = keys.iter().find(|(key, value)| {
        let key = key.as_str();
        !READ_KEYS.contains(&key) && !TRAINING_KEYS.contains(&key) && !is_off(Some(value))
    });
    if let Some((key, value)) = unread {
        bail!(
            "{} is {}: not supported, merge the adapter into its base with PEFT",
            shorten(key),
            shorten(&value.to_string())
        );
    }
    Ok(())
}

/// Whether an option is absent or switched off.
fn is_off(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(keys)) => keys.is_empty(),
        Some(Value::Bool(true) | Value::Number(_)) => false,
    }
}

/// A list of texts; an empty one where there is none.
fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect(),
        Some(_) => None,
    }
}
