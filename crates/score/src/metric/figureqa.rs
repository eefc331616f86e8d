//! `figureqa`: the accuracy of FigureQA (arXiv 1710.07300), of answers that are written out.
//!
//! **Accuracy**: gold answer and prediction are the same of yes and no. `yes` and `1` are yes, `no`
//! and `0` are no, in any case, without outer white space and end punctuation; any other prediction
//! is wrong. It does not apply where the gold answer is neither.
//!
//! The original (vmichals/FigureQA-baseline, `eval_model_on_figureqa.py`; PReFIL likewise) compares
//! two classes, 1 and 0. How a text becomes one of them is chosen here.
//!
//! Known faults: half of the answers are yes, so that a constant answer has 50 %; a sentence such
//! as `Yes, it is` is wrong.

use super::{Metric, Pair, Rules, Score, Scores, Trace, python};

/// See the module's page.
pub struct FigureQaRules;

impl Rules for FigureQaRules {
    const NAME: &'static str = "figureqa";
    const ABOUT: &'static str = "FigureQA: the same of yes (or 1) and no (or 0)";
    const METRICS: &'static [Metric] = &[Metric::Accuracy];

    /// Nothing tells its questions from those of other data sets.
    fn is_for(_: &Pair<'_>) -> bool {
        false
    }

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let gold = pair.gold.text();
        let Some(yes) = is_yes(&gold) else {
            trace.step(
                Metric::Accuracy,
                "gold is neither yes nor no: does not apply",
                String::new,
            );
            return Scores::new(Self::METRICS, [Score::Inapplicable]);
        };
        let correct = is_yes(prediction) == Some(yes);
        trace.step(Metric::Accuracy, "the same of yes and no", || {
            format!("{gold:?} and {prediction:?}: {correct}")
        });
        Scores::new(Self::METRICS, [correct.into()])
    }

    fn failed(pair: &Pair<'_>) -> Scores {
        let score = is_yes(&pair.gold.text()).map_or(Score::Inapplicable, |_| Score::Value(0.0));
        Scores::new(Self::METRICS, [score])
    }
}

fn is_yes(text: &str) -> Option<bool> {
    let text = python::strip(text).trim_end_matches(python::is_punctuation);
    match python::lower(text).as_ref() {
        "yes" | "1" => Some(true),
        "no" | "0" => Some(false),
        _ => None,
    }
}
