//! Estimates the memory and time of a training before it starts.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Variables;
use super::gradients::Gradients;
use crate::adapter::training::Trainable;
use crate::config::{OptimizerSpec, Protocol};
use chartbench_nn::training::Example;

/// Memory of the program, its threads and the prefetched batches.
const OVERHEAD_BYTES: u64 = 300 << 20;
/// Peak over kept activations: a forward pass holds further values for a moment.
const TRANSIENT_FACTOR: f64 = 1.3;

/// Memory in bytes, from the model's and the batch's sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// The checkpoint's weights in f32, frozen ones included.
    pub weights: u64,
    /// Gradients of the trained weights and LoRA factors, in f32.
    pub gradients: u64,
    /// The optimiser's moments.
    pub moments: u64,
    /// Activations that the backward pass needs, for one micro-batch.
    pub activations: u64,
}

impl MemoryEstimate {
    /// Estimates the memory of a batch of examples like `example`.
    pub fn new(model: &dyn Trainable, protocol: &Protocol, example: &Example) -> Self {
        let bytes = |count: usize| 4 * count as u64;
        let variables = model.variables();
        let moments = |dims: &[usize]| match (&protocol.optimizer, dims) {
            (OptimizerSpec::AdamW(_), dims) => 2 * dims.iter().product::<usize>(),
            (OptimizerSpec::Adafactor(_), [.., rows, columns]) => {
                dims.iter().product::<usize>() / rows.max(&1)
                    + dims.iter().product::<usize>() / columns.max(&1)
            }
            (OptimizerSpec::Adafactor(_), dims) => dims.iter().product(),
        };
        let kept = protocol.micro_batch().max(1)
            * model.activations(example, protocol.activation_checkpointing);
        Self {
            weights: bytes(
                variables
                    .all()
                    .map(|(_, variable)| variable.elem_count())
                    .sum(),
            ),
            gradients: bytes(
                variables
                    .trained()
                    .map(|(_, variable)| variable.elem_count())
                    .sum(),
            ),
            moments: bytes(
                variables
                    .trained()
                    .map(|(_, variable)| moments(variable.dims()))
                    .sum(),
            ),
            activations: (bytes(kept) as f64 * TRANSIENT_FACTOR) as u64,
        }
    }

    /// The sum of the parts and of the program's fixed overhead, in bytes.
    pub fn total(&self) -> u64 {
        self.weights + self.gradients + self.moments + self.activations + OVERHEAD_BYTES
    }

    /// Checks that the training fits in `available` bytes; the weights are already in memory.
    ///
    /// # Errors
    /// Returns an error if it does not fit, with the parts of the estimate and the flags that lower
    /// it.
    pub fn check(&self, available: u64) -> Result<()> {
        if self.total() - self.weights <= available {
            return Ok(());
        }
        bail!(
            "training needs about {} of memory (weights {}, gradients {}, optimiser {}, activations {}) and {} is free: raise \
             --gradient-accumulation-steps, lower --batch-size or --max-patches, or use --gradient-checkpointing true, \
             --optim adafactor, --freeze encoder or --lora-r 8; --no-memory-check trains all the same",
            format_bytes(self.total()),
            format_bytes(self.weights),
            format_bytes(self.gradients),
            format_bytes(self.moments),
            format_bytes(self.activations),
            format_bytes(available)
        )
    }
}

/// Formats a number of bytes in MiB or GiB.
pub fn format_bytes(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib >= 1024.0 {
        format!("{:.1} GiB", mib / 1024.0)
    } else {
        format!("{mib:.0} MiB")
    }
}

/// Measures the time of a step: runs the forward and backward pass of one micro-batch once. Weights
/// and random generator stay as they are.
///
/// # Errors
/// Returns an error if the examples do not fit the model.
pub fn measure_step_time(
    model: &dyn Trainable,
    protocol: &Protocol,
    part: &[Example],
) -> Result<Duration> {
    let started = Instant::now();
    Gradients::compute(
        model,
        &Variables::new(),
        part,
        part.len(),
        &mut None,
        protocol,
    )?;
    Ok(started.elapsed() * u32::try_from(protocol.accumulate).unwrap_or(u32::MAX))
}
