//! Clips gradients by their global norm, as `torch.nn.utils.clip_grad_norm_`.

use anyhow::{Context, Result};
use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor};
use rayon::prelude::*;

use super::Variables;
use super::gradient::{Gradient, with_gradient};
use chartbench_core::isa;

/// Sums kept side by side, so that adding up can be vectorised.
const LANES: usize = 8;

/// The 2-norm of all gradients as one vector; NaN or infinite when any of them is. Summed in f64,
/// blocks of fixed size in order: the same bits on any number of threads.
///
/// # Errors
/// Returns an error that names the variable if its gradient cannot be read.
pub fn global_norm(variables: &Variables, gradients: &GradStore) -> Result<f64> {
    let mut sum = 0.0;
    for (name, variable) in variables {
        if let Some(gradient) = gradients.get(variable) {
            sum += squares(gradient).with_context(|| format!("the variable `{name}`"))?;
        }
    }
    Ok(sum.sqrt())
}

/// The factor that scales gradients of the norm `norm` to at most `max`: 1 below it, and NaN for
/// NaN.
pub fn clip_scale(norm: f64, max: f64) -> f32 {
    /// PyTorch's guard against a division by zero.
    const GUARD: f64 = 1e-6;
    let scale = max / (norm + GUARD);
    if scale > 1.0 { 1.0 } else { scale as f32 }
}

/// The sum of a tensor's squares.
pub(super) fn squares(tensor: &Tensor) -> Result<f64> {
    if tensor.device().is_cpu() {
        // The order does not matter: a transposed view is read as it lies.
        let lying = if tensor.rank() == 2 && !tensor.is_contiguous() {
            tensor.t()?
        } else {
            tensor.clone()
        };
        let tensor = if lying.is_contiguous() {
            &lying
        } else {
            tensor
        };
        with_gradient(tensor, tensor.dims(), |gradient| {
            Ok(sum_of_blocks(gradient))
        })
    } else {
        Ok(tensor
            .to_dtype(DType::F32)?
            .sqr()?
            .sum_all()?
            .to_scalar::<f32>()?
            .into())
    }
}

fn sum_of_blocks(gradient: &Gradient<'_>) -> f64 {
    let blocks: Vec<_> = gradient.grid.blocks(0..gradient.grid.rows).collect();
    let sums: Vec<f64> = blocks
        .into_par_iter()
        .map_init(Vec::new, |buffer, rows| {
            sum_of_squares(gradient.rows(rows, buffer))
        })
        .collect();
    sums.iter().sum()
}

/// The sum of squares, in f64.
fn sum_of_squares(values: &[f32]) -> f64 {
    isa::arch().dispatch(|| {
        let mut lanes = [0f64; LANES];
        let chunks = values.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (lane, &value) in lanes.iter_mut().zip(chunk) {
                *lane += f64::from(value) * f64::from(value);
            }
        }
        for (lane, &value) in lanes.iter_mut().zip(rest) {
            *lane += f64::from(value) * f64::from(value);
        }
        lanes.iter().sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_norm_is_left_and_a_broken_one_stays_broken() {
        assert_eq!(clip_scale(0.5, 1.0), 1.0);
        assert_eq!(clip_scale(0.0, 1.0), 1.0);
        assert!((clip_scale(4.0, 1.0) - 0.25).abs() < 1e-6);
        assert!(clip_scale(f64::NAN, 1.0).is_nan());
        assert_eq!(clip_scale(f64::INFINITY, 1.0), 0.0);
    }
}
