//! The leaderboard: one board a question set, a row an adapter, overall and along each [`Dimension`].

use std::collections::BTreeSet;

use super::{Align, Cell, Column, Dimension, Table};
use crate::metric::{Convention, Summary};
use crate::record::{BenchmarkEntry, PredictionRecord, StoredRun};

/// A leaderboard over any number of runs; runs on different questions stand in boards of their own.
pub struct Leaderboard {
    convention: Convention,
    boards: Vec<Board>,
    speed: bool,
}

/// The rows that answered one question set.
struct Board {
    benchmark: BenchmarkEntry,
    overall: Vec<Row>,
    /// Per dimension that the data set knows, rows ordered by slice.
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
    /// Scores stored predictions under one convention. A failed question counts as an empty answer that is wrong
    /// under every metric.
    pub fn new(runs: &[StoredRun], convention: Convention) -> Self {
        let mut boards: Vec<Board> = Vec::new();
        for run in runs {
            let entry = &run.manifest.benchmark;
            let known = boards.iter().position(|board| board.benchmark.hash == entry.hash);
            let index = known.unwrap_or_else(|| {
                let slices = Dimension::ALL.map(|dimension| (dimension, Vec::new())).into();
                boards.push(Board { benchmark: entry.clone(), overall: Vec::new(), slices });
                boards.len() - 1
            });
            let board = &mut boards[index];
            for (adapter, records) in &run.predictions {
                board.add(&run.manifest.name, adapter, records, convention);
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

    /// Every table for the terminal.
    pub fn to_terminal(&self) -> String {
        let parts = self.boards.iter().map(|board| {
            let tables: Vec<String> = board.tables(self.speed).iter().map(Table::to_terminal).collect();
            format!("{}\n{}\n\n{}", board.benchmark.title, self.caption(board), tables.join("\n"))
        });
        parts.collect::<Vec<_>>().join("\n")
    }

    /// Every table as Markdown, under a heading a question set.
    pub fn to_markdown(&self) -> String {
        let parts = self.boards.iter().map(|board| {
            let tables: Vec<String> = board.tables(self.speed).iter().map(Table::to_markdown).collect();
            format!("### {}\n\n{}\n\n{}", board.benchmark.title, self.caption(board), tables.join("\n"))
        });
        parts.collect::<Vec<_>>().join("\n")
    }

    /// All rows of all tables as one CSV.
    pub fn to_csv(&self) -> String {
        self.flat().to_csv()
    }

    /// All rows of all tables as one JSON array.
    pub fn to_json(&self) -> String {
        self.flat().to_json()
    }

    fn caption(&self, board: &Board) -> String {
        let BenchmarkEntry { questions, charts, hash, .. } = &board.benchmark;
        let short = hash.get(..12).unwrap_or(hash);
        format!(
            "{questions} questions on {charts} charts (question set {short}). Metrics in %, convention \
             `{}`; a failed question scores 0.",
            self.convention
        )
    }

    fn flat(&self) -> Table {
        let left = |name: &str| Column { name: name.to_owned(), align: Align::Left };
        let mut columns = vec![left("benchmark"), left("question_set"), left("convention"), left("slice"), left("value")];
        columns.extend(columns_of(None, self.speed));
        let rows = self.boards.iter().flat_map(|board| {
            let overall = board.overall.iter().map(|row| ("overall", row));
            let sliced = board.slices.iter().flat_map(|(slice, rows)| rows.iter().map(|row| (slice.name(), row)));
            overall.chain(sliced).map(|(slice, row)| {
                let text = |text: &str| Cell::Text(text.to_owned());
                let mut cells = vec![
                    text(&board.benchmark.name),
                    text(&board.benchmark.hash),
                    text(&self.convention.to_string()),
                    text(slice),
                    row.slice.as_deref().map_or(Cell::Missing, text),
                ];
                cells.extend(row.cells(None, self.speed));
                cells
            })
        });
        Table { title: None, rows: rows.collect(), columns }
    }
}

impl Board {
    fn add(&mut self, run: &str, adapter: &str, records: &[PredictionRecord], convention: Convention) {
        let partial = records.len() < self.benchmark.questions;
        let row = |slice: Option<&String>, records: &[&PredictionRecord]| Row {
            slice: slice.cloned(),
            run: run.to_owned(),
            adapter: adapter.to_owned(),
            partial,
            failures: records.iter().filter(|record| record.error.is_some()).count(),
            summary: summary(records, convention),
            per_second: records.len() as f64 / records.iter().map(|record| record.latency_ms / 1e3).sum::<f64>(),
        };
        self.overall.push(row(None, &records.iter().collect::<Vec<_>>()));
        for (dimension, rows) in &mut self.slices {
            let values: Vec<Option<String>> = records.iter().map(|record| dimension.value(record)).collect();
            for value in values.iter().flatten().collect::<BTreeSet<_>>() {
                let of_value = records.iter().zip(&values).filter(|(_, other)| other.as_ref() == Some(value));
                rows.push(row(Some(value), &of_value.map(|(record, _)| record).collect::<Vec<_>>()));
            }
        }
    }

    fn tables(&self, speed: bool) -> Vec<Table> {
        let table = |dimension: Option<Dimension>, rows: &[Row]| Table {
            title: dimension.map(|dimension| format!("By {}", dimension.name())),
            columns: columns_of(dimension, speed && dimension.is_none()),
            rows: rows.iter().map(|row| row.cells(dimension, speed && dimension.is_none())).collect(),
        };
        let slices = self.slices.iter().map(|(dimension, rows)| table(Some(*dimension), rows));
        std::iter::once(table(None, &self.overall)).chain(slices).collect()
    }
}

/// Mean scores of some predictions.
pub(super) fn summary(records: &[&PredictionRecord], convention: Convention) -> Summary {
    records.iter().map(|record| convention.score_or_zero(&record.gold, record.prediction.as_ref())).collect()
}

/// By slice, then the best exact match first; names decide ties.
fn sort(rows: &mut [Row]) {
    rows.sort_by(|a, b| {
        let by_score = b.summary.exact_match.total_cmp(&a.summary.exact_match);
        a.slice.cmp(&b.slice).then(by_score).then_with(|| (&a.adapter, &a.run).cmp(&(&b.adapter, &b.run)))
    });
}

fn columns_of(dimension: Option<Dimension>, speed: bool) -> Vec<Column> {
    let column = |name: &str, align| Column { name: name.to_owned(), align };
    let slice = dimension.map(|dimension| column(dimension.name(), Align::Left));
    let names = ["run", "adapter"].map(|name| column(name, Align::Left));
    let numbers = ["questions", "failures", "exact match", "relaxed accuracy", "ANLS"];
    let speed = speed.then(|| column("questions/s", Align::Right));
    let numbers = numbers.map(|name| column(name, Align::Right));
    slice.into_iter().chain(names).chain(numbers).chain(speed).collect()
}

impl Row {
    fn cells(&self, dimension: Option<Dimension>, speed: bool) -> Vec<Cell> {
        let slice = dimension.and(self.slice.as_ref()).map(|value| Cell::Text(value.clone()));
        let partial = if self.partial { " (unfinished)" } else { "" };
        let percent = |value: f64| Cell::Decimal(value * 100.0, 2);
        let row = [
            Cell::Text(self.run.clone()),
            Cell::Text(format!("{}{partial}", self.adapter)),
            Cell::Integer(self.summary.count as i64),
            Cell::Integer(self.failures as i64),
            percent(self.summary.exact_match),
            percent(self.summary.relaxed),
            percent(self.summary.anls),
        ];
        let speed = speed.then(|| Cell::Decimal(self.per_second, 2));
        slice.into_iter().chain(row).chain(speed).collect()
    }
}
