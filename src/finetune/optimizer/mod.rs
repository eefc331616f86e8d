//! Optimisers that step as PyTorch's and transformers' do: the same arithmetic in the same order, in f32.
//!
//! On the CPU variables and moments are changed in place, a block of fixed size a task, so that a step takes no memory the
//! size of the model and gives the same bits on any number of threads. Elsewhere the step is composed of candle operations.

mod adafactor;
mod adamw;
mod clip;
mod composed;
mod factored;
mod gradient;
mod in_place;
mod slot;
mod unfactored;

use std::collections::HashMap;

use anyhow::Result;
use candle_core::Tensor;
use candle_core::backprop::GradStore;

pub use adafactor::Adafactor;
pub use adamw::AdamW;
pub use clip::{clip_scale, global_norm};

use super::Variables;
use crate::config::OptimizerSpec;

/// Moves variables against their gradients.
pub trait Optimizer {
    /// One step. Every gradient is multiplied by `scale` first ([`clip_scale`], 1 for as it is); a variable without a
    /// gradient stays as it is, and its count of steps too, as in PyTorch.
    ///
    /// # Errors
    /// A variable or gradient that is not f32, or of another shape than its moments.
    fn step(&mut self, variables: &Variables, gradients: &GradStore, lr: f64, scale: f32) -> Result<()>;

    /// Moments and counts of steps, named `exp_avg.NAME`, `step.NAME` and so on. The tensors share the optimiser's memory:
    /// write them before the next step.
    ///
    /// # Errors
    /// None on the CPU; elsewhere what the device says.
    fn state(&self) -> Result<Vec<(String, Tensor)>>;

    /// Takes the place of a former optimiser by its [`Optimizer::state`].
    ///
    /// # Errors
    /// A tensor of a variable that is not there, of another shape, or one that is missing.
    fn restore(&mut self, state: HashMap<String, Tensor>, variables: &Variables) -> Result<()>;
}

/// A fresh optimiser.
pub fn build(spec: &OptimizerSpec) -> Box<dyn Optimizer> {
    match spec {
        OptimizerSpec::AdamW(spec) => Box::new(AdamW::new(*spec)),
        OptimizerSpec::Adafactor(spec) => Box::new(Adafactor::new(*spec)),
    }
}
