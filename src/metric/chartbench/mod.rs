//! `chartbench`: the default. METHODOLOGY.md argues each line of it.
//!
//! Two numbers at one tolerance: **strict accuracy** takes an answer as it is written, **lenient accuracy** once its
//! notation is normalised. An answer is right or wrong; there is no partial credit. What lies between the two is the room
//! that normalisation has, and no more is made of it.
//!
//! **Strict**: outer white space stripped, the texts are equal; or both are plain numbers (decimal digits of any script,
//! sign, point, exponent; a `%` on both or on neither) with |p - t| <= 0.05 |t|, so that a gold 0 takes only 0.
//!
//! **Lenient**, beyond that:
//! - texts ([`text`]) after Unicode's compatibility folding, in lower case, white space folded, without outer quotes,
//!   brackets and end punctuation; `true` and `false` for `yes` and `no`;
//! - numbers ([`number`]) with thousands separators, currency, `%` or the word, `thousand` to `trillion` and a unit. A
//!   unit or a currency may be missing on one side, two different ones do not match. A `%` may be missing on one side: the
//!   other then matches as it stands or as a fraction (`50` and `0.5` for `50%`). `nan` and infinities are texts.
//!
//! In both:
//! - a question that asks for a year ([`year`]) takes that year alone;
//! - where the answer type is known to be a string or yes/no, numbers must be equal: they are labels;
//! - a list answer ([`list`]) needs every item and no other, in any order unless the answer type is a ranked list;
//! - a text that is the gold answer is right, whatever it holds.
//!
//! 5 % are meant with a hair of 1e-9 on top, so that `0.095` for `0.1` counts as `95` for `100` does, at any scale.
//!
//! Where it errs: without the question's text a year is a number like any other; a decimal comma (`2,5`) is not read;
//! `1/4` is not 0.25, `five` not 5; a gold `20` that counts things takes 21.

pub mod list;
pub mod number;
pub mod text;
pub mod year;

use self::number::Number;
use super::{Metric, Pair, Rules, Scores, Trace, python};
use crate::sample::AnswerType;

/// See the module's page.
pub struct Chartbench;

impl Rules for Chartbench {
    const NAME: &'static str = "chartbench";
    const ABOUT: &'static str =
        "the default: right or wrong at 5 %, strict as written and lenient with notation normalised; years exact";
    const METRICS: &'static [Metric] = &[Metric::Strict, Metric::Lenient];

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let correct = |metric, item: fn(&str, &str, &Question<'_>) -> Verdict, trace: &mut _| {
            let verdict = whole(pair, prediction, item);
            Trace::step(trace, metric, verdict.rule, || {
                format!("gold {:?}, prediction {prediction:?}: {}", pair.gold.text(), verdict.correct)
            });
            verdict.correct
        };
        let strict = correct(Metric::Strict, strict, trace);
        // What is right as written is right.
        let lenient = if strict {
            trace.step(Metric::Lenient, "right as written", String::new);
            true
        } else {
            correct(Metric::Lenient, lenient, trace)
        };
        Scores::new(Self::METRICS, [strict.into(), lenient.into()])
    }
}

/// What is known of the question.
struct Question<'a> {
    text: Option<&'a str>,
    answer_type: Option<AnswerType>,
}

/// Right or wrong, and by which rule.
struct Verdict {
    correct: bool,
    rule: &'static str,
}

impl Verdict {
    fn new(correct: bool, rule: &'static str) -> Self {
        Self { correct, rule }
    }
}

/// A whole answer: the same text, a list item by item, or one item.
fn whole(pair: &Pair<'_>, prediction: &str, item: fn(&str, &str, &Question<'_>) -> Verdict) -> Verdict {
    let gold = pair.gold.text();
    if python::strip(&gold) == python::strip(prediction) {
        return Verdict::new(true, "the same text");
    }
    let question = Question { text: pair.question, answer_type: pair.answer_type };
    let Some(golds) = list::of_gold(pair.gold) else { return item(&gold, prediction, &question) };
    let predicted = list::of_prediction(prediction);
    if golds.len() != predicted.len() {
        return Verdict::new(false, "list: another number of items");
    }
    let ranked = pair.answer_type == Some(AnswerType::RankedList);
    let (golds, predicted) = if ranked { (golds, predicted) } else { (list::sorted(golds), list::sorted(predicted)) };
    let correct = golds.iter().zip(&predicted).all(|(gold, predicted)| item(gold, predicted, &question).correct);
    Verdict::new(correct, if ranked { "list: every item in its place" } else { "list: every item, in any order" })
}

/// One item as written.
fn strict(gold: &str, prediction: &str, question: &Question<'_>) -> Verdict {
    let (gold, prediction) = (python::strip(gold), python::strip(prediction));
    if gold == prediction {
        return Verdict::new(true, "the same text");
    }
    let number = |text: &str| python::float(text).filter(|value| value.is_finite());
    let (t, p) = match (gold.strip_suffix('%'), prediction.strip_suffix('%')) {
        (Some(gold), Some(prediction)) => (number(gold), number(prediction)),
        (None, None) => (number(gold), number(prediction)),
        _ => (None, None),
    };
    match (t, p) {
        (Some(t), Some(p)) => question.compare(t, p, gold.ends_with('%')),
        _ => Verdict::new(false, "not the same text, nor two plain numbers"),
    }
}

/// One item with its notation normalised.
fn lenient(gold: &str, prediction: &str, question: &Question<'_>) -> Verdict {
    let (gold, prediction) = (text::plain(gold), text::plain(prediction));
    if gold == prediction {
        return Verdict::new(true, "the same text once normalised");
    }
    if let Some(gold) = text::truth(&gold) {
        return Verdict::new(text::truth(&prediction) == Some(gold), "yes or no");
    }
    let (Some(t), Some(p)) = (Number::read(&gold), Number::read(&prediction)) else {
        return Verdict::new(false, "not the same text once normalised, nor two numbers");
    };
    if !t.comparable(&p) {
        return Verdict::new(false, "numbers with different units");
    }
    let marked = t.marked() || p.marked();
    let verdict = question.compare(t.value, p.value, marked);
    match t.percent != p.percent {
        // One side has the percent sign: the other may be meant as a fraction.
        true if !verdict.correct => question.compare(t.fraction(), p.fraction(), marked),
        _ => verdict,
    }
}

impl Question<'_> {
    /// Compares two numbers; `marked` ones, with a unit or a `%`, are no years.
    fn compare(&self, t: f64, p: f64, marked: bool) -> Verdict {
        if matches!(self.answer_type, Some(AnswerType::String | AnswerType::Binary)) {
            return Verdict::new(t == p, "numbers as labels: equal");
        }
        let within = (p - t).abs() <= 0.05 * (1.0 + 1e-9) * t.abs();
        // The question is only read where its answer would make a difference.
        if within && t != p && !marked && year::is_year(t) && self.text.is_some_and(year::is_asked_for) {
            return Verdict::new(false, "a year: equal");
        }
        Verdict::new(within, if t == 0.0 { "gold is 0: only 0" } else { "numbers within 5 % of the gold one" })
    }
}
