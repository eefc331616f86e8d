//! The foundation of the other crates: charts, questions and answers as plain data, the data table
//! behind a chart, and safe reading and writing of files, logs and the terminal.
//!
//! - [`question`]: charts, questions, gold answers, predictions; sources of questions, and the hash
//!   of a set of them.
//! - [`answer`]: answers of adapters, and the identity of what gives them; [`judgement`]: verdicts
//!   on answers.
//! - [`data_table`]: the table behind a chart; reading the tables that models write.
//! - [`input`], [`read_file`], [`json_records`], [`parse_field`]: files from outside, bounded in
//!   size, with errors that name file and line.
//! - [`files`]: files and folders that are written whole or not at all, locks, JSON-lines logs.
//! - [`shard`]: the parts of a run that processes of their own ask.
//! - [`seeded_draw`]: draws that depend on a seed and a name alone.
//! - [`terminal`]: the only writers to standard output and standard error.
//! - [`names`], [`counts`]: limits on names and counts from outside.
//! - [`catch_panic`](catch_panic()): a panic of a library becomes an error.
//! - [`python`]: the parts of Python's `str` that prompts and scores share.
//! - [`isa`]: the instruction set of the CPU kernels.

pub mod answer;
mod catch_panic;
pub mod counts;
pub mod data_table;
pub mod files;
pub mod input;
pub mod isa;
pub mod json_records;
pub mod judgement;
pub mod names;
pub mod parse_field;
pub mod python;
pub mod question;
pub mod read_file;
pub mod realcqa_split;
pub mod seeded_draw;
pub mod shard;
pub mod terminal;

pub use catch_panic::catch_panic;
