//! Gold answers of another file than the predictions.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};

use super::columns::{ColumnNames, Need, Scope};
use super::file_format::FileFormat;
use super::problem::Unit;
use super::source;
use super::table::{AnswerRow, AnswerTable};
use chartbench_core::question::{Chart, Question, QuestionKind, QuestionSet, YearFlags};

/// Gold answers by id, read once for any number of files of predictions.
#[derive(Debug)]
pub struct Golds {
    pub(super) table: AnswerTable,
    /// Whether the golds were read from a file.
    pub(super) from_file: bool,
}

impl Golds {
    /// Reads golds from a file in any of the formats, or from RealCQA's `qa/`.
    ///
    /// # Errors
    /// Returns an error as for predictions. A duplicate id is a problem, not an error: the first
    /// counts.
    pub fn read(path: &Path, columns: &ColumnNames, format: Option<FileFormat>) -> Result<Self> {
        let scope = Scope {
            names: columns,
            need: Need::Golds,
        };
        let mut table =
            source::read(path, format, scope).with_context(|| path.display().to_string())?;
        if table.parts.is_empty() {
            // Distinguishes its lines from those of the predictions.
            table.parts.extend(
                path.file_name()
                    .map(|name| name.to_string_lossy().into_owned()),
            );
        }
        Ok(Self::from_table(table))
    }

    /// Reads golds from the content of a file.
    ///
    /// # Errors
    /// As [`Golds::read`], without a path.
    pub fn parse(content: &[u8], columns: &ColumnNames, format: FileFormat) -> Result<Self> {
        source::parse(
            content,
            format,
            Scope {
                names: columns,
                need: Need::Golds,
            },
        )
        .map(Self::from_table)
    }

    fn from_table(mut table: AnswerTable) -> Self {
        table.drop_duplicates("gold id");
        Self {
            table,
            from_file: true,
        }
    }

    /// The golds of a benchmark's questions.
    pub fn from_questions(set: &QuestionSet) -> Self {
        let rows = set
            .iter()
            .map(|(chart, question)| row(chart, question))
            .collect();
        let mut table = AnswerTable::new(Unit::Record);
        table.rows = rows;
        Self {
            table,
            from_file: false,
        }
    }

    /// The row index of each id.
    pub(super) fn by_id(&self) -> HashMap<&str, usize> {
        self.table
            .rows
            .iter()
            .enumerate()
            .map(|(index, row)| (row.id.as_str(), index))
            .collect()
    }

    /// The row index of each `qa_id`, the part of an id behind the chart; `None` if several charts
    /// have it.
    pub(super) fn by_qa_id(&self) -> HashMap<&str, Option<usize>> {
        let mut indices = HashMap::new();
        for (index, row) in self.table.rows.iter().enumerate() {
            if let Some((_, qa_id)) = row.id.rsplit_once('/') {
                indices
                    .entry(qa_id)
                    .and_modify(|unique| *unique = None)
                    .or_insert(Some(index));
            }
        }
        indices
    }
}

fn row(chart: &Chart, question: &Question) -> AnswerRow {
    let slice = |name: &str| question.slices.get(name).map(String::as_str);
    let kind = QuestionKind::from_slices(slice);
    AnswerRow {
        id: question.id.clone(),
        gold: Some(question.gold.clone()),
        question: Some(question.text.clone()),
        answer_type: question.answer_type,
        chart: Some(chart.id.clone()),
        year: YearFlags::from_slices(slice).text().map(str::to_owned),
        kind: kind.question_type.map(str::to_owned),
        is_clear: kind.is_clear,
        ..AnswerRow::default()
    }
}
