//! Predictions made elsewhere, from the files other programs write to answered questions.
//!
//! | file | from |
//! | --- | --- |
//! | CSV, TSV | the RealCQA fine-tuning study (`predictions,labels`), VLMEvalKit, one's own |
//! | JSONL | lmms-eval (`*_samples_TASK.jsonl`), lm-eval (`samples_*.jsonl`), chartbench's `predictions.jsonl`, one's own |
//! | JSON | VLMEvalKit, one's own (a list of objects, or predictions by id) |
//! | XLSX | VLMEvalKit |
//! | a folder of JSON files | RealCQA's evaluator (one list a chart) |
//!
//! A reader turns a file into a [`table::Table`] of rows; [`join`] makes answers of it, with the file's own golds or
//! with separate ones by id. What is wrong with a file as a whole is an error; what is wrong with a single answer is a
//! [`Problem`], and the others are still read. Nothing is dropped without a word.

mod columns;
mod delimited;
mod golds;
mod join;
mod json;
mod layout;
mod problem;
mod record;
mod source;
mod table;
mod value;
mod xlsx;

use std::path::Path;

use anyhow::{Context, Result};

pub use columns::ColumnNames;
pub use golds::Golds;
pub use layout::Layout;
pub use problem::{Place, Problem, Unit, summarize};

use self::columns::{Need, Scope};
use self::table::Table;
use chartbench_core::question::{AnswerType, Gold, Prediction};

/// One question with its gold answer and what was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// As the file, or the separate golds, have it; the record's number from 1 where there are no ids.
    pub id: String,
    pub gold: Gold,
    /// Raw. None when the prediction is missing or `null`: there is a [`Problem`] that says so.
    pub prediction: Option<Prediction>,
    pub question: Option<String>,
    pub answer_type: Option<AnswerType>,
    /// What tells the chart that the question is about.
    pub chart: Option<String>,
    /// ChartQAPro's flags of the answer's elements, where there are any.
    pub year_flags: Option<String>,
}

/// What a file of predictions holds.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// In the order of the separate golds, or else of the file.
    pub answers: Vec<Answered>,
    pub problems: Vec<Problem>,
}

/// How to read a file of predictions. By default everything is told by its content.
#[derive(Debug, Default)]
pub struct Options {
    pub columns: ColumnNames,
    pub layout: Option<Layout>,
    /// Gold answers kept elsewhere; they count more than the file's own.
    pub golds: Option<Golds>,
}

/// Reads the predictions at `path`, a file or a folder.
///
/// # Errors
/// In one line, from the path on: a file that cannot be read as what it seems to be (by line or record and what to
/// do), columns that cannot be told (with those there are), no rows, no golds, golds of other data.
pub fn read(path: &Path, options: &Options) -> Result<Imported> {
    let table = source::read(path, options.layout, options.scope());
    table.and_then(|table| options.join(table)).with_context(|| path.display().to_string())
}

/// Reads predictions from the content of a file.
///
/// # Errors
/// As [`read`], without a path.
pub fn parse(content: &[u8], layout: Layout, options: &Options) -> Result<Imported> {
    options.join(source::parse(content, layout, options.scope())?)
}

impl Options {
    fn scope(&self) -> Scope<'_> {
        let need = if self.golds.is_some() { Need::Predictions } else { Need::Both };
        Scope { names: &self.columns, need }
    }

    fn join(&self, table: Table) -> Result<Imported> {
        match &self.golds {
            Some(golds) => join::separate(table, golds),
            None => join::own(table),
        }
    }
}
