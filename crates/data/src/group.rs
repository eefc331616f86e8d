//! Gathers questions by chart, charts in the order of their first question.

use std::collections::HashMap;

use chartbench_core::question::{Chart, ChartQuestions, Question};

#[derive(Default)]
pub(super) struct Groups {
    charts: Vec<ChartQuestions>,
    places: HashMap<String, usize>,
}

impl Groups {
    /// The chart already gathered under `id`.
    pub(super) fn get(&self, id: &str) -> Option<&Chart> {
        self.places.get(id).and_then(|&place| self.charts.get(place)).map(|entry| &entry.chart)
    }

    /// Adds a question to the chart called `id`, which is made when it is new.
    pub(super) fn add(&mut self, id: &str, chart: impl FnOnce() -> Chart, question: Question) {
        match self.places.get(id).and_then(|&place| self.charts.get_mut(place)) {
            Some(entry) => entry.questions.push(question),
            None => {
                self.places.insert(id.to_owned(), self.charts.len());
                self.charts.push(ChartQuestions { chart: chart(), questions: vec![question] });
            }
        }
    }

    pub(super) fn into_charts(self) -> Vec<ChartQuestions> {
        self.charts
    }
}
