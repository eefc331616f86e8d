//! The sensitivity of scores to notation, tolerance, and near misses of numbers.

use anyhow::Result;
use rayon::prelude::*;
use serde_json::json;

use super::matrix::AnswerFile;
use super::score_all::NamedPair;
use super::table::{Cell, Column, Format, Table};
use chartbench_score::metric::{Mistake, Notation, Pair, is_right, mistake};

/// The default tolerance, relative to the gold value.
pub(super) const TOLERANCE: f64 = 0.05;
/// The points of the tolerance curve.
pub(super) const TOLERANCES: [f64; 9] = [0.0, 0.01, 0.02, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2];
const MISTAKES: [(Mistake, &str); 5] = [
    (Mistake::Sign, "wrong sign"),
    (Mistake::FactorOfTen, "wrong by a power of ten"),
    (Mistake::Unit, "wrong unit"),
    (Mistake::Value, "another number"),
    (Mistake::NotANumber, "no number"),
];

/// Three tables with a column for each file.
pub struct Sensitivity {
    /// Right answers in % as written, with each notation evened out alone, and with all.
    notations: Table,
    /// Right answers in % at each tolerance, notation evened out.
    tolerances: Table,
    /// Counts of how answers to numeric questions miss.
    mistakes: Table,
}

impl Sensitivity {
    /// Reads every answer of `files` under the plain rule of [`is_right`], whatever convention they
    /// are scored by.
    pub fn new(files: &[AnswerFile<'_>]) -> Self {
        let curves: Vec<(String, Vec<(f64, f64)>)> = files
            .iter()
            .map(|(name, entries)| (name.clone(), tolerance_curve(entries)))
            .collect();
        Self {
            notations: notation_table(files),
            tolerances: tolerance_table(files, &curves),
            mistakes: mistake_table(files),
        }
    }

    /// The tables, in the order in which they are shown.
    pub fn tables(&self) -> [&Table; 3] {
        [&self.notations, &self.tolerances, &self.mistakes]
    }

    /// The tables in `format`: for people under each other, in JSON an object of three lists, in
    /// CSV and JSON lines the notations alone.
    ///
    /// # Errors
    /// Returns an error only if the CSV or JSON writer fails, which no table is known to cause.
    pub fn render(&self, format: Format) -> Result<String> {
        self.render_within(format, None)
    }

    /// [`Self::render`], tables for the terminal fitted to its `width`.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn render_within(&self, format: Format, width: Option<usize>) -> Result<String> {
        let join = |render: &dyn Fn(&Table) -> String| self.tables().map(render).join("\n");
        match format {
            Format::Table => Ok(join(&|table| table.to_terminal_within(width))),
            Format::Markdown => Ok(join(&Table::to_markdown)),
            Format::Latex => Ok(join(&Table::to_latex)),
            Format::Csv | Format::Jsonl => self.notations.render(format),
            Format::Json => {
                let [notations, tolerances, mistakes] = self.tables().map(Table::json_rows);
                let object =
                    json!({"notations": notations, "tolerances": tolerances, "mistakes": mistakes});
                Ok(serde_json::to_string_pretty(&object)? + "\n")
            }
        }
    }
}

/// Right answers in % under the plain rule.
fn percent_right(entries: &[NamedPair<'_>], notations: &[Notation], tolerance: f64) -> f64 {
    let right = |entry: &&NamedPair<'_>| answers_right(&entry.pair, notations, tolerance);
    let count = entries.par_iter().filter(right).count();
    100.0 * count as f64 / entries.len().max(1) as f64
}

/// Whether the answer is right under the plain rule; a failed question is wrong.
pub(super) fn answers_right(pair: &Pair<'_>, notations: &[Notation], tolerance: f64) -> bool {
    pair.prediction
        .is_some_and(|prediction| is_right(&pair.gold.text(), &prediction.0, notations, tolerance))
}

/// Tolerance and right answers, both in %, with every notation evened out.
fn tolerance_curve(entries: &[NamedPair<'_>]) -> Vec<(f64, f64)> {
    let points = TOLERANCES.map(|tolerance| {
        (
            100.0 * tolerance,
            percent_right(entries, &Notation::ALL, tolerance),
        )
    });
    points.into()
}

/// A row for the answers as written, for each notation evened out alone, and for all.
fn notation_table(files: &[AnswerFile<'_>]) -> Table {
    let mut sets: Vec<(String, Vec<Notation>)> = vec![("as written".to_owned(), Vec::new())];
    sets.extend(
        Notation::ALL.map(|notation| (format!("{} evened out", notation.name()), vec![notation])),
    );
    sets.push(("all evened out".to_owned(), Notation::ALL.into()));
    let rows = sets.iter().map(|(name, set)| {
        let values = files
            .iter()
            .map(|(_, entries)| Cell::Decimal(percent_right(entries, set, TOLERANCE), 2));
        std::iter::once(Cell::text(name))
            .chain(values)
            .collect::<Vec<_>>()
    });
    table(
        files,
        "Right in % at 5 %, by what of the notation is evened out",
        "notation",
        rows.collect(),
    )
}

/// A row for each point of the tolerance curves.
fn tolerance_table(files: &[AnswerFile<'_>], curves: &[(String, Vec<(f64, f64)>)]) -> Table {
    let rows = TOLERANCES.iter().enumerate().map(|(place, tolerance)| {
        let values = curves
            .iter()
            .map(|(_, points)| Cell::Decimal(points[place].1, 2));
        std::iter::once(Cell::Text(format!("{} %", 100.0 * tolerance)))
            .chain(values)
            .collect::<Vec<_>>()
    });
    table(
        files,
        "Right in % by tolerance, notation evened out",
        "tolerance",
        rows.collect(),
    )
}

/// A row for all numeric questions, for the right ones, and for each mistake.
fn mistake_table(files: &[AnswerFile<'_>]) -> Table {
    let missed: Vec<Vec<Option<Mistake>>> =
        files.iter().map(|(_, entries)| misses(entries)).collect();
    let counted = |name: &str, is: &dyn Fn(&Option<Mistake>) -> bool| {
        let counts = missed
            .iter()
            .map(|missed| Cell::count(missed.iter().filter(|mistake| is(mistake)).count()));
        std::iter::once(Cell::text(name))
            .chain(counts)
            .collect::<Vec<_>>()
    };
    let rows = [
        counted("numeric questions", &|_| true),
        counted("right", &Option::is_none),
    ]
    .into_iter()
    .chain(MISTAKES.map(|(mistake, name)| counted(name, &move |found| *found == Some(mistake))));
    table(
        files,
        "Answers to questions with a number for an answer",
        "answers",
        rows.collect(),
    )
}

/// A table with a column for each file.
fn table(files: &[AnswerFile<'_>], title: &str, first: &str, rows: Vec<Vec<Cell>>) -> Table {
    Table {
        title: title.to_owned(),
        columns: std::iter::once(Column::left(first))
            .chain(files.iter().map(|(name, _)| Column::right(name)))
            .collect(),
        rows,
    }
}

/// The mistake of each question with a numeric gold answer.
fn misses(entries: &[NamedPair<'_>]) -> Vec<Option<Mistake>> {
    let miss = |entry: &NamedPair<'_>| {
        let prediction = entry
            .pair
            .prediction
            .map_or("", |prediction| prediction.0.as_str());
        mistake(&entry.pair.gold.text(), prediction, TOLERANCE)
    };
    entries.par_iter().filter_map(miss).collect()
}
