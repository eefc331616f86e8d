//! Tables in six formats: for people (terminal, Markdown, LaTeX) numbers are rounded, for programs
//! (CSV, JSON, JSON lines) they have full precision.

mod fit;

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use tabled::builder::Builder;
use tabled::settings::Style;
use tabled::settings::object::Columns;

pub use self::fit::wrap;
use super::escape;
use chartbench_score::stats::Interval;

/// The forms a table can be printed in: the `--format` of every command with a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A ruled table for the terminal.
    #[default]
    Table,
    /// JSON with numbers in full precision.
    Json,
    /// A GitHub-flavoured Markdown table.
    Markdown,
    /// A `tabular` with the rules of the package booktabs.
    Latex,
    /// Comma-separated values under a line of column names, in full precision.
    Csv,
    /// JSON lines: one object a row.
    Jsonl,
}

/// A missing value in the forms for people.
const MISSING: &str = "-";

/// A titled table. A row shorter than the columns ends in [`Cell::Missing`] ones; column names are
/// unique.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// One line above the table in the forms for people; none when empty.
    pub title: String,
    /// The columns from left to right.
    pub columns: Vec<Column>,
    /// The cells of each row, in the order of the columns.
    pub rows: Vec<Vec<Cell>>,
}

/// A column's heading, side and kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The heading, which is also the JSON key and the CSV column name.
    pub name: String,
    /// The side in the forms for people.
    pub align: Align,
    /// Whether the cells are [`Cell::Estimate`]s: programs get two more columns, `NAME low` and
    /// `NAME high`.
    estimates: bool,
    /// Its turn among the columns that a narrow terminal leaves out, the lowest first; `None` for
    /// one that stays.
    turn: Option<u8>,
}

impl Column {
    /// A column of words.
    pub fn left(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            align: Align::Left,
            estimates: false,
            turn: None,
        }
    }

    /// A column of numbers.
    pub fn right(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            align: Align::Right,
            estimates: false,
            turn: None,
        }
    }

    /// A column of numbers with intervals.
    pub fn estimates(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            align: Align::Right,
            estimates: true,
            turn: None,
        }
    }

    /// A column that a narrow terminal leaves out; those of the lowest turn go first.
    #[must_use]
    pub fn optional(self, turn: u8) -> Self {
        Self {
            turn: Some(turn),
            ..self
        }
    }

    fn format_display(&self) -> String {
        chartbench_core::terminal::visible(&self.name)
    }

    /// The columns that programs get for it.
    fn program_names(&self) -> impl Iterator<Item = String> {
        let ends = self
            .estimates
            .then(|| ["low", "high"].map(|end| format!("{} {end}", self.name)));
        std::iter::once(self.name.clone()).chain(ends.into_iter().flatten())
    }
}

/// The side a column's cells lie on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

/// One value of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Words from any source; hidden characters are made visible for people.
    Text(String),
    /// A whole number: a count, a line of a file.
    Integer(i64),
    /// A value, and the digits after the point that people see of it. One that is not finite shows
    /// as missing.
    Decimal(f64, usize),
    /// A value with its interval where it has one, and the digits after the point that people see
    /// of the three.
    Estimate(f64, Option<Interval>, usize),
    /// A probability: four digits after the point, and none under 0.0001.
    Probability(f64),
    /// A probability that may be smaller: `<= 0.0001`.
    AtMost(f64),
    /// No value here: `-`, an empty CSV field, JSON's null.
    Missing,
}

impl Cell {
    /// A text cell.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The p-value of a test; `is_least` where random flips can show no smaller one, and the true one
    /// may be smaller.
    pub fn p_value(p: f64, is_least: bool) -> Self {
        if is_least && p < 1.0 {
            Self::AtMost(p)
        } else {
            Self::Probability(p)
        }
    }

    /// A count; one beyond `i64` shows as missing.
    pub fn count(count: usize) -> Self {
        i64::try_from(count).map_or(Self::Missing, Self::Integer)
    }

    /// Formats the cell for people, with hidden characters made visible.
    pub(super) fn format_display(&self) -> String {
        match self {
            Self::Text(text) => chartbench_core::terminal::visible(text),
            Self::Integer(number) => number.to_string(),
            Self::Decimal(number, digits) if number.is_finite() => format!("{number:.digits$}"),
            Self::Estimate(number, Some(Interval { low, high }), digits) if number.is_finite() => {
                format!("{number:.digits$} ({low:.digits$} to {high:.digits$})")
            }
            Self::Estimate(number, None, digits) if number.is_finite() => {
                format!("{number:.digits$}")
            }
            Self::Probability(p) if *p < 0.0001 => "<0.0001".to_owned(),
            Self::Probability(p) if p.is_finite() => format!("{p:.4}"),
            // Rounded up: the bound holds as it is read.
            Self::AtMost(p) if p.is_finite() => {
                format!("<= {:.4}", ((p * 1e4 - 1e-6).ceil() / 1e4))
            }
            Self::Decimal(..)
            | Self::Estimate(..)
            | Self::Probability(_)
            | Self::AtMost(_)
            | Self::Missing => MISSING.to_owned(),
        }
    }

    /// The cell for programs: the value, and the ends of an estimate's interval.
    fn parts(&self) -> [Self; 3] {
        let plain = |number: f64| Self::Decimal(number, 0);
        match self {
            Self::Estimate(number, None, _) => [plain(*number), Self::Missing, Self::Missing],
            Self::Estimate(number, Some(interval), _) => {
                [*number, interval.low, interval.high].map(plain)
            }
            Self::Probability(p) | Self::AtMost(p) => [plain(*p), Self::Missing, Self::Missing],
            other => [other.clone(), Self::Missing, Self::Missing],
        }
    }

    fn csv_field(&self) -> String {
        match self {
            Self::Text(text) => escape::csv(text),
            Self::Integer(number) => number.to_string(),
            Self::Decimal(number, _) if number.is_finite() => number.to_string(),
            _ => String::new(),
        }
    }

    fn json_value(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::Integer(number) => Value::from(*number),
            Self::Decimal(number, _) => Value::from(*number),
            _ => Value::Null,
        }
    }
}

impl Table {
    /// The table in `format`, ending in a line break.
    ///
    /// # Errors
    /// Returns an error only if the CSV or JSON writer fails, which no table is known to cause.
    pub fn render(&self, format: Format) -> Result<String> {
        self.render_within(format, None)
    }

    /// [`Self::render`], a table for the terminal fitted to its `width`.
    ///
    /// # Errors
    /// See [`Table::render`].
    pub fn render_within(&self, format: Format, width: Option<usize>) -> Result<String> {
        match format {
            Format::Table => Ok(self.to_terminal_within(width)),
            Format::Json => self.to_json(),
            Format::Markdown => Ok(self.to_markdown()),
            Format::Latex => Ok(self.to_latex()),
            Format::Csv => self.to_csv(),
            Format::Jsonl => self.to_jsonl(),
        }
    }

    /// [`Self::to_terminal`], fitted to a terminal of `width` columns.
    pub fn to_terminal_within(&self, width: Option<usize>) -> String {
        width.map_or_else(|| self.to_terminal(), |width| fit::fitted(self, width))
    }

    /// A ruled table with all columns, its title above.
    pub fn to_terminal(&self) -> String {
        let mut builder = Builder::default();
        builder.push_record(self.columns.iter().map(Column::format_display));
        for row in &self.rows {
            builder.push_record(self.cells(row).map(Cell::format_display));
        }
        let mut table = builder.build();
        table.with(Style::sharp());
        for (index, column) in self.columns.iter().enumerate() {
            table.modify(Columns::one(index), column.alignment());
        }
        format!("{}{table}\n", self.title_line("\n"))
    }

    /// A GitHub-flavoured Markdown table, its title a paragraph above.
    pub fn to_markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let rule = |column: &Column| match column.align {
            Align::Left => ":--".to_owned(),
            Align::Right => "--:".to_owned(),
        };
        let mut text = escape::markdown(&self.title_line("\n\n"));
        text += &line(
            self.columns
                .iter()
                .map(|column| escape::markdown(&column.format_display()))
                .collect(),
        );
        text += &line(self.columns.iter().map(rule).collect());
        for row in &self.rows {
            text += &line(
                self.cells(row)
                    .map(|cell| escape::markdown(&cell.format_display()))
                    .collect(),
            );
        }
        text
    }

    /// A LaTeX `tabular` for the package booktabs, its title a comment above.
    pub fn to_latex(&self) -> String {
        let line = |cells: Vec<String>| format!("{} \\\\\n", cells.join(" & "));
        let sides: String = self
            .columns
            .iter()
            .map(|column| {
                if column.align == Align::Left {
                    'l'
                } else {
                    'r'
                }
            })
            .collect();
        let title = if self.title.is_empty() {
            String::new()
        } else {
            format!("% {}\n", chartbench_core::terminal::visible(&self.title))
        };
        let mut text = format!("{title}\\begin{{tabular}}{{{sides}}}\n\\toprule\n");
        text += &line(
            self.columns
                .iter()
                .map(|column| escape::latex(&column.format_display()))
                .collect(),
        );
        text += "\\midrule\n";
        for row in &self.rows {
            text += &line(
                self.cells(row)
                    .map(|cell| escape::latex(&cell.format_display()))
                    .collect(),
            );
        }
        text + "\\bottomrule\n\\end{tabular}\n"
    }

    /// Comma-separated values under a line of column names, without the title.
    ///
    /// # Errors
    /// See [`Table::render`].
    pub fn to_csv(&self) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(
            self.columns
                .iter()
                .flat_map(Column::program_names)
                .map(|name| escape::csv(&name)),
        )?;
        for row in &self.rows {
            writer.write_record(self.program_cells(row).map(|(_, cell)| cell.csv_field()))?;
        }
        let bytes = writer.into_inner().context("cannot finish the CSV table")?;
        Ok(String::from_utf8(bytes)?)
    }

    /// A list of one object a row, keyed by the column names in order, without the title.
    ///
    /// # Errors
    /// See [`Table::render`].
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(&self.json_rows())? + "\n")
    }

    /// The same, one object a line.
    ///
    /// # Errors
    /// See [`Table::render`].
    pub fn to_jsonl(&self) -> Result<String> {
        self.json_rows()
            .iter()
            .map(|row| Ok(serde_json::to_string(row)? + "\n"))
            .collect()
    }

    /// One object a row, keyed by the column names in order.
    pub(super) fn json_rows(&self) -> Vec<Value> {
        let object = |row: &Vec<Cell>| {
            let fields = self
                .program_cells(row)
                .map(|(name, cell)| (name, cell.json_value()));
            Value::Object(fields.collect::<Map<_, _>>())
        };
        self.rows.iter().map(object).collect()
    }

    /// A row's cells, exactly one a column.
    fn cells<'a>(&self, row: &'a [Cell]) -> impl Iterator<Item = &'a Cell> {
        row.iter()
            .chain(std::iter::repeat(&Cell::Missing))
            .take(self.columns.len())
    }

    /// A row's fields as programs get them, each under its name.
    fn program_cells(&self, row: &[Cell]) -> impl Iterator<Item = (String, Cell)> {
        self.columns
            .iter()
            .zip(self.cells(row))
            .flat_map(|(column, cell)| column.program_names().zip(cell.parts()))
    }

    fn title_line(&self, end: &str) -> String {
        if self.title.is_empty() {
            String::new()
        } else {
            format!("{}{end}", chartbench_core::terminal::visible(&self.title))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_table_in_six_forms() {
        let table = Table {
            title: "Two files".to_owned(),
            columns: vec![
                Column::left("file"),
                Column::right("questions"),
                Column::right("EM"),
                Column::estimates("gain"),
                Column::right("p"),
            ],
            rows: vec![
                vec![
                    Cell::text("a|b, \"c\".csv"),
                    Cell::count(4240),
                    Cell::Decimal(100.0 * 2.0 / 3.0, 3),
                    Cell::Estimate(
                        -1.25,
                        Some(Interval {
                            low: -2.0,
                            high: 0.5,
                        }),
                        1,
                    ),
                    Cell::Probability(1e-9),
                ],
                vec![
                    Cell::text("=1+1"),
                    Cell::count(0),
                    Cell::Missing,
                    Cell::Estimate(0.5, None, 1),
                    Cell::Probability(0.25),
                ],
                vec![
                    Cell::text("two\nlines\u{1b}[31m 図表"),
                    Cell::Missing,
                    Cell::Decimal(f64::NAN, 3),
                ],
                vec![Cell::text("short")],
            ],
        };
        let forms = [
            Format::Table,
            Format::Markdown,
            Format::Latex,
            Format::Csv,
            Format::Json,
            Format::Jsonl,
        ];
        let text = forms
            .map(|format| format!("{format:?}\n{}", table.render(format).unwrap()))
            .join("\n");
        insta::with_settings!({
            snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
            prepend_module_to_snapshot => true,
        }, {
            insta::assert_snapshot!("one_table_in_six_forms", text);
        });
    }
}
