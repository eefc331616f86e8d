//! `chartbench`: the default. METHODOLOGY.md argues each line of it.
//!
//! Two numbers at one tolerance: **strict accuracy** takes an answer as it is written, **lenient
//! accuracy** once its notation is normalised. An answer is right or wrong; there is no partial
//! credit. The difference between the two is the effect of normalisation only.
//!
//! **Strict**: outer white space stripped, the texts are equal; or both are plain numbers (decimal
//! digits of any script, sign, point, exponent; a `%` on both or on neither) with |p - t| <= 0.05
//! |t|, so that a gold 0 takes only 0.
//!
//! **Lenient**, beyond that:
//! - texts ([`text`]) in one Unicode spelling, in lower case, white space folded, without outer
//!   quotes, brackets and end punctuation; `true` and `false` for `yes` and `no`;
//! - numbers ([`number`]) with thousands separators, currency, `%` or the word, `thousand` to
//!   `trillion` and a unit. A unit or a currency may be missing on one side, two different ones do
//!   not match. A `%` may be missing on one side: the other then matches as it is or as a fraction
//!   (`50` and `0.5` for `50%`). `nan` and infinities are texts.
//!
//! In both:
//! - a question that asks for a year ([`year`]) takes that year alone;
//! - where the answer type is known to be a string or yes/no, numbers must be equal: they are
//!   labels;
//! - a list answer ([`list`]) needs every item and no other, in any order unless the answer type is
//!   a ranked list;
//! - a text that is the gold answer is right, whatever it holds.
//!
//! The tolerance is 5 % plus 1e-9 of that, so that `0.095` for `0.1` counts as `95` for `100` does,
//! at any scale.
//!
//! Known faults: without the question's text a year is a number like any other; a decimal comma
//! (`2,5`) is not read; `1/4` is not 0.25, `five` not 5; a gold `20` that counts things takes 21.

pub mod list;
pub mod number;
pub mod text;
pub mod year;

use self::number::Number;
use super::{Metric, Pair, Rules, Scores, Trace, python};
use chartbench_core::question::AnswerType;

/// See the module's page.
pub struct ChartbenchRules;

impl Rules for ChartbenchRules {
    const NAME: &'static str = "chartbench";
    const ABOUT: &'static str = "the default: right or wrong at 5 %, strict as written and lenient with notation normalised; years exact";
    const METRICS: &'static [Metric] = &[Metric::Strict, Metric::Lenient];

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let strict = Judge {
            metric: Metric::Strict,
            pair,
            trace: &mut *trace,
        }
        .whole(prediction);
        let lenient = if strict {
            trace.step(Metric::Lenient, "right as written", String::new);
            true
        } else {
            Judge {
                metric: Metric::Lenient,
                pair,
                trace,
            }
            .whole(prediction)
        };
        Scores::new(Self::METRICS, [strict.into(), lenient.into()])
    }
}

/// The rules of one metric, applied to one answer.
struct Judge<'a, T> {
    metric: Metric,
    pair: &'a Pair<'a>,
    trace: &'a mut T,
}

impl<T: Trace> Judge<'_, T> {
    /// A whole answer: the same text, a list item by item, or one item.
    fn whole(&mut self, prediction: &str) -> bool {
        let gold = self.pair.gold.text();
        if python::strip(&gold) == python::strip(prediction) {
            return self.texts("the same text", &gold, prediction, true);
        }
        let Some(golds) = list::gold_items(self.pair.gold) else {
            return self.item(&gold, prediction);
        };
        let predicted = list::prediction_items(prediction);
        if golds.len() != predicted.len() {
            self.trace
                .step(self.metric, "list: another number of items", || {
                    format!(
                        "{} in the gold answer, {} predicted",
                        golds.len(),
                        predicted.len()
                    )
                });
            return false;
        }
        let ranked = self.pair.answer_type == Some(AnswerType::RankedList);
        let (golds, predicted) = if ranked {
            (golds, predicted)
        } else {
            (list::sorted(golds), list::sorted(predicted))
        };
        let right = golds
            .iter()
            .zip(&predicted)
            .take_while(|(gold, predicted)| self.item(gold, predicted))
            .count();
        let rule = if ranked {
            "list: every item in its place"
        } else {
            "list: every item, in any order"
        };
        self.trace.step(self.metric, rule, || {
            format!("the first {right} of {}", golds.len())
        });
        right == golds.len()
    }

    fn item(&mut self, gold: &str, prediction: &str) -> bool {
        if self.metric == Metric::Strict {
            self.as_written(gold, prediction)
        } else {
            self.normalised(gold, prediction)
        }
    }

    fn as_written(&mut self, gold: &str, prediction: &str) -> bool {
        let (gold, prediction) = (python::strip(gold), python::strip(prediction));
        if gold == prediction {
            return self.texts("the same text", gold, prediction, true);
        }
        let number = |text: &str| python::float(text).filter(|value| value.is_finite());
        let (t, p) = match (gold.strip_suffix('%'), prediction.strip_suffix('%')) {
            (Some(gold), Some(prediction)) => (number(gold), number(prediction)),
            (None, None) => (number(gold), number(prediction)),
            _ => (None, None),
        };
        match (t, p) {
            (Some(t), Some(p)) => self.numbers(t, p, gold.ends_with('%')),
            _ => self.texts(
                "not the same text, nor two plain numbers",
                gold,
                prediction,
                false,
            ),
        }
    }

    fn normalised(&mut self, gold: &str, prediction: &str) -> bool {
        let (gold, prediction) = (text::plain(gold), text::plain(prediction));
        if gold == prediction {
            return self.texts("the same text once normalised", &gold, &prediction, true);
        }
        if let Some(truth) = text::truth(&gold) {
            let right = text::truth(&prediction) == Some(truth);
            return self.texts("yes or no", &gold, &prediction, right);
        }
        let (Some(t), Some(p)) = (Number::read(&gold), Number::read(&prediction)) else {
            return self.texts(
                "not the same text once normalised, nor two numbers",
                &gold,
                &prediction,
                false,
            );
        };
        if !t.comparable(&p) {
            return self.texts("numbers with different units", &gold, &prediction, false);
        }
        let marked = t.marked() || p.marked();
        self.numbers(t.value, p.value, marked)
            // Where one side has the percent sign, the other may be meant as a fraction.
            || (t.percent != p.percent && self.numbers(t.fraction(), p.fraction(), marked))
    }

    /// Compares two numbers; `marked` ones, with a unit or a `%`, are no years.
    fn numbers(&mut self, t: f64, p: f64, marked: bool) -> bool {
        let within = (p - t).abs() <= 0.05 * (1.0 + 1e-9) * t.abs();
        // The question is parsed only if that decides the score.
        let year =
            || !marked && year::is_year(t) && self.pair.question.is_some_and(year::is_asked_for);
        let (rule, right) = match self.pair.answer_type {
            Some(AnswerType::String | AnswerType::Binary) => ("numbers as labels: equal", t == p),
            _ if within && t != p && year() => ("a year: equal", false),
            _ if t == 0.0 => ("gold is 0: only 0", within),
            _ => ("numbers within 5 % of the gold one", within),
        };
        self.trace.step(self.metric, rule, || {
            format!("gold {t}, prediction {p}: {right}")
        });
        right
    }

    /// Reports a rule about two texts to the trace, and returns its verdict.
    fn texts(&mut self, rule: &'static str, gold: &str, prediction: &str, right: bool) -> bool {
        self.trace.step(self.metric, rule, || {
            format!("gold {gold:?}, prediction {prediction:?}: {right}")
        });
        right
    }
}
