//! `lm-eval`: the ChartQA task of EleutherAI's lm-evaluation-harness 0.4.13
//! (`lm_eval/tasks/chartqa/utils.py`, after Mistral's mistral-evals), of the answer behind its
//! `Final Answer:` marker.
//!
//! The harness asks models to end with `Final Answer: ...` and gives 0 to an output without it. A
//! prediction here is the answer alone, and is scored as if it followed the marker.
//!
//! - **Exact match**: the answer stripped, lower-cased and without a last `.` equals the gold
//!   answer stripped and lower-cased. An answer of several lines is not found, and is wrong.
//! - **Relaxed accuracy**: a text with a digit in it loses its end punctuation (not `%`) and every
//!   `,` and `$`; one without loses a pair of quotes. Two numbers match within |p - t| / max(|t|,
//!   1e-10) <= 0.05 as they are or with either side divided by 100 where it has a `%`; a gold
//!   answer of one letter takes a prediction that begins with it; other texts must be equal but for
//!   case, after end punctuation was stripped from the prediction.
//!
//! Known faults: end punctuation is stripped from the prediction alone, so that `U.S.` fails for
//! `U.S.`; `apple` passes for `a`; `2,5` is 25; years are numbers; white space counts in texts.

use super::{Metric, Pair, Rules, Scores, Trace, python};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// See the module's page.
pub struct LmEvalRules;

impl Rules for LmEvalRules {
    const NAME: &'static str = "lm-eval";
    const ABOUT: &'static str = "lm-evaluation-harness ChartQA: , and $ dropped, % as it stands or as 1/100, a letter takes what begins with it";
    const METRICS: &'static [Metric] = &[Metric::ExactMatch, Metric::RelaxedAccuracy];

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let gold = pair.gold.text();
        let exact = exact(&gold, prediction);
        trace.step(
            Metric::ExactMatch,
            "one line, stripped, lower-cased, last dot dropped, equal",
            || format!("{gold:?} and {prediction:?}: {exact}"),
        );
        Scores::new(
            Self::METRICS,
            [exact.into(), relaxed(&gold, prediction, trace).into()],
        )
    }
}

/// Matches as `Final Answer: (.+)$` does: one non-empty line, which a line break may end.
fn exact(gold: &str, prediction: &str) -> bool {
    let line = prediction.strip_suffix('\n').unwrap_or(prediction);
    let answer = python::lower(python::strip(line));
    let answer = answer.strip_suffix('.').unwrap_or(&answer);
    !line.is_empty() && !line.contains('\n') && answer == python::lower(python::strip(gold))
}

/// The original's `RelaxedCorrectness` of an answer.
pub(super) fn relaxed(gold: &str, prediction: &str, trace: &mut impl Trace) -> bool {
    let metric = Metric::RelaxedAccuracy;
    let (gold, prediction) = (preprocess(gold), preprocess(prediction));
    let (gold, prediction) = (gold.as_str(), prediction.as_str());
    if let (Some(t), Some(p)) = (Number::read(gold), Number::read(prediction)) {
        let correct = t.takes(p);
        trace.step(
            metric,
            "numbers without , and $: within 5 %, % as it stands or as 1/100",
            || format!("t = {}, p = {}: {correct}", t.value, p.value),
        );
        return correct;
    }
    if let (Some(letter), Some(first)) = (letter(gold), prediction.chars().next()) {
        let correct = letter.to_lowercase().eq(first.to_lowercase());
        trace.step(
            metric,
            "gold is a letter: first letter of the prediction",
            || format!("{letter:?}, {first:?}: {correct}"),
        );
        return correct;
    }
    let correct = python::equal_lower(prediction.trim_end_matches(python::is_punctuation), gold);
    trace.step(
        metric,
        "texts equal but for case, end punctuation stripped from the prediction",
        || format!("{gold:?} and {prediction:?}: {correct}"),
    );
    correct
}

/// The original's `_preprocess_text`.
fn preprocess(text: &str) -> String {
    if text.chars().any(python::is_digit) {
        let ends = |c| c != '%' && (python::is_punctuation(c) || python::is_space(c));
        return text.trim_end_matches(ends).replace([',', '$'], "");
    }
    let quoted = ['"', '\'']
        .iter()
        .any(|quote| text.starts_with(*quote) && text.ends_with(*quote));
    // Python's text[1:-1] of a single quote is empty.
    if quoted {
        text.get(1..text.len() - 1).unwrap_or_default().to_owned()
    } else {
        text.to_owned()
    }
}

fn letter(text: &str) -> Option<char> {
    let mut chars = text.chars();
    let only = chars.next().filter(|_| chars.next().is_none())?;
    (only.general_category_group() == GeneralCategoryGroup::Letter).then_some(only)
}

#[derive(Clone, Copy, Debug)]
struct Number {
    value: f64,
    percent: bool,
}

impl Number {
    fn read(text: &str) -> Option<Self> {
        let text = python::strip(text);
        Some(Self {
            value: python::float(text.trim_end_matches('%'))?,
            percent: text.ends_with('%'),
        })
    }

    fn as_fraction(self) -> f64 {
        if self.percent {
            self.value / 100.0
        } else {
            self.value
        }
    }

    /// Whether `self`, the gold number, takes the prediction `p`.
    fn takes(self, p: Self) -> bool {
        let within = |p: f64, t: f64| (p - t).abs() / t.abs().max(1e-10) <= 0.05;
        let either = || within(p.as_fraction(), self.value) || within(p.value, self.as_fraction());
        within(p.value, self.value) || ((self.percent || p.percent) && either())
    }
}
