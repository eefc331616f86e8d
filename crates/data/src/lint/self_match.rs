//! Gold answers that are not right when a model says exactly them.
//!
//! Every convention scores each gold against its own text. That some say less than 1 is always told, by convention and
//! metric. A gold for which few conventions do so is those conventions' doing (`study` takes no negative number); one for
//! which several do, such as `nan`, is a fault of the data set and a finding. Empty golds are found elsewhere.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use serde::Serialize;

use super::text::shown;
use super::{Entry, Finding, Kind, golds};
use chartbench_core::question::{AnswerType, Gold, Prediction};
use chartbench_score::metric::{CONVENTIONS, Convention, Metric, Pair, Scores, python};

/// So many conventions must agree before a gold is a finding. Below that it is their doing: for VLMEvalKit's two a list
/// is alternatives, and lm-eval strips one side's punctuation alone.
const AGREEING: usize = 4;

/// How many golds a metric does not match with themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SelfMatch {
    pub convention: &'static str,
    pub metric: &'static str,
    /// Questions with such a gold.
    pub questions: usize,
    /// The id of the first.
    pub example: String,
}

/// The metrics that score `gold` below 1 however it says itself: as its text, and a list as a Python list too.
fn failing(convention: &Convention, gold: &Gold, answer_type: Option<AnswerType>) -> Vec<&'static str> {
    let listed = matches!(gold, Gold::List(_)).then(|| python::literal::of_gold(gold));
    let texts = std::iter::once(gold.text().into_owned()).chain(listed);
    let scores: Vec<Scores> =
        texts.map(|text| convention.score(&Pair { answer_type, ..Pair::new(gold, &Prediction(text)) })).collect();
    let right =
        |metric: Metric| scores.iter().any(|scores| scores.get(metric).counted().is_none_or(|value| value >= 1.0));
    convention.metrics.iter().copied().filter(|metric| !right(*metric)).map(Metric::name).collect()
}

/// By place in [`CONVENTIONS`], the metrics that fail a gold.
type Failures = Vec<(usize, Vec<&'static str>)>;

pub(super) fn check(entries: &[Entry<'_>]) -> (Vec<SelfMatch>, Vec<Finding>) {
    let failures = all_failures(entries);
    let mut matches: BTreeMap<(usize, &'static str), SelfMatch> = BTreeMap::new();
    let mut findings = Vec::new();
    for entry in entries {
        for question in entry.questions {
            let Some(failed) = failures.get(&(&question.gold, question.answer_type)) else { continue };
            for &(convention, ref metrics) in failed {
                for &metric in metrics {
                    let name = CONVENTIONS.get(convention).map_or("", |convention| convention.name);
                    let example = || SelfMatch { convention: name, metric, questions: 0, example: question.id.clone() };
                    matches.entry((convention, metric)).or_insert_with(example).questions += 1;
                }
            }
            if failed.len() >= AGREEING {
                let message =
                    format!("the gold {} is wrong for itself: {}", shown(&question.gold.text()), named(failed));
                findings.push(Finding::of_question(Kind::UnmatchableGold, entry, question, message));
            }
        }
    }
    (matches.into_values().collect(), findings)
}

/// The distinct golds that fail somewhere.
fn all_failures<'a>(entries: &[Entry<'a>]) -> HashMap<(&'a Gold, Option<AnswerType>), Failures> {
    let mut distinct: HashMap<(&Gold, Option<AnswerType>), Failures> = entries
        .iter()
        .flat_map(|entry| entry.questions)
        .filter(|question| !golds::is_empty(&question.gold))
        .map(|question| ((&question.gold, question.answer_type), Vec::new()))
        .collect();
    distinct.par_iter_mut().for_each(|((gold, answer_type), failures)| {
        let scored = CONVENTIONS.iter().map(|convention| failing(convention, gold, *answer_type)).enumerate();
        failures.extend(scored.filter(|(_, metrics)| !metrics.is_empty()));
    });
    distinct.retain(|_, failures| !failures.is_empty());
    distinct
}

fn named(failures: &Failures) -> String {
    let one = |(convention, metrics): &(usize, Vec<&str>)| {
        let name = CONVENTIONS.get(*convention).map_or("", |convention| convention.name);
        format!("{name} ({})", metrics.join(", "))
    };
    failures.iter().map(one).collect::<Vec<_>>().join(", ")
}
