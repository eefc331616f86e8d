//! One adapter's row.

use crate::report::scored::marked;
use crate::report::table::{Cell, Column};
use crate::report::{Aggregate, RowKind};
use crate::run::store::{AdapterEntry, Manifest};
use chartbench_score::metric::{Convention, Metric, Summary};
use chartbench_score::stats::Interval;

/// The row of one adapter's answers, or of a slice of them.
pub(super) struct Row {
    /// The slice's value; none in the overall table.
    pub(super) slice: Option<String>,
    /// Whether the slice is too small for a conclusion.
    pub(super) few: bool,
    /// The run's index among those of the board.
    pub(super) place: usize,
    pub(super) run: String,
    pub(super) adapter: String,
    pub(super) kind: RowKind,
    /// The remark beside its name ([`crate::run::store::Manifest::remark`]).
    remark: Option<&'static str>,
    /// The checkpoint's folder and hash ([`crate::run::store::AdapterEntry::checkpoint`]).
    checkpoint: Option<String>,
    /// Whether questions of the set are unanswered.
    pub(super) unfinished: bool,
    failures: usize,
    pub(super) summary: Summary,
    /// The metrics' intervals, in their order.
    intervals: Vec<Option<Interval>>,
    /// Distinct texts over answers.
    distinct: Option<f64>,
    per_second: Option<f64>,
}

impl Row {
    /// `None` without an answer.
    pub(super) fn new(
        place: usize,
        run: &str,
        adapter: &str,
        kind: RowKind,
        slice: Option<String>,
        aggregate: &Aggregate,
        unfinished: bool,
    ) -> Option<Self> {
        (aggregate.questions() > 0).then(|| Self {
            few: slice.is_some() && aggregate.too_few(),
            slice,
            place,
            run: run.to_owned(),
            adapter: adapter.to_owned(),
            kind,
            remark: None,
            checkpoint: None,
            unfinished,
            failures: aggregate.failures(),
            summary: aggregate.summary().clone(),
            intervals: aggregate.intervals(),
            distinct: aggregate.distinct_rate(),
            per_second: aggregate.per_second(),
        })
    }

    /// The row with what its run's manifest says beside its name.
    #[must_use]
    pub(super) fn described(self, run: &Manifest) -> Self {
        let mut entries = run.adapters.iter();
        let entry = entries.find(|entry| entry.id == self.adapter);
        Self {
            remark: run.remark(&self.adapter),
            checkpoint: entry.and_then(AdapterEntry::checkpoint),
            ..self
        }
    }

    /// The adapter's name with its checkpoint and remark.
    pub(super) fn name(&self) -> String {
        self.name_with(self.checkpoint.as_deref())
    }

    /// The adapter's name with its remark: of rows that stand for several checkpoints.
    pub(super) fn name_of_all(&self) -> String {
        self.name_with(None)
    }

    fn name_with(&self, checkpoint: Option<&str>) -> String {
        let more: Vec<&str> = checkpoint.into_iter().chain(self.remark).collect();
        if more.is_empty() {
            self.adapter.clone()
        } else {
            format!("{} ({})", self.adapter, more.join("; "))
        }
    }

    /// The cells under [`columns`].
    pub(super) fn cells(&self, distinct: bool, speed: bool) -> impl Iterator<Item = Cell> {
        let counts = [
            Cell::text(&self.run),
            Cell::Text(marked(&self.name(), self.unfinished)),
            Cell::count(self.summary.count),
            Cell::count(self.failures),
        ];
        let metrics = self
            .summary
            .means()
            .zip(&self.intervals)
            .map(|((_, mean), interval)| {
                mean.map_or(Cell::Missing, |mean| Cell::Estimate(mean, *interval, 2))
            });
        let distinct = distinct.then(|| {
            self.distinct
                .map_or(Cell::Missing, |rate| Cell::Decimal(100.0 * rate, 1))
        });
        let speed = speed.then(|| {
            self.per_second
                .map_or(Cell::Missing, |rate| Cell::Decimal(rate, 2))
        });
        counts
            .into_iter()
            .chain(metrics)
            .chain(distinct)
            .chain(speed)
    }
}

/// The columns of [`Row::cells`]. Narrow terminals leave out speed, distinct answers, questions and
/// failures, and at last the run where all rows are of `one_run`.
pub(super) fn columns(
    convention: &Convention,
    distinct: bool,
    speed: bool,
    one_run: bool,
) -> impl Iterator<Item = Column> {
    let run = Column::left("run");
    let words = [
        if one_run { run.optional(5) } else { run },
        Column::left("adapter"),
    ];
    let counts = [
        Column::right("questions").optional(3),
        Column::right("failures").optional(4),
    ];
    let metrics = convention
        .metrics
        .iter()
        .copied()
        .map(Metric::name)
        .map(Column::estimates);
    let more = distinct
        .then_some(("distinct", 2))
        .into_iter()
        .chain(speed.then_some(("questions/s", 1)));
    words
        .into_iter()
        .chain(counts)
        .chain(metrics)
        .chain(more.map(|(name, turn)| Column::right(name).optional(turn)))
}
