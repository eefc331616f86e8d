//! The keys of a `preprocessor_config.json`, checked one by one.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use chartbench_core::terminal::shorten;

/// A parsed file.
pub(super) struct Config<'a> {
    values: Map<String, Value>,
    /// The file, for errors.
    name: &'a str,
}

impl<'a> Config<'a> {
    pub(super) fn parse(json: &[u8], name: &'a str) -> Result<Self> {
        let values = serde_json::from_slice(json).with_context(|| format!("{name}: not a JSON object"))?;
        Ok(Self { values, name })
    }

    pub(super) fn name(&self) -> &str {
        self.name
    }

    /// A value that is there and not null.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => bail!("{}: {key} = {}: must be true or false", self.name, shorten(&other.to_string())),
        }
    }

    pub(super) fn count(&self, key: &str, most: u64) -> Result<Option<u32>> {
        self.get(key).map(|value| self.whole(key, value, most)).transpose()
    }

    pub(super) fn whole(&self, key: &str, value: &Value, most: u64) -> Result<u32> {
        let number = value.as_u64().filter(|number| (1..=most).contains(number));
        number.and_then(|number| u32::try_from(number).ok()).with_context(|| {
            let shown = shorten(&value.to_string());
            format!("{}: {key} = {shown}: must be a whole number from 1 to {most}", self.name)
        })
    }
}
