//! What the TOML files say, checked: a private wire type that refuses unknown keys becomes a validated public one, and
//! every error names file, line and key.

mod adapter;
mod benchmark;
pub mod names;

pub use adapter::{
    AdapterSpec, BLANK_PREFIX, Family, HeaderFontSource, OnnxSpec, Pix2StructSpec, PromptStyle, ReaderSpec,
    UniChartSpec, WeightsSource,
};
pub use benchmark::{Benchmark, Format, Questions};
