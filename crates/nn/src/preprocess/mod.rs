//! Pixels to tensors: the question as an image ([`HeaderFont`]), and the patches that Pix2Struct
//! models read ([`Pix2StructProcessor`]) or the pixels that Donut models read ([`DonutProcessor`]).
//!
//! Everything follows the reference (transformers 5 on Pillow) closely enough that a model cannot
//! tell: decoded pixels, resized pixels and header pixels are equal, patches agree within 1e-4.

mod donut;
mod header;
mod pix2struct;
mod shape;
mod wrap;

pub use donut::{DonutProcessor, Pixels};
pub use header::HeaderFont;
pub use pix2struct::{Patches, Pix2StructProcessor};
pub use wrap::wrap;

use anyhow::{Context, Result, bail};
use candle_core::{Device, Tensor};
use serde_json::{Map, Value};

use chartbench_core::terminal::shorten;

/// An image as an encoder reads it: patches or pixels, whatever the architecture.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageInput {
    /// [N, 2 + P] for patches, [3, height, width] for pixels.
    pub shape: Vec<usize>,
    /// In row-major order.
    pub data: Vec<f32>,
}

impl ImageInput {
    /// The image on `device`.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn tensor(self, device: &Device) -> Result<Tensor> {
        Ok(Tensor::from_vec(self.data, self.shape, device)?)
    }
}

impl From<Patches> for ImageInput {
    fn from(patches: Patches) -> Self {
        let count = patches.rows * patches.cols;
        Self {
            shape: vec![count, patches.data.len() / count.max(1)],
            data: patches.data,
        }
    }
}

impl From<Pixels> for ImageInput {
    fn from(pixels: Pixels) -> Self {
        Self {
            shape: vec![3, pixels.height, pixels.width],
            data: pixels.data,
        }
    }
}

/// A parsed `preprocessor_config.json`, whose keys are checked one by one.
struct PreprocessorConfig<'a> {
    values: Map<String, Value>,
    /// The file, for errors.
    name: &'a str,
}

impl<'a> PreprocessorConfig<'a> {
    fn parse(json: &[u8], name: &'a str) -> Result<Self> {
        let values =
            serde_json::from_slice(json).with_context(|| format!("{name}: not a JSON object"))?;
        Ok(Self { values, name })
    }

    fn name(&self) -> &str {
        self.name
    }

    /// The value of a key that is present and not null.
    fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    fn flag(&self, key: &str) -> Result<Option<bool>> {
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

    fn count(&self, key: &str, most: u64) -> Result<Option<u32>> {
        self.get(key)
            .map(|value| self.whole(key, value, most))
            .transpose()
    }

    fn whole(&self, key: &str, value: &Value, most: u64) -> Result<u32> {
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
