//! JSON and JSONL files.

use std::borrow::Cow;

use anyhow::{Context, Result, bail, ensure};
use serde_json::value::RawValue;

use super::columns::{Need, Scope};
use super::problem::{OneLine, Unit};
use super::record::{self, Keys};
use super::table::{Row, Table};
use super::value;
use crate::dataset::{fields, text};
use crate::sample::Prediction;

/// One object a line; empty lines are let be.
///
/// # Errors
/// By line and key.
pub(super) fn lines(json: &str, scope: Scope<'_>) -> Result<Table> {
    let mut table = Table::of(Unit::Line);
    let mut keys = None;
    for (index, line) in json.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = index + 1;
        let keys = match &keys {
            Some(keys) => keys,
            None => {
                serde_json::from_str::<&RawValue>(line).map_err(|error| text::json_fault(&error, number))?;
                let found = Keys::find(line, scope).with_context(|| format!("line {number}"))?;
                keys.insert(found)
            }
        };
        keys.add(&mut table, number, None, line)?;
    }
    table.finish("no records")
}

/// A list of objects; or an object, either of predictions (or golds) by id or of lists of RealCQA's records by chart.
///
/// # Errors
/// By line where it is no JSON, else by record and key.
pub(super) fn whole(json: &str, scope: Scope<'_>) -> Result<Table> {
    let mut table = Table::of(Unit::Record);
    if json.trim_start().starts_with('{') {
        let entries = record::entries(json).map_err(|error| text::json_fault(&error, 1))?;
        if entries.iter().all(|(_, value)| is_list_of_objects(value)) {
            for (chart, list) in entries {
                let part = format!("chart `{}`", OneLine(&chart));
                chart_records(&mut table, part.clone(), &chart, list.get(), scope).context(part)?;
            }
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
    let records: Vec<&RawValue> = serde_json::from_str(json).map_err(|error| text::json_fault(&error, 1))?;
    let Some(first) = records.first() else { return Ok(()) };
    let keys = Keys::find(first.get(), scope).context("record 1")?;
    ensure!(chart.is_none() || keys.have_ids(), "record 1: no `qa_id`, which RealCQA's records have");
    for (index, record) in records.iter().enumerate() {
        keys.add(table, index + 1, chart, record.get())?;
    }
    Ok(())
}

fn by_id(table: &mut Table, entries: Vec<(Cow<'_, str>, &RawValue)>, scope: Scope<'_>) -> Result<()> {
    for (index, (id, raw)) in entries.into_iter().enumerate() {
        let number = index + 1;
        let named = || format!("record {number}: `{}`", OneLine(&id));
        let mut row = Row::default();
        match scope.need {
            Need::Both => bail!("an object of predictions by id has no golds: give them by --golds"),
            Need::Predictions => row.prediction = value::prediction(raw).with_context(named)?.map(Prediction),
            Need::Golds => row.gold = Some(fields::gold(raw).with_context(named)?),
        }
        let failed = scope.need == Need::Predictions && row.prediction.is_none();
        table.push(number, Some(id.into_owned()), row);
        if failed {
            table.last_failed(None);
        }
    }
    Ok(())
}
