//! The gradients of the gated GELU. Both products in front of it are computed again: the forward
//! pass kept neither.

use candle_core::{Result, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::backward::{cpu_slice, detached, matmul_backward};
use super::elementary::gelu_and_slope;
use super::linear::unpacked_product;
use super::mul_add::ComputeDtype;
use chartbench_core::isa;

/// Values of a task.
const TASK: usize = 1 << 15;

/// The gradients of `gelu(x · w0ᵀ) ∘ (x · w1ᵀ)` for `x`, `w0` and `w1`; `None` for tensors outside
/// the graph.
pub(super) fn gradients(
    x: &Tensor,
    w0: &Tensor,
    w1: &Tensor,
    grad: &Tensor,
    dtype: ComputeDtype,
) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
    let (gate, linear) = {
        let (x, w0, w1) = (detached(x)?, detached(w0)?, detached(w1)?);
        split(
            &unpacked_product(&x, &w0, dtype)?,
            &unpacked_product(&x, &w1, dtype)?,
            &detached(grad)?,
        )?
    };
    let (through_gate, dw0) = matmul_backward(x, w0, &gate, dtype)?;
    drop(gate);
    let (through_linear, dw1) = matmul_backward(x, w1, &linear, dtype)?;
    let dx = through_gate
        .zip(through_linear)
        .map(|(gate, linear)| gate + linear)
        .transpose()?;
    Ok((dx, dw0, dw1))
}

/// The gradients of both products, from the products.
fn split(gate: &Tensor, linear: &Tensor, grad: &Tensor) -> Result<(Tensor, Tensor)> {
    let storages = [gate, linear, grad].map(Tensor::storage_and_layout);
    let (gates, linears, grads) = (
        cpu_slice(&storages[0])?,
        cpu_slice(&storages[1])?,
        cpu_slice(&storages[2])?,
    );
    let (mut of_gate, mut of_linear) = (vec![0f32; grads.len()], vec![0f32; grads.len()]);
    let arch = isa::arch();
    let inputs = gates
        .par_chunks(TASK)
        .zip(linears.par_chunks(TASK))
        .zip(grads.par_chunks(TASK));
    let outputs = of_gate
        .par_chunks_mut(TASK)
        .zip(of_linear.par_chunks_mut(TASK));
    outputs
        .zip(inputs)
        .for_each(|((of_gate, of_linear), ((gate, linear), grad))| {
            arch.dispatch(Split {
                gate,
                linear,
                grad,
                of_gate,
                of_linear,
            });
        });
    let tensor = |values| Tensor::from_vec(values, grad.shape(), grad.device());
    Ok((tensor(of_gate)?, tensor(of_linear)?))
}

struct Split<'a> {
    gate: &'a [f32],
    linear: &'a [f32],
    grad: &'a [f32],
    of_gate: &'a mut [f32],
    of_linear: &'a mut [f32],
}

impl WithSimd for Split<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [(gates, gate), (linears, linear), (grads, grad)] =
            [self.gate, self.linear, self.grad].map(|values| S::as_simd_f32s(values));
        let [(of_gates, of_gate), (of_linears, of_linear)] =
            [self.of_gate, self.of_linear].map(|values| S::as_mut_simd_f32s(values));
        let inputs = gates.iter().zip(linears).zip(grads);
        for ((of_gate, of_linear), ((gate, linear), grad)) in
            of_gates.iter_mut().zip(of_linears).zip(inputs)
        {
            (*of_gate, *of_linear) = parts(simd, *gate, *linear, *grad);
        }
        let [gate, linear, grad] = [gate, linear, grad].map(|tail| simd.partial_load_f32s(tail));
        let last = parts(simd, gate, linear, grad);
        simd.partial_store_f32s(of_gate, last.0);
        simd.partial_store_f32s(of_linear, last.1);
    }
}

/// The gradients of the gate's product and of the linear one.
#[inline(always)]
fn parts<S: Simd>(simd: S, gate: S::f32s, linear: S::f32s, grad: S::f32s) -> (S::f32s, S::f32s) {
    let [value, slope] = gelu_and_slope(simd, gate);
    (
        simd.mul_f32s(simd.mul_f32s(grad, linear), slope),
        simd.mul_f32s(grad, value),
    )
}
