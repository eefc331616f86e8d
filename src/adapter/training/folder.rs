//! The folder of a fine-tuned checkpoint: the files of the one it began as, with other weights.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Precision;
use crate::nn::training::Variables;

const WEIGHTS: &str = "model.safetensors";
const CONFIG: &str = "config.json";
/// Files beside the weights that make a checkpoint.
const KEPT: [&str; 9] = [
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
    "sentencepiece.bpe.model",
];

/// The small files of a checkpoint, held in memory: its folder may be gone when they are written.
pub(super) struct Files {
    config: Value,
    rest: Vec<(&'static str, Vec<u8>)>,
}

impl Files {
    /// # Errors
    /// A file that cannot be read.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIG);
        let failed = || format!("cannot read {}", path.display());
        let config = serde_json::from_slice(&fs::read(&path).with_context(failed)?).with_context(failed)?;
        let mut rest = Vec::new();
        for name in KEPT {
            let path = folder.join(name);
            if path.is_file() {
                rest.push((name, fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?));
            }
        }
        Ok(Self { config, rest })
    }

    /// Writes them, and `variables` as the weights, in `precision`.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub(super) fn write(&self, folder: &Path, variables: &Variables, precision: Precision) -> Result<()> {
        let write = |name: &str, content: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
        };
        let mut config = self.config.clone();
        say(&mut config, precision.name());
        write(CONFIG, format!("{config:#}\n").as_bytes())?;
        for (name, content) in &self.rest {
            write(name, content)?;
        }
        let path = folder.join(WEIGHTS);
        let stored = variables.merged().map(|weight| {
            let (name, tensor) = weight?;
            Ok((name, tensor.to_dtype(precision.dtype())?))
        });
        let tensors: Vec<_> = stored.collect::<Result<_>>()?;
        // transformers refuses files that do not say which framework wrote them.
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        safetensors::serialize_to_file(tensors, Some(metadata), &path)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Makes a configuration say that the weights are `dtype`, wherever it says what they are.
fn say(config: &mut Value, dtype: &str) {
    let Value::Object(keys) = config else { return };
    for (key, value) in keys {
        match key.as_str() {
            "dtype" | "torch_dtype" if value.is_string() => *value = dtype.into(),
            _ => say(value, dtype),
        }
    }
}
