//! Sources of a model's weights: a checkpoint, and sources that pack, round or quantize what
//! another one has.

use std::cell::Cell;

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};

use super::{Checkpoint, WeightFormat};
use crate::kernels::{self, ComputeDtype, PackedWeight, Weight};

/// A model's weights by name.
pub trait TensorSource {
    /// Whether there is a tensor of this name.
    fn contains(&self, name: &str) -> bool;

    /// The tensor of this name, as f32 on [`Self::device`].
    ///
    /// # Errors
    /// Returns an error if there is none, it has another shape than `shape` (the configuration's),
    /// or it cannot be read.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor>;

    /// The matrix [out, in] of this name that a linear layer multiplies with, in full precision or
    /// quantized.
    ///
    /// # Errors
    /// As [`Self::tensor`].
    fn weight(&self, name: &str, shape: [usize; 2]) -> Result<Weight> {
        Ok(self.tensor(name, &shape)?.into())
    }

    /// The embedding table of this name, whose rows are looked up: as [`Self::tensor`], maybe
    /// rounded to bf16.
    ///
    /// # Errors
    /// As [`Self::tensor`].
    fn table(&self, name: &str, shape: [usize; 2]) -> Result<Tensor> {
        self.tensor(name, &shape)
    }

    /// The device that tensors are created on.
    fn device(&self) -> &Device;
}

/// A checkpoint and the device its tensors go to.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointSource<'a> {
    /// The weight files.
    pub checkpoint: &'a Checkpoint,
    /// The device that tensors are read to.
    pub device: &'a Device,
}

impl TensorSource for CheckpointSource<'_> {
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

/// A source that packs the matrices of another once for the CPU's kernels, rounded to bf16 or not,
/// and passes everything else on. No gradient passes through them. On other devices f32 matrices
/// stay unpacked.
pub struct PackedSource<'a> {
    /// The source of the unpacked matrices.
    pub source: &'a dyn TensorSource,
    /// The dtype that matrices are rounded to; bf16 also rounds embedding tables, and needs the
    /// CPU.
    pub dtype: ComputeDtype,
}

impl TensorSource for PackedSource<'_> {
    fn contains(&self, name: &str) -> bool {
        self.source.contains(name)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.source.tensor(name, shape)
    }

    fn weight(&self, name: &str, shape: [usize; 2]) -> Result<Weight> {
        if !self.device().is_cpu() {
            ensure!(
                self.dtype == ComputeDtype::F32,
                "weights in bf16 are multiplied on the CPU alone: leave out --device"
            );
            return self.source.weight(name, shape);
        }
        match self.source.weight(name, shape)? {
            Weight::Full(matrix) => Ok(Weight::Packed(
                PackedWeight::new(&matrix, self.dtype)?.into(),
            )),
            other => Ok(other),
        }
    }

    fn table(&self, name: &str, shape: [usize; 2]) -> Result<Tensor> {
        let table = self.source.table(name, shape)?;
        Ok(if self.dtype == ComputeDtype::Bf16 {
            table.to_dtype(DType::BF16)?
        } else {
            table
        })
    }

    fn device(&self) -> &Device {
        self.source.device()
    }
}

/// A source whose matrices, variables too, are multiplied in bf16: each product rounds them anew.
pub struct Bf16Source<'a>(pub &'a dyn TensorSource);

impl TensorSource for Bf16Source<'_> {
    fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.0.tensor(name, shape)
    }

    fn weight(&self, name: &str, shape: [usize; 2]) -> Result<Weight> {
        ensure!(
            self.device().is_cpu(),
            "training computes in bf16 on the CPU alone: leave out --device or `compute`"
        );
        Ok(Weight::Rounded(self.0.tensor(name, &shape)?))
    }

    fn device(&self) -> &Device {
        self.0.device()
    }
}

/// A source that quantizes the matrices of another as they are asked for, and passes everything
/// else on.
pub struct QuantizingSource<'a> {
    /// The source of the full matrices.
    pub source: &'a dyn TensorSource,
    /// The blocks: Q8_0 or Q4_K. With another format, nothing is quantized.
    pub format: WeightFormat,
}

impl TensorSource for QuantizingSource<'_> {
    fn contains(&self, name: &str) -> bool {
        self.source.contains(name)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.source.tensor(name, shape)
    }

    fn weight(&self, name: &str, shape: [usize; 2]) -> Result<Weight> {
        match self.format.quantize(self.source, name, shape)? {
            None => self.source.weight(name, shape),
            Some(blocks) => Ok(Weight::quantized(blocks)?),
        }
    }

    fn device(&self) -> &Device {
        self.source.device()
    }
}

/// The source that architectures load from. It counts the bytes it hands out.
pub(crate) struct CountingSource<'a> {
    source: &'a dyn TensorSource,
    bytes: Cell<u64>,
}

impl<'a> CountingSource<'a> {
    pub(crate) fn new(source: &'a dyn TensorSource) -> Self {
        Self {
            source,
            bytes: Cell::new(0),
        }
    }

    /// Bytes of all weights handed out.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    fn count(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes as u64);
    }

    /// See [`TensorSource::device`].
    pub(crate) fn device(&self) -> &Device {
        self.source.device()
    }

    /// See [`TensorSource::contains`].
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.source.contains(name)
    }

    /// See [`TensorSource::tensor`].
    pub(crate) fn tensor(&self, name: impl AsRef<str>, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.source.tensor(name.as_ref(), shape)?;
        self.count(kernels::tensor_bytes(&tensor));
        Ok(tensor)
    }

    /// See [`TensorSource::weight`].
    pub(crate) fn weight(&self, name: impl AsRef<str>, shape: [usize; 2]) -> Result<Weight> {
        let weight = self.source.weight(name.as_ref(), shape)?;
        self.count(weight.bytes());
        Ok(weight)
    }

    /// The embedding table and the output matrix of a vocabulary. If they `may_tie` and one of them
    /// is not stored, both are the other one, with the values of the output matrix.
    pub(crate) fn embedding(
        &self,
        table: &str,
        output: &str,
        shape: [usize; 2],
        may_tie: bool,
    ) -> Result<(Tensor, Weight)> {
        let has_output = self.contains(output);
        let has_both = has_output && self.contains(table);
        if may_tie && !has_both {
            let output = self.weight(if has_output { output } else { table }, shape)?;
            let table = output.full()?;
            if !matches!(output, Weight::Full(_) | Weight::Rounded(_)) {
                self.count(kernels::tensor_bytes(&table));
            }
            return Ok((table, output));
        }
        let table = self.source.table(table, shape)?;
        self.count(kernels::tensor_bytes(&table));
        Ok((table, self.weight(output, shape)?))
    }
}
