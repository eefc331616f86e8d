//! Questions in memory, or read as they are gone through.

use anyhow::Result;

use super::{AnswerType, ChartQuestions, QuestionHash, QuestionSet};

/// Charts of a piece of a source.
pub const CHARTS_AT_A_TIME: usize = 64;

/// Where the questions of a split come from, in their fixed order.
pub trait QuestionSource {
    /// Charts with their questions, some at a time. Each call goes through all of them anew.
    fn pieces(&self) -> Box<dyn Iterator<Item = Result<Vec<ChartQuestions>>> + '_>;
}

impl QuestionSource for QuestionSet {
    fn pieces(&self) -> Box<dyn Iterator<Item = Result<Vec<ChartQuestions>>> + '_> {
        Box::new(self.charts.chunks(CHARTS_AT_A_TIME).map(|piece| Ok(piece.to_vec())))
    }
}

/// What a source holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    pub charts: usize,
    pub questions: usize,
    /// [`QuestionHash`] of all questions.
    pub hash: String,
    /// Whether tables are all that is asked for.
    pub only_tables: bool,
}

impl Survey {
    /// Goes through the pieces of a source.
    ///
    /// # Errors
    /// The first of a piece.
    pub fn of(pieces: impl Iterator<Item = Result<Vec<ChartQuestions>>>) -> Result<Self> {
        let (mut charts, mut questions, mut hash, mut only_tables) = (0, 0, QuestionHash::default(), true);
        for piece in pieces {
            for entry in piece? {
                charts += 1;
                questions += entry.questions.len();
                hash.add(&entry)?;
                only_tables &= entry.questions.iter().all(|question| question.answer_type == Some(AnswerType::Table));
            }
        }
        Ok(Self { charts, questions, hash: hash.hex(), only_tables })
    }
}
