//! Less than full precision, as the names of rows ask for it: `NAME@bf16`, `NAME@q8`, `NAME@q4`.

use std::fmt;

use anyhow::{Result, bail};

use super::Quantization;
use chartbench_core::terminal::shorten;

/// What weights become while they are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduced {
    /// Rounded to bf16, as all operands of large products are.
    Bf16,
    /// In blocks.
    Quantized(Quantization),
}

impl Reduced {
    /// As names of adapters spell it: `bf16`, `q8` or `q4`.
    ///
    /// # Errors
    /// Another name.
    pub fn named(name: &str) -> Result<Self> {
        let all = [Self::Bf16].into_iter().chain(Quantization::ALL.map(Self::Quantized));
        match all.into_iter().find(|one| one.to_string() == name) {
            Some(found) => Ok(found),
            None => bail!("no precision `{}`: there are bf16, q8 and q4", shorten(name)),
        }
    }
}

impl fmt::Display for Reduced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bf16 => f.write_str("bf16"),
            Self::Quantized(to) => to.fmt(f),
        }
    }
}
