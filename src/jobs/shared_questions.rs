//! The questions of a run that was asked a part of another run's: a limited run beside a whole one.

use std::collections::HashMap;

use crate::run::store::{PredictionRecord, StoredRun};
use chartbench_core::question::Gold;

/// The larger run with the questions of the smaller one alone.
pub(super) struct NarrowedRun {
    pub(super) run: StoredRun,
    /// Whether it is the second run.
    pub(super) is_second: bool,
    /// A line for people.
    pub(super) remark: String,
}

/// Narrows the run of more questions to those of the other; `None` unless it has all of them, with
/// the same text and gold answer.
pub(super) fn narrow(first: &StoredRun, second: &StoredRun) -> Option<NarrowedRun> {
    let count = |run: &StoredRun| run.manifest.benchmark.questions;
    let is_second = count(second) > count(first);
    let (small, large) = if is_second {
        (first, second)
    } else {
        (second, first)
    };
    let (wanted, there) = (questions(small), questions(large));
    let is_part = count(small) < count(large)
        && wanted.len() == count(small)
        && wanted
            .iter()
            .all(|(id, question)| there.get(id) == Some(question));
    is_part.then(|| {
        let mut manifest = large.manifest.clone();
        manifest.benchmark = small.manifest.benchmark.clone();
        let is_wanted = |record: &&PredictionRecord| wanted.contains_key(record.id.as_str());
        let predictions = large.predictions.iter().map(|(adapter, records)| {
            let records = records.iter().filter(is_wanted).cloned().collect();
            (adapter.clone(), records)
        });
        NarrowedRun {
            run: StoredRun {
                manifest,
                predictions: predictions.collect(),
            },
            is_second,
            remark: format!(
                "on the {} questions of {}, which are among the {} of {}",
                count(small),
                small.manifest.name,
                count(large),
                large.manifest.name
            ),
        }
    })
}

/// Text and gold answer of a run's questions, by id.
fn questions(run: &StoredRun) -> HashMap<&str, (&str, &Gold)> {
    run.records()
        .map(|record| (record.id.as_str(), (record.question.as_str(), &record.gold)))
        .collect()
}
