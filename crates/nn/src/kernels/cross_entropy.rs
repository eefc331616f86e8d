//! The cross-entropy of logits with labels, summed over rows.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::backward::{cpu_slice, detached};
use super::{Matrix, matrix};

/// See [`super::cross_entropy`].
pub(super) struct CrossEntropy {
    pub(super) labels: Vec<u32>,
    pub(super) smoothing: f32,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Matrix {
            values: logits,
            rows,
            columns,
        } = matrix(logits, layout)?;
        if rows != self.labels.len() || self.labels.iter().any(|&label| label as usize >= columns) {
            candle_core::bail!(
                "{} labels do not fit logits {rows}x{columns}",
                self.labels.len()
            );
        }
        let losses: Vec<f64> = if columns == 0 {
            Vec::new()
        } else {
            let rows = logits.par_chunks_exact(columns).zip(&self.labels);
            rows.map(|(row, label)| self.loss(row, *label as usize))
                .collect()
        };
        Ok((
            CpuStorage::F32(vec![losses.iter().sum::<f64>() as f32]),
            Shape::from(()),
        ))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let columns = logits.dim(1)?;
        let grad = grad.to_scalar::<f32>()?;
        let logits_detached = detached(logits)?;
        let storages = logits_detached.storage_and_layout();
        let mut out = cpu_slice(&storages)?.to_vec();
        let spread = self.smoothing / columns as f32;
        out.par_chunks_exact_mut(columns.max(1))
            .zip(&self.labels)
            .for_each(|(row, label)| {
                let (largest, sum) = normaliser(row);
                for value in row.iter_mut() {
                    *value = grad * ((*value - largest).exp() / sum as f32 - spread);
                }
                row[*label as usize] -= grad * (1.0 - self.smoothing);
            });
        Tensor::from_vec(out, logits.shape(), logits.device()).map(Some)
    }
}

impl CrossEntropy {
    fn loss(&self, row: &[f32], label: usize) -> f64 {
        let (largest, sum) = normaliser(row);
        let log = f64::from(largest) + sum.ln();
        let smoothing = f64::from(self.smoothing);
        let right = log - f64::from(row[label]);
        if smoothing == 0.0 {
            return right;
        }
        let mean = row.iter().map(|&value| f64::from(value)).sum::<f64>() / row.len() as f64;
        (1.0 - smoothing) * right + smoothing * (log - mean)
    }
}

/// The largest value, and the sum of `exp(value - largest)`.
fn normaliser(row: &[f32]) -> (f32, f64) {
    let largest = row
        .iter()
        .fold(f32::NEG_INFINITY, |largest, &value| largest.max(value));
    (
        largest,
        row.iter()
            .map(|value| f64::from((value - largest).exp()))
            .sum(),
    )
}
