//! What the other crates share: charts, questions and answers as plain data, the data table behind a chart, and how files, logs and
//! the terminal are read and written so that nothing is lost and nothing from outside does harm.
//!
//! - [`question`]: charts, questions, gold answers, predictions; where questions come from, and the hash of a set of them.
//! - [`data_table`]: the table behind a chart; reading the tables that models write.
//! - [`input`], [`read_file`], [`json_records`], [`parse_field`]: files from outside, bounded, with errors that name the place.
//! - [`files`]: files and folders that are written whole or not at all, locks, JSON-lines logs.
//! - [`terminal`]: the only writers to standard output and standard error.
//! - [`names`], [`counts`]: what names and counts from outside may be.
//! - [`catch_panic`](catch_panic()): a panic of a library becomes an error.
//! - [`isa`]: the instruction set of the program's own kernels.

mod catch_panic;
pub mod counts;
pub mod data_table;
pub mod files;
pub mod input;
pub mod isa;
pub mod json_records;
pub mod names;
pub mod parse_field;
pub mod question;
pub mod read_file;
pub mod realcqa_split;
pub mod terminal;

pub use catch_panic::catch_panic;
