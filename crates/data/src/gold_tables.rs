//! `ask = "tables"`: asks for the data tables of the charts instead of the data set's questions.

use anyhow::{Context, Result};
use rayon::prelude::*;

use super::MissingTable;
use chartbench_core::question::{AnswerType, ChartQuestions, Gold, Question};

/// The question that asks for a table, in the words of DePlot's training.
pub const TABLE_QUESTION: &str = "Generate underlying data table of the figure below:";

/// Replaces each chart's questions by one, whose gold is the linearised table. Charts without a
/// table end up without questions.
///
/// # Errors
/// Returns an error for the first malformed table; the error names its chart.
pub(super) fn ask_for_tables(charts: Vec<ChartQuestions>) -> Result<Vec<ChartQuestions>> {
    let asked: Vec<Result<ChartQuestions>> = charts.into_par_iter().map(ask_for_table).collect();
    asked.into_iter().collect()
}

fn ask_for_table(mut chart_questions: ChartQuestions) -> Result<ChartQuestions> {
    let ChartQuestions { chart, questions } = &mut chart_questions;
    questions.clear();
    let table = match chart.table.as_ref().map(|source| source.0.table()) {
        None => return Ok(chart_questions),
        Some(Err(error)) if error.downcast_ref::<MissingTable>().is_some() => {
            return Ok(chart_questions);
        }
        Some(table) => table.with_context(|| format!("the table of chart `{}`", chart.id))?,
    };
    questions.push(Question {
        id: format!("{}/table", chart.id),
        text: TABLE_QUESTION.to_owned(),
        gold: Gold::Text(table.linearized()),
        answer_type: Some(AnswerType::Table),
        taxonomy: None,
        template: None,
        source: None,
        slices: Default::default(),
        context: None,
    });
    Ok(chart_questions)
}
