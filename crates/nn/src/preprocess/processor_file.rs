//! The file with a checkpoint's image processor: transformers 5 nests its settings in
//! `processor_config.json`, older versions write `preprocessor_config.json`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use chartbench_core::input::{self, MAX_SETTINGS_BYTES};
use chartbench_core::terminal::shorten;

/// The file of the image processor alone.
pub const PREPROCESSOR_CONFIG: &str = "preprocessor_config.json";
/// The file of the whole processor; transformers 5 nests the image processor in it.
pub const PROCESSOR_CONFIG: &str = "processor_config.json";

/// The key of the nested image processor.
const NESTED: &str = "image_processor";

/// The file of `dir` that holds the image processor's settings: `processor_config.json` where they
/// are nested in it, else `preprocessor_config.json`, as transformers 5 chooses.
///
/// # Errors
/// Returns an error if there is none, or `processor_config.json` cannot be read.
pub fn processor_file(dir: &Path) -> Result<PathBuf> {
    let (whole, alone) = (dir.join(PROCESSOR_CONFIG), dir.join(PREPROCESSOR_CONFIG));
    let has_whole = whole.is_file();
    if has_whole {
        let read = || -> Result<bool> {
            let json = input::read(&whole, MAX_SETTINGS_BYTES)?;
            let keys = serde_json::from_slice(&json).context("not a JSON object")?;
            Ok(nested(&keys).is_some())
        };
        if read().with_context(|| whole.display().to_string())? {
            return Ok(whole);
        }
    }
    if alone.is_file() {
        return Ok(alone);
    }
    if has_whole {
        bail!(
            "{}: no {NESTED} in it, and no {PREPROCESSOR_CONFIG} beside it",
            whole.display()
        );
    }
    bail!(
        "{}: no {PREPROCESSOR_CONFIG} here, and no {PROCESSOR_CONFIG}: save the processor with the model",
        dir.display()
    )
}

/// Takes the image processor's settings out of a `processor_config.json`, with the
/// `processor_class` that they have in a file of their own; `None` if it nests none.
pub fn take_nested_image_processor(whole: &mut Map<String, Value>) -> Option<Map<String, Value>> {
    let mut settings = nested(whole)?.clone();
    whole.remove(NESTED);
    if let Some(class) = whole.get("processor_class") {
        settings.insert("processor_class".to_owned(), class.clone());
    }
    Some(settings)
}

fn nested(whole: &Map<String, Value>) -> Option<&Map<String, Value>> {
    whole.get(NESTED).and_then(Value::as_object)
}

/// The parsed settings of an image processor, whose keys are checked one by one.
pub(super) struct PreprocessorConfig {
    values: Map<String, Value>,
    /// The file, and the place in it where they are nested, for errors.
    name: String,
}

impl PreprocessorConfig {
    /// Takes the text of a `preprocessor_config.json`, or of a `processor_config.json` that they
    /// are nested in. `name` is for errors.
    ///
    /// # Errors
    /// Returns an error if the text is not a JSON object.
    pub(super) fn parse(json: &[u8], name: &str) -> Result<Self> {
        let values: Map<String, Value> =
            serde_json::from_slice(json).with_context(|| format!("{name}: not a JSON object"))?;
        Ok(match nested(&values) {
            Some(nested) => Self {
                values: nested.clone(),
                name: format!("{name}: {NESTED}"),
            },
            None => Self {
                values,
                name: name.to_owned(),
            },
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The value of a key that is present and not null.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => bail!(
                "{}: {key} = {}: must be true or false",
                self.name,
                shorten(&other.to_string())
            ),
        }
    }

    pub(super) fn count(&self, key: &str, most: u64) -> Result<Option<u32>> {
        self.get(key)
            .map(|value| self.whole(key, value, most))
            .transpose()
    }

    pub(super) fn whole(&self, key: &str, value: &Value, most: u64) -> Result<u32> {
        let number = value.as_u64().filter(|number| (1..=most).contains(number));
        number
            .and_then(|number| u32::try_from(number).ok())
            .with_context(|| {
                let shown = shorten(&value.to_string());
                format!(
                    "{}: {key} = {shown}: must be a whole number from 1 to {most}",
                    self.name
                )
            })
    }
}
