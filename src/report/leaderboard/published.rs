//! Results that others published for a benchmark, beside those of the runs.

use crate::config::Published;
use crate::report::SliceBy;
use crate::report::scored::{is_unfinished, scores};
use crate::report::table::{Cell, Column, Table};
use crate::run::store::{AdapterEntry, BenchmarkEntry, Manifest, PredictionRecord};
use chartbench_score::metric::{Convention, Metric, Summary};

/// A run's own value of a published result.
pub(super) struct OwnResult {
    /// The result's place among those of its benchmark.
    place: usize,
    run: String,
    /// In percent; an error says why it cannot be compared with the published one.
    value: Result<f64, String>,
}

/// The reason why a run's answers cannot be compared with results published for the whole
/// benchmark; `None` if they can.
pub(super) fn difference(
    run: &Manifest,
    entry: Option<&AdapterEntry>,
    answered: usize,
) -> Option<String> {
    let BenchmarkEntry {
        split,
        questions,
        questions_per_chart,
        limit,
        ..
    } = &run.benchmark;
    if split != "test" {
        Some(format!("the questions are those of the {split} split"))
    } else if *limit > 0 {
        Some(format!("only the first {limit} questions are asked"))
    } else if questions_per_chart != "all" {
        Some(format!(
            "only {questions_per_chart} questions a chart are asked"
        ))
    } else if is_unfinished(answered, &run.benchmark) {
        Some(format!("{answered} of {questions} questions are answered"))
    } else if entry.is_some_and(|entry| {
        entry
            .settings
            .keys()
            .any(|key| key.starts_with("finetune."))
    }) {
        Some("the checkpoint was fine-tuned further".to_owned())
    } else {
        None
    }
}

/// Scores an adapter's answers as a published result about it was scored: the same convention, the
/// same part of the questions.
pub(super) struct PublishedMatch {
    place: usize,
    /// How many questions the published result is about.
    questions: Option<usize>,
    /// Whether these were drawn from the benchmark's questions.
    sampled: bool,
    convention: &'static Convention,
    metric: Metric,
    /// A property and its value.
    part: Option<(SliceBy, String)>,
    summary: Summary,
}

impl PublishedMatch {
    /// One for each of `results` that is about `adapter`.
    pub(super) fn all(results: &[Published], adapter: &str) -> Vec<Self> {
        let own = results
            .iter()
            .enumerate()
            .filter(|(_, result)| result.adapter.as_deref() == Some(adapter));
        own.filter_map(|(place, result)| Self::new(place, result))
            .collect()
    }

    fn new(place: usize, result: &Published) -> Option<Self> {
        let (convention, metric) = (
            Convention::by_name(&result.convention).ok()?,
            Metric::by_name(&result.metric).ok()?,
        );
        let part = match &result.part {
            None => None,
            Some(part) => {
                let (slice_by, value) = part.split_once(" = ")?;
                Some((slice_by.parse().ok()?, value.to_owned()))
            }
        };
        let (questions, summary) = (result.questions, Summary::new(convention.metrics));
        Some(Self {
            place,
            questions,
            sampled: result.sampled,
            convention,
            metric,
            part,
            summary,
        })
    }

    /// Adds answers, among which pairs of assertions are whole.
    pub(super) fn add(&mut self, records: &[PredictionRecord]) {
        let belongs = |record: &&PredictionRecord| match &self.part {
            None => true,
            Some((slice_by, value)) => slice_by.value(record).as_ref() == Some(value),
        };
        let scores = scores(records, self.convention);
        records
            .iter()
            .zip(&scores)
            .filter(|(record, _)| belongs(record))
            .for_each(|(_, scores)| self.summary.add(scores));
    }

    /// The run's own value, if there is no `difference` between its questions and the published
    /// ones.
    pub(super) fn own_result(&self, run: &str, difference: Option<String>) -> Option<OwnResult> {
        let (mean, count) = (self.summary.mean(self.metric)?, self.summary.count);
        let other_count = self.questions.filter(|questions| *questions != count);
        let other_count = other_count
            .map(|questions| format!("{count} questions, where {questions} were published"));
        let sampled = self
            .sampled
            .then(|| "the published one is of sampled questions".to_owned());
        let value = sampled.or(difference).or(other_count).map_or(Ok(mean), Err);
        Some(OwnResult {
            place: self.place,
            run: run.to_owned(),
            value,
        })
    }
}

/// Which published results a leaderboard shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PublishedRows {
    /// All.
    All,
    /// Those about an adapter that a run has.
    WithRun,
}

impl PublishedRows {
    /// Those that a terminal of `width` columns has room for; all where there is no terminal.
    pub(super) fn within(width: Option<usize>) -> Self {
        width.map_or(Self::All, |_| Self::WithRun)
    }
}

/// A row for each published result; where a run holds the adapter it is about, its own result under
/// the same convention and on the same questions, and the difference, or the reason why they are
/// not compared.
pub(super) fn table(
    results: &[Published],
    own_results: &[OwnResult],
    shown: PublishedRows,
) -> Option<Table> {
    let words = ["system", "on", "score"].map(Column::left);
    let numbers = ["published", "here", "difference"].map(Column::right);
    let notes = [("run", 3), ("source", 1), ("note", 2)]
        .map(|(name, turn)| Column::left(name).optional(turn));
    let rows: Vec<_> = results
        .iter()
        .enumerate()
        .filter(|(place, _)| shown == PublishedRows::All || has_run(*place, own_results))
        .flat_map(|(place, result)| rows(place, result, own_results))
        .collect();
    (!rows.is_empty()).then(|| Table {
        title: "Published results, and the same here where a run has it".to_owned(),
        columns: words.into_iter().chain(numbers).chain(notes).collect(),
        rows,
    })
}

/// A line about the published results that are not shown.
pub(super) fn note(
    results: &[Published],
    own_results: &[OwnResult],
    shown: PublishedRows,
) -> Option<String> {
    let without_run = (0..results.len()).filter(|place| !has_run(*place, own_results));
    let count = without_run.count();
    (shown == PublishedRows::WithRun && count > 0).then(|| {
        format!("{count} published results are about systems without a run here: piped output has them\n")
    })
}

fn has_run(place: usize, own_results: &[OwnResult]) -> bool {
    own_results.iter().any(|own| own.place == place)
}

fn rows(place: usize, result: &Published, own_results: &[OwnResult]) -> Vec<Vec<Cell>> {
    let ours: Vec<&OwnResult> = own_results
        .iter()
        .filter(|own| own.place == place)
        .collect();
    if ours.is_empty() {
        vec![row(result, None)]
    } else {
        ours.into_iter().map(|own| row(result, Some(own))).collect()
    }
}

/// The questions that a published result is about.
fn describe_part(result: &Published) -> String {
    match (&result.part, result.sampled, result.questions) {
        (Some(part), false, _) => part.clone(),
        (Some(part), true, _) => format!("{part}, sampled"),
        (None, false, _) => "all questions".to_owned(),
        (None, true, Some(questions)) => format!("{questions} sampled questions"),
        (None, true, None) => "sampled questions".to_owned(),
    }
}

fn row(result: &Published, own: Option<&OwnResult>) -> Vec<Cell> {
    let value = own.and_then(|own| own.value.as_ref().ok());
    let not_compared = own
        .and_then(|own| own.value.as_ref().err())
        .map(|reason| format!("not compared: {reason}"));
    let notes: Vec<String> = result.note.iter().cloned().chain(not_compared).collect();
    vec![
        Cell::text(&result.system),
        Cell::text(describe_part(result)),
        Cell::text(format!("{}.{}", result.convention, result.metric)),
        Cell::Decimal(result.value, 2),
        value.map_or(Cell::Missing, |value| Cell::Decimal(*value, 2)),
        value.map_or(Cell::Missing, |value| {
            Cell::Decimal(value - result.value, 2)
        }),
        own.map_or(Cell::Missing, |own| Cell::text(&own.run)),
        Cell::text(&result.source),
        if notes.is_empty() {
            Cell::Missing
        } else {
            Cell::Text(notes.join("; "))
        },
    ]
}
