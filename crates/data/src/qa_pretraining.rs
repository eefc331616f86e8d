//! `ask = "questions-and-answers"`: joins a chart's questions and their answers into one text, so
//! that pre-training on all of them encodes the chart once.

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
        let answered: Vec<String> = questions
            .iter()
            .map(|question| format!("{} {}", question.text, question.gold.text()))
            .collect();
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
