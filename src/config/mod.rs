//! What the TOML files say, checked: a private wire type that refuses unknown keys becomes a validated public one, and
//! every error names file, line and key.

mod benchmark;
pub mod names;

pub use benchmark::{Benchmark, Format, Questions};
