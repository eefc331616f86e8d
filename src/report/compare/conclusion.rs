//! The conclusions of a comparison, in sentences.

use super::Tested;
use super::pair::Change;
use crate::report::CONFIDENCE;
use crate::report::aggregate::too_few;
use chartbench_score::stats::Interval;

/// The result of one metric's test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Verdict {
    Better,
    Worse,
    NoDifference,
    /// Too few questions or charts for any verdict.
    TooFew,
    /// No question has a value.
    Nothing,
}

impl Verdict {
    /// `holm` is the metric's p-value corrected for all tests of the table.
    pub(in crate::report) fn new(change: &Change, holm: f64) -> Self {
        match change.improvement() {
            None => Self::Nothing,
            Some(_) if too_few(change.charts, change.questions) => Self::TooFew,
            Some(_) if holm >= 1.0 - CONFIDENCE => Self::NoDifference,
            Some(improvement) if improvement > 0.0 => Self::Better,
            Some(_) => Self::Worse,
        }
    }
}

/// The sentences for the metrics of one adapter: of the first one, and of each other that has
/// another verdict. `holm` are their p-values corrected for all `tests` of the table.
pub(super) fn sentences(
    metrics: &[Tested<'_>],
    holm: &[f64],
    tests: usize,
    names: &[String; 2],
) -> impl Iterator<Item = String> {
    let verdicts: Vec<Verdict> = metrics
        .iter()
        .zip(holm)
        .map(|(tested, holm)| Verdict::new(&tested.change, *holm))
        .collect();
    let first = verdicts.first().copied();
    let counts = move |(place, verdict): (usize, Verdict)| match verdict {
        _ if place == 0 => true,
        Verdict::Better | Verdict::Worse => Some(verdict) != first,
        Verdict::NoDifference => matches!(first, Some(Verdict::Better | Verdict::Worse)),
        Verdict::TooFew | Verdict::Nothing => false,
    };
    let all = metrics.iter().zip(holm).zip(verdicts).enumerate();
    all.filter(move |(place, (_, verdict))| counts((*place, *verdict)))
        .map(move |(_, ((tested, holm), verdict))| sentence(tested, verdict, *holm, tests, names))
}

fn sentence(
    tested: &Tested<'_>,
    verdict: Verdict,
    holm: f64,
    tests: usize,
    [before, after]: &[String; 2],
) -> String {
    let Tested {
        pair,
        metric,
        change,
    } = tested;
    let (adapter, metric) = (&pair.adapter, metric.name());
    let (questions, charts) = (change.questions, change.charts);
    let measured = measured(tested, holm, tests);
    match verdict {
        Verdict::Nothing => format!("{adapter}: no question has a value of {metric}."),
        Verdict::TooFew => format!(
            "{adapter}: {measured} of {metric}, on too few questions to conclude anything ({questions} on {charts} charts)."
        ),
        Verdict::Better => {
            format!("{adapter}: {after} is better than {before} in {metric}, by {measured}.")
        }
        Verdict::Worse => {
            format!("{adapter}: {after} is worse than {before} in {metric}, by {measured}.")
        }
        Verdict::NoDifference => {
            let detectable = change.detectable.map_or_else(
                || format!("The {questions} answers score the same."),
                |points| {
                    format!(
                        "A true difference under about {points:.1} points shows in fewer than four of five comparisons \
                         of this size."
                    )
                },
            );
            format!(
                "{adapter}: no difference in {metric} between {before} and {after} can be concluded, {measured}. {detectable}"
            )
        }
    }
}

/// The difference with its interval and p-values.
fn measured(tested: &Tested<'_>, holm: f64, tests: usize) -> String {
    let change = &tested.change;
    let interval = interval_words(change.interval);
    format!(
        "{:+.2} points ({interval}p {}, corrected for {tests} tests {})",
        change.difference().unwrap_or(f64::NAN),
        change.probability(change.p).format_display(),
        change.probability(holm).format_display()
    )
}

/// The interval of a difference, before the p-value that stands with it; empty where there is none.
pub(in crate::report) fn interval_words(interval: Option<Interval>) -> String {
    interval.map_or_else(String::new, |interval| {
        format!(
            "{:.0} % interval {:+.2} to {:+.2}; ",
            100.0 * CONFIDENCE,
            interval.low,
            interval.high
        )
    })
}
