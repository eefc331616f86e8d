//! Optimisers that step as PyTorch's and transformers' do: the same arithmetic in the same order,
//! in f32.
//!
//! On the CPU variables and moments are changed in place, a block of fixed size a task, so that a
//! step takes no memory the size of the model and gives the same bits on any number of threads.
//! Elsewhere the step is composed of candle operations.

mod adafactor;
mod adamw;
mod clip;
mod device;
mod gradient;
mod in_place;
mod moments;

use std::collections::HashMap;

use anyhow::Result;
use candle_core::Tensor;
use candle_core::backprop::GradStore;

pub use adafactor::Adafactor;
pub use adamw::AdamW;
pub use clip::{clip_scale, global_norm};

/// Trained weights, by their names in the checkpoint. Every sum over them goes in the map's order.
pub type Variables = std::collections::BTreeMap<String, candle_core::Var>;

/// `torch.optim.AdamW`'s options.
#[derive(Clone, Copy, Debug)]
pub struct AdamWOptions {
    /// Decay rates of the first and second moment.
    pub betas: [f64; 2],
    /// Added to the root of the second moment; above 0.
    pub eps: f64,
    /// Decoupled weight decay, times the learning rate.
    pub weight_decay: f64,
}

/// `transformers.Adafactor`'s options, without a first moment.
#[derive(Clone, Copy, Debug)]
pub struct AdafactorOptions {
    /// The step's size follows from the number of steps, and the learning rate does not count.
    pub relative_step: bool,
    /// Steps are measured by each variable's own size.
    pub scale_parameter: bool,
    /// With `relative_step`: small steps at first.
    pub warmup_init: bool,
    /// Largest root mean square of an update.
    pub clip_threshold: f64,
    /// Negative: how fast the second moment forgets.
    pub decay_rate: f64,
    /// Decoupled weight decay, times the learning rate.
    pub weight_decay: f64,
}

/// Moves variables against their gradients.
pub trait Optimizer {
    /// One step. Every gradient is multiplied by `scale` first ([`clip_scale`], 1 for as it is); a
    /// variable without a gradient stays as it is, and its count of steps too, as in PyTorch.
    ///
    /// # Errors
    /// Returns an error if a variable or gradient is not f32, or its shape differs from its
    /// moments'.
    fn step(
        &mut self,
        variables: &Variables,
        gradients: &GradStore,
        lr: f64,
        scale: f32,
    ) -> Result<()>;

    /// Moments and counts of steps, named `exp_avg.NAME`, `step.NAME` and so on. The tensors share
    /// the optimiser's memory: write them before the next step.
    ///
    /// # Errors
    /// Returns an error if a device other than the CPU fails.
    fn state(&self) -> Result<Vec<(String, Tensor)>>;

    /// Restores an optimiser from its [`Optimizer::state`].
    ///
    /// # Errors
    /// Returns an error if a tensor is missing, of another shape, or of an unknown variable.
    fn restore(&mut self, state: HashMap<String, Tensor>, variables: &Variables) -> Result<()>;
}
