//! Sets of questions: in memory, or read chunk by chunk; how many of them are asked, and what a set
//! contains.

use anyhow::Result;

use super::{AnswerType, Chart, ChartQuestions, Question, QuestionHash};
use crate::seeded_draw::draw_key;

/// Charts in a chunk of a [`QuestionSource`].
pub const CHUNK_CHARTS: usize = 64;

/// A source of the questions of a split, in their fixed order.
pub trait QuestionSource {
    /// Charts with their questions, chunk by chunk. Each call goes through all of them again.
    fn chunks(&self) -> Box<dyn Iterator<Item = Result<Vec<ChartQuestions>>> + '_>;
}

/// A loaded benchmark split: a fixed list of questions, in a fixed order.
#[derive(Clone, Debug)]
pub struct QuestionSet {
    /// The benchmark's name, e.g. `realcqa`.
    pub benchmark: String,
    /// Charts in the order they are asked, each with at least one question.
    pub charts: Vec<ChartQuestions>,
}

impl QuestionSource for QuestionSet {
    fn chunks(&self) -> Box<dyn Iterator<Item = Result<Vec<ChartQuestions>>> + '_> {
        Box::new(
            self.charts
                .chunks(CHUNK_CHARTS)
                .map(|chunk| Ok(chunk.to_vec())),
        )
    }
}

impl QuestionSet {
    /// The number of questions.
    pub fn len(&self) -> usize {
        self.charts.iter().map(|chart| chart.questions.len()).sum()
    }

    /// Whether the set has no question at all.
    pub fn is_empty(&self) -> bool {
        self.charts.is_empty()
    }

    /// Every question with its chart, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Chart, &Question)> {
        self.charts
            .iter()
            .flat_map(|ChartQuestions { chart, questions }| {
                questions.iter().map(move |question| (chart, question))
            })
    }

    /// At most `per_chart` questions of each chart, drawn by `seed` and left in their order
    /// ([`sample_questions`]).
    #[must_use]
    pub fn sample(mut self, per_chart: usize, seed: u64) -> Self {
        self.charts
            .iter_mut()
            .for_each(|chart_questions| sample_questions(chart_questions, per_chart, seed));
        self.without_empty()
    }

    /// The first `count` questions in the set's own order, chart after chart.
    #[must_use]
    pub fn limit(mut self, count: usize) -> Self {
        let mut left = count;
        for ChartQuestions { questions, .. } in &mut self.charts {
            questions.truncate(left);
            left -= questions.len();
        }
        self.without_empty()
    }

    fn without_empty(mut self) -> Self {
        self.charts
            .retain(|ChartQuestions { questions, .. }| !questions.is_empty());
        self
    }
}

/// Leaves at most `per_chart` of the chart's questions, drawn by `seed`, in their order.
///
/// The questions with the lowest [`draw_key`] are drawn: the draw of one chart depends on no other
/// chart, nor on the order of the questions.
pub fn sample_questions(chart_questions: &mut ChartQuestions, per_chart: usize, seed: u64) {
    let ChartQuestions { chart, questions } = chart_questions;
    if questions.len() > per_chart {
        let mut keys: Vec<_> = questions
            .iter()
            .map(|question| draw_key(seed, &chart.id, &question.id))
            .collect();
        keys.sort_unstable();
        let bound = keys.get(per_chart).copied();
        questions.retain(|question| Some(draw_key(seed, &chart.id, &question.id)) < bound);
    }
}

/// The size, hash and kind of the questions of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionSetSummary {
    /// The number of charts.
    pub charts: usize,
    /// The number of questions about all charts together.
    pub questions: usize,
    /// [`QuestionHash`] of all questions.
    pub hash: String,
    /// Whether every question asks for a table.
    pub only_tables: bool,
}

impl QuestionSetSummary {
    /// Summarises the chunks of a source.
    ///
    /// # Errors
    /// Returns the first error of a chunk.
    pub fn from_chunks(chunks: impl Iterator<Item = Result<Vec<ChartQuestions>>>) -> Result<Self> {
        let (mut charts, mut questions, mut hash, mut only_tables) =
            (0, 0, QuestionHash::default(), true);
        for chunk in chunks {
            for chart_questions in chunk? {
                charts += 1;
                questions += chart_questions.questions.len();
                hash.add(&chart_questions)?;
                let asked = &chart_questions.questions;
                only_tables &= asked
                    .iter()
                    .all(|question| question.answer_type == Some(AnswerType::Table));
            }
        }
        Ok(Self {
            charts,
            questions,
            hash: hash.hex(),
            only_tables,
        })
    }
}
