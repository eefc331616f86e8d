//! `chartqapro`: `evaluate_predictions.py` of vis-nlp/ChartQAPro (arXiv 2504.05506).
//!
//! **Relaxed accuracy**: both texts lose the dots and then the line breaks at their ends. A text
//! written as a Python list is its elements, the gold one also when its elements lack their quotes.
//! Element by element, in order, over the longer length, what is missing counting 0. The question's
//! `Year` flags ([`YearFlags`](chartbench_core::question::YearFlags)), one for each element of the
//! gold answer and repeated where they are fewer, choose the rule:
//!
//! - `YES`: stripped and lower-cased texts equal;
//! - `NO`, or no flags: `%` and white space stripped; two numbers within |p - t| / |t| <= 0.05 (t =
//!   0 takes only 0); else the ANLS of PyPI's `anls` 0.0.2 on the lower-cased texts, as partial
//!   credit.
//!
//! `Answer` is the list of a conversation's turns; the last turn is scored, with the last flag. The
//! readers of data sets and of predictions select that turn, so that a gold list here is a list of
//! elements.
//!
//! Known faults: text that is half right scores half (`Likely` for `Unlikely` 0.75); `1,234` scores
//! 0.8 for `1234`; `50%` and `0.5` never match while `50%` and `50` do; a year `4` fails for `4.0`.
//! The original's exact match for its fact-checking and multiple-choice questions is computed and
//! then not used; [`chartqapro-exact`](super::chartqapro_exact) uses it.

use std::sync::LazyLock;

use fancy_regex::Regex;

use super::{Metric, Pair, Rules, Score, Scores, Trace, python, study};
use chartbench_core::question::Gold;

/// See the module's page.
pub struct ChartQaProRules;

impl Rules for ChartQaProRules {
    const NAME: &'static str = "chartqapro";
    const ABOUT: &'static str = "ChartQAPro: elements within 5 % of the gold number, else their ANLS as partial credit; flagged years equal";
    const METRICS: &'static [Metric] = &[Metric::RelaxedAccuracy];

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let score = mean_of_elements(pair, prediction, trimmed, Exact::Years, trace);
        Scores::new(Self::METRICS, [score])
    }
}

/// Which elements of an answer must be equal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Exact {
    /// Those with a year flag.
    Years,
    /// All.
    Always,
}

/// The mean over the elements of the longer answer; `trimmed` is how both texts lose their ends.
pub(super) fn mean_of_elements(
    pair: &Pair<'_>,
    prediction: &str,
    trimmed: fn(&str) -> &str,
    exact: Exact,
    trace: &mut impl Trace,
) -> Score {
    let golds = match pair.gold {
        Gold::Text(text) => {
            let text = trimmed(text);
            quoted_list(text)
                .or_else(|| list(text))
                .unwrap_or_else(|| vec![text.to_owned()])
        }
        Gold::List(items) if items.is_empty() => vec![String::new()],
        Gold::List(items) => items
            .iter()
            .map(|item| trimmed(&item.text()).to_owned())
            .collect(),
    };
    let prediction = trimmed(prediction);
    let predictions = list(prediction).unwrap_or_else(|| vec![prediction.to_owned()]);
    let longer = golds.len().max(predictions.len());
    let mut sum = 0.0;
    for (index, (gold, prediction)) in golds.iter().zip(&predictions).enumerate() {
        sum += if exact == Exact::Always {
            equal(gold, prediction, "type of question: texts equal", trace)
        } else if pair.year_flags.is_year(index) {
            let rule = "year flag: stripped and lower-cased texts equal";
            equal(gold, prediction, rule, trace)
        } else {
            relaxed(gold, prediction, trace)
        };
    }
    Score::Value(sum / longer as f64)
}

fn trimmed(text: &str) -> &str {
    text.trim_matches('.').trim_matches('\n')
}

/// The original's `parse_to_list(text) or ...`: the items of a non-empty list.
fn list(text: &str) -> Option<Vec<String>> {
    let items = python::literal::list(text)?;
    (!items.is_empty()).then(|| {
        items
            .iter()
            .map(|item| item.trim_matches([' ', '\'']).to_owned())
            .collect()
    })
}

/// The original's `fix_list_format` before that: a list whose items lack their quotes.
fn quoted_list(text: &str) -> Option<Vec<String>> {
    static ITEM: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?<!['\w])(\w[^,]*?)(?!['\w])").ok());
    let inner = python::strip(text)
        .strip_prefix('[')?
        .strip_suffix(']')
        .filter(|inner| !inner.contains('\n'))?;
    let quoted = ITEM.as_ref()?.try_replacen(inner, 0, "'$1'").ok()?;
    list(&format!("[{quoted}]"))
}

fn equal(gold: &str, prediction: &str, rule: &'static str, trace: &mut impl Trace) -> f64 {
    let equal = python::equal_lower(python::strip(gold), python::strip(prediction));
    trace.step(Metric::RelaxedAccuracy, rule, || {
        format!("{gold:?} and {prediction:?}: {equal}")
    });
    f64::from(equal)
}

fn relaxed(gold: &str, prediction: &str, trace: &mut impl Trace) -> f64 {
    let bare = |text| python::strip(python::strip(text).trim_matches('%'));
    let number = |text| python::float(python::strip(text).trim_matches('%'));
    let (gold, prediction) = (bare(gold), bare(prediction));
    match (number(gold), number(prediction)) {
        (Some(t), Some(p)) => {
            let correct = if t == 0.0 {
                p == 0.0
            } else {
                (p - t).abs() / t.abs() <= 0.05
            };
            trace.step(
                Metric::RelaxedAccuracy,
                "numbers, % dropped: |p - t| / |t| <= 0.05, 0 for 0",
                || format!("t = {t}, p = {p}: {correct}"),
            );
            f64::from(correct)
        }
        _ => study::pypi_anls(
            &python::lower(gold),
            &python::lower(prediction),
            Metric::RelaxedAccuracy,
            trace,
        ),
    }
}
