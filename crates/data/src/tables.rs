//! `ask = "tables"`: the charts' data tables are asked for instead of the data set's questions.

use anyhow::{Context, Result};
use rayon::prelude::*;

use super::NoTable;
use chartbench_core::question::{AnswerType, ChartQuestions, Gold, Question};

/// How a table is asked for, in the words that DePlot was trained with.
pub const TABLE_REQUEST: &str = "Generate underlying data table of the figure below:";

/// Puts one question in the place of each chart's own: its table, the gold one linearized. Charts without a table are
/// left without a question.
///
/// # Errors
/// The first malformed table, by chart.
pub(super) fn ask(charts: Vec<ChartQuestions>) -> Result<Vec<ChartQuestions>> {
    let asked: Vec<Result<ChartQuestions>> = charts.into_par_iter().map(ask_one).collect();
    asked.into_iter().collect()
}

fn ask_one(mut entry: ChartQuestions) -> Result<ChartQuestions> {
    entry.questions.clear();
    let table = match entry.chart.table.as_ref().map(|source| source.0.table()) {
        None => return Ok(entry),
        Some(Err(error)) if error.downcast_ref::<NoTable>().is_some() => return Ok(entry),
        Some(table) => table.with_context(|| format!("the table of chart `{}`", entry.chart.id))?,
    };
    entry.questions.push(Question {
        id: format!("{}/table", entry.chart.id),
        text: TABLE_REQUEST.to_owned(),
        gold: Gold::Text(table.linearized()),
        answer_type: Some(AnswerType::Table),
        taxonomy: None,
        template: None,
        source: None,
        slices: Default::default(),
    });
    Ok(entry)
}
