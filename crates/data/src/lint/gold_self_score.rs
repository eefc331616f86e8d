//! Finds gold answers that score below 1 against themselves.
//!
//! Every convention that is for such questions scores each gold against its own text, and the
//! report counts the scores below 1 by convention and metric. Where few conventions agree, the
//! convention is at fault (`study` accepts no negative number). Where several agree, as for `nan`,
//! the data set is at fault and the gold is a finding. Empty golds are found elsewhere.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use serde::Serialize;

use super::text::quote;
use super::{Finding, FindingKind, SplitChart, golds};
use chartbench_core::question::{AnswerType, Gold, Prediction};
use chartbench_score::metric::{CONVENTIONS, Convention, Metric, Pair, Scores, python};

/// Conventions that must agree before a gold is a finding. Three can fail for reasons of their own:
/// VLMEvalKit's two read a list as alternatives, and lm-eval strips the punctuation of one side
/// only.
const MIN_CONVENTIONS: usize = 4;

/// The golds that a metric scores below 1 against themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GoldSelfScore {
    /// The convention's name, e.g. `realcqa`.
    pub convention: &'static str,
    /// The metric's name in tables ([`Metric::name`]), e.g. `exact match`.
    pub metric: &'static str,
    /// Questions with such a gold.
    pub questions: usize,
    /// The id of the first of them.
    pub example: String,
}

/// The metrics that score `gold` below 1 against itself in every spelling: as its text, and a list
/// as a Python list too.
fn failing_metrics(
    convention: &Convention,
    gold: &Gold,
    answer_type: Option<AnswerType>,
) -> Vec<&'static str> {
    let listed = matches!(gold, Gold::List(_)).then(|| python::literal::gold_literal(gold));
    let texts = std::iter::once(gold.text().into_owned()).chain(listed);
    let score = |text: String| {
        let prediction = Prediction(text);
        let pair = Pair {
            answer_type,
            ..Pair::new(gold, &prediction)
        };
        convention.is_for(&pair).then(|| convention.score(&pair))
    };
    let Some(scores) = texts.map(score).collect::<Option<Vec<Scores>>>() else {
        return Vec::new();
    };
    let right = |metric: Metric| {
        scores.iter().any(|scores| {
            scores
                .get(metric)
                .counted()
                .is_none_or(|value| value >= 1.0)
        })
    };
    convention
        .metrics
        .iter()
        .copied()
        .filter(|metric| !right(*metric))
        .map(Metric::name)
        .collect()
}

/// The metrics of one convention that score a gold below 1 against itself.
struct FailedConvention {
    /// Index into [`CONVENTIONS`].
    index: usize,
    convention: &'static Convention,
    metrics: Vec<&'static str>,
}

type Failures = Vec<FailedConvention>;

pub(super) fn check(split_charts: &[SplitChart<'_>]) -> (Vec<GoldSelfScore>, Vec<Finding>) {
    let failures = all_failures(split_charts);
    let mut matches: BTreeMap<(usize, &'static str), GoldSelfScore> = BTreeMap::new();
    let mut findings = Vec::new();
    for split_chart in split_charts {
        for question in split_chart.questions {
            let Some(failed) = failures.get(&(&question.gold, question.answer_type)) else {
                continue;
            };
            for FailedConvention {
                index,
                convention,
                metrics,
            } in failed
            {
                for &metric in metrics {
                    let example = || GoldSelfScore {
                        convention: convention.name,
                        metric,
                        questions: 0,
                        example: question.id.clone(),
                    };
                    matches
                        .entry((*index, metric))
                        .or_insert_with(example)
                        .questions += 1;
                }
            }
            if failed.len() >= MIN_CONVENTIONS {
                let message = format!(
                    "the gold {} is wrong for itself: {}",
                    quote(&question.gold.text()),
                    format_failures(failed)
                );
                findings.push(Finding::about_question(
                    FindingKind::UnmatchableGold,
                    split_chart,
                    question,
                    message,
                ));
            }
        }
    }
    (matches.into_values().collect(), findings)
}

/// The distinct golds that some convention scores below 1.
fn all_failures<'a>(
    split_charts: &[SplitChart<'a>],
) -> HashMap<(&'a Gold, Option<AnswerType>), Failures> {
    let mut distinct: HashMap<(&Gold, Option<AnswerType>), Failures> = split_charts
        .iter()
        .flat_map(|split_chart| split_chart.questions)
        .filter(|question| !golds::is_empty(&question.gold))
        .map(|question| ((&question.gold, question.answer_type), Vec::new()))
        .collect();
    distinct
        .par_iter_mut()
        .for_each(|((gold, answer_type), failures)| {
            for (index, convention) in CONVENTIONS.iter().enumerate() {
                let metrics = failing_metrics(convention, gold, *answer_type);
                if !metrics.is_empty() {
                    failures.push(FailedConvention {
                        index,
                        convention,
                        metrics,
                    });
                }
            }
        });
    distinct.retain(|_, failures| !failures.is_empty());
    distinct
}

fn format_failures(failures: &Failures) -> String {
    let mut texts = Vec::new();
    for FailedConvention {
        convention,
        metrics,
        ..
    } in failures
    {
        texts.push(format!("{} ({})", convention.name, metrics.join(", ")));
    }
    texts.join(", ")
}
