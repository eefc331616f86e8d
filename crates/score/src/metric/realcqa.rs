//! `realcqa`: RealCQA's own evaluator by answer type (cse-ai-lab/RealCQA,
//! `code/evaluation/eval_PMC.py`), as published.
//!
//! **Accuracy**, by the question's answer type; without one it does not apply:
//!
//! - **String**: lower-cased, line breaks stripped from the ends, equal.
//! - **Numerical**: both numbers, |t - p| / (t + 1e-9) <= 0.05.
//! - **Binary**: the gold answer is true if it is one of `True Yes yes true`, else false; the
//!   prediction is true if it is one of those or `1`, false if it is one of `False No no false 0`,
//!   else wrong.
//! - **Unranked list**: F1 of the lower-cased items, counted over all pairs of equal items. A
//!   prediction is evaluated as Python; one that is no list scores 0.
//! - **Ranked list**: nDCG@10 with an item's index as its relevance, for both; a gold list of one
//!   (distinct) item must be the predicted list.
//!
//! Known faults: the signed denominator makes every prediction right for a negative gold number; a
//! gold answer such as `YES` is false, and so is every gold answer that is no yes-or-no; repeated
//! items push F1 above 1; an empty list on either side divides by zero; the first item of a ranked
//! list has relevance 0 and the last one matters most; a text predicted for a ranked list is taken
//! letter by letter.

use std::collections::HashMap;

use super::{Metric, Pair, Rules, Score, Scores, Trace, python};
use chartbench_core::question::{AnswerType, Gold};

/// See the module's page.
pub struct RealCqaRules;

impl Rules for RealCqaRules {
    const NAME: &'static str = "realcqa";
    const ABOUT: &'static str = "RealCQA's evaluator by answer type, as published: signed 5 %, word lists, pairwise F1, nDCG@10 by index";
    const METRICS: &'static [Metric] = &[Metric::Accuracy];

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let gold = pair.gold;
        let accuracy = match pair.answer_type {
            None | Some(AnswerType::Table) => {
                trace.step(
                    Metric::Accuracy,
                    "no answer type of RealCQA: does not apply",
                    String::new,
                );
                Score::Inapplicable
            }
            Some(AnswerType::String) => string(&gold.text(), prediction, trace),
            Some(AnswerType::Numerical) => numerical(&gold.text(), prediction, trace),
            Some(AnswerType::Binary) => binary(&gold.text(), prediction, trace),
            Some(AnswerType::UnrankedList) => unranked(gold, prediction, trace),
            Some(AnswerType::RankedList) => ranked(gold, prediction, trace),
        };
        Scores::new(Self::METRICS, [accuracy])
    }
}

fn string(gold: &str, prediction: &str, trace: &mut impl Trace) -> Score {
    let equal = python::equal_lower(gold.trim_matches('\n'), prediction.trim_matches('\n'));
    trace.step(
        Metric::Accuracy,
        "string: lower-cased, line breaks stripped, equal",
        || format!("{gold:?} and {prediction:?}: {equal}"),
    );
    equal.into()
}

fn numerical(gold: &str, prediction: &str, trace: &mut impl Trace) -> Score {
    let (Some(t), Some(p)) = (python::float(gold), python::float(prediction)) else {
        trace.step(Metric::Accuracy, "numerical: not two numbers", || {
            format!("{gold:?} and {prediction:?}")
        });
        return Score::Value(0.0);
    };
    let error = (t - p).abs() / (t + 1e-9);
    let rule = if t < 0.0 {
        "numerical, gold below 0: |t - p| / (t + 1e-9) is negative, and so <= 0.05"
    } else {
        "numerical: |t - p| / (t + 1e-9) <= 0.05"
    };
    trace.step(Metric::Accuracy, rule, || {
        format!("|{t} - {p}| / ({t} + 1e-9) = {error}")
    });
    (t + 1e-9 != 0.0 && error <= 0.05).into()
}

fn binary(gold: &str, prediction: &str, trace: &mut impl Trace) -> Score {
    let truth = |text: &str| matches!(text, "True" | "Yes" | "yes" | "true");
    let predicted = match prediction {
        _ if truth(prediction) || prediction == "1" => Some(true),
        "False" | "No" | "no" | "false" | "0" => Some(false),
        _ => None,
    };
    let correct = predicted == Some(truth(gold));
    trace.step(Metric::Accuracy, "binary: word lists", || {
        let word = |truth| if truth { "yes" } else { "no" };
        format!(
            "gold {}, prediction {}",
            word(truth(gold)),
            predicted.map_or("neither yes nor no", word)
        )
    });
    correct.into()
}

fn unranked(gold: &Gold, prediction: &str, trace: &mut impl Trace) -> Score {
    let Some(predicted) = python::literal::items(prediction) else {
        trace.step(
            Metric::Accuracy,
            "unranked list: the prediction is no list",
            || format!("{prediction:?}"),
        );
        return Score::Value(0.0);
    };
    let lower = |items: Vec<String>| {
        items
            .iter()
            .map(|item| item.to_lowercase())
            .collect::<Vec<_>>()
    };
    let (golds, predicted) = (lower(gold_items(gold)), lower(predicted));
    if golds.is_empty() || predicted.is_empty() {
        trace.step(Metric::Accuracy, "unranked list: division by zero", || {
            "the original raises".to_owned()
        });
        return Score::Raises("ZeroDivisionError");
    }
    let mut times: HashMap<&str, usize> = HashMap::new();
    golds
        .iter()
        .for_each(|item| *times.entry(item).or_default() += 1);
    let hits: usize = predicted
        .iter()
        .map(|item| times.get(item.as_str()).copied().unwrap_or(0))
        .sum();
    // The original calls them P and R the other way about, which F1 does not mind.
    let (p, r) = (
        hits as f64 / golds.len() as f64,
        hits as f64 / predicted.len() as f64,
    );
    let f1 = if p + r > 0.0 {
        2.0 * ((p * r) / (p + r))
    } else {
        0.0
    };
    trace.step(
        Metric::Accuracy,
        "unranked list: F1 over equal pairs",
        || {
            format!(
                "{hits} equal pairs of {} and {} items: {f1}",
                golds.len(),
                predicted.len()
            )
        },
    );
    Score::Value(f1)
}

/// The items that the original's loop over the gold answer sees: a text's are its letters.
fn gold_items(gold: &Gold) -> Vec<String> {
    match gold {
        Gold::Text(text) => text.chars().map(String::from).collect(),
        Gold::List(items) => items.iter().map(python::literal::gold_literal).collect(),
    }
}

fn ranked(gold: &Gold, prediction: &str, trace: &mut impl Trace) -> Score {
    let golds = match gold {
        Gold::Text(text) => text.chars().map(String::from).collect(),
        // An inner list is written without separators.
        Gold::List(items) => items
            .iter()
            .map(|item| match item {
                Gold::Text(text) => text.clone(),
                Gold::List(inner) => inner.iter().map(python::literal::gold_literal).collect(),
            })
            .collect::<Vec<String>>(),
    };
    let predicted = python::literal::list(prediction)
        .unwrap_or_else(|| prediction.chars().map(String::from).collect());
    let (golds, predicted) = (indexed(&golds), indexed(&predicted));
    if golds.len() == 1 {
        let equal = golds == predicted;
        trace.step(
            Metric::Accuracy,
            "ranked list of one item: equal lists",
            || format!("{equal}"),
        );
        return equal.into();
    }
    let ndcg = ndcg_at_10(&golds, &predicted);
    trace.step(
        Metric::Accuracy,
        "ranked list: nDCG@10 with the index as relevance",
        || format!("{ndcg}"),
    );
    Score::Value(ndcg)
}

/// The last index of each item.
fn indexed(items: &[String]) -> HashMap<&str, usize> {
    items
        .iter()
        .enumerate()
        .map(|(index, item)| (item.as_str(), index))
        .collect()
}

/// trec_eval's `ndcg_cut.10`: documents by falling score, gains as they are, discounts log2(rank +
/// 1). Score and gain are the indices, which are distinct.
fn ndcg_at_10(golds: &HashMap<&str, usize>, predicted: &HashMap<&str, usize>) -> f64 {
    let cumulated = |gains: &[usize]| -> f64 {
        gains
            .iter()
            .take(10)
            .enumerate()
            .map(|(rank, gain)| *gain as f64 / (rank as f64 + 2.0).log2())
            .sum()
    };
    let gains: Vec<usize> = falling(predicted)
        .into_iter()
        .map(|(_, item)| golds.get(item).copied().unwrap_or(0))
        .collect();
    let ideal: Vec<usize> = falling(golds).into_iter().map(|(gain, _)| gain).collect();
    let best = cumulated(&ideal);
    if best > 0.0 {
        cumulated(&gains) / best
    } else {
        0.0
    }
}

/// Items by falling index.
fn falling<'a>(by: &HashMap<&'a str, usize>) -> Vec<(usize, &'a str)> {
    let mut items: Vec<(usize, &str)> = by.iter().map(|(item, index)| (*index, *item)).collect();
    items.sort_unstable_by(|a, b| b.cmp(a));
    items
}
