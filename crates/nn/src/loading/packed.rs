//! Matrices as the CPU's kernels multiply them, made of those of another source.

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};

use super::Source;
use crate::ops::{Panels, Precision, Weight};

/// A source whose matrices are those of another, packed once, rounded or not; everything else is the other's. No gradient
/// passes through them. On other devices f32 stays as it is.
pub struct InPanels<'a> {
    pub source: &'a dyn Source,
    pub precision: Precision,
}

impl Source for InPanels<'_> {
    fn contains(&self, name: &str) -> bool {
        self.source.contains(name)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.source.tensor(name, shape)
    }

    fn weight(&self, name: &str, shape: [usize; 2]) -> Result<Weight> {
        if !self.device().is_cpu() {
            ensure!(
                self.precision == Precision::F32,
                "weights in bf16 are multiplied on the CPU alone: leave out --device"
            );
            return self.source.weight(name, shape);
        }
        match self.source.weight(name, shape)? {
            Weight::Full(matrix) => Ok(Weight::Packed(Panels::new(&matrix, self.precision)?.into())),
            other => Ok(other),
        }
    }

    fn table(&self, name: &str, shape: [usize; 2]) -> Result<Tensor> {
        let table = self.source.table(name, shape)?;
        Ok(if self.precision == Precision::Bf16 { table.to_dtype(DType::BF16)? } else { table })
    }

    fn device(&self) -> &Device {
        self.source.device()
    }
}

/// A source whose matrices are those of another, variables too, multiplied in bf16: they are rounded for each product anew.
pub struct Rounding<'a>(pub &'a dyn Source);

impl Source for Rounding<'_> {
    fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.0.tensor(name, shape)
    }

    fn weight(&self, name: &str, shape: [usize; 2]) -> Result<Weight> {
        ensure!(self.device().is_cpu(), "training computes in bf16 on the CPU alone: leave out --device or `compute`");
        Ok(Weight::Rounded(self.0.tensor(name, &shape)?))
    }

    fn device(&self) -> &Device {
        self.0.device()
    }
}
