//! Writes the folder of a fine-tuned or quantized checkpoint: the files of the original checkpoint,
//! with other weights.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result};
use candle_core::Tensor;
use serde_json::{Map, Value};

use super::{Precision, Provenance};
use chartbench_nn::LayerQuantizer;
use chartbench_nn::loading::{GGUF, weights_bytes, write_gguf};
use chartbench_nn::preprocess::{
    PREPROCESSOR_CONFIG, PROCESSOR_CONFIG, take_nested_image_processor,
};
use chartbench_nn::training::Variables;

const WEIGHTS: &str = "model.safetensors";
const CONFIG: &str = "config.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// The tokenizer class that transformers 5 writes and 4 does not know, and its name in both.
const TOKENIZER_CLASS: [&str; 2] = ["TokenizersBackend", "PreTrainedTokenizerFast"];
/// Files of a checkpoint besides the weights.
const KEPT: [&str; 9] = [
    "generation_config.json",
    PREPROCESSOR_CONFIG,
    PROCESSOR_CONFIG,
    "tokenizer.json",
    TOKENIZER_CONFIG,
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
    "sentencepiece.bpe.model",
];

/// The small files of a checkpoint, held in memory: its folder may be gone when they are written.
pub struct CheckpointFiles {
    config: Value,
    rest: BTreeMap<&'static str, Vec<u8>>,
    provenance: Option<Provenance>,
    bytes: Option<u64>,
}

impl CheckpointFiles {
    /// # Errors
    /// Returns an error if a file cannot be read.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIG);
        let failed = || format!("cannot read {}", path.display());
        let config = serde_json::from_slice(
            &chartbench_core::input::read(&path, chartbench_core::input::MAX_DOCUMENT_BYTES)
                .with_context(failed)?,
        )
        .with_context(failed)?;
        let mut rest = BTreeMap::new();
        for name in KEPT {
            let path = folder.join(name);
            if path.is_file() {
                rest.insert(
                    name,
                    chartbench_core::input::read(&path, chartbench_core::input::MAX_DOCUMENT_BYTES)
                        .with_context(|| format!("cannot read {}", path.display()))?,
                );
            }
        }
        let unreadable = |name: &str| format!("cannot read {}", folder.join(name).display());
        take_out_image_processor(&mut rest).with_context(|| unreadable(PROCESSOR_CONFIG))?;
        rename_tokenizer_class(&mut rest).with_context(|| unreadable(TOKENIZER_CONFIG))?;
        let provenance = Provenance::read(folder)?;
        Ok(Self {
            config,
            rest,
            provenance,
            bytes: weights_bytes(folder).ok(),
        })
    }

    /// Size of the checkpoint's weight files in bytes, if there are any.
    pub fn weights_bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// Writes the files, and `variables` as the weights, in `precision`.
    ///
    /// # Errors
    /// Returns an error that names the file if one cannot be written.
    pub(super) fn write(
        &self,
        folder: &Path,
        variables: &Variables,
        precision: Precision,
    ) -> Result<()> {
        let mut config = self.config.clone();
        set_dtype(&mut config, precision.name());
        self.write_beside(folder, &config)?;
        let path = folder.join(WEIGHTS);
        let stored = variables.merged().map(|weight| {
            let (name, tensor) = weight?;
            Ok((name, tensor.to_dtype(precision.dtype())?))
        });
        let tensors: Vec<_> = stored.collect::<Result<_>>()?;
        // transformers refuses files that do not say which framework wrote them.
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let written = safetensors::serialize_to_file(tensors, Some(metadata), &path)
            .map_err(anyhow::Error::from);
        // The file comes from a temporary one that the user alone may read; others get what they
        // get of the files beside it.
        let permissions = || {
            Ok(fs::set_permissions(
                &path,
                fs::metadata(folder.join("config.json"))?.permissions(),
            )?)
        };
        written
            .and_then(|()| permissions())
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Writes the files, the provenance of the training, and `variables` as `quantized` stores
    /// them.
    ///
    /// # Errors
    /// Returns an error that names the file if one cannot be written.
    pub(super) fn write_quantized(
        &self,
        folder: &Path,
        architecture: &str,
        variables: &Variables,
        quantized: &LayerQuantizer<'_>,
    ) -> Result<()> {
        self.write_beside(folder, &self.config)?;
        if let Some(provenance) = &self.provenance {
            provenance.write(folder)?;
        }
        let path = folder.join(GGUF);
        let write = || -> Result<()> {
            let mut file = BufWriter::new(File::create(&path)?);
            write_gguf(&mut file, architecture, &weights(variables)?, quantized)?;
            Ok(file.into_inner()?.sync_all()?)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    fn write_beside(&self, folder: &Path, config: &Value) -> Result<()> {
        let write = |name: &str, content: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
        };
        write(CONFIG, &json_file(config))?;
        self.rest
            .iter()
            .try_for_each(|(name, content)| write(name, content))
    }
}

/// Gives an image processor that `processor_config.json` nests, as transformers 5 saves it, a file
/// of its own: transformers 4 reads it there alone, and 5 reads it there too. The nested one, which
/// 4 refuses, is taken out; without it the file goes where nothing else is in it.
///
/// # Errors
/// Returns an error if the file is not a JSON object.
fn take_out_image_processor(files: &mut BTreeMap<&'static str, Vec<u8>>) -> Result<()> {
    let Some(content) = files.get(PROCESSOR_CONFIG) else {
        return Ok(());
    };
    let mut whole: Map<String, Value> = serde_json::from_slice(content)?;
    let Some(settings) = take_nested_image_processor(&mut whole) else {
        return Ok(());
    };
    files.insert(PREPROCESSOR_CONFIG, json_file(&settings.into()));
    if whole.keys().all(|key| key == "processor_class") {
        files.remove(PROCESSOR_CONFIG);
    } else {
        files.insert(PROCESSOR_CONFIG, json_file(&whole.into()));
    }
    Ok(())
}

/// Names the tokenizer class of transformers 5 as both versions know it.
///
/// # Errors
/// Returns an error if the file is not JSON.
fn rename_tokenizer_class(files: &mut BTreeMap<&'static str, Vec<u8>>) -> Result<()> {
    let Some(content) = files.get_mut(TOKENIZER_CONFIG) else {
        return Ok(());
    };
    let config: Value = serde_json::from_slice(content)?;
    let [new, both] = TOKENIZER_CLASS;
    if config.get("tokenizer_class").and_then(Value::as_str) == Some(new) {
        // In the text: a number such as a boundless model_max_length stays as it is written.
        let text = std::str::from_utf8(content)?;
        let quoted = |class: &str| format!("\"{class}\"");
        *content = text.replace(&quoted(new), &quoted(both)).into_bytes();
    }
    Ok(())
}

fn json_file(content: &Value) -> Vec<u8> {
    format!("{content:#}\n").into_bytes()
}

/// The weights as the model computes with them, by name.
pub(super) fn weights(variables: &Variables) -> Result<Vec<(String, Tensor)>> {
    variables
        .merged()
        .map(|weight| weight.map(|(name, tensor)| (name.to_owned(), tensor)))
        .collect()
}

/// Sets every `dtype` of a configuration to that of the weights.
fn set_dtype(config: &mut Value, dtype: &str) {
    let Value::Object(keys) = config else { return };
    for (key, value) in keys {
        match key.as_str() {
            "dtype" | "torch_dtype" if value.is_string() => *value = dtype.into(),
            _ => set_dtype(value, dtype),
        }
    }
}
