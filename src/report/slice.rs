//! The dimensions a leaderboard is cut along.

use crate::record::PredictionRecord;

/// A property of a question by which results are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    AnswerType,
    Taxonomy,
    ChartType,
    /// The part of the data set a question is from: ChartQA's human and augmented questions.
    Source,
}

impl Dimension {
    pub const ALL: [Self; 4] = [Self::AnswerType, Self::Taxonomy, Self::ChartType, Self::Source];

    /// As headings and columns name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AnswerType => "answer type",
            Self::Taxonomy => "taxonomy",
            Self::ChartType => "chart type",
            Self::Source => "source",
        }
    }

    /// The question's value, if the data set tells it.
    pub fn value(self, record: &PredictionRecord) -> Option<String> {
        match self {
            Self::AnswerType => record.answer_type.map(|value| words(&value)),
            Self::Taxonomy => record.taxonomy.map(|value| words(&value)),
            Self::ChartType => record.chart_type.clone(),
            Self::Source => record.source.clone(),
        }
    }
}

/// An enum's stored name with spaces: `ranked list`.
fn words<T: serde::Serialize>(value: &T) -> String {
    let name = serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned));
    name.unwrap_or_default().replace('_', " ")
}
