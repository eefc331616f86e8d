//! The gradients of a batch, accumulated over its micro-batches.

use anyhow::Result;
use candle_core::backprop::GradStore;

use super::Variables;
use crate::adapter::training::Trainable;
use crate::config::{ComputeDtype, Protocol};
use chartbench_nn::kernels;
use chartbench_nn::training::{DropoutRng, Example, LossOptions};

/// The summed loss of a batch and its gradients.
pub(super) struct Gradients {
    /// Sum of the cross-entropies of all labels.
    pub(super) loss: f64,
    pub(super) labels: usize,
    pub(super) store: GradStore,
}

impl Gradients {
    /// Computes the gradients of `batch` in micro-batches of `size` examples; `None` for an empty
    /// batch.
    ///
    /// # Errors
    /// Returns an error if the examples do not fit the model.
    pub(super) fn compute(
        model: &dyn Trainable,
        variables: &Variables,
        batch: &[Example],
        size: usize,
        noise: &mut Option<DropoutRng>,
        protocol: &Protocol,
    ) -> Result<Option<Self>> {
        let compute = match protocol.compute {
            ComputeDtype::F32 => kernels::ComputeDtype::F32,
            ComputeDtype::Bf16 => kernels::ComputeDtype::Bf16,
        };
        let mut all: Option<Self> = None;
        for part in batch.chunks(size.max(1)) {
            let pass = LossOptions {
                dropout: noise.as_mut(),
                label_smoothing: protocol.label_smoothing,
                activation_checkpointing: protocol.activation_checkpointing,
            };
            let loss = model.loss(part, pass, compute)?;
            let store = loss.backward()?;
            let part = Self {
                loss: f64::from(loss.sum.to_scalar::<f32>()?),
                labels: loss.labels,
                store,
            };
            all = Some(match all {
                None => part,
                Some(all) => all.plus(part, variables)?,
            });
        }
        Ok(all)
    }

    fn plus(mut self, mut other: Self, variables: &Variables) -> Result<Self> {
        for variable in variables.values() {
            if let Some(theirs) = other.store.remove(variable) {
                let sum = match self.store.remove(variable) {
                    Some(ours) => (ours + theirs)?,
                    None => theirs,
                };
                self.store.insert(variable, sum);
            }
        }
        Ok(Self {
            loss: self.loss + other.loss,
            labels: self.labels + other.labels,
            store: self.store,
        })
    }
}
