//! Reads the records of a question file, JSONL or CSV, as [`QuestionRow`]s.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::value::RawValue;

use chartbench_core::parse_field::{self, Label};
use chartbench_core::question::{Gold, QUESTION_TYPE, YEAR, YearFlags};
use chartbench_core::read_file::{self, CsvLines};

const FIELDS: [&str; 12] = [
    "image",
    "question",
    "answer",
    "id",
    "answer_type",
    "chart_type",
    "taxonomy",
    "template",
    "source",
    "split",
    YEAR,
    QUESTION_TYPE,
];

/// A record of either format.
pub(super) struct QuestionRow {
    pub(super) line: usize,
    pub(super) image: String,
    pub(super) question: String,
    pub(super) answer: Gold,
    pub(super) id: Option<String>,
    pub(super) answer_type: Option<String>,
    pub(super) chart_type: Option<String>,
    pub(super) taxonomy: Option<String>,
    pub(super) template: Option<String>,
    pub(super) source: Option<String>,
    pub(super) split: Option<String>,
    pub(super) slices: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonRow<'a> {
    image: String,
    question: String,
    #[serde(borrow)]
    answer: &'a RawValue,
    id: Option<Label>,
    answer_type: Option<String>,
    chart_type: Option<String>,
    taxonomy: Option<Label>,
    template: Option<Label>,
    source: Option<String>,
    split: Option<String>,
    #[serde(borrow, rename = "Year")]
    year: Option<&'a RawValue>,
    #[serde(rename = "Question Type")]
    question_type: Option<String>,
    #[serde(default)]
    slices: BTreeMap<String, Label>,
}

/// Reads one JSON object from each line; empty lines are skipped.
///
/// # Errors
/// Returns an error if a line is malformed; the error names it.
pub(super) fn jsonl(content: &str) -> Result<Vec<QuestionRow>> {
    let lines = content
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, text)| json_row(index + 1, text))
        .collect()
}

fn json_row(line: usize, text: &str) -> Result<QuestionRow> {
    let row: JsonRow<'_> =
        serde_json::from_str(text).map_err(|error| read_file::json_fault(&error, line))?;
    let mut slices: BTreeMap<_, _> = row
        .slices
        .into_iter()
        .map(|(name, value)| (name, value.0))
        .collect();
    let mut answer =
        parse_field::gold(row.answer).with_context(|| format!("line {line}: answer"))?;
    if let Some(year) = row.year {
        let flags = parse_field::gold(year)
            .with_context(|| format!("line {line}: {YEAR}"))?
            .text()
            .into_owned();
        if row.question_type.is_some() && YearFlags::new(&flags, None) != YearFlags::default() {
            answer = answer.last_turn();
        }
        slices.insert(YEAR.to_owned(), flags);
    }
    slices.extend(
        row.question_type
            .map(|question_type| (QUESTION_TYPE.to_owned(), question_type)),
    );
    Ok(QuestionRow {
        line,
        answer,
        image: row.image,
        question: row.question,
        id: row.id.map(|id| id.0),
        answer_type: row.answer_type,
        chart_type: row.chart_type,
        taxonomy: row.taxonomy.map(|id| id.0),
        template: row.template.map(|id| id.0),
        source: row.source,
        split: row.split,
        slices,
    })
}

/// Reads comma-separated fields, quoted where needed, with their names in the first row.
///
/// # Errors
/// Returns an error if the header or a row is malformed; the error names its line.
pub(super) fn csv(content: &str) -> Result<Vec<QuestionRow>> {
    let mut reader = csv::Reader::from_reader(content.as_bytes());
    let header = reader.headers()?.clone();
    let mut columns: HashMap<&str, usize> = HashMap::new();
    for (column, name) in header.iter().enumerate() {
        if !FIELDS.contains(&name) && slice_name(name).is_none() {
            bail!(
                "line 1: unknown field `{name}`; the fields are {}, and `slices.NAME`",
                FIELDS.join(", ")
            );
        }
        if columns.insert(name, column).is_some() {
            bail!("line 1: two columns are called `{name}`");
        }
    }
    if let Some(missing) = FIELDS
        .iter()
        .take(3)
        .find(|name| !columns.contains_key(*name))
    {
        bail!("line 1: no column is called `{missing}`");
    }
    let mut rows = Vec::new();
    let mut lines = CsvLines::new(content);
    for record in reader.records() {
        let record = record.map_err(|error| csv_fault(error, &mut lines))?;
        let cell = |name: &str| {
            columns
                .get(name)
                .and_then(|&column| record.get(column))
                .map(str::to_owned)
        };
        let optional = |name: &str| cell(name).filter(|text| !text.is_empty());
        rows.push(QuestionRow {
            line: record
                .position()
                .map_or(0, |position| lines.line_of(position)),
            image: cell("image").unwrap_or_default(),
            question: cell("question").unwrap_or_default(),
            answer: Gold::Text(cell("answer").unwrap_or_default()),
            id: optional("id"),
            answer_type: optional("answer_type"),
            chart_type: optional("chart_type"),
            taxonomy: optional("taxonomy"),
            template: optional("template"),
            source: optional("source"),
            split: optional("split"),
            slices: columns
                .keys()
                .filter_map(|column| Some((slice_name(column)?.to_owned(), optional(column)?)))
                .collect(),
        });
    }
    Ok(rows)
}

/// NAME of a column `slices.NAME`. ChartQAPro's columns are slices, too.
fn slice_name(column: &str) -> Option<&str> {
    let is_chartqapro = [YEAR, QUESTION_TYPE].contains(&column);
    column
        .strip_prefix("slices.")
        .or(is_chartqapro.then_some(column))
        .filter(|name| !name.is_empty())
}

fn csv_fault(error: csv::Error, lines: &mut CsvLines<'_>) -> anyhow::Error {
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            pos: Some(position),
            expected_len,
            len,
        } => {
            anyhow!(
                "line {}: {len} fields where the first row has {expected_len}",
                lines.line_of(position)
            )
        }
        _ => error.into(),
    }
}
