//! Rules that answer the questions of the synthetic benchmarks from a chart's table: a reader
//! without a model. It knows the question and the table, and nothing else of the chart.
//!
//! What no table says (grid lines, error bars, the legend's place, the value axis and its ticks) is
//! answered by [`UNKNOWN`], which is wrong. So is what a table that was misread does not have. A
//! chart's type is told by its table's form: boxes, points, or values at numbers (a line) and at
//! names (vertical bars, though lines and horizontal bars have such tables too).

mod answers;
mod question;
mod table;

use anyhow::{Context, Result};

use super::table_qa::{TableQuestion, TableReader};
use super::{Answer, ReportAnswer};
use chartbench_core::data_table::DataTable;
use chartbench_core::terminal::shorten;
use question::TemplateQuestion;
use table::ChartTable;

/// The version of the rules, raised whenever an answer changes.
const RULES: u32 = 1;

/// Questions in a call: those of a few charts, whose tables are read together.
const BATCH: usize = 16;

/// The answer to what the table does not say.
const UNKNOWN: &str = "unknown";

/// The reader of the family `lookup`.
pub(super) struct LookupReader;

impl TableReader for LookupReader {
    fn settings(&self) -> Vec<(String, String)> {
        [
            ("family", "lookup".to_owned()),
            ("rules", RULES.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec()
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn answer(
        &mut self,
        questions: &[TableQuestion<'_>],
        report: &mut ReportAnswer<'_>,
    ) -> Result<()> {
        for (index, question) in questions.iter().enumerate() {
            report(
                index,
                answer(question.table, &question.question.text).map(Answer::from_text),
            );
        }
        Ok(())
    }
}

/// The answer to a question from a table, which may be any text.
///
/// # Errors
/// Returns an error if the question is none of the synthetic benchmarks'.
fn answer(table: &str, question: &str) -> Result<String> {
    let asked = TemplateQuestion::parse(question).with_context(|| {
        format!(
            "`{}` is no question of the synthetic benchmarks, which alone these rules answer: name a language model (TABLES+smollm2)",
            shorten(question)
        )
    })?;
    let answer = DataTable::parse(table)
        .ok()
        .and_then(|table| answers::answer(asked, &ChartTable::new(&table)));
    Ok(answer.unwrap_or_else(|| UNKNOWN.to_owned()))
}

#[cfg(test)]
mod tests;
