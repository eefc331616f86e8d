//! The leaderboard: one board a question set, a row an adapter, overall and along each [`SliceBy`].

mod adapter_aggregate;
mod published;
mod row;
mod seeds;

use std::collections::HashMap;

use anyhow::Result;
use serde_json::json;

use self::adapter_aggregate::AdapterAggregate;
use self::published::{OwnResult, PublishedRows};
use self::row::{Row, columns};
use super::scored::is_unfinished;
use super::table::{Cell, Column, Format, Table, wrap};
use super::whole_pairs::WholePairs;
use super::{Aggregate, CONFIDENCE, RowKind, SliceBy, escape};
use crate::config::Published;
use crate::run::store::{BenchmarkEntry, Manifest, PredictionRecord, RunReader, short};
use chartbench_score::metric::Convention;

/// The version of the JSON form.
const FORMAT_VERSION: u32 = 1;

/// Options of a leaderboard.
#[derive(Clone, Debug)]
pub struct LeaderboardOptions {
    /// A table along each; none for the overall tables alone.
    pub slices: Vec<SliceBy>,
    /// Questions a second. Without them what is left depends on the predictions alone, so that a
    /// resumed run's leaderboard is byte for byte that of an unbroken one.
    pub speed: bool,
    /// Published results, by benchmark.
    pub published: Vec<(String, Vec<Published>)>,
}

impl Default for LeaderboardOptions {
    fn default() -> Self {
        Self {
            slices: SliceBy::DEFAULT.into(),
            speed: true,
            published: Vec::new(),
        }
    }
}

/// The parts of a leaderboard that people see besides its overall tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderboardParts {
    /// What the columns mean; without it a line counts questions and charts.
    pub explanation: bool,
    /// The settings of each adapter.
    pub settings: bool,
    /// The tables by slice, of those that the leaderboard was made with.
    pub slices: Vec<SliceBy>,
}

/// A leaderboard over any number of runs. Runs on different questions get separate boards.
pub struct Leaderboard {
    convention: &'static Convention,
    boards: Vec<Board>,
    options: LeaderboardOptions,
}

/// The rows that answered one question set.
struct Board {
    benchmark: BenchmarkEntry,
    /// The runs' manifests, in the order they were added.
    manifests: Vec<Manifest>,
    overall: Vec<Row>,
    /// The rows of each requested property.
    slices: Vec<(SliceBy, Vec<Row>)>,
    /// The runs' own values of published results.
    own_results: Vec<OwnResult>,
}

impl Leaderboard {
    /// An empty leaderboard.
    pub fn new(convention: &'static Convention, options: LeaderboardOptions) -> Self {
        Self {
            convention,
            boards: Vec::new(),
            options,
        }
    }

    /// The leaderboard of runs on disk.
    ///
    /// # Errors
    /// Returns an error if predictions cannot be read.
    pub fn from_runs(
        runs: &[RunReader],
        convention: &'static Convention,
        options: LeaderboardOptions,
    ) -> Result<Self> {
        let mut leaderboard = Self::new(convention, options);
        runs.iter()
            .try_for_each(|run| leaderboard.add(&run.manifest, run.predictions()))?;
        Ok(leaderboard)
    }

    /// Adds a run: the predictions of each of its adapters, in chunks of any size. Each chunk is
    /// scored, aggregated and dropped, so that memory holds only the aggregates.
    ///
    /// # Errors
    /// Returns the chunks' errors, after which the leaderboard is incomplete.
    pub fn add<'r, P>(
        &mut self,
        run: &Manifest,
        predictions: impl IntoIterator<Item = (&'r str, P)>,
    ) -> Result<()>
    where
        P: IntoIterator<Item = Result<Vec<PredictionRecord>>>,
    {
        let same = |board: &Board| board.benchmark.hash == run.benchmark.hash;
        let place = self.boards.iter().position(same).unwrap_or_else(|| {
            self.boards
                .push(Board::new(&run.benchmark, &self.options.slices));
            self.boards.len() - 1
        });
        let board = &mut self.boards[place];
        let published = published_of(&self.options, &board.benchmark);
        board.manifests.push(run.clone());
        for (adapter, pieces) in predictions {
            let mut adapter_aggregate =
                AdapterAggregate::new(adapter, self.convention, &self.options.slices, published);
            for piece in WholePairs::new(pieces) {
                adapter_aggregate.add(&piece?);
            }
            board.take(run, adapter, adapter_aggregate);
        }
        board.sort();
        Ok(())
    }

    /// Shows or hides the speed column ([`LeaderboardOptions::speed`]).
    pub fn show_speed(&mut self, speed: bool) {
        self.options.speed = speed;
    }

    /// The leaderboard in `format`: for people a table for each slicing under a heading for each
    /// question set, for programs (CSV, JSON) all rows of all tables as one flat table.
    ///
    /// # Errors
    /// Returns an error only if the CSV or JSON writer fails, which no table is known to cause.
    pub fn render(&self, format: Format) -> Result<String> {
        self.render_within(format, None)
    }

    /// [`Self::render`], the form for the terminal fitted to its `width`.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn render_within(&self, format: Format, width: Option<usize>) -> Result<String> {
        let parts = LeaderboardParts {
            explanation: true,
            settings: true,
            slices: self.options.slices.clone(),
        };
        self.render_parts(format, width, &parts)
    }

    /// [`Self::render_within`] with some of the parts; forms for programs have all rows.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn render_parts(
        &self,
        format: Format,
        width: Option<usize>,
        parts: &LeaderboardParts,
    ) -> Result<String> {
        let visible = |text: &str| chartbench_core::terminal::visible(text);
        let markdown = |text: &str| escape::markdown(&chartbench_core::terminal::visible(text));
        match format {
            Format::Table => {
                let table = |table: &Table| table.to_terminal_within(width);
                let shown = PublishedRows::within(width);
                let text = self.join(parts, shown, ["", "", "  "], visible, &table);
                Ok(match width {
                    Some(width) => wrap(&text, width),
                    None => text,
                })
            }
            Format::Markdown => Ok(self.join(
                parts,
                PublishedRows::All,
                ["### ", "", "- "],
                markdown,
                &Table::to_markdown,
            )),
            Format::Latex => Ok(self.join(
                parts,
                PublishedRows::All,
                ["% "; 3],
                visible,
                &Table::to_latex,
            )),
            Format::Csv | Format::Jsonl => self.flat().render(format),
            Format::Json => {
                let object = json!({"format": FORMAT_VERSION, "rows": self.flat().json_rows()});
                Ok(serde_json::to_string_pretty(&object)? + "\n")
            }
        }
    }

    /// Each board with its heading, caption, tables and settings. The array is what a heading, a
    /// caption and a line of settings begin with.
    fn join(
        &self,
        shown: &LeaderboardParts,
        published_rows: PublishedRows,
        [heading, caption, line]: [&str; 3],
        text: fn(&str) -> String,
        table: &dyn Fn(&Table) -> String,
    ) -> String {
        let boards = self.boards.iter().map(|board| {
            let overall = board.overall_table(self.convention, self.options.speed);
            let mut parts = vec![table(&overall)];
            let results = published_of(&self.options, &board.benchmark);
            let published = published::table(results, &board.own_results, published_rows);
            let more = [
                seeds::table(&board.manifests, &board.overall, self.convention),
                published,
            ];
            parts.extend(more.iter().flatten().map(table));
            parts.extend(published::note(results, &board.own_results, published_rows));
            let settings = settings_lines(&board.manifests);
            if shown.settings && !settings.is_empty() {
                parts.push(
                    settings
                        .iter()
                        .map(|settings| format!("{line}{}\n", text(settings)))
                        .collect(),
                );
            }
            let slices = board.slice_tables(self.convention, &shown.slices);
            parts.extend(slices.iter().map(table));
            let title = text(&board.benchmark.title);
            let parts = parts.join("\n");
            if shown.explanation {
                let explanation = self.caption(board, text);
                format!("{heading}{title}\n\n{caption}{explanation}\n\n{parts}")
            } else {
                format!("{heading}{title}: {}\n{parts}", self.brief_caption(board))
            }
        });
        boards.collect::<Vec<_>>().join("\n")
    }

    fn caption(&self, board: &Board, text: fn(&str) -> String) -> String {
        let BenchmarkEntry {
            questions,
            charts,
            hash,
            ..
        } = &board.benchmark;
        format!(
            "{questions} questions on {charts} charts (question set {}). Metrics in %, convention {}; a failed \
             question scores 0. In parentheses {:.0} % intervals (Wilson, clustered by chart); distinct is the part of \
             the answers that are different texts, in %.",
            text(short(hash)),
            self.convention.name,
            100.0 * CONFIDENCE,
        )
    }

    fn brief_caption(&self, board: &Board) -> String {
        let BenchmarkEntry {
            questions, charts, ..
        } = &board.benchmark;
        format!(
            "{questions} questions on {charts} charts; in %, convention {}, with {:.0} % intervals",
            self.convention.name,
            100.0 * CONFIDENCE
        )
    }

    /// The best finished row of a kind: its adapter, of the first board.
    pub fn best(&self, kind: RowKind) -> Option<&str> {
        let rows = &self.boards.first()?.overall;
        rows.iter()
            .find(|row| row.kind == kind && !row.unfinished)
            .map(|row| row.adapter.as_str())
    }

    fn flat(&self) -> Table {
        let own = ["benchmark", "question_set", "convention", "slice", "value"].map(Column::left);
        let (convention, speed) = (self.convention, self.options.speed);
        let rows = self.boards.iter().flat_map(|board| {
            let overall = board.overall.iter().map(|row| ("overall".to_owned(), row));
            let sliced = board
                .slices
                .iter()
                .flat_map(|(slice, rows)| rows.iter().map(|row| (slice.to_string(), row)));
            overall.chain(sliced).map(|(slice, row)| {
                let own = [
                    Cell::text(&board.benchmark.name),
                    Cell::text(&board.benchmark.hash),
                    Cell::text(convention.name),
                    Cell::text(slice),
                    row.slice.as_ref().map_or(Cell::Missing, Cell::text),
                ];
                own.into_iter().chain(row.cells(true, speed)).collect()
            })
        });
        let columns = own
            .into_iter()
            .chain(columns(convention, true, speed, false))
            .collect();
        Table {
            title: String::new(),
            rows: rows.collect(),
            columns,
        }
    }
}

impl Board {
    /// An empty board.
    fn new(benchmark: &BenchmarkEntry, slices: &[SliceBy]) -> Self {
        Self {
            benchmark: benchmark.clone(),
            manifests: Vec::new(),
            overall: Vec::new(),
            slices: slices
                .iter()
                .map(|slice| (slice.clone(), Vec::new()))
                .collect(),
            own_results: Vec::new(),
        }
    }

    /// Adds one adapter's rows.
    fn take(&mut self, run: &Manifest, adapter: &str, adapter_aggregate: AdapterAggregate<'_>) {
        let unfinished = is_unfinished(adapter_aggregate.overall.questions(), &run.benchmark);
        // Two runs may have one name.
        let place = self.manifests.len() - 1;
        let entry = run.adapters.iter().find(|entry| entry.id == adapter);
        let kind = RowKind::new(adapter, entry);
        let row = |slice, aggregate: &Aggregate| {
            let row = Row::new(
                place, &run.name, adapter, kind, slice, aggregate, unfinished,
            )?;
            Some(row.described(run))
        };
        self.overall.extend(row(None, &adapter_aggregate.overall));
        for ((_, rows), parts) in self.slices.iter_mut().zip(&adapter_aggregate.slices) {
            rows.extend(
                parts
                    .iter()
                    .filter_map(|(key, part)| row(Some(key.as_str().to_owned()), part)),
            );
        }
        self.own_results
            .extend(adapter_aggregate.published(run, entry));
    }

    fn sort(&mut self) {
        sort(&mut self.overall);
        self.slices.iter_mut().for_each(|(_, rows)| by_slice(rows));
    }

    fn overall_table(&self, convention: &Convention, speed: bool) -> Table {
        Table {
            title: String::new(),
            columns: columns(convention, true, speed, self.has_one_run()).collect(),
            rows: self
                .overall
                .iter()
                .map(|row| row.cells(true, speed).collect())
                .collect(),
        }
    }

    fn has_one_run(&self) -> bool {
        self.manifests.len() == 1
    }

    /// The tables of those slices that are in `shown`.
    fn slice_tables(&self, convention: &Convention, shown: &[SliceBy]) -> Vec<Table> {
        let table = |(slice_by, rows): &(SliceBy, Vec<Row>)| Table {
            title: format!("By {slice_by}"),
            columns: std::iter::once(Column::left(slice_by.to_string()))
                .chain(columns(convention, false, false, self.has_one_run()))
                .collect(),
            rows: rows
                .iter()
                .map(|row| {
                    std::iter::once(slice(row))
                        .chain(row.cells(false, false))
                        .collect()
                })
                .collect(),
        };
        self.slices
            .iter()
            .filter(|(slice_by, rows)| !rows.is_empty() && shown.contains(slice_by))
            .map(table)
            .collect()
    }
}

/// The published results of a benchmark.
fn published_of<'o>(
    options: &'o LeaderboardOptions,
    benchmark: &BenchmarkEntry,
) -> &'o [Published] {
    options
        .published
        .iter()
        .find(|(name, _)| *name == benchmark.name)
        .map_or(&[], |(_, results)| results)
}

/// A slice's value as people see it.
fn slice(row: &Row) -> Cell {
    let few = if row.few { " (few)" } else { "" };
    row.slice
        .as_ref()
        .map_or(Cell::Missing, |value| Cell::Text(format!("{value}{few}")))
}

/// The best of the convention's first metric first; names decide ties.
fn sort(rows: &mut [Row]) {
    rows.sort_by(|a, b| {
        let first = |row: &Row| {
            row.summary
                .means()
                .next()
                .and_then(|(_, mean)| mean)
                .unwrap_or(0.0)
        };
        first(b)
            .total_cmp(&first(a))
            .then_with(|| (&a.adapter, &a.run).cmp(&(&b.adapter, &b.run)))
    });
}

/// Groups the rows by slice, in the order of first appearance; [`sort`] orders the rows of a slice.
fn by_slice(rows: &mut [Row]) {
    let mut places: HashMap<Option<String>, usize> = HashMap::new();
    for row in rows.iter() {
        let next = places.len();
        places.entry(row.slice.clone()).or_insert(next);
    }
    sort(rows);
    rows.sort_by_key(|row| places.get(&row.slice).copied());
}

/// A line for each different set of settings, as recorded: the adapters, then `key value` after
/// `key value`. Hashes, and how a model was trained, are left to the manifest.
fn settings_lines(runs: &[Manifest]) -> Vec<String> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for entry in runs.iter().flat_map(|run| &run.adapters) {
        let shown = entry.shown_settings().into_iter();
        let described = shown.filter(|(key, _)| {
            !key.starts_with("finetune.") && !key.contains("hash") && !key.contains("sha256")
        });
        let settings: Vec<String> = described
            .map(|(key, value)| format!("{key} {}", quoted(&value)))
            .collect();
        if settings.is_empty() {
            continue;
        }
        let settings = settings.join(", ");
        match groups.iter_mut().find(|(group, _)| *group == settings) {
            Some((_, names)) if names.contains(&entry.id) => {}
            Some((_, names)) => names.push(entry.id.clone()),
            None => groups.push((settings, vec![entry.id.clone()])),
        }
    }
    groups
        .into_iter()
        .map(|(settings, names)| format!("{}: {settings}", names.join(", ")))
        .collect()
}

/// A value of more than a word between quotation marks.
fn quoted(value: &str) -> String {
    if value.contains([' ', ',']) {
        format!("\u{201c}{value}\u{201d}")
    } else {
        value.to_owned()
    }
}
