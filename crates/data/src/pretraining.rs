//! What models are asked in pre-training. `ask = "questions-and-answers"` joins a chart's questions
//! and their answers into one text, so that pre-training on all of them encodes the chart once.
//! `ask = "tables-and-questions"` asks for the chart's table and for each question together with
//! its answer, so that a model that sees the question in its image learns to read both.

use anyhow::Result;

use super::gold_tables::ask_for_tables;
use chartbench_core::question::{ChartQuestions, Gold, Question};

/// The question to which that text is the answer.
const REQUEST: &str = "What does the chart show?";

/// Replaces each chart's questions by one, whose gold is the questions with their answers:
/// `QUESTION ANSWER | QUESTION ANSWER`. Charts without questions stay without.
pub(super) fn join_questions(mut charts: Vec<ChartQuestions>) -> Vec<ChartQuestions> {
    for ChartQuestions { chart, questions } in charts
        .iter_mut()
        .filter(|chart| !chart.questions.is_empty())
    {
        let answered: Vec<String> = questions.iter().map(with_answer).collect();
        *questions = vec![Question {
            id: format!("{}/questions-and-answers", chart.id),
            text: REQUEST.to_owned(),
            gold: Gold::Text(answered.join(" | ")),
            answer_type: None,
            taxonomy: None,
            template: None,
            source: None,
            slices: Default::default(),
            context: None,
        }];
    }
    charts
}

/// Makes the answer to each question the question with its answer, and asks for the chart's table,
/// where there is one, behind them.
///
/// # Errors
/// Returns an error for the first malformed table; the error names its chart.
pub(super) fn add_tables(mut charts: Vec<ChartQuestions>) -> Result<Vec<ChartQuestions>> {
    let tables = ask_for_tables(charts.clone())?;
    for (chart, table) in charts.iter_mut().zip(tables) {
        for question in &mut chart.questions {
            question.gold = Gold::Text(with_answer(question));
            question.answer_type = None;
        }
        chart.questions.extend(table.questions);
    }
    Ok(charts)
}

/// `QUESTION ANSWER`.
fn with_answer(question: &Question) -> String {
    format!("{} {}", question.text, question.gold.text())
}
