//! A fault of a data set.

use serde::Serialize;

use super::SplitChart;
use chartbench_core::question::Split;
use chartbench_core::question::{ImageRef, Question};

/// The kinds of faults, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The image file does not exist.
    MissingImage,
    /// An image that does not decode, or that cannot be a chart.
    BrokenImage,
    /// One chart in both splits.
    ChartInTrainAndTest,
    /// A gold answer, or an item of it, that is empty.
    EmptyGold,
    /// A gold answer that was cut off.
    TruncatedGold,
    /// One question about one chart with two answers.
    ConflictingQuestion,
    /// Two charts of one split with the same image.
    DoubledImage,
    /// Two charts of one split with nearly the same image.
    NearIdenticalImage,
    /// One question about one chart with one answer, asked twice.
    DuplicateQuestion,
    /// A gold answer that is not right when compared with itself.
    UnmatchableGold,
    /// Questions that can be answered without the chart.
    GivenAway,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The data set is not usable as it is.
    Error,
    /// Something to know when reading its scores.
    Warning,
}

impl FindingKind {
    /// How bad it is.
    pub fn severity(self) -> Severity {
        match self {
            Self::MissingImage
            | Self::BrokenImage
            | Self::ChartInTrainAndTest
            | Self::EmptyGold
            | Self::TruncatedGold
            | Self::ConflictingQuestion => Severity::Error,
            Self::DoubledImage
            | Self::NearIdenticalImage
            | Self::DuplicateQuestion
            | Self::UnmatchableGold
            | Self::GivenAway => Severity::Warning,
        }
    }

    /// Findings of this kind, for a heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::MissingImage => "missing images",
            Self::BrokenImage => "broken images",
            Self::ChartInTrainAndTest => "charts in train and test",
            Self::EmptyGold => "empty golds",
            Self::TruncatedGold => "truncated golds",
            Self::ConflictingQuestion => "duplicate questions with different golds",
            Self::DoubledImage => "doubled images",
            Self::NearIdenticalImage => "near-identical images",
            Self::DuplicateQuestion => "duplicate questions",
            Self::UnmatchableGold => "golds that do not match themselves",
            Self::GivenAway => "questions that the text alone gives away",
        }
    }
}

/// A fault, and its chart or question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The kind of fault, by which the report is ordered.
    pub kind: FindingKind,
    /// The severity of its kind ([`FindingKind::severity`]).
    pub severity: Severity,
    /// The split of the chart or question.
    pub split: Split,
    /// The chart's id, for a fault of a chart.
    pub chart: Option<String>,
    /// The question's id, or that of an example.
    pub question: Option<String>,
    /// The id of the chart or question with which it collides.
    pub other: Option<String>,
    /// The chart's image file.
    pub file: Option<String>,
    /// The fault in one line.
    pub message: String,
}

impl Finding {
    /// A finding about a chart.
    pub(super) fn about_chart(
        kind: FindingKind,
        split_chart: &SplitChart<'_>,
        message: impl Into<String>,
    ) -> Self {
        let file = match &split_chart.chart.image {
            ImageRef::File(path) => Some(path.display().to_string()),
            ImageRef::Drawn(_) => None,
        };
        Self {
            kind,
            severity: kind.severity(),
            split: split_chart.split,
            chart: Some(split_chart.chart.id.clone()),
            question: None,
            other: None,
            file,
            message: message.into(),
        }
    }

    /// A finding about a question.
    pub(super) fn about_question(
        kind: FindingKind,
        split_chart: &SplitChart<'_>,
        question: &Question,
        message: impl Into<String>,
    ) -> Self {
        Self {
            question: Some(question.id.clone()),
            ..Self::about_chart(kind, split_chart, message)
        }
    }

    /// The same finding with the id of the chart or question with which it collides.
    pub(super) fn colliding_with(self, other: &str) -> Self {
        Self {
            other: Some(other.to_owned()),
            ..self
        }
    }
}
