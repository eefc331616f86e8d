//! Scores answers to questions about charts by published conventions, with confidence intervals and
//! tests of differences; reads predictions made elsewhere. No tensors, no runs.
//!
//! - [`metric`]: one module a convention; pure functions that score and explain in one.
//! - [`stats`]: intervals and tests over charts.
//! - [`import`]: predictions and golds of other programs, joined by id.

pub mod import;
pub mod metric;
pub mod stats;
