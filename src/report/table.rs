//! One table, five forms: for people (terminal, Markdown) numbers are rounded as the table asks, for programs (CSV,
//! JSON, JSON lines) they are whole.

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Style};

/// The forms a table can be printed in: the `--format` of every command with a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A ruled table for the terminal.
    #[default]
    Table,
    Json,
    Markdown,
    Csv,
    /// JSON lines: one object a row.
    Jsonl,
}

/// A titled table. A row shorter than the columns ends in [`Cell::Missing`] ones; column names are unique.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// One line above the table in the forms for people; none when empty.
    pub title: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
}

/// A column's heading and side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub align: Align,
}

impl Column {
    /// A column of words.
    pub fn left(name: impl Into<String>) -> Self {
        Self { name: name.into(), align: Align::Left }
    }

    /// A column of numbers.
    pub fn right(name: impl Into<String>) -> Self {
        Self { name: name.into(), align: Align::Right }
    }
}

/// The side a column's cells lie on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// One value of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Text(String),
    Integer(i64),
    /// A value, and the digits after the point that people see of it. One that is not finite shows as missing.
    Decimal(f64, usize),
    /// No value here: `-`, an empty CSV field, JSON's null.
    Missing,
}

impl Cell {
    /// A text cell.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A count; one beyond `i64` shows as missing.
    pub fn count(count: usize) -> Self {
        i64::try_from(count).map_or(Self::Missing, Self::Integer)
    }

    /// As people read it, control characters escaped so that no text breaks the table.
    fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.chars().map(escaped).collect(),
            Self::Integer(number) => number.to_string(),
            Self::Decimal(number, digits) if number.is_finite() => format!("{number:.digits$}"),
            Self::Decimal(..) | Self::Missing => "-".to_owned(),
        }
    }

    fn csv_field(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Decimal(number, _) if number.is_finite() => number.to_string(),
            Self::Decimal(..) | Self::Missing => String::new(),
        }
    }

    fn json_value(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::Integer(number) => Value::from(*number),
            Self::Decimal(number, _) => Value::from(*number),
            Self::Missing => Value::Null,
        }
    }
}

fn escaped(c: char) -> String {
    if c.is_control() { c.escape_default().to_string() } else { c.to_string() }
}

impl Table {
    /// The table in `format`, ending in a line break.
    ///
    /// # Errors
    /// Only those of the CSV and JSON writers, which no table is known to cause.
    pub fn render(&self, format: Format) -> Result<String> {
        match format {
            Format::Table => Ok(self.to_terminal()),
            Format::Json => self.to_json(),
            Format::Markdown => Ok(self.to_markdown()),
            Format::Csv => self.to_csv(),
            Format::Jsonl => self.to_jsonl(),
        }
    }

    /// A ruled table, its title above.
    pub fn to_terminal(&self) -> String {
        let mut builder = Builder::default();
        builder.push_record(self.columns.iter().map(|column| column.name.as_str()));
        for row in &self.rows {
            builder.push_record(self.cells(row).map(Cell::shown));
        }
        let mut table = builder.build();
        table.with(Style::sharp());
        for (index, column) in self.columns.iter().enumerate() {
            let align = match column.align {
                Align::Left => Alignment::left(),
                Align::Right => Alignment::right(),
            };
            table.modify(Columns::one(index), align);
        }
        format!("{}{table}\n", self.title_line("\n"))
    }

    /// A GitHub-flavoured Markdown table, its title a paragraph above.
    pub fn to_markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let escape = |text: String| text.replace('\\', "\\\\").replace('|', "\\|");
        let rule = |column: &Column| match column.align {
            Align::Left => ":--".to_owned(),
            Align::Right => "--:".to_owned(),
        };
        let mut text = self.title_line("\n\n");
        text += &line(self.columns.iter().map(|column| escape(column.name.clone())).collect());
        text += &line(self.columns.iter().map(rule).collect());
        for row in &self.rows {
            text += &line(self.cells(row).map(|cell| escape(cell.shown())).collect());
        }
        text
    }

    /// Comma-separated values under a line of column names, without the title.
    ///
    /// # Errors
    /// See [`Table::render`].
    pub fn to_csv(&self) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.columns.iter().map(|column| column.name.as_str()))?;
        for row in &self.rows {
            writer.write_record(self.cells(row).map(Cell::csv_field))?;
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
        self.json_rows().iter().map(|row| Ok(serde_json::to_string(row)? + "\n")).collect()
    }

    /// One object a row, keyed by the column names in order.
    pub(super) fn json_rows(&self) -> Vec<Value> {
        let object = |row: &Vec<Cell>| {
            let names = self.columns.iter().map(|column| column.name.clone());
            Value::Object(names.zip(self.cells(row).map(Cell::json_value)).collect::<Map<_, _>>())
        };
        self.rows.iter().map(object).collect()
    }

    /// A row's cells, exactly one a column.
    fn cells<'a>(&self, row: &'a [Cell]) -> impl Iterator<Item = &'a Cell> {
        row.iter().chain(std::iter::repeat(&Cell::Missing)).take(self.columns.len())
    }

    fn title_line(&self, end: &str) -> String {
        if self.title.is_empty() { String::new() } else { format!("{}{end}", self.title) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_table_in_five_forms() {
        let table = Table {
            title: "Two files".to_owned(),
            columns: vec![Column::left("file"), Column::right("questions"), Column::right("EM")],
            rows: vec![
                vec![Cell::text("a|b, \"c\".csv"), Cell::count(4240), Cell::Decimal(100.0 * 2.0 / 3.0, 3)],
                vec![Cell::text("two\nlines\u{1b}[31m 図表"), Cell::Missing, Cell::Decimal(f64::NAN, 3)],
                vec![Cell::text("short")],
            ],
        };
        let forms = [Format::Table, Format::Markdown, Format::Csv, Format::Json, Format::Jsonl];
        let text = forms.map(|format| format!("{format:?}\n{}", table.render(format).unwrap())).join("\n");
        insta::with_settings!({
            snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
            prepend_module_to_snapshot => true,
        }, {
            insta::assert_snapshot!("one_table_in_five_forms", text);
        });
    }
}
