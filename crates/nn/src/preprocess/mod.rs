//! Pixels to tensors: the question as an image ([`HeaderFont`]), and the patches that Pix2Struct
//! models read ([`Pix2StructProcessor`]) or the pixels that Donut models read ([`DonutProcessor`]).
//!
//! Everything follows the reference (transformers 5 on Pillow) closely enough that a model cannot
//! tell: decoded pixels, resized pixels and header pixels are equal, patches agree within 1e-4.

mod donut;
mod header;
mod pix2struct;
mod processor_file;
mod shape;
mod wrap;

pub use donut::{DonutProcessor, Pixels};
pub use header::HeaderFont;
pub use pix2struct::{Patches, Pix2StructProcessor};
pub use processor_file::{
    PREPROCESSOR_CONFIG, PROCESSOR_CONFIG, processor_file, take_nested_image_processor,
};
pub use wrap::wrap;

use anyhow::Result;
use candle_core::{Device, Tensor};

use processor_file::PreprocessorConfig;

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
