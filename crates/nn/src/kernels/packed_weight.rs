//! A weight matrix packed once in the layout that the kernels read. bf16 takes half the memory of
//! f32.

use std::ops::Range;

use candle_core::{Device, Result, Storage, Tensor};
use rayon::prelude::*;

use super::micro_kernel::{TileShape, pack_columns, pack_group};
use super::mul_add::ComputeDtype;

/// The weight [out, in] of a linear layer as panels of output columns,
/// `[out / width][in / values][width]` words. Zeros fill the last panel and the last word. It lives
/// on the CPU; no gradient passes through.
pub struct PackedWeight {
    pub(super) words: Vec<f32>,
    pub(super) inner: usize,
    pub(super) columns: usize,
    pub(super) dtype: ComputeDtype,
    /// Output columns of a panel.
    pub(super) width: usize,
}

impl std::fmt::Debug for PackedWeight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "PackedWeight({}x{} in {:?})",
            self.columns, self.inner, self.dtype
        )
    }
}

impl PackedWeight {
    /// Packs a row-major matrix [out, `inner`].
    pub(super) fn pack(w: &[f32], inner: usize, dtype: ComputeDtype) -> Self {
        let (width, values) = (TileShape::get().columns, dtype.values_per_word());
        let columns = w.len() / inner.max(1);
        let mut words = vec![0f32; columns.div_ceil(width) * width * inner.div_ceil(values)];
        let pairs = words
            .par_chunks_mut((width * inner.div_ceil(values)).max(1))
            .zip(w.par_chunks((width * inner).max(1)));
        pairs.for_each(|(panel, rows)| pack_group(rows.chunks_exact(inner), width, values, panel));
        Self {
            words,
            inner,
            columns,
            dtype,
            width,
        }
    }

    /// Packs some columns of a row-major matrix [out, `hidden`].
    pub(super) fn of_rows(
        matrix: &[f32],
        hidden: usize,
        part: Range<usize>,
        dtype: ComputeDtype,
    ) -> Self {
        let (width, values, inner) = (
            TileShape::get().columns,
            dtype.values_per_word(),
            part.len(),
        );
        let columns = matrix.len() / hidden;
        let size = width * inner.div_ceil(values);
        let mut words = vec![0f32; columns.div_ceil(width) * size];
        for (panel, rows) in words
            .chunks_exact_mut(size)
            .zip(matrix.chunks(width * hidden))
        {
            pack_group(
                rows.chunks_exact(hidden).map(|row| &row[part.clone()]),
                width,
                values,
                panel,
            );
        }
        Self {
            words,
            inner,
            columns,
            dtype,
            width,
        }
    }

    /// Packs the transpose: some columns of a row-major matrix [in, `hidden`] are the outputs.
    pub(super) fn of_columns(
        matrix: &[f32],
        hidden: usize,
        part: Range<usize>,
        dtype: ComputeDtype,
    ) -> Self {
        let (width, values, inner) = (
            TileShape::get().columns,
            dtype.values_per_word(),
            matrix.len() / hidden,
        );
        let size = width * inner.div_ceil(values);
        let mut words = vec![0f32; part.len().div_ceil(width) * size];
        for (index, panel) in words.chunks_exact_mut(size).enumerate() {
            let taken = part.start + index * width..part.end.min(part.start + (index + 1) * width);
            pack_columns(matrix, hidden, taken, width, values, panel);
        }
        Self {
            words,
            inner,
            columns: part.len(),
            dtype,
            width,
        }
    }

    /// Packs an f32 matrix [out, in] on the CPU.
    ///
    /// # Errors
    /// Returns an error unless `w` is a 2-D f32 tensor on the CPU.
    pub fn new(w: &Tensor, dtype: ComputeDtype) -> Result<Self> {
        let (_, inner) = w.dims2()?;
        let w = w.contiguous()?;
        let (storage, layout) = w.storage_and_layout();
        match (&*storage, layout.contiguous_offsets()) {
            (Storage::Cpu(storage), Some((start, end))) => Ok(Self::pack(
                &storage.as_slice::<f32>()?[start..end],
                inner,
                dtype,
            )),
            _ => candle_core::bail!("weights are packed on the CPU alone"),
        }
    }

    /// The values as f32 [out, in].
    ///
    /// # Errors
    /// Returns an error if candle cannot make the tensor.
    pub fn full(&self) -> Result<Tensor> {
        let values = self.dtype.values_per_word();
        let words = self.inner.div_ceil(values);
        let mut full = vec![0f32; self.columns * self.inner];
        if !full.is_empty() {
            full.par_chunks_mut(self.inner)
                .enumerate()
                .for_each(|(column, full)| {
                    let panel = &self.words[column / self.width * self.width * words..]
                        [..self.width * words];
                    for (full, word) in full
                        .chunks_mut(values)
                        .zip(panel.iter().skip(column % self.width).step_by(self.width))
                    {
                        let bits = word.to_bits();
                        match (self.dtype, full) {
                            (ComputeDtype::F32, full) => full.fill(*word),
                            (ComputeDtype::Bf16, [first]) => *first = f32::from_bits(bits << 16),
                            (ComputeDtype::Bf16, full) => {
                                full.copy_from_slice(&[
                                    f32::from_bits(bits << 16),
                                    f32::from_bits(bits & 0xffff_0000),
                                ]);
                            }
                        }
                    }
                });
        }
        Tensor::from_vec(full, (self.columns, self.inner), &Device::Cpu)
    }

    /// The f32 weight times a factor.
    pub fn scaled(&self, factor: f64) -> Self {
        let words = self.words.iter().map(|word| word * factor as f32).collect();
        Self { words, ..*self }
    }

    /// The dtype that the packed values are rounded to.
    pub fn compute_dtype(&self) -> ComputeDtype {
        self.dtype
    }

    /// Outputs and inputs.
    pub fn dims(&self) -> (usize, usize) {
        (self.columns, self.inner)
    }
}
