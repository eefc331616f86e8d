//! Adafactor as `transformers.Adafactor` without a first moment: the second moment of a matrix is
//! kept as the means of its rows and columns. Shazeer and Stern, arXiv 1804.04235.

mod matrix;
mod vector;

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use super::gradient::with_gradient;
use super::moments::{Moments, VariableMoments};
use super::{AdafactorOptions, Optimizer, Variables, device};

/// Added to squared gradients.
pub(in crate::optimizer) const SQUARE_GUARD: f32 = 1e-30;
/// Lower bound of a variable's scale.
const LEAST_SCALE: f64 = 1e-3;

/// The optimiser with its second moments.
pub struct Adafactor {
    spec: AdafactorOptions,
    moments: Moments,
}

/// The factors of one step of one variable.
#[derive(Clone, Copy)]
pub(in crate::optimizer) struct Factors {
    pub scale: f32,
    /// Weights of the old second moment and of the new squares.
    pub old: f32,
    pub new: f32,
    pub clip_threshold: f64,
    /// The learning rate, scaled by the variable's root mean square with `scale_parameter`.
    pub lr: f64,
    pub weight_decay: f64,
}

impl Factors {
    /// The divisor of an update with the root mean square `rms`.
    pub(super) fn divisor(&self, rms: f64) -> f32 {
        let divisor = rms / self.clip_threshold;
        // Not `max`: a NaN has to stay one.
        if divisor < 1.0 { 1.0 } else { divisor as f32 }
    }

    /// The factor of the variable that weight decay leaves.
    pub(super) fn kept(&self) -> f32 {
        (1.0 - self.weight_decay * self.lr) as f32
    }
}

impl Adafactor {
    /// An optimiser without moments.
    pub fn new(spec: AdafactorOptions) -> Self {
        Self {
            spec,
            moments: Moments::new(moment_shapes),
        }
    }
}

/// The factors of step `step` of a variable with the root mean square `rms`.
pub(in crate::optimizer) fn factors(
    spec: &AdafactorOptions,
    step: u32,
    lr: f64,
    scale: f32,
    rms: f64,
) -> Factors {
    let step = f64::from(step);
    let old = 1.0 - step.powf(spec.decay_rate);
    let lr = if spec.relative_step {
        let longest = if spec.warmup_init { 1e-6 * step } else { 1e-2 };
        longest.min(step.sqrt().recip())
    } else {
        lr
    };
    let lr = if spec.scale_parameter {
        lr * rms.max(LEAST_SCALE)
    } else {
        lr
    };
    Factors {
        scale,
        old: old as f32,
        new: (1.0 - old) as f32,
        clip_threshold: spec.clip_threshold,
        lr,
        weight_decay: spec.weight_decay,
    }
}

/// Row and column means for variables of two or more dimensions, whose last two are a matrix.
pub(in crate::optimizer) fn moment_shapes(dims: &[usize]) -> Vec<(&'static str, Vec<usize>)> {
    match dims {
        [batch @ .., rows, columns] => {
            vec![
                ("exp_avg_sq_row", [batch, &[*rows]].concat()),
                ("exp_avg_sq_col", [batch, &[*columns]].concat()),
            ]
        }
        _ => vec![("exp_avg_sq", dims.to_vec())],
    }
}

impl Optimizer for Adafactor {
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
                let rms = if self.spec.scale_parameter {
                    rms(variable)?
                } else {
                    0.0
                };
                let factors = factors(&self.spec, moments.step, lr, scale, rms);
                apply(variable, moments, gradient, factors)
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

/// The root mean square of a variable's values.
fn rms(variable: &Tensor) -> Result<f64> {
    let sum = super::clip::squares(variable)?;
    Ok((sum / variable.elem_count() as f64).sqrt())
}

fn apply(
    variable: &Var,
    moments: &mut VariableMoments,
    gradient: &Tensor,
    factors: Factors,
) -> Result<()> {
    if !variable.device().is_cpu() {
        return device::adafactor(variable, moments, gradient, factors);
    }
    with_gradient(gradient, variable.dims(), |gradient| {
        match moments.tensors.as_slice() {
            [rows, columns] => matrix::step(variable, rows, columns, gradient, factors),
            [square] => vector::step(variable, square, gradient, factors),
            _ => bail!("not the moments of Adafactor"),
        }
    })
}
