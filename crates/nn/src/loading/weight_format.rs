//! Number formats of weights, as the names of adapters ask for them (`NAME@bf16`, `NAME@q8`,
//! `NAME@q4`) and as a quantized checkpoint states its own.

use std::fmt;
use std::sync::Arc;

use anyhow::{Result, bail};
use candle_core::quantized::{GgmlDType, QTensor};

use super::TensorSource;
use chartbench_core::terminal::shorten;

/// The format that the matrices of linear layers are multiplied in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightFormat {
    /// In f32, whatever dtype the checkpoint stores.
    F32,
    /// Rounded to bf16, as are all operands of large products.
    Bf16,
    /// GGML's Q8_0: 8 bits a value and a scale for 32 of them.
    Q8_0,
    /// GGML's Q4_K: 4 bits a value with scales and offsets for 256 of them; Q8_0 where rows are not
    /// a multiple of 256.
    Q4K,
}

impl WeightFormat {
    /// The formats that `chartbench quantize` stores.
    pub const QUANTIZED: [Self; 2] = [Self::Q8_0, Self::Q4K];

    /// The reduced format of an adapter's name: `bf16`, `q8` or `q4`.
    ///
    /// # Errors
    /// Returns an error for any other name.
    pub fn reduced_by_name(name: &str) -> Result<Self> {
        match [Self::Bf16, Self::Q8_0, Self::Q4K]
            .into_iter()
            .find(|format| format.name() == name)
        {
            Some(format) => Ok(format),
            None => bail!(
                "no precision `{}`: there are bf16, q8 and q4",
                shorten(name)
            ),
        }
    }

    /// The quantized format of a name: `q8` or `q4`.
    ///
    /// # Errors
    /// Returns an error for any other name.
    pub fn quantized_by_name(name: &str) -> Result<Self> {
        match Self::QUANTIZED
            .into_iter()
            .find(|format| format.name() == name)
        {
            Some(format) => Ok(format),
            None => bail!("no precision `{}`: there are q8 and q4", shorten(name)),
        }
    }

    /// The users' name: `f32`, `bf16`, `q8` or `q4`, as in `matcha-base@q8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8",
            Self::Q4K => "q4",
        }
    }

    /// The GGML type whose blocks fill rows of `width` values; `None` if no type does, and the
    /// matrix stays as it is.
    fn ggml_type(self, width: usize) -> Option<GgmlDType> {
        let types: &[GgmlDType] = match self {
            Self::F32 | Self::Bf16 => &[],
            Self::Q8_0 => &[GgmlDType::Q8_0],
            Self::Q4K => &[GgmlDType::Q4K, GgmlDType::Q8_0],
        };
        types
            .iter()
            .copied()
            .find(|kind| width > 0 && width.is_multiple_of(kind.block_size()))
    }

    /// Quantizes the matrix of this name; `None` if no blocks fill its rows.
    pub(super) fn quantize(
        self,
        source: &dyn TensorSource,
        name: &str,
        shape: [usize; 2],
    ) -> Result<Option<Arc<QTensor>>> {
        let Some(kind) = self.ggml_type(shape[1]) else {
            return Ok(None);
        };
        Ok(Some(
            QTensor::quantize(&source.tensor(name, &shape)?, kind)?.into(),
        ))
    }
}

impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the matrices of a stored checkpoint are quantized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantizationInfo {
    /// The format asked for. With Q4_K, matrices whose rows it does not fit are in Q8_0.
    pub format: WeightFormat,
    /// The layers whose matrices stayed full, by the names that [`layer_name`](super::layer_name)
    /// gives.
    pub kept: Vec<String>,
}
