//! Reads files and folders of any format as tables.

use std::collections::{BTreeSet, HashSet};
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::columns::{Need, Scope};
use super::file_format::FileFormat;
use super::problem::Unit;
use super::table::AnswerTable;
use super::{delimited, inspect, json, json_value, xlsx};
use chartbench_core::input;
use chartbench_core::{read_file, realcqa_split};

pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';
/// Bytes at the beginning of a file by which its format is detected.
const HEAD: u64 = 1 << 20;

/// Reads the rows of the file or folder at `path`.
///
/// # Errors
/// Returns an error if the file cannot be read in its format; the error does not name `path`.
pub(super) fn read(
    path: &Path,
    format: Option<FileFormat>,
    scope: Scope<'_>,
) -> Result<AnswerTable> {
    if path.is_dir() {
        return folder(path, scope);
    }
    let mut file = input::open_stream(path).context("cannot open the file")?;
    let mut bytes = Vec::new();
    file.by_ref()
        .take(HEAD)
        .read_to_end(&mut bytes)
        .context("cannot read the file")?;
    let format = format.unwrap_or_else(|| FileFormat::detect(path, &bytes));
    if format == FileFormat::Jsonl {
        return json::lines(bytes.chain(BufReader::new(file)), scope);
    }
    file.read_to_end(&mut bytes)
        .context("cannot read the file")?;
    parse(&bytes, format, scope)
}

/// Reads the rows of a file with this content.
///
/// # Errors
/// As [`read`].
pub(super) fn parse(bytes: &[u8], format: FileFormat, scope: Scope<'_>) -> Result<AnswerTable> {
    ensure!(!bytes.is_empty(), "the file is empty");
    let mut table = match format {
        FileFormat::Xlsx => xlsx::read(bytes, scope),
        FileFormat::Csv => delimited::read(decoded(bytes)?, b',', scope),
        FileFormat::Tsv => delimited::read(decoded(bytes)?, b'\t', scope),
        FileFormat::Jsonl => json::lines(bytes, scope),
        FileFormat::Json => json::whole(&json_value::without_nan(decoded(bytes)?), scope),
        FileFormat::Eval => inspect::archive(bytes, scope),
    }?;
    if matches!(format, FileFormat::Xlsx | FileFormat::Tsv)
        && let Some(columns) = &table.columns
        && columns.are_vlmevalkits()
    {
        table.provenance.harness = Some("VLMEvalKit".to_owned());
    }
    Ok(table)
}

/// RealCQA's layout: `CHART.json` is the list of a chart's records, `__N__CHART.json` a part of it,
/// written by process N. A folder of the data set is read in its `qa/`, or its `merged_qa.json`. If
/// a list of test charts lies beside the golds, only the golds of those charts are read.
fn folder(path: &Path, scope: Scope<'_>) -> Result<AnswerTable> {
    let qa = path.join("qa");
    if qa.is_dir() {
        return charts(&qa, path, scope).context("qa");
    }
    let merged = path.join("merged_qa.json");
    if merged.is_file() {
        let table = read(&merged, Some(FileFormat::Json), scope).context("merged_qa.json")?;
        return if scope.need == Need::Golds {
            retain_test_charts(table, path, &merged)
        } else {
            Ok(table)
        };
    }
    // The path may also be that of the `qa` folder itself.
    let is_qa = path.file_name().is_some_and(|name| name == "qa");
    charts(path, path.parent().filter(|_| is_qa).unwrap_or(path), scope)
}

/// The records of each chart's file in `path`; the list of test charts is in `beside`.
fn charts(path: &Path, beside: &Path, scope: Scope<'_>) -> Result<AnswerTable> {
    let mut table = AnswerTable::new(Unit::Record);
    let names = read_file::list_folder(path)?;
    let mut files: Vec<String> = names
        .into_iter()
        .filter(|name| name.ends_with(".json"))
        .collect();
    if files.is_empty() {
        bail!("no .json file in the directory (a RealCQA prediction folder has one a chart)");
    }
    if scope.need == Need::Golds {
        let ids: BTreeSet<String> = files.iter().map(|name| chart_id(name).to_owned()).collect();
        let tests: HashSet<String> =
            realcqa_split::test_charts(beside, ids.into_iter().collect(), path)?
                .into_iter()
                .collect();
        files.retain(|name| tests.contains(chart_id(name)));
    }
    for name in files {
        chart(&mut table, path, &name, scope).with_context(|| name.clone())?;
    }
    table.finish("no records in any file")
}

/// Keeps the rows of the test charts that a list in `beside` names; without a list all rows.
fn retain_test_charts(
    mut table: AnswerTable,
    beside: &Path,
    questions: &Path,
) -> Result<AnswerTable> {
    let chart = |id: &str| id.split_once('/').map_or(id, |(chart, _)| chart).to_owned();
    let charts: BTreeSet<String> = table.rows.iter().map(|row| chart(&row.id)).collect();
    let tests: HashSet<String> =
        realcqa_split::test_charts(beside, charts.into_iter().collect(), questions)?
            .into_iter()
            .collect();
    table.rows.retain(|row| tests.contains(&chart(&row.id)));
    Ok(table)
}

/// The chart whose records a file holds, by its name.
fn chart_id(name: &str) -> &str {
    let stem = name.strip_suffix(".json").unwrap_or(name);
    let part_of = stem
        .strip_prefix("__")
        .and_then(|rest| rest.split_once("__"));
    match part_of {
        Some((process, chart)) if process.bytes().all(|byte| byte.is_ascii_digit()) => chart,
        _ => stem,
    }
}

fn chart(table: &mut AnswerTable, folder: &Path, name: &str, scope: Scope<'_>) -> Result<()> {
    let id = chart_id(name);
    let mut bytes = Vec::new();
    input::open(&folder.join(name))
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .context("cannot open the file")?;
    let text = decoded(&bytes)?;
    ensure!(
        text.trim_start().starts_with('['),
        "not a JSON list of records, as RealCQA has one a chart"
    );
    json::chart_records(
        table,
        name.to_owned(),
        id,
        &json_value::without_nan(text),
        scope,
    )
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
