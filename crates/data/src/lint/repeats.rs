//! One question asked twice about one chart: the same text up to case and white space.
//!
//! With the same gold it counts twice; with another one of the two is wrong whatever is answered.

use std::collections::HashMap;

use rayon::prelude::*;

use super::text::{folded, folded_gold, shown};
use super::{Entry, Finding, Kind};

pub(super) fn check(entries: &[Entry<'_>]) -> Vec<Finding> {
    entries.par_iter().flat_map_iter(check_chart).collect()
}

fn check_chart(entry: &Entry<'_>) -> Vec<Finding> {
    let mut first_asked = HashMap::new();
    let mut findings = Vec::new();
    for question in entry.questions {
        let Some(first) = first_asked.insert(folded(&question.text), question) else { continue };
        let [gold, before] = [question, first].map(|question| folded_gold(&question.gold, question.answer_type));
        let text = shown(&question.text);
        let finding = if gold == before {
            let message = format!("{text} is asked as `{}` already", first.id);
            Finding::of_question(Kind::DuplicateQuestion, entry, question, message)
        } else {
            let [gold, before] = [question, first].map(|question| shown(&question.gold.text()));
            let message = format!("{text} has the gold {gold}, but {before} as `{}`", first.id);
            Finding::of_question(Kind::ConflictingQuestion, entry, question, message)
        };
        findings.push(finding.with(&first.id));
    }
    findings
}
