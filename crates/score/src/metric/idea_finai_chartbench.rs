//! `idea-finai-chartbench`: ChartBench as its authors score it, `Stat/stat_all_metric.py` of
//! IDEA-FinAI/ChartBench (arXiv 2312.15915). Not to be confused with this program's own convention.
//!
//! A pair is a right and a wrong assertion about one chart, which are asked one by one: the
//! questions `N/0` and `N/1` (VLMEvalKit: `N_0` and `N_1`) with the gold answers yes and no. A
//! reply that holds `yes` anywhere, in any case, takes the assertion for right, any other reply for
//! wrong.
//!
//! - **Overall** (its `final`): the mean over pairs by Acc+ and number questions by relaxed
//!   accuracy.
//! - **Acc+**, of a pair: the right assertion is taken for right and the wrong one for wrong. The
//!   pair counts at its right assertion; the wrong one has no value.
//! - **Accuracy** (its vanilla accuracy), of each assertion.
//! - **CoR** (confusion rate), of a pair: both replies are the same. Less is better; over whole
//!   pairs it is twice the difference between accuracy and Acc+.
//! - **Relaxed accuracy** (its NQA), of a number question: that of
//!   [`vlmevalkit-chartbench`](super::vlmevalkit_chartbench), which took it over; of a list of gold
//!   answers the best one.
//!
//! An assertion whose counterpart was not asked has an accuracy and no more. A failed question is
//! wrong, and no confusion. Where data do not tell assertions from questions (`type.QA`, `QA_type`,
//! `type.task`), those of a whole pair are assertions. In the original a language model may extract
//! the number from a reply first (`gpt_filter`); where a file of results has that, it is scored.
//!
//! Known faults: `eyes` is a yes, and so is `I cannot say yes`; an empty reply is a no, so that a
//! model that never answers has an accuracy of 50 %. `Yes` and `No` as answers to a number question
//! lose letters with the token that is stripped, and are wrong: 100 gold answers are one of them.
//! Those of relaxed accuracy are on the page named.

use super::counterparts::{Counterpart, says};
use super::vlmevalkit_chartbench::{self, stripped};
use super::{Metric, Pair, Rules, Score, Scores, Trace, python};
use chartbench_core::question::Gold;

/// See the module's page.
pub struct IdeaFinaiChartBenchRules;

impl Rules for IdeaFinaiChartBenchRules {
    const NAME: &'static str = "idea-finai-chartbench";
    const ABOUT: &'static str =
        "ChartBench: pairs of assertions both judged right, numbers within 5 % of the prediction";
    const METRICS: &'static [Metric] = &[
        Metric::Overall,
        Metric::AccPlus,
        Metric::Accuracy,
        Metric::Cor,
        Metric::RelaxedAccuracy,
    ];

    fn is_for(pair: &Pair<'_>) -> bool {
        pair.counterpart.is_some() || pair.kind.is_assertion().is_some()
    }

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        if is_assertion(pair) {
            assertion(pair, Some(prediction), trace)
        } else {
            number(pair.gold, prediction, trace)
        }
    }

    fn failed(pair: &Pair<'_>) -> Scores {
        if is_assertion(pair) {
            return assertion(pair, None, &mut super::SilentTrace);
        }
        let (none, wrong) = (Score::Inapplicable, Score::Value(0.0));
        Scores::new(Self::METRICS, [wrong, none, none, none, wrong])
    }
}

fn is_assertion(pair: &Pair<'_>) -> bool {
    let known = pair.kind.is_assertion();
    known.unwrap_or(pair.counterpart.is_some())
}

/// Whether a reply takes the assertion for right.
fn is_yes(reply: &str) -> bool {
    python::lower(reply).contains("yes")
}

/// The scores of one assertion; `reply` is `None` where the question failed.
fn assertion(pair: &Pair<'_>, reply: Option<&str>, trace: &mut impl Trace) -> Scores {
    let is_right = says(&pair.gold.text(), "yes");
    let yes = reply.map(is_yes);
    let correct = yes == Some(is_right);
    trace.step(
        Metric::Accuracy,
        "assertion: `yes` in the reply takes it for right",
        || {
            format!(
                "{:?} to a {} one: {correct}",
                reply.unwrap_or_default(),
                if is_right { "right" } else { "wrong" }
            )
        },
    );
    trace.step(
        Metric::RelaxedAccuracy,
        "an assertion: no number is asked for",
        String::new,
    );
    let none = Score::Inapplicable;
    let [both, same] = match pair.counterpart {
        Some(counterpart) if is_right => whole_pair(yes, counterpart, trace),
        counterpart => {
            let rule = match counterpart {
                Some(_) => "the pair counts at its right assertion",
                None => "the other assertion of the pair was not asked",
            };
            for metric in [Metric::Overall, Metric::AccPlus, Metric::Cor] {
                trace.step(metric, rule, String::new);
            }
            [none, none]
        }
    };
    Scores::new(
        IdeaFinaiChartBenchRules::METRICS,
        [both, both, correct.into(), same, none],
    )
}

/// Acc+ and CoR of a pair, by what the replies to the right and the wrong assertion say.
fn whole_pair(
    yes: Option<bool>,
    counterpart: Counterpart<'_>,
    trace: &mut impl Trace,
) -> [Score; 2] {
    let other = counterpart.prediction.map(|reply| is_yes(&reply.0));
    let both = yes == Some(true) && other == Some(false);
    let same = yes.is_some() && yes == other;
    let word = |yes: Option<bool>| match yes {
        Some(true) => "yes",
        Some(false) => "no",
        None => "failed",
    };
    for metric in [Metric::Overall, Metric::AccPlus] {
        trace.step(
            metric,
            "pair: the right assertion taken for right, the wrong one for wrong",
            || format!("{}, {}: {both}", word(yes), word(other)),
        );
    }
    trace.step(Metric::Cor, "pair: the same reply to both", || {
        format!("{}, {}: {same}", word(yes), word(other))
    });
    [both.into(), same.into()]
}

fn number(gold: &Gold, prediction: &str, trace: &mut impl Trace) -> Scores {
    let golds: Vec<String> = match gold {
        Gold::Text(text) => vec![text.clone()],
        Gold::List(items) => items.iter().map(|item| item.text().into_owned()).collect(),
    };
    let prediction = stripped(prediction);
    // The original takes the maximum over the gold answers, and there is none of nothing.
    let relaxed: Score = if golds.is_empty() {
        trace.step(Metric::RelaxedAccuracy, "no gold answer", String::new);
        Score::Raises("ValueError")
    } else {
        let mut right = golds.iter();
        right
            .any(|gold| vlmevalkit_chartbench::relaxed(gold, prediction, trace))
            .into()
    };
    trace.step(
        Metric::Overall,
        "a number question: its relaxed accuracy",
        String::new,
    );
    for metric in [Metric::AccPlus, Metric::Accuracy, Metric::Cor] {
        trace.step(metric, "not an assertion", String::new);
    }
    let none = Score::Inapplicable;
    Scores::new(
        IdeaFinaiChartBenchRules::METRICS,
        [relaxed, none, none, none, relaxed],
    )
}
