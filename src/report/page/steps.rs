//! How each answer was scored, and whether its notation alone makes it wrong.

use std::collections::HashMap;

use serde::Serialize;

use super::text::VisibleText;
use crate::report::Scored;
use crate::report::sensitivity::TOLERANCE;
use chartbench_score::metric::{Convention, Metric, Notation, Pair, StepTrace, is_right};

/// Characters of a step's detail; answers of any length are in it.
const MAX_DETAIL: usize = 160;

/// Lists of steps: answers that were scored alike share theirs, which most right ones do.
#[derive(Debug, Default, Serialize)]
pub(super) struct StepsTable {
    /// The rules of the convention, which steps name by place.
    rules: Vec<&'static str>,
    lists: Vec<Vec<Step>>,
    #[serde(skip)]
    rule_places: HashMap<&'static str, usize>,
    #[serde(skip)]
    list_places: HashMap<Vec<Step>, usize>,
}

/// The place of the metric, the place of the rule, and the rule's result.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
struct Step(usize, usize, VisibleText);

impl StepsTable {
    /// The place of the list of an answer's steps; `None` where there are none: the question failed.
    pub(super) fn add(&mut self, scored: &Scored<'_>, index: usize) -> Option<usize> {
        let pair = scored.pair(index)?;
        pair.prediction?;
        let mut trace = StepTrace::default();
        scored.convention.explain(&pair, &mut trace);
        let metrics = scored.convention.metrics.iter().enumerate();
        let mut list = Vec::new();
        for (place, &metric) in metrics {
            for step in trace.for_metric(metric) {
                let detail = VisibleText::new(&cut(&step.detail));
                list.push(Step(place, self.rule(step.rule), detail));
            }
        }
        if list.is_empty() {
            return None;
        }
        Some(*self.list_places.entry(list).or_insert_with_key(|list| {
            self.lists.push(list.clone());
            self.lists.len() - 1
        }))
    }

    fn rule(&mut self, rule: &'static str) -> usize {
        *self.rule_places.entry(rule).or_insert_with(|| {
            self.rules.push(rule);
            self.rules.len() - 1
        })
    }
}

fn cut(detail: &str) -> String {
    let mut letters = detail.chars();
    let head: String = letters.by_ref().take(MAX_DETAIL).collect();
    if letters.next().is_some() {
        head + "\u{2026}"
    } else {
        head
    }
}

/// The part of the notation that makes an answer wrong that is right but for it: `None` where it is right
/// as written, or wrong however it is written. The convention `chartbench` decides, whatever the
/// page's is.
pub(super) fn wrong_notation(pair: &Pair<'_>) -> Option<&'static str> {
    let prediction = pair.prediction?;
    let scores = Convention::by_name("chartbench").ok()?.score(pair);
    let value = |metric| scores.get(metric).counted();
    let but_for_it = value(Metric::Strict)? < 1.0 && value(Metric::Lenient)? >= 1.0;
    let gold = pair.gold.text();
    let alone = |notation: &&Notation| is_right(&gold, &prediction.0, &[**notation], TOLERANCE);
    but_for_it.then(|| {
        let notation = Notation::ALL.iter().find(alone);
        notation.map_or("notation", |notation| notation.name())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chartbench_core::question::{Gold, Prediction};

    #[test]
    fn an_answer_that_is_right_but_for_its_notation_is_told_from_a_wrong_one() {
        let notation = |gold: &str, prediction: &str| {
            let (gold, prediction) = (Gold::Text(gold.into()), Prediction(prediction.into()));
            wrong_notation(&Pair::new(&gold, &prediction))
        };
        assert_eq!(notation("50%", "50"), Some("percent sign"));
        assert_eq!(notation("Line chart", "line chart"), Some("case"));
        assert_eq!(notation("50", "50"), None);
        assert_eq!(notation("50", "60%"), None);
    }

    #[test]
    fn details_are_cut() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"x".repeat(1_000)).chars().count(), MAX_DETAIL + 1);
    }
}
