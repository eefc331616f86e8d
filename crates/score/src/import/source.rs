//! Files, and folders of them, to tables.

use std::collections::{BTreeSet, HashSet};
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::columns::{Need, Scope};
use super::layout::Layout;
use super::problem::Unit;
use super::table::Table;
use super::{delimited, json, value, xlsx};
use chartbench_core::input;
use chartbench_core::{read_file, realcqa_split};

pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';
/// How many bytes of a file tell its format.
const HEAD: u64 = 1 << 20;

/// The rows of the file or folder at `path`.
///
/// # Errors
/// What cannot be read as what it seems to be; `path` itself is not named.
pub(super) fn read(path: &Path, layout: Option<Layout>, scope: Scope<'_>) -> Result<Table> {
    if path.is_dir() {
        return folder(path, scope);
    }
    let mut file = input::open_stream(path).context("cannot open the file")?;
    let mut bytes = Vec::new();
    file.by_ref().take(HEAD).read_to_end(&mut bytes).context("cannot read the file")?;
    let layout = layout.unwrap_or_else(|| Layout::of(path, &bytes));
    if layout == Layout::Jsonl {
        return json::lines(bytes.chain(BufReader::new(file)), scope);
    }
    file.read_to_end(&mut bytes).context("cannot read the file")?;
    parse(&bytes, layout, scope)
}

/// The rows of a file with this content.
///
/// # Errors
/// As [`read`].
pub(super) fn parse(bytes: &[u8], layout: Layout, scope: Scope<'_>) -> Result<Table> {
    ensure!(!bytes.is_empty(), "the file is empty");
    match layout {
        Layout::Xlsx => xlsx::read(bytes, scope),
        Layout::Csv => delimited::read(decoded(bytes)?, b',', scope),
        Layout::Tsv => delimited::read(decoded(bytes)?, b'\t', scope),
        Layout::Jsonl => json::lines(bytes, scope),
        Layout::Json => json::whole(&value::without_nan(decoded(bytes)?), scope),
    }
}

/// RealCQA's layout: `CHART.json` is the list of a chart's records, `__N__CHART.json` a part of it, written by process
/// N. A folder of the data set is read in its `qa/`, or its `merged_qa.json`. Golds are those of the test charts, where a
/// list beside them names those.
fn folder(path: &Path, scope: Scope<'_>) -> Result<Table> {
    let qa = path.join("qa");
    if qa.is_dir() {
        return charts(&qa, path, scope).context("qa");
    }
    let merged = path.join("merged_qa.json");
    if merged.is_file() {
        let table = read(&merged, Some(Layout::Json), scope).context("merged_qa.json")?;
        return if scope.need == Need::Golds { retain_test_charts(table, path, &merged) } else { Ok(table) };
    }
    // The questions' own folder may be named, too.
    let is_qa = path.file_name().is_some_and(|name| name == "qa");
    charts(path, path.parent().filter(|_| is_qa).unwrap_or(path), scope)
}

/// The records of each chart's file in `path`; the list of test charts is in `beside`.
fn charts(path: &Path, beside: &Path, scope: Scope<'_>) -> Result<Table> {
    let mut table = Table::of(Unit::Record);
    let names = read_file::list_folder(path)?;
    let mut files: Vec<String> = names.into_iter().filter(|name| name.ends_with(".json")).collect();
    if files.is_empty() {
        bail!("no .json file in the directory (a RealCQA prediction folder has one a chart)");
    }
    if scope.need == Need::Golds {
        let ids: BTreeSet<String> = files.iter().map(|name| chart_id(name).to_owned()).collect();
        let tests: HashSet<String> =
            realcqa_split::test_charts(beside, ids.into_iter().collect(), path)?.into_iter().collect();
        files.retain(|name| tests.contains(chart_id(name)));
    }
    for name in files {
        chart(&mut table, path, &name, scope).with_context(|| name.clone())?;
    }
    table.finish("no records in any file")
}

/// The rows of the test charts that a list in `beside` names; all of them where there is no list.
fn retain_test_charts(mut table: Table, beside: &Path, place: &Path) -> Result<Table> {
    let chart = |id: &str| id.split_once('/').map_or(id, |(chart, _)| chart).to_owned();
    let charts: BTreeSet<String> = table.rows.iter().map(|row| chart(&row.id)).collect();
    let tests: HashSet<String> =
        realcqa_split::test_charts(beside, charts.into_iter().collect(), place)?.into_iter().collect();
    table.rows.retain(|row| tests.contains(&chart(&row.id)));
    Ok(table)
}

/// The chart whose records a file holds, by its name.
fn chart_id(name: &str) -> &str {
    let stem = name.strip_suffix(".json").unwrap_or(name);
    let part_of = stem.strip_prefix("__").and_then(|rest| rest.split_once("__"));
    match part_of {
        Some((process, chart)) if process.bytes().all(|byte| byte.is_ascii_digit()) => chart,
        _ => stem,
    }
}

fn chart(table: &mut Table, folder: &Path, name: &str, scope: Scope<'_>) -> Result<()> {
    let id = chart_id(name);
    let mut bytes = Vec::new();
    input::open(&folder.join(name))
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .context("cannot open the file")?;
    let text = decoded(&bytes)?;
    ensure!(text.trim_start().starts_with('['), "not a JSON list of records, as RealCQA has one a chart");
    json::chart_records(table, name.to_owned(), id, &value::without_nan(text), scope)
}

/// A file's text without its byte order mark.
fn decoded(bytes: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        not_utf8(1 + before.iter().filter(|byte| **byte == b'\n').count())
    })?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    ensure!(!text.trim_start().is_empty(), "the file is empty");
    Ok(text)
}

pub(super) fn not_utf8(line: usize) -> anyhow::Error {
    anyhow!("line {line}: not UTF-8 text (convert the file to UTF-8)")
}
