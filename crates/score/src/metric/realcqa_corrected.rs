//! `realcqa-corrected`: RealCQA's evaluator by answer type with only the faults of
//! [`realcqa`](super::realcqa) corrected. It is unpublished.
//!
//! **Accuracy**, by the question's answer type; without one it does not apply. Texts are compared
//! lower-cased and stripped of outer white space.
//!
//! - **String**: equal.
//! - **Numerical**: both numbers, |p - t| / |t| <= 0.05; a gold 0 takes only 0.
//! - **Binary**: `yes`/`true` and `no`/`false` in any case, on both sides; any other gold answer
//!   must be equal.
//! - **Unranked list**: F1 of the items, each matched once; two empty lists agree.
//! - **Ranked list**: nDCG@10 where the first gold item has the highest relevance. The first
//!   occurrence of an item counts; two empty lists agree. Items after the last gold one cost
//!   nothing, as in nDCG.
//!
//! A prediction that is not a list literal is split at its commas.

use std::collections::HashMap;

use super::{Metric, Pair, Rules, Score, Scores, Trace, python};
use chartbench_core::question::{AnswerType, Gold};

/// See the module's page.
pub struct RealCqaCorrectedRules;

impl Rules for RealCqaCorrectedRules {
    const NAME: &'static str = "realcqa-corrected";
    const ABOUT: &'static str =
        "RealCQA's evaluator by answer type with its faults mended; not published";
    const METRICS: &'static [Metric] = &[Metric::Accuracy];

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let (rule, accuracy) = match pair.answer_type {
            None | Some(AnswerType::Table) => (
                "no answer type of RealCQA: does not apply",
                Score::Inapplicable,
            ),
            Some(AnswerType::String) => (
                "string: stripped, lower-cased, equal",
                (plain(&pair.gold.text()) == plain(prediction)).into(),
            ),
            Some(AnswerType::Numerical) => (
                "numerical: |p - t| / |t| <= 0.05, 0 for 0",
                numerical(&pair.gold.text(), prediction).into(),
            ),
            Some(AnswerType::Binary) => (
                "binary: yes and no in any spelling",
                binary(&pair.gold.text(), prediction).into(),
            ),
            Some(AnswerType::UnrankedList) => (
                "unranked list: F1, each item matched once",
                Score::Value(f1(&golds(pair.gold), &items(prediction))),
            ),
            Some(AnswerType::RankedList) => (
                "ranked list: nDCG@10, the first item first",
                Score::Value(ndcg(&golds(pair.gold), &items(prediction))),
            ),
        };
        trace.step(Metric::Accuracy, rule, || {
            format!("{:?} and {prediction:?}", pair.gold.text())
        });
        Scores::new(Self::METRICS, [accuracy])
    }
}

fn plain(text: &str) -> String {
    python::lower(python::strip(text)).into_owned()
}

fn numerical(gold: &str, prediction: &str) -> bool {
    match (python::float(gold), python::float(prediction)) {
        (Some(0.0), Some(p)) => p == 0.0,
        (Some(t), Some(p)) => (p - t).abs() / t.abs() <= 0.05,
        _ => false,
    }
}

fn binary(gold: &str, prediction: &str) -> bool {
    let (gold, prediction) = (plain(gold), plain(prediction));
    let truth = |text: &str| match text {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    };
    truth(&gold).map_or(gold == prediction, |gold| truth(&prediction) == Some(gold))
}

fn golds(gold: &Gold) -> Vec<String> {
    match gold {
        Gold::Text(text) => items(text),
        Gold::List(items) => items.iter().map(|item| plain(&item.text())).collect(),
    }
}

fn items(text: &str) -> Vec<String> {
    match python::literal::list(text) {
        Some(items) => items.iter().map(|item| plain(item)).collect(),
        None if python::strip(text).is_empty() => Vec::new(),
        None => text.split(',').map(plain).collect(),
    }
}

fn f1(golds: &[String], predicted: &[String]) -> f64 {
    let mut left: HashMap<&str, usize> = HashMap::new();
    golds
        .iter()
        .for_each(|item| *left.entry(item).or_default() += 1);
    let mut hits = 0;
    for item in predicted {
        if let Some(count) = left.get_mut(item.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            hits += 1;
        }
    }
    match golds.len() + predicted.len() {
        0 => 1.0,
        both => 2.0 * f64::from(hits) / both as f64,
    }
}

fn ndcg(golds: &[String], predicted: &[String]) -> f64 {
    let (golds, predicted) = (distinct(golds), distinct(predicted));
    if golds.is_empty() {
        return f64::from(predicted.is_empty());
    }
    let relevance: HashMap<&str, usize> = golds
        .iter()
        .enumerate()
        .map(|(index, item)| (*item, golds.len() - index))
        .collect();
    let cumulated = |items: &[&str]| -> f64 {
        let gain = |item: &str| relevance.get(item).copied().unwrap_or(0) as f64;
        items
            .iter()
            .take(10)
            .enumerate()
            .map(|(rank, item)| gain(item) / (rank as f64 + 2.0).log2())
            .sum()
    };
    cumulated(&predicted) / cumulated(&golds)
}

/// The first occurrence of each item.
fn distinct(items: &[String]) -> Vec<&str> {
    let mut seen = std::collections::HashSet::new();
    items
        .iter()
        .map(String::as_str)
        .filter(|item| seen.insert(*item))
        .collect()
}
