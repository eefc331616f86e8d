//! Finds questions that are asked twice about one chart, with the same text up to case and white
//! space.
//!
//! With the same gold the question counts twice; with different golds no answer is right for both.

use std::collections::HashMap;

use rayon::prelude::*;

use super::text::{fold, fold_gold, quote};
use super::{Finding, FindingKind, SplitChart};

pub(super) fn check(split_charts: &[SplitChart<'_>]) -> Vec<Finding> {
    split_charts.par_iter().flat_map_iter(check_chart).collect()
}

fn check_chart(split_chart: &SplitChart<'_>) -> Vec<Finding> {
    let mut first_asked = HashMap::new();
    let mut findings = Vec::new();
    for question in split_chart.questions {
        let Some(first) = first_asked.insert(fold(&question.text), question) else {
            continue;
        };
        let [gold, before] =
            [question, first].map(|question| fold_gold(&question.gold, question.answer_type));
        let text = quote(&question.text);
        let finding = if gold == before {
            let message = format!("{text} is asked as `{}` already", first.id);
            Finding::about_question(
                FindingKind::DuplicateQuestion,
                split_chart,
                question,
                message,
            )
        } else {
            let [gold, before] = [question, first].map(|question| quote(&question.gold.text()));
            let message = format!("{text} has the gold {gold}, but {before} as `{}`", first.id);
            Finding::about_question(
                FindingKind::ConflictingQuestion,
                split_chart,
                question,
                message,
            )
        };
        findings.push(finding.colliding_with(&first.id));
    }
    findings
}
