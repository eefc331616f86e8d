//! The optimizer that a protocol names.

pub use chartbench_nn::optimizer::{Adafactor, AdamW, Optimizer, clip_scale, global_norm};
use chartbench_nn::optimizer::{AdafactorOptions, AdamWOptions};

use crate::config::OptimizerSpec;

/// An optimizer without moments.
pub fn build(spec: &OptimizerSpec) -> Box<dyn Optimizer> {
    match spec {
        OptimizerSpec::AdamW(spec) => Box::new(AdamW::new(AdamWOptions {
            betas: spec.betas,
            eps: spec.eps,
            weight_decay: spec.weight_decay,
        })),
        OptimizerSpec::Adafactor(spec) => Box::new(Adafactor::new(AdafactorOptions {
            relative_step: spec.relative_step,
            scale_parameter: spec.scale_parameter,
            warmup_init: spec.warmup_init,
            clip_threshold: spec.clip_threshold,
            decay_rate: spec.decay_rate,
            weight_decay: spec.weight_decay,
        })),
    }
}
