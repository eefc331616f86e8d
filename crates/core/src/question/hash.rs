//! The hash that identifies a set of questions.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::{ChartQuestions, Question, QuestionSet};

/// SHA-256 over everything about questions that can change an answer, its score or its slice: chart
/// id and type, question id, text, gold, answer type, taxonomy, template and source (and the
/// slices and the context, where a question has any), one JSON array a line, in order. It does not
/// cover the content of the images.
#[derive(Default)]
pub struct QuestionHash {
    hasher: Sha256,
    line: Vec<u8>,
}

impl QuestionHash {
    /// Adds a chart's questions.
    ///
    /// # Errors
    /// Returns an error if a question cannot be written as JSON, which plain text always can.
    pub fn add(&mut self, chart_questions: &ChartQuestions) -> Result<()> {
        let ChartQuestions { chart, questions } = chart_questions;
        for question in questions {
            let Question {
                id,
                text,
                gold,
                answer_type,
                taxonomy,
                template,
                source,
                slices,
                context,
            } = question;
            self.line.clear();
            let describe = || format!("cannot hash the question `{id}`");
            let fields = (
                &chart.id,
                &chart.chart_type,
                id,
                text,
                gold,
                answer_type,
                taxonomy,
                template,
                source,
            );
            serde_json::to_writer(&mut self.line, &fields).with_context(describe)?;
            // Questions without slices keep the hash that they had before slices existed.
            if !slices.is_empty() {
                serde_json::to_writer(&mut self.line, slices).with_context(describe)?;
            }
            // Likewise, for questions without a context.
            if let Some(context) = context {
                serde_json::to_writer(&mut self.line, &**context).with_context(describe)?;
            }
            self.line.push(b'\n');
            self.hasher.update(&self.line);
        }
        Ok(())
    }

    /// The hash of all added questions, in lower-case hex.
    pub fn hex(self) -> String {
        format!("{:x}", self.hasher.finalize())
    }
}

impl QuestionSet {
    /// Its [`QuestionHash`].
    ///
    /// # Errors
    /// As [`QuestionHash::add`].
    pub fn hash(&self) -> Result<String> {
        let mut hash = QuestionHash::default();
        self.charts
            .iter()
            .try_for_each(|chart_questions| hash.add(chart_questions))?;
        Ok(hash.hex())
    }
}
