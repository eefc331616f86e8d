//! The leaderboard: one board a question set, a row an adapter, overall and along each [`Dimension`].

use std::collections::BTreeSet;

use anyhow::Result;

use super::Dimension;
use super::scored::score;
use super::table::{Cell, Column, Format, Table};
use crate::metric::{Convention, Metric, Summary};
use crate::record::{BenchmarkEntry, PredictionRecord, StoredRun};

/// A leaderboard over any number of runs; runs on different questions stand in boards of their own.
pub struct Leaderboard {
    convention: &'static Convention,
    boards: Vec<Board>,
    speed: bool,
}

/// The rows that answered one question set.
struct Board {
    benchmark: BenchmarkEntry,
    overall: Vec<Row>,
    /// Per dimension that the data set knows.
    slices: Vec<(Dimension, Vec<Row>)>,
}

struct Row {
    /// The slice's value; none in the overall table.
    slice: Option<String>,
    run: String,
    adapter: String,
    /// Not every question of the set is answered yet.
    partial: bool,
    failures: usize,
    summary: Summary,
    /// Questions over the sum of their latencies.
    per_second: f64,
}

impl Leaderboard {
    /// Scores stored predictions under one convention.
    pub fn new(runs: &[StoredRun], convention: &'static Convention) -> Self {
        let mut boards: Vec<Board> = Vec::new();
        for run in runs {
            let entry = &run.manifest.benchmark;
            let known = boards.iter().position(|board| board.benchmark.hash == entry.hash);
            let index = known.unwrap_or_else(|| {
                let slices = Dimension::ALL.map(|dimension| (dimension, Vec::new())).into();
                boards.push(Board { benchmark: entry.clone(), overall: Vec::new(), slices });
                boards.len() - 1
            });
            for (adapter, records) in &run.predictions {
                boards[index].add(&run.manifest.name, adapter, records, convention);
            }
        }
        for board in &mut boards {
            board.slices.retain(|(_, rows)| !rows.is_empty());
            sort(&mut board.overall);
            board.slices.iter_mut().for_each(|(_, rows)| sort(rows));
        }
        Self { convention, boards, speed: true }
    }

    /// The same without the speed column: what is left depends on the predictions alone, so a resumed run's
    /// leaderboard is byte for byte that of an unbroken one.
    #[must_use]
    pub fn without_speed(mut self) -> Self {
        self.speed = false;
        self
    }

    /// The overall tables alone.
    #[must_use]
    pub fn without_slices(mut self) -> Self {
        self.boards.iter_mut().for_each(|board| board.slices.clear());
        self
    }

    /// The leaderboard in `format`: for people a table for each slicing under a heading for each question set, for
    /// programs (CSV, JSON) all rows of all tables as one flat table.
    ///
    /// # Errors
    /// Only those of the CSV and JSON writers, which no table is known to cause.
    pub fn render(&self, format: Format) -> Result<String> {
        match format {
            Format::Table => Ok(self.join("", Table::to_terminal)),
            Format::Markdown => Ok(self.join("### ", Table::to_markdown)),
            Format::Csv | Format::Json | Format::Jsonl => self.flat().render(format),
        }
    }

    fn join(&self, heading: &str, render: fn(&Table) -> String) -> String {
        let boards = self.boards.iter().map(|board| {
            let tables: Vec<String> = board.tables(self.convention, self.speed).iter().map(render).collect();
            format!("{heading}{}\n\n{}\n\n{}", board.benchmark.title, self.caption(board), tables.join("\n"))
        });
        boards.collect::<Vec<_>>().join("\n")
    }

    fn caption(&self, board: &Board) -> String {
        let BenchmarkEntry { questions, charts, hash, .. } = &board.benchmark;
        format!(
            "{questions} questions on {charts} charts (question set {}). Metrics in %, convention {}; a failed \
             question scores 0.",
            hash.get(..12).unwrap_or(hash),
            self.convention.name
        )
    }

    fn flat(&self) -> Table {
        let own = ["benchmark", "question_set", "convention", "slice", "value"].map(Column::left);
        let rows = self.boards.iter().flat_map(|board| {
            let overall = board.overall.iter().map(|row| ("overall", row));
            let sliced = board.slices.iter().flat_map(|(slice, rows)| rows.iter().map(|row| (slice.name(), row)));
            overall.chain(sliced).map(|(slice, row)| {
                let own = [
                    Cell::text(&board.benchmark.name),
                    Cell::text(&board.benchmark.hash),
                    Cell::text(self.convention.name),
                    Cell::text(slice),
                    row.slice.as_ref().map_or(Cell::Missing, Cell::text),
                ];
                own.into_iter().chain(row.cells(self.speed)).collect()
            })
        });
        let columns = own.into_iter().chain(columns(self.convention, self.speed)).collect();
        Table { title: String::new(), rows: rows.collect(), columns }
    }
}

impl Board {
    fn add(&mut self, run: &str, adapter: &str, records: &[PredictionRecord], convention: &Convention) {
        let partial = records.len() < self.benchmark.questions;
        let row = |slice: Option<&String>, records: &[&PredictionRecord]| {
            Some(Row {
                slice: slice.cloned(),
                run: run.to_owned(),
                adapter: adapter.to_owned(),
                partial,
                failures: records.iter().filter(|record| record.error.is_some()).count(),
                summary: Summary::of(records.iter().map(|record| score(record, convention)))?,
                per_second: records.len() as f64 / records.iter().map(|record| record.latency_ms / 1e3).sum::<f64>(),
            })
        };
        self.overall.extend(row(None, &records.iter().collect::<Vec<_>>()));
        for (dimension, rows) in &mut self.slices {
            let values: Vec<Option<String>> = records.iter().map(|record| dimension.value(record)).collect();
            for value in values.iter().flatten().collect::<BTreeSet<_>>() {
                let of_value = records.iter().zip(&values).filter(|(_, other)| other.as_ref() == Some(value));
                rows.extend(row(Some(value), &of_value.map(|(record, _)| record).collect::<Vec<_>>()));
            }
        }
    }

    fn tables(&self, convention: &Convention, speed: bool) -> Vec<Table> {
        let overall = Table {
            title: String::new(),
            columns: columns(convention, speed).collect(),
            rows: self.overall.iter().map(|row| row.cells(speed).collect()).collect(),
        };
        let sliced = self.slices.iter().map(|(dimension, rows)| Table {
            title: format!("By {}", dimension.name()),
            columns: std::iter::once(Column::left(dimension.name())).chain(columns(convention, false)).collect(),
            rows: rows.iter().map(|row| row.slice.iter().map(Cell::text).chain(row.cells(false)).collect()).collect(),
        });
        std::iter::once(overall).chain(sliced).collect()
    }
}

/// By slice, then the best of the convention's first metric first; names decide ties.
fn sort(rows: &mut [Row]) {
    rows.sort_by(|a, b| {
        let first = |row: &Row| row.summary.means().next().and_then(|(_, mean)| mean).unwrap_or(0.0);
        let by_score = first(b).total_cmp(&first(a));
        a.slice.cmp(&b.slice).then(by_score).then_with(|| (&a.adapter, &a.run).cmp(&(&b.adapter, &b.run)))
    });
}

fn columns(convention: &Convention, speed: bool) -> impl Iterator<Item = Column> {
    let words = ["run", "adapter"].map(Column::left);
    let metrics = convention.metrics.iter().copied().map(Metric::name);
    let numbers = ["questions", "failures"].into_iter().chain(metrics);
    words.into_iter().chain(numbers.chain(speed.then_some("questions/s")).map(Column::right))
}

impl Row {
    fn cells(&self, speed: bool) -> impl Iterator<Item = Cell> {
        let partial = if self.partial { " (unfinished)" } else { "" };
        let counts = [
            Cell::text(&self.run),
            Cell::Text(format!("{}{partial}", self.adapter)),
            Cell::count(self.summary.count),
            Cell::count(self.failures),
        ];
        let metrics = self.summary.means().map(|(_, mean)| mean.map_or(Cell::Missing, |mean| Cell::Decimal(mean, 2)));
        let speed = speed.then_some(Cell::Decimal(self.per_second, 2));
        counts.into_iter().chain(metrics).chain(speed)
    }
}
