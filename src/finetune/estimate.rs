//! What a training takes, before it starts.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Variables;
use super::gradients::Gradients;
use crate::adapter::training::Trainable;
use crate::config::{OptimizerSpec, Protocol};
use chartbench_nn::training::Example;

/// The program, its threads and the batches made ahead.
const BESIDES: u64 = 300 << 20;
/// Values a forward pass needs for a moment, on top of those it keeps.
const PASSING: f64 = 1.3;

/// Memory in bytes, from the model's and the batch's sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryEstimate {
    pub weights: u64,
    pub gradients: u64,
    /// The optimiser's moments.
    pub moments: u64,
    /// What the backward pass needs of the forward pass, of one part of a batch.
    pub activations: u64,
}

impl MemoryEstimate {
    /// For a batch whose examples are like `example`.
    pub fn new(model: &dyn Trainable, protocol: &Protocol, example: &Example) -> Self {
        let bytes = |count: usize| 4 * count as u64;
        let variables = model.variables();
        let moments = |dims: &[usize]| match (&protocol.optimizer, dims) {
            (OptimizerSpec::AdamW(_), dims) => 2 * dims.iter().product::<usize>(),
            (OptimizerSpec::Adafactor(_), [.., rows, columns]) => {
                dims.iter().product::<usize>() / rows.max(&1) + dims.iter().product::<usize>() / columns.max(&1)
            }
            (OptimizerSpec::Adafactor(_), dims) => dims.iter().product(),
        };
        let kept = protocol.micro_batch().max(1) * model.activations(example, protocol.activation_checkpointing);
        Self {
            weights: bytes(variables.all().map(|(_, variable)| variable.elem_count()).sum()),
            gradients: bytes(variables.trained().map(|(_, variable)| variable.elem_count()).sum()),
            moments: bytes(variables.trained().map(|(_, variable)| moments(variable.dims())).sum()),
            activations: (bytes(kept) as f64 * PASSING) as u64,
        }
    }

    pub fn total(&self) -> u64 {
        self.weights + self.gradients + self.moments + self.activations + BESIDES
    }

    /// Refuses a training for which `available` bytes are too few; the weights are already in memory.
    ///
    /// # Errors
    /// Says what takes how much, and what to change.
    pub fn check(&self, available: u64) -> Result<()> {
        if self.total() - self.weights <= available {
            return Ok(());
        }
        bail!(
            "training needs about {} of memory (weights {}, gradients {}, optimiser {}, activations {}) and {} is free: raise \
             --accumulate, lower --batch or --max-patches, or use --activation-checkpointing true, --optimizer adafactor, \
             --freeze encoder or --lora-rank 8; --no-memory-check trains all the same",
            size(self.total()),
            size(self.weights),
            size(self.gradients),
            size(self.moments),
            size(self.activations),
            size(available)
        )
    }
}

/// Bytes as people read them.
pub fn size(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib >= 1024.0 { format!("{:.1} GiB", mib / 1024.0) } else { format!("{mib:.0} MiB") }
}

/// How long a step takes: forward and backward pass of one part of a batch, once, with weights and generator left alone.
///
/// # Errors
/// Examples that are not the model's.
pub fn step_time(model: &dyn Trainable, protocol: &Protocol, part: &[Example]) -> Result<Duration> {
    let started = Instant::now();
    Gradients::of(model, &Variables::new(), part, part.len(), &mut None, protocol)?;
    Ok(started.elapsed() * u32::try_from(protocol.accumulate).unwrap_or(u32::MAX))
}
