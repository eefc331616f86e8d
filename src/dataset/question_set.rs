//! Which of a benchmark's questions are asked, and the hash that says so.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::sample::{ChartQuestions, Question, QuestionSet};

impl QuestionSet {
    /// At most `per_chart` questions of each chart, drawn by `seed` and left in their order.
    ///
    /// A question's lot is the SHA-256 of seed, chart id and question id, and the lowest are drawn: the draw of one
    /// chart depends on no other chart, nor on the order of the questions.
    #[must_use]
    pub fn sample(mut self, per_chart: usize, seed: u64) -> Self {
        for entry in &mut self.charts {
            if entry.questions.len() > per_chart {
                let chart = &entry.chart.id;
                let mut lots: Vec<_> = entry.questions.iter().map(|question| lot(seed, chart, &question.id)).collect();
                lots.sort_unstable();
                let bound = lots.get(per_chart).copied();
                entry.questions.retain(|question| Some(lot(seed, chart, &question.id)) < bound);
            }
        }
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

    /// SHA-256, in hex, over everything about the questions that can change an answer, its score or its slice: chart
    /// id and type, question id, text, gold, answer type, taxonomy, template and source (and its slices, where it has any), one JSON array a
    /// line, in order. The images' content is not in it.
    ///
    /// # Errors
    /// None in practice: plain text always writes as JSON.
    pub fn hash(&self) -> Result<String> {
        let mut hasher = Sha256::new();
        let mut line = Vec::new();
        for (chart, question) in self.iter() {
            let Question { id, text, gold, answer_type, taxonomy, template, source, slices } = question;
            line.clear();
            let fields = (&chart.id, &chart.chart_type, id, text, gold, answer_type, taxonomy, template, source);
            serde_json::to_writer(&mut line, &fields).with_context(|| format!("cannot hash the question `{id}`"))?;
            // Where there are none the hash is what it was before there could be any.
            if !slices.is_empty() {
                serde_json::to_writer(&mut line, slices).with_context(|| format!("cannot hash the question `{id}`"))?;
            }
            line.push(b'\n');
            hasher.update(&line);
        }
        Ok(format!("{:x}", hasher.finalize()))
    }

    fn without_empty(mut self) -> Self {
        self.charts.retain(|ChartQuestions { questions, .. }| !questions.is_empty());
        self
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
