//! JSON and JSONL files.

use std::borrow::Cow;
use std::io::BufRead;

use anyhow::{Context, Result, bail, ensure};
use serde_json::value::RawValue;

use super::columns::{Need, Scope};
use super::problem::{OneLine, Unit};
use super::record::{self, Keys};
use super::source::{BYTE_ORDER_MARK, not_utf8};
use super::table::{Row, Table};
use super::value;
use chartbench_core::question::Prediction;
use chartbench_core::{parse_field, read_file};

/// One object a line; empty lines are let be. The text is never in memory as a whole.
///
/// # Errors
/// By line and key.
pub(super) fn lines(mut reader: impl BufRead, scope: Scope<'_>) -> Result<Table> {
    let mut table = Table::of(Unit::Line);
    let mut keys = None;
    let (mut buffer, mut number) = (Vec::new(), 0);
    while reader.read_until(b'\n', &mut buffer).context("cannot read the file")? > 0 {
        number += 1;
        let line = std::str::from_utf8(&buffer).map_err(|_| not_utf8(number))?;
        let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line).trim();
        if !line.is_empty() {
            add_line(&mut table, &mut keys, number, line, scope)?;
        }
        buffer.clear();
    }
    table.finish("the file is empty")
}

fn add_line(table: &mut Table, keys: &mut Option<Keys>, number: usize, line: &str, scope: Scope<'_>) -> Result<()> {
    let keys = match keys {
        Some(keys) => keys,
        None => {
            let line = value::without_nan(line);
            serde_json::from_str::<&RawValue>(&line).map_err(|error| read_file::json_fault(&error, number))?;
            keys.insert(Keys::find(&line, scope).with_context(|| format!("line {number}"))?)
        }
    };
    keys.add(table, number, None, line)
}

/// A list of objects; or an object: of predictions (or golds) by id, of lists of RealCQA's records by chart, or a single
/// record.
///
/// # Errors
/// By line where it is no JSON, else by record and key.
pub(super) fn whole(json: &str, scope: Scope<'_>) -> Result<Table> {
    let mut table = Table::of(Unit::Record);
    if json.trim_start().starts_with('{') {
        let entries = record::entries(json).map_err(|error| read_file::json_fault(&error, 1))?;
        if entries.iter().all(|(_, value)| is_list_of_objects(value)) {
            for (chart, list) in entries {
                let part = format!("chart `{}`", OneLine(&chart));
                chart_records(&mut table, part.clone(), &chart, list.get(), scope).context(part)?;
            }
        } else if scope.need == Need::Both
            && let Ok(keys) = Keys::find(json, scope)
        {
            keys.add(&mut table, 1, None, json)?;
        } else {
            by_id(&mut table, entries, scope)?;
        }
    } else {
        list(&mut table, None, json, scope)?;
    }
    table.finish("no records")
}

/// Adds one chart's list of RealCQA's records; `part` is how messages call its place.
///
/// # Errors
/// As [`whole`]; the part is not named.
pub(super) fn chart_records(table: &mut Table, part: String, chart: &str, json: &str, scope: Scope<'_>) -> Result<()> {
    table.parts.push(part);
    list(table, Some(chart), json, scope)
}

fn is_list_of_objects(value: &RawValue) -> bool {
    let inside = value.get().strip_prefix('[').map(str::trim_start);
    inside.is_some_and(|inside| inside.starts_with('{'))
}

fn list(table: &mut Table, chart: Option<&str>, json: &str, scope: Scope<'_>) -> Result<()> {
    ensure!(json.trim_start().starts_with('['), "neither a list nor an object of predictions");
    let records: Vec<&RawValue> = serde_json::from_str(json).map_err(|error| read_file::json_fault(&error, 1))?;
    let Some(first) = records.first() else { return Ok(()) };
    let keys = Keys::find(first.get(), scope).context("record 1")?;
    ensure!(chart.is_none() || keys.have_ids(), "record 1: no `qa_id`, which RealCQA's records have");
    for (index, record) in records.iter().enumerate() {
        keys.add(table, index + 1, chart, record.get())?;
    }
    Ok(())
}

/// What keeps an object from being scored by itself; `first` is its first value.
fn no_golds(first: &RawValue) -> &'static str {
    if first.get().starts_with(['{', '[']) {
        "neither a list of records nor an object of predictions by id: write a list of records, or one record a line"
    } else {
        "an object of predictions by id has no golds: give them by --gold"
    }
}

fn by_id(table: &mut Table, entries: Vec<(Cow<'_, str>, &RawValue)>, scope: Scope<'_>) -> Result<()> {
    for (index, (id, raw)) in entries.into_iter().enumerate() {
        let number = index + 1;
        let named = || format!("record {number}: `{}`", OneLine(&id));
        let mut row = Row::default();
        match scope.need {
            Need::Both => bail!("{}", no_golds(raw)),
            Need::Predictions => {
                row.prediction = value::prediction(raw).with_context(named)?.map(Prediction);
                row.only_item = value::only_item(raw).map(Prediction);
            }
            Need::Golds => row.gold = Some(parse_field::gold(raw).with_context(named)?),
        }
        let failed = scope.need == Need::Predictions && row.prediction.is_none();
        table.push(number, Some(id.into_owned()), row);
        if failed {
            table.last_failed(None);
        }
    }
    Ok(())
}
