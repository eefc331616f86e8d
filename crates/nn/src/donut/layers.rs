//! Layers of encoder and decoder: biased projections and layer normalisation.

use anyhow::Result;
use candle_core::Tensor;

use crate::kernels::{self, ComputeDtype, Weight};
use crate::loading::CountingSource;

/// A weight [out, in] with its bias [out].
#[derive(Debug)]
pub(super) struct Projection {
    weight: Weight,
    bias: Tensor,
    /// Factor of the product, if it could not be folded into the weight.
    factor: Option<f64>,
}

impl Projection {
    pub(super) fn load(weights: &CountingSource, prefix: &str, shape: [usize; 2]) -> Result<Self> {
        let weight = weights.weight(format!("{prefix}.weight"), shape)?;
        Ok(Self {
            weight,
            bias: weights.tensor(format!("{prefix}.bias"), &shape[..1])?,
            factor: None,
        })
    }

    /// Folds the factor of an attention's scores into the projection of the queries.
    pub(super) fn scaled(self, factor: f64) -> Result<Self> {
        let bias = (self.bias * factor)?;
        Ok(match self.weight {
            Weight::Full(weight) => Self {
                weight: (weight * factor)?.into(),
                bias,
                factor: None,
            },
            Weight::Rounded(weight) => Self {
                weight: Weight::Rounded((weight * factor)?),
                bias,
                factor: None,
            },
            Weight::Packed(panels) if panels.compute_dtype() == ComputeDtype::F32 => Self {
                weight: Weight::Packed(panels.scaled(factor).into()),
                bias,
                factor: None,
            },
            weight => Self {
                weight,
                bias,
                factor: Some(factor),
            },
        })
    }

    fn factored(&self, product: Tensor) -> Result<Tensor> {
        Ok(match self.factor {
            None => product,
            Some(factor) => (product * factor)?,
        })
    }

    /// Projects many rows [M, in].
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(kernels::biased(
            &self.factored(kernels::linear(x, &self.weight)?)?,
            &self.bias,
        )?)
    }

    /// See [`Weight::precision`].
    pub(super) fn compute_dtype(&self) -> ComputeDtype {
        self.weight.compute_dtype()
    }

    /// The exact GELU of the projection of many rows.
    pub(super) fn forward_gelu(&self, x: &Tensor) -> Result<Tensor> {
        Ok(kernels::biased_gelu(
            &self.factored(kernels::linear(x, &self.weight)?)?,
            &self.bias,
        )?)
    }

    /// Projects the rows of a decoding step.
    pub(super) fn decode(&self, x: &Tensor) -> Result<Tensor> {
        Ok(kernels::biased(
            &self.factored(kernels::decode_linear(x, &self.weight)?)?,
            &self.bias,
        )?)
    }

    /// The exact GELU of the projection of a decoding step's rows.
    pub(super) fn decode_gelu(&self, x: &Tensor) -> Result<Tensor> {
        Ok(kernels::biased_gelu(
            &self.factored(kernels::decode_linear(x, &self.weight)?)?,
            &self.bias,
        )?)
    }
}

/// Layer normalisation.
#[derive(Debug)]
pub(super) struct Norm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl Norm {
    pub(super) fn load(
        weights: &CountingSource,
        prefix: &str,
        width: usize,
        eps: f64,
    ) -> Result<Self> {
        let weight = weights.tensor(format!("{prefix}.weight"), &[width])?;
        Ok(Self {
            weight,
            bias: weights.tensor(format!("{prefix}.bias"), &[width])?,
            eps,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(kernels::layer_norm(x, &self.weight, &self.bias, self.eps)?)
    }
}
