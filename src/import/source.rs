//! Files, and folders of them, to tables.

use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::columns::Scope;
use super::layout::Layout;
use super::problem::Unit;
use super::table::Table;
use super::{delimited, json, value, xlsx};
use crate::dataset::text;
use crate::input;

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
/// N. A folder of the data set is read in its `qa/`, or its `merged_qa.json`.
fn folder(path: &Path, scope: Scope<'_>) -> Result<Table> {
    let qa = path.join("qa");
    if qa.is_dir() {
        return folder(&qa, scope).context("qa");
    }
    let merged = path.join("merged_qa.json");
    if merged.is_file() {
        return read(&merged, Some(Layout::Json), scope).context("merged_qa.json");
    }
    let mut table = Table::of(Unit::Record);
    let names = text::names(path)?;
    let files: Vec<&String> = names.iter().filter(|name| name.ends_with(".json")).collect();
    if files.is_empty() {
        bail!("no .json file in the directory (a RealCQA prediction folder has one a chart)");
    }
    for name in files {
        chart(&mut table, path, name, scope).with_context(|| name.clone())?;
    }
    table.finish("no records in any file")
}

fn chart(table: &mut Table, folder: &Path, name: &str, scope: Scope<'_>) -> Result<()> {
    let stem = name.strip_suffix(".json").unwrap_or(name);
    let part_of = stem.strip_prefix("__").and_then(|rest| rest.split_once("__"));
    let id = match part_of {
        Some((process, chart)) if process.bytes().all(|byte| byte.is_ascii_digit()) => chart,
        _ => stem,
    };
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
