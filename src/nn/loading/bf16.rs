//! Matrices in bf16, made of those of another source.

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor};

use super::Source;
use crate::nn::ops::{Panels, Precision, Weight};

/// A source whose matrices are those of another, rounded to bf16 and packed; everything else is the other's.
pub struct InBf16<'a>(pub &'a dyn Source);

impl Source for InBf16<'_> {
    fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.0.tensor(name, shape)
    }

    fn weight(&self, name: &str, shape: [usize; 2]) -> Result<Weight> {
        ensure!(self.device().is_cpu(), "weights in bf16 are multiplied on the CPU alone: leave out --device");
        Ok(Weight::Packed(Panels::new(&self.0.tensor(name, &shape)?, Precision::Bf16)?.into()))
    }

    fn device(&self) -> &Device {
        self.0.device()
    }
}
