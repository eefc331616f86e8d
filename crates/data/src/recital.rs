//! `ask = "questions-and-answers"`: a chart's questions and their answers are one text, for pre-training a model on all of
//! them at the price of one look at the chart.

use chartbench_core::question::{ChartQuestions, Gold, Question};

/// How that text is asked for.
const REQUEST: &str = "What does the chart show?";

/// Puts one question in the place of each chart's own: answered by these with their answers, `QUESTION ANSWER` after
/// `QUESTION ANSWER` with ` | ` between. Charts without a question are left so.
pub(super) fn ask(mut charts: Vec<ChartQuestions>) -> Vec<ChartQuestions> {
    for entry in charts.iter_mut().filter(|entry| !entry.questions.is_empty()) {
        let answered: Vec<String> =
            entry.questions.iter().map(|question| format!("{} {}", question.text, question.gold.text())).collect();
        entry.questions = vec![Question {
            id: format!("{}/questions-and-answers", entry.chart.id),
            text: REQUEST.to_owned(),
            gold: Gold::Text(answered.join(" | ")),
            answer_type: None,
            taxonomy: None,
            template: None,
            source: None,
            slices: Default::default(),
        }];
    }
    charts
}
