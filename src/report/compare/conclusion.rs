//! What may be concluded, in a sentence.

use super::Tested;
use crate::report::CONFIDENCE;

/// The sentence for one adapter. `holm` is its p-value corrected for all `tests` of the table.
pub(super) fn of(one: &Tested<'_>, holm: f64, tests: usize, [before, after]: &[String; 2]) -> String {
    let Tested { pair, metric, change, .. } = one;
    let metric = metric.name();
    let (adapter, totals) = (&pair.adapter, pair.before.totals());
    let (questions, charts) = (totals.questions(), totals.charts());
    let (Some(difference), Some(interval)) = (change.difference(), change.interval) else {
        return format!("{adapter}: nothing can be said of {metric}: {questions} questions on {charts} chart(s).");
    };
    let told = format!(
        "{difference:+.2} points ({:.0} % interval {:+.2} to {:+.2}; p {}, corrected for {tests} tests {})",
        100.0 * CONFIDENCE,
        interval.low,
        interval.high,
        probability(change.p),
        probability(holm),
    );
    if totals.too_few() {
        return format!(
            "{adapter}: {told} of {metric}, on too few questions to conclude anything ({questions} on {charts} charts)."
        );
    }
    if holm < 1.0 - CONFIDENCE {
        let better = if difference > 0.0 { "better" } else { "worse" };
        return format!("{adapter}: {after} is {better} than {before} in {metric}, by {told}.");
    }
    let detectable = change.detectable.map_or_else(
        || format!("The {questions} answers score the same."),
        |points| {
            format!("A true difference under about {points:.1} points shows in fewer than four of five comparisons of this size.")
        },
    );
    format!("{adapter}: no difference in {metric} between {before} and {after} can be concluded, {told}. {detectable}")
}

fn probability(p: f64) -> String {
    if p < 0.0001 { "<0.0001".to_owned() } else { format!("{p:.4}") }
}
