//! `lm-eval-anywhere`: the `anywhere_accuracy` of the ChartQA task of EleutherAI's
//! lm-evaluation-harness 0.4.13 (`lm_eval/tasks/chartqa/utils.py`, after Mistral's mistral-evals),
//! of a model's whole output.
//!
//! **Relaxed accuracy**: behind the last `answer:` of the output, in any case and with Markdown's
//! asterisks around its colon, the first line that is not empty is the answer, without `*`, `_`,
//! and brackets. It is scored as [`lm-eval`](super::lm_eval) does. Without such an answer the gold
//! one is sought anywhere in the output:
//!
//! - a gold number as Python writes it, with or without `,` between thousands (`5.0` as `5`);
//! - a gold text, lower-cased, behind `is `, `was `, `are ` or an empty line, or between a blank
//!   and a dot.
//!
//! The original calls this overly generous. Known faults: `5` is found in `15` and in `2005`; the
//! output is not lower-cased where the gold text is, so that `is Rice` does not hold `Rice`; a bare
//! `Rice` is wrong; the original ends at an infinite gold number, which counts 0 here; those of
//! lm-eval.

use std::sync::LazyLock;

use fancy_regex::Regex;

use super::{Metric, Pair, Rules, Score, Scores, Trace, lm_eval, python};

/// See the module's page.
pub struct LmEvalAnywhereRules;

impl Rules for LmEvalAnywhereRules {
    const NAME: &'static str = "lm-eval-anywhere";
    const ABOUT: &'static str = "lm-evaluation-harness ChartQA, anywhere: what follows `answer:`, else the gold answer anywhere in the output";
    const METRICS: &'static [Metric] = &[Metric::RelaxedAccuracy];

    /// Whole outputs, which this convention is about, have the marker.
    fn is_for(pair: &Pair<'_>) -> bool {
        let output = pair.prediction.map(|prediction| prediction.0.as_str());
        let marked = output.filter(|output| python::lower(output).contains("answer"));
        marked.and_then(final_answer).is_some()
    }

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let gold = pair.gold.text();
        let score = match final_answer(prediction) {
            Some(answer) => lm_eval::relaxed(&gold, &answer, trace).into(),
            None => anywhere(&gold, prediction, trace),
        };
        Scores::new(Self::METRICS, [score])
    }
}

/// The original's `_get_final_answer`; `None` where it is empty.
fn final_answer(output: &str) -> Option<String> {
    static MARKER: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"([aA]nswer)\**:\**").ok());
    const WORD: &str = "answer:";
    let output = MARKER.as_ref()?.try_replacen(output, 0, "${1}:").ok()?;
    let lowered = python::lower(&output);
    // The place is one of the lower-cased text, whose length may be another, as in the original.
    let start = python::len(lowered.get(..lowered.rfind(WORD)?)?) + WORD.len();
    let rest: String = output.chars().skip(start).collect();
    let line = rest
        .split('\n')
        .map(python::strip)
        .find(|line| !line.is_empty())?;
    let answer = line.replace(['*', '_', '[', ']', '(', ')'], "");
    (!answer.is_empty()).then_some(answer)
}

fn anywhere(gold: &str, output: &str, trace: &mut impl Trace) -> Score {
    let metric = Metric::RelaxedAccuracy;
    match python::float(gold) {
        Some(number) if number.is_infinite() => {
            trace.step(metric, "no final answer, gold is infinite", String::new);
            Score::Raises("OverflowError")
        }
        // `int` of nan raises what `float` does of a text.
        Some(number) if !number.is_nan() => {
            let plain = python::number_text(number);
            let found = output.contains(&python::thousands(&plain)) || output.contains(&plain);
            trace.step(metric, "no final answer: gold number anywhere", || {
                format!("{plain} in {output:?}: {found}")
            });
            found.into()
        }
        _ => {
            let candidates = [
                format!("is {gold}"),
                format!("was {gold}"),
                format!(" {gold}."),
                format!("are {gold}"),
                format!("\n\n{gold}"),
            ];
            let mut candidates = candidates.iter();
            let found = candidates.any(|text| output.contains(python::lower(text).as_ref()));
            trace.step(
                metric,
                "no final answer: gold text behind is, was, are or an empty line, or before a dot",
                || format!("{gold:?} in {output:?}: {found}"),
            );
            found.into()
        }
    }
}
