//! Reads JSON and JSONL files.

use std::borrow::Cow;
use std::io::BufRead;

use anyhow::{Context, Result, bail, ensure};
use serde_json::value::RawValue;

use super::columns::{Need, Scope};
use super::json_object::{self, Parent, RecordKeys};
use super::problem::{OneLine, Unit};
use super::source::{BYTE_ORDER_MARK, not_utf8};
use super::table::{AnswerRow, AnswerTable};
use super::{inspect, json_value};
use chartbench_core::question::Prediction;
use chartbench_core::{parse_field, read_file};

/// Reads one object from each line; empty lines are skipped. The text is never in memory as a
/// whole.
///
/// # Errors
/// Returns an error if a line is malformed; the error names line and key.
pub(super) fn lines(mut reader: impl BufRead, scope: Scope<'_>) -> Result<AnswerTable> {
    let mut table = AnswerTable::new(Unit::Line);
    let mut keys = None;
    let (mut buffer, mut number) = (Vec::new(), 0);
    while reader
        .read_until(b'\n', &mut buffer)
        .context("cannot read the file")?
        > 0
    {
        number += 1;
        let line = std::str::from_utf8(&buffer).map_err(|_| not_utf8(number))?;
        let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line).trim();
        if !line.is_empty() {
            add_line(&mut table, &mut keys, number, line, scope)?;
        }
        buffer.clear();
    }
    table.provenance.harness = keys.and_then(|keys| keys.harness(&table));
    table.finish("the file is empty")
}

fn add_line(
    table: &mut AnswerTable,
    keys: &mut Option<RecordKeys>,
    number: usize,
    line: &str,
    scope: Scope<'_>,
) -> Result<()> {
    let keys = match keys {
        Some(keys) => keys,
        None => {
            let line = json_value::without_nan(line);
            serde_json::from_str::<&RawValue>(&line)
                .map_err(|error| read_file::json_fault(&error, number))?;
            keys.insert(RecordKeys::find(&line, scope).with_context(|| format!("line {number}"))?)
        }
    };
    keys.add(table, number, Parent::List, line)
}

/// Reads a list of objects, or an object: predictions (or golds) or records by id, lists of
/// RealCQA's records by chart, inspect's log, or a single record.
///
/// # Errors
/// Returns an error if the JSON or a record is malformed; the error names the line, or record and
/// key.
pub(super) fn whole(json: &str, scope: Scope<'_>) -> Result<AnswerTable> {
    let mut table = AnswerTable::new(Unit::Record);
    if json.trim_start().starts_with('{') {
        let entries =
            json_object::key_values(json).map_err(|error| read_file::json_fault(&error, 1))?;
        if inspect::is_log(&entries) {
            return inspect::log(json, scope);
        }
        let are_objects = |entries: &[(Cow<'_, str>, &RawValue)]| {
            let mut values = entries.iter().map(|(_, value)| value.get());
            !entries.is_empty() && values.all(|value| value.starts_with('{'))
        };
        if are_objects(&entries) {
            records_by_id(&mut table, &entries, scope)?;
        } else if entries.iter().all(|(_, value)| is_list_of_objects(value)) {
            for (chart, list) in entries {
                let part = format!("chart `{}`", OneLine(&chart));
                chart_records(&mut table, part.clone(), &chart, list.get(), scope).context(part)?;
            }
        } else if scope.need == Need::Both
            && let Ok(keys) = RecordKeys::find(json, scope)
        {
            keys.add(&mut table, 1, Parent::List, json)?;
        } else {
            by_id(&mut table, entries, scope)?;
        }
    } else {
        list(&mut table, None, json, scope)?;
    }
    table.finish("no records")
}

/// Adds one chart's list of RealCQA's records; `part` names it in messages.
///
/// # Errors
/// As [`whole`], without the name of the part.
pub(super) fn chart_records(
    table: &mut AnswerTable,
    part: String,
    chart: &str,
    json: &str,
    scope: Scope<'_>,
) -> Result<()> {
    table.parts.push(part);
    list(table, Some(chart), json, scope)
}

fn is_list_of_objects(value: &RawValue) -> bool {
    let inside = value.get().strip_prefix('[').map(str::trim_start);
    inside.is_some_and(|inside| inside.starts_with('{'))
}

fn list(table: &mut AnswerTable, chart: Option<&str>, json: &str, scope: Scope<'_>) -> Result<()> {
    ensure!(
        json.trim_start().starts_with('['),
        "neither a list nor an object of predictions"
    );
    let records: Vec<&RawValue> =
        serde_json::from_str(json).map_err(|error| read_file::json_fault(&error, 1))?;
    let Some(first) = records.first() else {
        return Ok(());
    };
    let keys = RecordKeys::find(first.get(), scope).context("record 1")?;
    ensure!(
        chart.is_none() || keys.have_ids(),
        "record 1: no `qa_id`, which RealCQA's records have"
    );
    let parent = chart.map_or(Parent::List, Parent::Chart);
    for (index, record) in records.iter().enumerate() {
        keys.add(table, index + 1, parent, record.get())?;
    }
    table.provenance.harness = keys.harness(table);
    Ok(())
}

/// Adds the records of an object by their ids, which are its keys.
fn records_by_id(
    table: &mut AnswerTable,
    entries: &[(Cow<'_, str>, &RawValue)],
    scope: Scope<'_>,
) -> Result<()> {
    let Some((id, first)) = entries.first() else {
        return Ok(());
    };
    let keys = RecordKeys::find(first.get(), scope)
        .with_context(|| format!("record 1: `{}`", OneLine(id)))?;
    for (index, (id, record)) in entries.iter().enumerate() {
        keys.add(table, index + 1, Parent::Key(id), record.get())?;
    }
    Ok(())
}

/// The reason why an object of predictions cannot be scored without golds; `first` is its first
/// value.
fn no_golds(first: &RawValue) -> &'static str {
    if first.get().starts_with(['{', '[']) {
        "neither a list of records nor an object of predictions by id: write a list of records, or one record a line"
    } else {
        "an object of predictions by id has no golds: give them by --gold"
    }
}

fn by_id(
    table: &mut AnswerTable,
    entries: Vec<(Cow<'_, str>, &RawValue)>,
    scope: Scope<'_>,
) -> Result<()> {
    for (index, (id, raw)) in entries.into_iter().enumerate() {
        let number = index + 1;
        let record = || format!("record {number}: `{}`", OneLine(&id));
        let mut row = AnswerRow::default();
        match scope.need {
            Need::Both => bail!("{}", no_golds(raw)),
            Need::Predictions => {
                row.prediction = json_value::prediction(raw)
                    .with_context(record)?
                    .map(Prediction);
                row.only_item = json_value::only_item(raw).map(Prediction);
            }
            Need::Golds => row.gold = Some(parse_field::gold(raw).with_context(record)?),
        }
        let failed = scope.need == Need::Predictions && row.prediction.is_none();
        table.push(number, Some(id.into_owned()), row);
        if failed {
            table.last_failed(None);
        }
    }
    Ok(())
}
