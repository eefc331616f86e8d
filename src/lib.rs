//! chartbench: a benchmark harness and model comparison for chart question answering.
//!
//! Arrows between the modules point one way (a test checks them): `cmd` → `finetune` → `report` → `run` → `adapter` → `config`.
//! Below them are the crates `chartbench-nn`, `chartbench-data`, `chartbench-score`, `chartbench-pixels`, `chartbench-core`.

#[cfg(test)]
#[path = "../tests/support/assert_close.rs"]
mod assert_close;

pub mod adapter;
pub mod cmd;
pub mod config;
pub mod finetune;
pub mod report;
pub mod run;
