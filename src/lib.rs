//! chartbench: a benchmark harness and model comparison for chart question answering.
//!
//! Arrows between the modules point one way (a test checks them):
//! `cmd` → `quantize` → `train` → `runner`, `report`, `check` → `adapter`, `record`, `metric`, `import` → `nn`, `preprocess`,
//! `dataset`, `config` → `sample` → `data_table`; and `report`, `train` → `stats`, `plot`. All may name `files`, `terminal`.

#[cfg(test)]
#[path = "../tests/support/assert_close.rs"]
mod assert_close;

pub mod adapter;
pub mod catch_panic;
pub mod check;
pub mod cmd;
pub mod config;
pub mod data_table;
pub mod dataset;
pub mod files;
pub mod import;
pub mod input;
pub mod isa;
pub mod metric;
pub mod nn;
pub mod plot;
pub mod preprocess;
pub mod quantize;
pub mod record;
pub mod report;
pub mod runner;
pub mod sample;
pub mod stats;
pub mod terminal;
pub mod train;
