//! Reads predictions made elsewhere, from the files that other programs write.
//!
//! | file | from |
//! | --- | --- |
//! | CSV, TSV | the RealCQA fine-tuning study (`predictions,labels`), VLMEvalKit, a user's own |
//! | JSONL | lmms-eval (`*_samples_TASK.jsonl`), lm-eval (`samples_*.jsonl`), chartbench's `predictions.jsonl`, a user's own |
//! | JSON | VLMEvalKit, a user's own (a list of objects, or predictions or objects by id) |
//! | XLSX | VLMEvalKit |
//! | JSONL with `conversation` | ChartBench (`Result/raw/*.jsonl`) |
//! | `.eval`, JSON with `eval` and `samples` | inspect |
//! | a folder of JSON files | RealCQA's evaluator (one list for each chart) |
//!
//! A reader turns a file into a [`table::AnswerTable`] of rows; [`join`] joins it with the file's
//! own golds, or with separate golds by id, by order or by question ([`matching`]). A fault of a whole file is an error. A fault of a
//! single answer is a [`Problem`], and the other answers are still read; every dropped row is
//! reported.

mod columns;
mod conversation;
mod delimited;
mod file_format;
mod golds;
mod inspect;
mod join;
mod json;
mod json_object;
mod json_value;
mod matching;
mod problem;
mod provenance;
mod source;
mod table;
mod xlsx;

use std::path::Path;

use anyhow::{Context, Result};

pub use columns::{ColumnNames, ColumnsRead};
pub use file_format::FileFormat;
pub use golds::Golds;
pub use matching::{MatchBy, Matched};
pub use problem::{Location, Problem, Unit, summarize};
pub use provenance::Provenance;

use self::columns::{Need, Scope};
use self::table::AnswerTable;
use chartbench_core::question::{AnswerType, Gold, Prediction, QuestionKind};

/// One question with its gold answer and its prediction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedAnswer {
    /// The id in the file or the separate golds; without ids the record's number, from 1.
    pub id: String,
    /// The gold answer: the separate golds' where they are given, else the file's.
    pub gold: Gold,
    /// The raw prediction; `None` if it is missing or `null`, which a [`Problem`] reports.
    pub prediction: Option<Prediction>,
    /// Why there is no prediction, if the file says so.
    pub failure: Option<String>,
    /// The question's text, if a file has it.
    pub question: Option<String>,
    /// The answer type; `None` if no file has one, or it is unknown.
    pub answer_type: Option<AnswerType>,
    /// The id or image of the chart that the question is about.
    pub chart: Option<String>,
    /// ChartQAPro's flags of the answer's elements, if the file has them.
    pub year_flags: Option<String>,
    /// The type of the question in the data set's words, if the file has it.
    pub question_type: Option<String>,
    /// EvoChart-QA's `is_clear`, if the file has it.
    pub is_clear: Option<bool>,
}

impl ImportedAnswer {
    /// The kind of the question.
    pub fn kind(&self) -> QuestionKind<'_> {
        QuestionKind {
            question_type: self.question_type.as_deref(),
            is_clear: self.is_clear,
        }
    }
}

/// The content of a file of predictions.
#[derive(Clone, Debug, Default)]
pub struct ImportResult {
    /// In the order of the separate golds, else of the file.
    pub answers: Vec<ImportedAnswer>,
    /// Faults of single answers, and choices that were made; [`summarize`] describes them.
    pub problems: Vec<Problem>,
    /// The columns that were recognised; `None` where the format has none to recognise.
    pub columns: Option<ColumnsRead>,
    /// What the file says about how its predictions were made.
    pub provenance: Provenance,
    /// How the predictions found separate golds; `None` without these.
    pub matched: Option<Matched>,
}

/// Options for reading a file of predictions. By default its content decides everything.
#[derive(Debug, Default)]
pub struct ImportOptions {
    /// The columns that the user names.
    pub columns: ColumnNames,
    /// The file's format; `None` detects it by content and name.
    pub format: Option<FileFormat>,
    /// Gold answers of another file; they take precedence over the file's own.
    pub golds: Option<Golds>,
    /// How predictions find these golds.
    pub match_by: MatchBy,
}

/// Reads the predictions at `path`, a file or a folder.
///
/// # Errors
/// Returns an error of one line, which begins with the path, if the file cannot be read in its
/// format (with line or record and advice), if its columns cannot be recognised (with the existing
/// ones), or if it has no rows, no golds, or golds of other data.
pub fn read(path: &Path, options: &ImportOptions) -> Result<ImportResult> {
    let table = source::read(path, options.format, options.scope());
    table
        .and_then(|table| options.join(table))
        .with_context(|| path.display().to_string())
}

/// Reads predictions from the content of a file.
///
/// # Errors
/// As [`read`], without a path.
pub fn parse(content: &[u8], format: FileFormat, options: &ImportOptions) -> Result<ImportResult> {
    options.join(source::parse(content, format, options.scope())?)
}

impl ImportOptions {
    fn scope(&self) -> Scope<'_> {
        let need = if self.golds.is_some() {
            Need::Predictions
        } else {
            Need::Both
        };
        Scope {
            names: &self.columns,
            need,
        }
    }

    fn join(&self, table: AnswerTable) -> Result<ImportResult> {
        match &self.golds {
            Some(golds) => join::join_separate_golds(table, golds, self.match_by),
            None => join::join_own_golds(table),
        }
    }
}
