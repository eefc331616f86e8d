//! Conventions against recorded scores of the original programs, and predictions of other programs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../../../../tests/support/outside_data.rs"]
mod outside_data;

mod chartbench_results;
mod import;
mod metric_goldens;
mod metric_properties;
mod realcqa_corrected;
mod table_metrics;
