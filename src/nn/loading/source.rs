//! Where a model's weights come from.

use anyhow::Result;
use candle_core::{Device, Tensor};

use super::Checkpoint;

/// Something that has a model's weights by name.
pub trait Source {
    /// Whether there is a tensor of this name.
    fn contains(&self, name: &str) -> bool;

    /// The tensor of this name, as f32 on [`Self::device`].
    ///
    /// # Errors
    /// There is none, it has another shape than `shape` (the one the configuration asks for), or it cannot be read.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor>;

    fn device(&self) -> &Device;
}

/// A checkpoint and the device its tensors go to.
#[derive(Clone, Copy, Debug)]
pub struct OnDevice<'a> {
    pub checkpoint: &'a Checkpoint,
    pub device: &'a Device,
}

impl Source for OnDevice<'_> {
    fn contains(&self, name: &str) -> bool {
        self.checkpoint.contains(name)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.checkpoint.tensor(name, shape, self.device)
    }

    fn device(&self) -> &Device {
        self.device
    }
}

/// A source as the architectures ask it.
#[derive(Clone, Copy)]
pub(in crate::nn) struct Weights<'a>(pub(in crate::nn) &'a dyn Source);

impl Weights<'_> {
    /// See [`Source::contains`].
    pub(in crate::nn) fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// See [`Source::tensor`].
    pub(in crate::nn) fn tensor(&self, name: impl AsRef<str>, shape: &[usize]) -> Result<Tensor> {
        self.0.tensor(name.as_ref(), shape)
    }
}
