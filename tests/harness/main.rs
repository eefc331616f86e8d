//! The program and its library from outside: commands, runs, trainings, adapters, reports, and
//! whatever reaches them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../support/assert_close.rs"]
mod assert_close;
#[path = "../support/instruction_sets.rs"]
mod instruction_sets;
#[path = "../support/outside_data.rs"]
mod outside_data;

mod adapter_for_weights;
mod architecture;
mod asked;
mod assertion_pairs;
mod before_after;
mod checkpoint_forms;
mod checkpoint_revisions;
mod cli;
mod config;
mod content;
mod data_check;
mod dataset;
#[cfg(unix)]
mod documented_commands;
mod documents;
mod embedded_models;
mod endpoint;
mod export;
mod failures;
#[cfg(unix)]
mod files;
mod finetune;
mod generation_config;
mod gguf;
mod gold_tables;
mod hub;
mod hub_data;
mod import;
mod json_data;
mod judge;
mod lookup;
mod merge;
#[cfg(feature = "onnx")]
mod onnx;
mod optimizers;
mod parquet;
mod planting;
mod plotqa;
#[cfg(unix)]
mod process;
mod protocols;
mod quantize;
mod recovery;
mod reference;
mod report;
mod run_command;
mod run_output;
mod runs;
mod score;
mod shards;
mod shell;
#[cfg(unix)]
mod stopping;
mod stored;
mod synth;
mod table_command;
mod table_qa;
mod tables;
mod terminal_width;
mod training;
#[cfg(unix)]
mod untrusted;
mod untrusted_files;
