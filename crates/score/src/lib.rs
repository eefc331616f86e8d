//! Scores of answers to questions about charts: the published conventions by name, how sure a score and a difference are, and
//! predictions that were made elsewhere. No tensor, no run.
//!
//! - [`metric`]: one module a convention; pure functions that score and explain in one.
//! - [`stats`]: intervals and tests over charts.
//! - [`import`]: predictions and golds of other programs, joined by id.

pub mod import;
pub mod metric;
pub mod stats;
