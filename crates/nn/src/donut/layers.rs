//! What encoder and decoder are built of: biased projections and layer normalisation.

use anyhow::Result;
use candle_core::Tensor;

use crate::loading::Weights;
use crate::ops::{self, Precision, Weight};

/// A weight [out, in] with its bias [out].
#[derive(Debug)]
pub(super) struct Projection {
    weight: Weight,
    bias: Tensor,
    /// Of the product, where it could not be taken into the weight.
    factor: Option<f64>,
}

impl Projection {
    pub(super) fn load(weights: &Weights, at: &str, shape: [usize; 2]) -> Result<Self> {
        let weight = weights.weight(format!("{at}.weight"), shape)?;
        Ok(Self { weight, bias: weights.tensor(format!("{at}.bias"), &shape[..1])?, factor: None })
    }

    /// With the factor of an attention's scores taken into the queries.
    pub(super) fn scaled(self, factor: f64) -> Result<Self> {
        let bias = (self.bias * factor)?;
        Ok(match self.weight {
            Weight::Full(weight) => Self { weight: (weight * factor)?.into(), bias, factor: None },
            Weight::Rounded(weight) => Self { weight: Weight::Rounded((weight * factor)?), bias, factor: None },
            Weight::Packed(panels) if panels.precision() == Precision::F32 => {
                Self { weight: Weight::Packed(panels.scaled(factor).into()), bias, factor: None }
            }
            weight => Self { weight, bias, factor: Some(factor) },
        })
    }

    fn factored(&self, product: Tensor) -> Result<Tensor> {
        Ok(match self.factor {
            None => product,
            Some(factor) => (product * factor)?,
        })
    }

    /// Of many rows [M, in].
    pub(super) fn of(&self, x: &Tensor) -> Result<Tensor> {
        Ok(ops::biased(&self.factored(ops::linear(x, &self.weight)?)?, &self.bias)?)
    }

    /// See [`Weight::precision`].
    pub(super) fn precision(&self) -> Precision {
        self.weight.precision()
    }

    /// The exact GELU of the projection of many rows.
    pub(super) fn gelu_of(&self, x: &Tensor) -> Result<Tensor> {
        Ok(ops::biased_gelu(&self.factored(ops::linear(x, &self.weight)?)?, &self.bias)?)
    }

    /// Of the rows of a decoding step.
    pub(super) fn of_few(&self, x: &Tensor) -> Result<Tensor> {
        Ok(ops::biased(&self.factored(ops::row_linear(x, &self.weight)?)?, &self.bias)?)
    }

    /// The exact GELU of the projection of a decoding step's rows.
    pub(super) fn gelu_of_few(&self, x: &Tensor) -> Result<Tensor> {
        Ok(ops::biased_gelu(&self.factored(ops::row_linear(x, &self.weight)?)?, &self.bias)?)
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
    pub(super) fn load(weights: &Weights, at: &str, width: usize, eps: f64) -> Result<Self> {
        let weight = weights.tensor(format!("{at}.weight"), &[width])?;
        Ok(Self { weight, bias: weights.tensor(format!("{at}.bias"), &[width])?, eps })
    }

    pub(super) fn of(&self, x: &Tensor) -> Result<Tensor> {
        Ok(ops::layer_norm(x, &self.weight, &self.bias, self.eps)?)
    }
}
