//! One adapter's scored answers, the input of tables, comparisons and the page.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::{Aggregate, NamedPair};
use crate::run::store::{BenchmarkEntry, Manifest, PredictionRecord};
use chartbench_core::question::{QuestionKind, YearFlags};
use chartbench_score::metric::{Convention, Counterparts, Metric, Pair, Scores, Summary};
use chartbench_score::stats::ChartSums;

/// The confidence of every interval in tables and on the page.
pub const CONFIDENCE: f64 = 0.95;

/// Answers of one adapter in one run, scored under one convention.
#[derive(Clone)]
pub struct Scored<'a> {
    /// Name of the run.
    pub run: &'a str,
    /// The row's name, e.g. `matcha-base`.
    pub adapter: &'a str,
    /// The convention of the scores.
    pub convention: &'static Convention,
    /// Whether questions of the set are not answered yet.
    pub unfinished: bool,
    /// Rows of the adapter's `predictions.jsonl`, in the order they were answered.
    pub records: Vec<&'a PredictionRecord>,
    /// The records' scores, in their order; those of a failed question are 0.
    pub scores: Vec<Scores>,
    /// The pairs of assertions among all answers of the adapter.
    counterparts: Arc<Counterparts<'a>>,
}

impl<'a> Scored<'a> {
    /// Scores all of `records`, the answers of `adapter` in `run`.
    pub fn new(
        run: &'a Manifest,
        adapter: &'a str,
        records: &'a [PredictionRecord],
        convention: &'static Convention,
    ) -> Self {
        let counterparts = counterparts(records);
        let scores = records
            .par_iter()
            .map(|record| convention.score(&pair(record, &counterparts)))
            .collect();
        let unfinished = is_unfinished(records.len(), &run.benchmark);
        Self {
            run: &run.name,
            adapter,
            convention,
            unfinished,
            records: records.iter().collect(),
            scores,
            counterparts: Arc::new(counterparts),
        }
    }

    /// `name` as figures show it: marked where questions are unanswered.
    pub fn label(&self, name: &str) -> String {
        marked(name, self.unfinished)
    }

    /// The answers at the indices `places`.
    #[must_use]
    pub(super) fn select(&self, places: &[usize]) -> Self {
        let (records, scores) = places
            .iter()
            .map(|&place| (self.records[place], self.scores[place]))
            .unzip();
        Self {
            records,
            scores,
            counterparts: Arc::clone(&self.counterparts),
            ..*self
        }
    }

    /// The means; `None` without an answer.
    pub fn summary(&self) -> Option<Summary> {
        Summary::from_scores(self.scores.iter().copied())
    }

    /// Aggregates the answers.
    pub fn aggregate(&self) -> Aggregate {
        let mut aggregate = Aggregate::new(self.convention);
        self.records
            .iter()
            .zip(&self.scores)
            .for_each(|(record, scores)| aggregate.add(record, scores));
        aggregate
    }

    /// The answers as the matrix and the sensitivity take them.
    pub fn entries(&self) -> Vec<NamedPair<'a>> {
        self.records
            .iter()
            .map(|record| NamedPair {
                id: &record.id,
                pair: pair(record, &self.counterparts),
            })
            .collect()
    }

    /// Question `index` as the metrics read it.
    #[cfg(feature = "report")]
    pub(super) fn pair(&self, index: usize) -> Option<Pair<'a>> {
        let record = self.records.get(index)?;
        Some(pair(record, &self.counterparts))
    }

    /// Scores of question `index` under `metric`, as it counts in the mean.
    pub fn value(&self, index: usize, metric: Metric) -> Option<f64> {
        self.scores[index].get(metric).counted()
    }
}

/// Whether an adapter with this number of answers has questions left; every table and figure marks
/// such a row.
pub(super) fn is_unfinished(answers: usize, benchmark: &BenchmarkEntry) -> bool {
    answers < benchmark.questions
}

/// The name of a row, marked where it is unfinished.
pub(super) fn marked(name: &str, unfinished: bool) -> String {
    if unfinished {
        format!("{name} (unfinished)")
    } else {
        name.to_owned()
    }
}

/// Counts one more question of `chart`, its scores in percent.
pub(super) fn add(charts: &mut ChartSums, chart: usize, scores: &Scores) {
    for (statistic, (_, score)) in scores.iter().enumerate() {
        if let Some(value) = score.counted() {
            charts.add(chart, statistic, 100.0 * value);
        }
    }
}

/// The names in alphabetical order, each with its number.
pub(super) fn numbered<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut numbers: BTreeMap<&str, usize> = names.map(|name| (name, 0)).collect();
    numbers
        .values_mut()
        .enumerate()
        .for_each(|(number, value)| *value = number);
    numbers
}

/// The scores of answers among which pairs of assertions are whole; a failed question's are 0.
pub(super) fn scores(records: &[PredictionRecord], convention: &Convention) -> Vec<Scores> {
    let counterparts = counterparts(records);
    let score = |record| convention.score(&pair(record, &counterparts));
    records.par_iter().map(score).collect()
}

/// The pairs of assertions among an adapter's answers.
pub(super) fn counterparts(records: &[PredictionRecord]) -> Counterparts<'_> {
    let answers = records.iter();
    Counterparts::new(answers.map(|record| {
        let id = record.id.as_str();
        (id, &record.gold, record.prediction.as_ref())
    }))
}

/// The fields of a record that the metrics read.
pub(super) fn pair<'a>(record: &'a PredictionRecord, counterparts: &Counterparts<'a>) -> Pair<'a> {
    let slice = |name: &str| record.slices.get(name).map(String::as_str);
    Pair {
        gold: &record.gold,
        prediction: record.prediction.as_ref(),
        question: Some(&record.question),
        answer_type: record.answer_type,
        year_flags: YearFlags::from_slices(slice),
        kind: QuestionKind::from_slices(slice),
        counterpart: counterparts.get(&record.id),
        judgements: &record.judgements,
    }
}
