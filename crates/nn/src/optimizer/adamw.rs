//! AdamW as `torch.optim.AdamW`: decoupled weight decay, bias-corrected moments, `eps` added to the
//! root. Loshchilov and Hutter, arXiv 1711.05101.

use std::collections::HashMap;

use anyhow::{Context, Result};
use candle_core::Tensor;
use candle_core::backprop::GradStore;
use rayon::prelude::*;

use super::gradient::{Gradient, with_gradient};
use super::in_place::with_values;
use super::moments::{Moments, VariableMoments};
use super::{AdamWOptions, Optimizer, Variables, device};
use chartbench_core::isa;

/// The optimiser with its moments.
pub struct AdamW {
    spec: AdamWOptions,
    moments: Moments,
}

/// The factors of one step of one variable, computed in f64.
#[derive(Clone, Copy)]
pub(super) struct Factors {
    pub scale: f32,
    /// The factor of the variable that weight decay leaves.
    pub kept: f32,
    pub beta2: f32,
    /// 1 - beta1 and 1 - beta2.
    pub new: [f32; 2],
    /// Learning rate over the first moment's bias correction.
    pub step_size: f32,
    /// Root of the second moment's bias correction.
    pub root: f32,
    pub eps: f32,
}

impl AdamW {
    /// An optimiser without moments.
    pub fn new(spec: AdamWOptions) -> Self {
        Self {
            spec,
            moments: Moments::new(|dims| {
                vec![("exp_avg", dims.to_vec()), ("exp_avg_sq", dims.to_vec())]
            }),
        }
    }
}

/// The factors of step `step` of a variable.
pub(super) fn factors(spec: &AdamWOptions, step: u32, lr: f64, scale: f32) -> Factors {
    let [beta1, beta2] = spec.betas;
    let step = f64::from(step);
    Factors {
        scale,
        kept: (1.0 - lr * spec.weight_decay) as f32,
        beta2: beta2 as f32,
        new: [(1.0 - beta1) as f32, (1.0 - beta2) as f32],
        step_size: (lr / (1.0 - beta1.powf(step))) as f32,
        root: (1.0 - beta2.powf(step)).sqrt() as f32,
        eps: spec.eps as f32,
    }
}

impl Optimizer for AdamW {
    fn step(
        &mut self,
        variables: &Variables,
        gradients: &GradStore,
        lr: f64,
        scale: f32,
    ) -> Result<()> {
        for (name, variable) in variables {
            let Some(gradient) = gradients.get(variable) else {
                continue;
            };
            let mut step = || {
                let moments = self.moments.advance(name, variable)?;
                let factors = factors(&self.spec, moments.step, lr, scale);
                if variable.device().is_cpu() {
                    with_gradient(gradient, variable.dims(), |gradient| {
                        in_place(variable, moments, gradient, factors)
                    })
                } else {
                    device::adamw(variable, moments, gradient, factors)
                }
            };
            step().with_context(|| format!("cannot train the variable `{name}`"))?;
        }
        Ok(())
    }

    fn state(&self) -> Result<Vec<(String, Tensor)>> {
        self.moments.state()
    }

    fn restore(&mut self, state: HashMap<String, Tensor>, variables: &Variables) -> Result<()> {
        self.moments.restore(state, variables)
    }
}

fn in_place(
    variable: &Tensor,
    moments: &VariableMoments,
    gradient: &Gradient<'_>,
    factors: Factors,
) -> Result<()> {
    let [mean, square] = moments.tensors.as_slice() else {
        anyhow::bail!("not the moments of AdamW")
    };
    let block = gradient.grid.block_rows() * gradient.grid.columns.max(1);
    with_values(&[variable, mean, square], &mut |values| {
        let [weights, means, squares] = values else {
            candle_core::bail!("not three tensors")
        };
        weights
            .par_chunks_mut(block)
            .zip_eq(means.par_chunks_mut(block))
            .zip_eq(squares.par_chunks_mut(block))
            .zip_eq(
                gradient
                    .grid
                    .blocks(0..gradient.grid.rows)
                    .collect::<Vec<_>>(),
            )
            .for_each_init(Vec::new, |buffer, (((weights, means), squares), rows)| {
                step_block(
                    weights,
                    means,
                    squares,
                    gradient.rows(rows, buffer),
                    factors,
                );
            });
        Ok(())
    })?;
    Ok(())
}

fn step_block(
    weights: &mut [f32],
    means: &mut [f32],
    squares: &mut [f32],
    gradient: &[f32],
    factors: Factors,
) {
    isa::arch().dispatch(|| {
        for (((weight, mean), square), &gradient) in
            weights.iter_mut().zip(means).zip(squares).zip(gradient)
        {
            let gradient = gradient * factors.scale;
            *mean += factors.new[0] * (gradient - *mean);
            *square = *square * factors.beta2 + factors.new[1] * gradient * gradient;
            let divisor = square.sqrt() / factors.root + factors.eps;
            *weight = *weight * factors.kept - factors.step_size * (*mean / divisor);
        }
    })
}
