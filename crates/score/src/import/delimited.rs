//! Reads CSV and TSV: RFC 4180 quoting, a header line, fields with their white space.

use anyhow::{Context, Result, anyhow, ensure};
use csv::{ReaderBuilder, StringRecord};

use super::columns::{Columns, Scope};
use super::problem::Unit;
use super::table::{AnswerRow, AnswerTable};
use chartbench_core::question::{Prediction, QuestionKind};
use chartbench_core::read_file::CsvLines;

/// Reads the rows of a text whose fields are separated by `delimiter`, or all by semicolons where
/// commas are meant and the header line has none.
///
/// # Errors
/// Returns an error if columns cannot be recognised, a row is ragged, a quoted field does not end,
/// or the text has no rows; the error names the line.
pub(super) fn read(text: &str, delimiter: u8, scope: Scope<'_>) -> Result<AnswerTable> {
    let semicolons = delimiter == b',' && is_separated_by_semicolons(text);
    let delimiter = if semicolons { b';' } else { delimiter };
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let header: Vec<String> = reader
        .headers()
        .context("cannot read the header line")?
        .iter()
        .map(str::to_owned)
        .collect();
    let columns = Columns::find(&header, scope).map_err(|error| match (header.as_slice(), delimiter) {
        ([line], b',') if line.contains('|') => {
            error.context("the header line has no comma: separate the fields by commas, or by tabs in a .tsv file")
        }
        _ => error,
    })?;
    let mut table = AnswerTable::new(Unit::Line);
    let mut read = columns.describe(&header);
    if semicolons {
        read.guessed = true;
        read.separator = Some(';');
    }
    table.columns = Some(read);
    let mut lines = CsvLines::new(text);
    let mut record = StringRecord::new();
    let mut start = 0;
    while reader
        .read_record(&mut record)
        .map_err(|error| fault(&error, &mut lines))?
    {
        let position = record.position().context("a record without position")?;
        start = position.byte() as usize;
        add(&mut table, lines.line_of(position), &record, &columns);
    }
    let last = text.get(start..).unwrap_or_default();
    let line = table.rows.last().map_or(1, |row| row.number);
    ensure!(
        !never_ends(last, delimiter),
        "line {line}: a quoted field begins here and never ends; is the file cut short?"
    );
    table.finish("no rows below the header line")
}

/// Whether the header line is one field to a comma and several to a semicolon.
fn is_separated_by_semicolons(text: &str) -> bool {
    let fields = |delimiter: u8| {
        let mut reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .from_reader(text.as_bytes());
        reader.headers().map_or(0, StringRecord::len)
    };
    fields(b',') == 1 && fields(b';') > 1
}

fn add(table: &mut AnswerTable, line: usize, record: &StringRecord, columns: &Columns) {
    let field = |column: Option<usize>| column.and_then(|index| record.get(index));
    let answer_type = field(columns.answer_type).and_then(|text| table.answer_type(line, text));
    let mut row = AnswerRow {
        prediction: field(columns.prediction).map(|text| Prediction(text.to_owned())),
        question: field(columns.question).map(str::to_owned),
        answer_type,
        chart: field(columns.chart).map(str::to_owned),
        year: field(columns.year).map(str::to_owned),
        question_type: field(columns.question_type).map(str::to_owned),
        kind: field(columns.kind).map(str::to_owned),
        is_clear: field(columns.is_clear).and_then(QuestionKind::parse_is_clear),
        ..AnswerRow::default()
    };
    if let Some(gold) = field(columns.gold) {
        row.set_gold(gold.to_owned());
    }
    table.push(line, field(columns.id).map(str::to_owned), row);
}

/// Whether the last record, or the header without records, ends within quotes: exactly then another
/// quotation mark changes nothing.
fn never_ends(last: &str, delimiter: u8) -> bool {
    let records = |text: &str| {
        let mut reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        reader
            .records()
            .take(2)
            .collect::<csv::Result<Vec<_>>>()
            .ok()
    };
    last.contains('"')
        && records(last).is_some_and(|plain| records(&format!("{last}\"")) == Some(plain))
}

fn fault(error: &csv::Error, lines: &mut CsvLines<'_>) -> anyhow::Error {
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            pos: Some(position),
            expected_len,
            len,
        } => {
            anyhow!(
                "line {}: {len} fields where the header line has {expected_len}",
                lines.line_of(position)
            )
        }
        _ => anyhow!("cannot read the file as CSV: {error}"),
    }
}
