//! Gold answers kept apart from the predictions.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};

use super::columns::{ColumnNames, Need, Scope};
use super::layout::Layout;
use super::problem::Unit;
use super::source;
use super::table::{Row, Table};
use chartbench_core::question::{Chart, Question, QuestionSet, YearFlags};

/// Gold answers by id, read once for any number of files of predictions.
#[derive(Debug)]
pub struct Golds {
    pub(super) table: Table,
    /// Whether the golds have places in a file.
    pub(super) from_file: bool,
}

impl Golds {
    /// Reads golds from a file in any of the formats, or from RealCQA's `qa/`.
    ///
    /// # Errors
    /// By file and place, as for predictions. An id that stands twice is no error: the first counts.
    pub fn read(path: &Path, columns: &ColumnNames, layout: Option<Layout>) -> Result<Self> {
        let scope = Scope { names: columns, need: Need::Golds };
        let mut table = source::read(path, layout, scope).with_context(|| path.display().to_string())?;
        if table.parts.is_empty() {
            // So that its lines are not taken for the predictions'.
            table.parts.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
        Ok(Self::from_table(table))
    }

    /// Reads golds from the content of a file.
    ///
    /// # Errors
    /// As [`Golds::read`], without a path.
    pub fn parse(content: &[u8], columns: &ColumnNames, layout: Layout) -> Result<Self> {
        source::parse(content, layout, Scope { names: columns, need: Need::Golds }).map(Self::from_table)
    }

    fn from_table(mut table: Table) -> Self {
        table.drop_doubled("gold id");
        Self { table, from_file: true }
    }

    /// The golds of a benchmark.
    pub fn of(set: &QuestionSet) -> Self {
        let rows = set.iter().map(|(chart, question)| row(chart, question)).collect();
        let mut table = Table::of(Unit::Record);
        table.rows = rows;
        Self { table, from_file: false }
    }

    /// Where each id stands in the table.
    pub(super) fn by_id(&self) -> HashMap<&str, usize> {
        self.table.rows.iter().enumerate().map(|(index, row)| (row.id.as_str(), index)).collect()
    }

    /// Where the gold of each `qa_id` stands, the part of its id behind the chart; none where several charts have it.
    pub(super) fn by_qa_id(&self) -> HashMap<&str, Option<usize>> {
        let mut places = HashMap::new();
        for (index, row) in self.table.rows.iter().enumerate() {
            if let Some((_, qa_id)) = row.id.rsplit_once('/') {
                places.entry(qa_id).and_modify(|place| *place = None).or_insert(Some(index));
            }
        }
        places
    }
}

fn row(chart: &Chart, question: &Question) -> Row {
    Row {
        id: question.id.clone(),
        gold: Some(question.gold.clone()),
        question: Some(question.text.clone()),
        answer_type: question.answer_type,
        chart: Some(chart.id.clone()),
        year: YearFlags::from_slices(|name| question.slices.get(name).map(String::as_str)).text().map(str::to_owned),
        ..Row::default()
    }
}
