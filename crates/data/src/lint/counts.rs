//! Counts the charts and questions by split and kind.

use std::collections::BTreeMap;

use serde::Serialize;

use super::SplitChart;
use chartbench_core::question::Split;
use chartbench_core::question::{AnswerType, Taxonomy};

/// The charts and questions of one kind in one split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The grouping: `all`, `answer type`, `taxonomy` or `chart type`.
    pub group: &'static str,
    /// The kind; `None` for unannotated questions, and for `all`.
    pub value: Option<String>,
    /// The split to which the charts and questions belong.
    pub split: Split,
    /// Charts with at least one such question.
    pub charts: usize,
    /// Questions of this kind; for a chart type, all questions about such charts.
    pub questions: usize,
}

/// The groupings, in the order of the report.
const GROUPS: [&str; 4] = ["all", "answer type", "taxonomy", "chart type"];

/// A kind of questions, in the order of the report.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct QuestionKind<'a> {
    /// Index into [`GROUPS`].
    group: usize,
    /// The rank of the kind in its group, and its name.
    value: Option<(u8, &'a str)>,
}

/// Counts the charts and questions of each kind that occurs.
pub(super) fn count(split_charts: &[SplitChart<'_>]) -> Vec<Count> {
    let mut counts: BTreeMap<(QuestionKind<'_>, u8), Count> = BTreeMap::new();
    for split_chart in split_charts {
        let mut in_chart: BTreeMap<QuestionKind<'_>, usize> = BTreeMap::new();
        let chart_type = split_chart
            .chart
            .chart_type
            .as_deref()
            .map(|name| (0, name));
        for question in split_chart.questions {
            let values = [
                None,
                question.answer_type.map(answer_type),
                question.taxonomy.map(taxonomy),
                chart_type,
            ];
            for (group, value) in values.into_iter().enumerate() {
                *in_chart.entry(QuestionKind { group, value }).or_default() += 1;
            }
        }
        for (kind, questions) in in_chart {
            let count = counts
                .entry((kind, u8::from(split_chart.split == Split::Test)))
                .or_insert_with(|| Count {
                    group: GROUPS.get(kind.group).copied().unwrap_or_default(),
                    value: kind.value.map(|(_, name)| name.to_owned()),
                    split: split_chart.split,
                    charts: 0,
                    questions: 0,
                });
            count.charts += 1;
            count.questions += questions;
        }
    }
    counts.into_values().collect()
}

fn answer_type(answer_type: AnswerType) -> (u8, &'static str) {
    match answer_type {
        AnswerType::String => (0, "string"),
        AnswerType::Numerical => (1, "numerical"),
        AnswerType::Binary => (2, "binary"),
        AnswerType::RankedList => (3, "ranked list"),
        AnswerType::UnrankedList => (4, "unranked list"),
        AnswerType::Table => (5, "table"),
    }
}

fn taxonomy(taxonomy: Taxonomy) -> (u8, &'static str) {
    match taxonomy {
        Taxonomy::Root => (0, "root"),
        Taxonomy::Structural => (1, "structural"),
        Taxonomy::Retrieval => (2, "retrieval"),
        Taxonomy::Reasoning => (3, "reasoning"),
    }
}
