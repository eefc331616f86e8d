//! Groups questions by chart, charts in the order of their first question.

use std::collections::HashMap;

use chartbench_core::question::{Chart, ChartQuestions, Question};

/// Charts with their questions, while a data set is read.
#[derive(Default)]
pub(super) struct QuestionsByChart {
    charts: Vec<ChartQuestions>,
    /// The index of each chart in `charts`, by its id.
    indices: HashMap<String, usize>,
}

impl QuestionsByChart {
    /// The chart called `id`, if it has a question already.
    pub(super) fn get(&self, id: &str) -> Option<&Chart> {
        self.indices
            .get(id)
            .and_then(|&index| self.charts.get(index))
            .map(|chart_questions| &chart_questions.chart)
    }

    /// Adds a question to the chart called `id`; calls `chart` for a new one.
    pub(super) fn add(&mut self, id: &str, chart: impl FnOnce() -> Chart, question: Question) {
        match self
            .indices
            .get(id)
            .and_then(|&index| self.charts.get_mut(index))
        {
            Some(chart_questions) => chart_questions.questions.push(question),
            None => {
                self.indices.insert(id.to_owned(), self.charts.len());
                self.charts.push(ChartQuestions {
                    chart: chart(),
                    questions: vec![question],
                });
            }
        }
    }

    pub(super) fn into_charts(self) -> Vec<ChartQuestions> {
        self.charts
    }
}
