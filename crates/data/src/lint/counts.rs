//! How many charts and questions there are, by split and kind.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Entry;
use chartbench_core::question::Split;
use chartbench_core::question::{AnswerType, Taxonomy};

/// The charts and questions of one kind in one split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// By what is counted: `all`, `answer type`, `taxonomy` or `chart type`.
    pub group: &'static str,
    /// The kind; absent for what the data set does not tell, and for `all`.
    pub value: Option<String>,
    pub split: Split,
    /// Charts with at least one such question.
    pub charts: usize,
    pub questions: usize,
}

/// By what is counted, in the order it is told.
const GROUPS: [&str; 4] = ["all", "answer type", "taxonomy", "chart type"];

/// The place of a group; a kind's place among its like, and its name.
type Slot<'a> = (usize, Option<(u8, &'a str)>);

/// Counts everything; kinds that are not there have no count.
pub(super) fn count(entries: &[Entry<'_>]) -> Vec<Count> {
    let mut counts: BTreeMap<(Slot<'_>, u8), Count> = BTreeMap::new();
    for entry in entries {
        let mut here: BTreeMap<Slot<'_>, usize> = BTreeMap::new();
        let chart_type = entry.chart.chart_type.as_deref().map(|name| (0, name));
        for question in entry.questions {
            let values = [None, question.answer_type.map(answer_type), question.taxonomy.map(taxonomy), chart_type];
            for (group, value) in values.into_iter().enumerate() {
                *here.entry((group, value)).or_default() += 1;
            }
        }
        for ((group, value), questions) in here {
            let count = counts.entry(((group, value), u8::from(entry.split == Split::Test))).or_insert_with(|| Count {
                group: GROUPS.get(group).copied().unwrap_or_default(),
                value: value.map(|(_, name)| name.to_owned()),
                split: entry.split,
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
