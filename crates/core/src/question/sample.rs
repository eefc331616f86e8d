//! Which of a benchmark's questions are asked.

use sha2::{Digest, Sha256};

use super::{ChartQuestions, QuestionSet};

impl QuestionSet {
    /// At most `per_chart` questions of each chart, drawn by `seed` and left in their order ([`sample`]).
    #[must_use]
    pub fn sample(mut self, per_chart: usize, seed: u64) -> Self {
        self.charts.iter_mut().for_each(|entry| sample(entry, per_chart, seed));
        self.without_empty()
    }

    /// The first `count` questions in the set's own order, chart after chart.
    #[must_use]
    pub fn limit(mut self, count: usize) -> Self {
        let mut left = count;
        for entry in &mut self.charts {
            entry.questions.truncate(left);
            left -= entry.questions.len();
        }
        self.without_empty()
    }

    fn without_empty(mut self) -> Self {
        self.charts.retain(|ChartQuestions { questions, .. }| !questions.is_empty());
        self
    }
}

/// Leaves at most `per_chart` of the chart's questions, drawn by `seed`, in their order.
///
/// A question's lot is the SHA-256 of seed, chart id and question id, and the lowest are drawn: the draw of one chart
/// depends on no other chart, nor on the order of the questions.
pub fn sample(entry: &mut ChartQuestions, per_chart: usize, seed: u64) {
    if entry.questions.len() > per_chart {
        let chart = &entry.chart.id;
        let mut lots: Vec<_> = entry.questions.iter().map(|question| lot(seed, chart, &question.id)).collect();
        lots.sort_unstable();
        let bound = lots.get(per_chart).copied();
        entry.questions.retain(|question| Some(lot(seed, chart, &question.id)) < bound);
    }
}

fn lot(seed: u64, chart: &str, question: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update((chart.len() as u64).to_le_bytes());
    hasher.update(chart);
    hasher.update(question);
    hasher.finalize().into()
}
