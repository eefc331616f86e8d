//! Where a model's weights come from.

use std::cell::Cell;

use anyhow::Result;
use candle_core::{Device, Tensor};

use super::Checkpoint;
use crate::ops::{self, Weight};

/// Something that has a model's weights by name.
pub trait Source {
    /// Whether there is a tensor of this name.
    fn contains(&self, name: &str) -> bool;

    /// The tensor of this name, as f32 on [`Self::device`].
    ///
    /// # Errors
    /// There is none, it has another shape than `shape` (the one the configuration asks for), or it cannot be read.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor>;

    /// The matrix [out, in] of this name that a linear layer multiplies with, in full precision or quantized.
    ///
    /// # Errors
    /// As [`Self::tensor`].
    fn weight(&self, name: &str, shape: [usize; 2]) -> Result<Weight> {
        Ok(self.tensor(name, &shape)?.into())
    }

    /// The table of this name, of which rows are taken: as [`Self::tensor`], maybe rounded to bf16.
    ///
    /// # Errors
    /// As [`Self::tensor`].
    fn table(&self, name: &str, shape: [usize; 2]) -> Result<Tensor> {
        self.tensor(name, &shape)
    }

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

    fn weight(&self, name: &str, shape: [usize; 2]) -> Result<Weight> {
        self.checkpoint.weight(name, shape, self.device)
    }

    fn device(&self) -> &Device {
        self.device
    }
}

/// A source as the architectures ask it.
pub(crate) struct Weights<'a> {
    source: &'a dyn Source,
    bytes: Cell<u64>,
}

impl<'a> Weights<'a> {
    pub(crate) fn new(source: &'a dyn Source) -> Self {
        Self { source, bytes: Cell::new(0) }
    }

    /// What all that was handed out takes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    fn counted(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes as u64);
    }

    /// See [`Source::device`].
    pub(crate) fn device(&self) -> &Device {
        self.source.device()
    }

    /// See [`Source::contains`].
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.source.contains(name)
    }

    /// See [`Source::tensor`].
    pub(crate) fn tensor(&self, name: impl AsRef<str>, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.source.tensor(name.as_ref(), shape)?;
        self.counted(ops::tensor_bytes(&tensor));
        Ok(tensor)
    }

    /// See [`Source::weight`].
    pub(crate) fn weight(&self, name: impl AsRef<str>, shape: [usize; 2]) -> Result<Weight> {
        let weight = self.source.weight(name.as_ref(), shape)?;
        self.counted(weight.bytes());
        Ok(weight)
    }

    /// The table of a vocabulary's embeddings and the output matrix of the names. Where they are `tied`, one of both uses,
    /// with the values of the output matrix.
    pub(crate) fn embedding(
        &self,
        (table, output): (&str, &str),
        shape: [usize; 2],
        tied: bool,
    ) -> Result<(Tensor, Weight)> {
        if tied {
            let output = self.weight(table, shape)?;
            let table = output.full()?;
            if !matches!(output, Weight::Full(_) | Weight::Rounded(_)) {
                self.counted(ops::tensor_bytes(&table));
            }
            return Ok((table, output));
        }
        let table = self.source.table(table, shape)?;
        self.counted(ops::tensor_bytes(&table));
        Ok((table, self.weight(output, shape)?))
    }
}
