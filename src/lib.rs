//! chartbench: a benchmark harness and model comparison for chart question answering.
//!
//! Arrows between the modules point one way (a test checks them):
//! `cmd` → `quantize` → `train` → `runner`, `report` → `adapter`, `record` → `config`; `report`, `train` → `plot`. Below them are the
//! crates `chartbench-nn`, `chartbench-data`, `chartbench-score`, `chartbench-pixels`, `chartbench-core`.

#[cfg(test)]
#[path = "../tests/support/assert_close.rs"]
mod assert_close;

pub mod adapter;
pub mod cli;
pub mod config;
pub mod jobs;
pub mod plot;
pub mod quantize;
pub mod record;
pub mod report;
pub mod runner;
pub mod train;
