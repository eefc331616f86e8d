//! Weight matrices of linear layers: in f32, in bf16, or in blocks of 8 or 4 bits.

use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Storage, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::elementary::gelu;
use super::mul_add::ComputeDtype;
use super::packed_weight::PackedWeight;
use super::q8_0::PackedQ8;
use super::{Matrix, PARALLEL_FROM, fused, matrix};
use crate::all_finite;
use chartbench_core::isa;

/// The weight [out, in] of a linear layer.
#[derive(Clone, Debug)]
pub enum Weight {
    /// In f32 on any device; gradients pass through.
    Full(Tensor),
    /// In f32, as training needs it, but multiplied in bf16: each product rounds it anew.
    Rounded(Tensor),
    /// Packed for the CPU's kernels, rounded to bf16 or not; no gradient passes through.
    Packed(Arc<PackedWeight>),
    /// In GGML's blocks. The other operand is rounded to 8 bits row by row, and the products are of
    /// integers; no gradient passes through.
    Quantized(Arc<QTensor>),
    /// GGML's Q8_0, packed for a processor that multiplies bytes.
    Q8(Arc<PackedQ8>),
}

impl From<Tensor> for Weight {
    fn from(tensor: Tensor) -> Self {
        Self::Full(tensor)
    }
}

impl From<&Tensor> for Weight {
    fn from(tensor: &Tensor) -> Self {
        Self::Full(tensor.clone())
    }
}

impl Weight {
    /// A quantized weight, packed if this processor has a kernel for it, dequantized if neither
    /// this program nor candle has one.
    ///
    /// # Errors
    /// Returns an error if its bytes cannot be read.
    pub fn quantized(weight: Arc<QTensor>) -> Result<Self> {
        Ok(match PackedQ8::new(&weight)? {
            Some(blocks) => Self::Q8(blocks.into()),
            None if can_multiply_blocks() || !weight.device().is_cpu() => Self::Quantized(weight),
            None => Self::Packed(
                PackedWeight::new(&weight.dequantize(&weight.device())?, ComputeDtype::F32)?.into(),
            ),
        })
    }

    /// Its values as f32 [out, in].
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn full(&self) -> Result<Tensor> {
        match self {
            Self::Full(tensor) | Self::Rounded(tensor) => Ok(tensor.clone()),
            Self::Packed(panels) => panels.full(),
            Self::Quantized(blocks) => blocks.dequantize(&blocks.device()),
            Self::Q8(blocks) => blocks.full(),
        }
    }

    /// Outputs and inputs.
    ///
    /// # Errors
    /// Returns an error if it is not a matrix.
    pub fn dims(&self) -> Result<(usize, usize)> {
        match self {
            Self::Full(tensor) | Self::Rounded(tensor) => tensor.dims2(),
            Self::Packed(panels) => Ok(panels.dims()),
            Self::Quantized(blocks) => blocks.shape().dims2(),
            Self::Q8(blocks) => Ok(blocks.dims()),
        }
    }

    /// The dtype of the attention products next to this layer, in which no weight takes part.
    pub fn compute_dtype(&self) -> ComputeDtype {
        match self {
            Self::Full(_) => ComputeDtype::F32,
            Self::Rounded(_) => ComputeDtype::Bf16,
            Self::Quantized(_) | Self::Q8(_) => ComputeDtype::fastest_for_this_cpu(),
            Self::Packed(panels) => panels.dtype,
        }
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Full(tensor) | Self::Rounded(tensor) => tensor_bytes(tensor),
            Self::Packed(panels) => size_of_val(panels.words.as_slice()),
            Self::Quantized(blocks) => blocks.storage_size_in_bytes(),
            Self::Q8(blocks) => blocks.bytes(),
        }
    }

    pub(super) fn packed(&self) -> Option<&PackedWeight> {
        if let Self::Packed(panels) = self {
            Some(panels)
        } else {
            None
        }
    }

    pub(super) fn q8(&self) -> Option<&PackedQ8> {
        if let Self::Q8(blocks) = self {
            Some(blocks)
        } else {
            None
        }
    }

    /// The device that its values are on: the CPU where they are packed.
    pub fn device(&self) -> Device {
        match self {
            Self::Full(tensor) | Self::Rounded(tensor) => tensor.device().clone(),
            Self::Packed(_) | Self::Q8(_) => Device::Cpu,
            Self::Quantized(blocks) => blocks.device(),
        }
    }
}

/// Whether candle's products with quantized weights run on this processor: on aarch64 they use the
/// dot product of bytes (ARMv8.2 DotProd) without asking for it.
fn can_multiply_blocks() -> bool {
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("dotprod");
    #[cfg(not(target_arch = "aarch64"))]
    true
}

/// Bytes of a tensor in memory.
pub fn tensor_bytes(tensor: &Tensor) -> usize {
    tensor.elem_count() * tensor.dtype().size_in_bytes()
}

/// `x · wᵀ` for many rows. A row that holds NaN or infinity gives NaN: candle rounds such values to
/// 0.
pub(super) fn product(x: &Tensor, w: &QTensor) -> Result<Tensor> {
    let rows = x.dim(0)?;
    let missing = rows.next_multiple_of(row_block()) - rows;
    if missing == 0 || !fused(x) {
        return unpadded_product(x, w);
    }
    unpadded_product(&x.pad_with_zeros(0, 0, missing)?, w)?.narrow(0, 0, rows)
}

/// Rows that candle multiplies together. It adds up left-over rows in another order: with the
/// matrix product of bytes (ARMv8.2 I8MM) it takes rows of Q4_K by fours.
fn row_block() -> usize {
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("i8mm") {
        return 4;
    }
    1
}

/// [`product`] of whole blocks of rows, or of a single row.
fn unpadded_product(x: &Tensor, w: &QTensor) -> Result<Tensor> {
    let x = x.contiguous()?;
    let out = x.apply_op1_no_bwd(w)?;
    if !fused(&x) {
        return Ok(out);
    }
    let guard: Vec<f32> = {
        let (storage, layout) = x.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else {
            return Ok(out);
        };
        let Matrix {
            values,
            rows,
            columns,
        } = matrix(storage, layout)?;
        if columns == 0 || all_finite(values) {
            return Ok(out);
        }
        values
            .chunks_exact(columns)
            .take(rows)
            .map(|row| if all_finite(row) { 0.0 } else { f32::NAN })
            .collect()
    };
    let rows = guard.len();
    out.broadcast_add(&Tensor::from_vec(guard, (rows, 1), &Device::Cpu)?)
}

/// [`product`] for the rows of a decoding step, whose number depends on the batch.
pub(super) fn decode_product(x: &Tensor, w: &QTensor) -> Result<Tensor> {
    /// Most rows that candle adds up in the order of a single row: on processors with AMX it takes
    /// another order from 32 rows on, on aarch64 from 2 rows on.
    const ROWS: usize = if cfg!(target_arch = "aarch64") { 1 } else { 31 };
    let rows = x.dim(0)?;
    if rows <= ROWS {
        return unpadded_product(x, w);
    }
    let parts = (0..rows)
        .step_by(ROWS)
        .map(|first| unpadded_product(&x.narrow(0, first, ROWS.min(rows - first))?, w));
    Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)
}

/// `gelu(gate) ∘ linear`, the tanh form of GELU. No gradient passes through.
pub(super) fn gated(gate: &Tensor, linear: &Tensor) -> Result<Tensor> {
    if fused(gate) {
        gate.apply_op2_no_bwd(linear, &Gating)
    } else {
        gate.gelu()?.mul(linear)
    }
}

struct Gating;

impl CustomOp2 for Gating {
    fn name(&self) -> &'static str {
        "gating"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gl: &Layout,
        linear: &CpuStorage,
        ll: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let Matrix {
            values: gate,
            rows,
            columns,
        } = matrix(gate, gl)?;
        let linear = matrix(linear, ll)?.values;
        if gate.len() != linear.len() {
            candle_core::bail!(
                "{}: {} values do not fit {rows}x{columns}",
                self.name(),
                linear.len()
            );
        }
        let mut out = gate.to_vec();
        let arch = isa::arch();
        out.par_chunks_mut(PARALLEL_FROM / 16)
            .zip(linear.par_chunks(PARALLEL_FROM / 16))
            .for_each(|(gate, linear)| arch.dispatch(Gate { gate, linear }));
        Ok((CpuStorage::F32(out), Shape::from((rows, columns))))
    }
}

/// `gate = gelu(gate) ∘ linear`.
pub(super) struct Gate<'a> {
    pub(super) gate: &'a mut [f32],
    pub(super) linear: &'a [f32],
}

impl WithSimd for Gate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (gates, gate_tail) = S::as_mut_simd_f32s(self.gate);
        let (linears, linear_tail) = S::as_simd_f32s(self.linear);
        for (gate, linear) in gates.iter_mut().zip(linears) {
            *gate = simd.mul_f32s(gelu(simd, *gate), *linear);
        }
        let last = simd.mul_f32s(
            gelu(simd, simd.partial_load_f32s(gate_tail)),
            simd.partial_load_f32s(linear_tail),
        );
        simd.partial_store_f32s(gate_tail, last);
    }
}
