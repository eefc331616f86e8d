//! The hash that tells one set of questions from another.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::{ChartQuestions, Question, QuestionSet};

/// SHA-256 over everything about questions that can change an answer, its score or its slice: chart id and type, question
/// id, text, gold, answer type, taxonomy, template and source (and its slices, where it has any), one JSON array a line, in
/// order. The images' content is not in it.
#[derive(Default)]
pub struct QuestionHash {
    hasher: Sha256,
    line: Vec<u8>,
}

impl QuestionHash {
    /// Adds a chart's questions.
    ///
    /// # Errors
    /// None in practice: plain text always writes as JSON.
    pub fn add(&mut self, entry: &ChartQuestions) -> Result<()> {
        let chart = &entry.chart;
        for question in &entry.questions {
            let Question { id, text, gold, answer_type, taxonomy, template, source, slices } = question;
            self.line.clear();
            let cannot = || format!("cannot hash the question `{id}`");
            let fields = (&chart.id, &chart.chart_type, id, text, gold, answer_type, taxonomy, template, source);
            serde_json::to_writer(&mut self.line, &fields).with_context(cannot)?;
            // Where there are none the hash is what it was before there could be any.
            if !slices.is_empty() {
                serde_json::to_writer(&mut self.line, slices).with_context(cannot)?;
            }
            self.line.push(b'\n');
            self.hasher.update(&self.line);
        }
        Ok(())
    }

    /// The hash of all that was added, in lower-case hex.
    pub fn hex(self) -> String {
        format!("{:x}", self.hasher.finalize())
    }
}

impl QuestionSet {
    /// Its [`QuestionHash`].
    ///
    /// # Errors
    /// None in practice.
    pub fn hash(&self) -> Result<String> {
        let mut hash = QuestionHash::default();
        self.charts.iter().try_for_each(|entry| hash.add(entry))?;
        Ok(hash.hex())
    }
}
