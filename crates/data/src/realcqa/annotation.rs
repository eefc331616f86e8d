//! Reads CHART-Info annotations: the chart type (`task1`), and the gold table: the data series of
//! `task6`, titled by the text blocks of `task2` that `task3` calls `chart_title`.
//!
//! Annotations are 60 to 110 KB each and begin with `task1`. For the chart type only the beginning
//! of a file is read, and the rest only if `task1` is not in it. Whatever follows `task1` is not
//! parsed.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::MissingTable;
use crate::data_series::{self, DataSeries};
use chartbench_core::data_table::DataTable;
use chartbench_core::input::Boundary;
use chartbench_core::parse_field::{self, Label};
use chartbench_core::question::TableSource;
use chartbench_core::read_file;

/// Bytes at the beginning of a file that are read first.
const BEGINNING: u64 = 2048;

/// The chart type in lower case; `None` if the file does not exist or does not contain it.
///
/// # Errors
/// Returns an error if the file cannot be read or is not an annotation; the error names it.
pub(super) fn chart_type(path: &Path, boundary: &Boundary) -> Result<Option<String>> {
    let mut file = match boundary.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let mut bytes = Vec::with_capacity(BEGINNING as usize);
    let cannot_read = || format!("cannot read {}", path.display());
    file.by_ref()
        .take(BEGINNING)
        .read_to_end(&mut bytes)
        .with_context(cannot_read)?;
    let found = match parse_chart_type(&bytes) {
        Ok(found) => found,
        Err(_) => {
            file.read_to_end(&mut bytes).with_context(cannot_read)?;
            parse_chart_type(&bytes).with_context(|| path.display().to_string())?
        }
    };
    Ok(found.as_deref().and_then(parse_field::chart_type))
}

/// Parses up to the end of `task1`, or everything without a `task1`.
fn parse_chart_type(bytes: &[u8]) -> Result<Option<String>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.trim_ascii().is_empty() {
        return Err(anyhow!("the file is empty"));
    }
    let mut found = None;
    let parsed =
        serde_json::Deserializer::from_slice(bytes).deserialize_map(Search { found: &mut found });
    match (found, parsed) {
        // The visitor stops after `task1`, so the parser reports an unfinished map.
        (Some(task1), _) => Ok(task1
            .and_then(|task| task.output)
            .and_then(|output| output.chart_type)),
        (None, Ok(())) => Ok(None),
        (None, Err(error)) => Err(read_file::json_fault(&error, 1)),
    }
}

/// Walks the top-level keys and stops after `task1`.
struct Search<'a> {
    found: &'a mut Option<Option<Task<ChartType>>>,
}

impl<'de> Visitor<'de> for Search<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a CHART-Info annotation (an object with task1)")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key>()? {
            if key.0 {
                *self.found = Some(map.next_value()?);
                return Ok(());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Whether a key is `task1`, without keeping its text.
struct Key(bool);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Ok(Self(text == "task1"))
    }
}

/// An annotation file, read when its table is requested.
pub(super) struct AnnotationTableSource {
    pub(super) path: PathBuf,
    pub(super) boundary: Boundary,
}

/// The parsed fields of the file; every task, and every field in it, may be null.
#[derive(Deserialize)]
struct Annotation {
    task1: Option<Task<ChartType>>,
    task2: Option<Task<Blocks>>,
    task3: Option<Task<Roles>>,
    task6: Option<Task<Data>>,
}

#[derive(Deserialize)]
struct Task<T> {
    output: Option<T>,
}

#[derive(Deserialize)]
struct ChartType {
    chart_type: Option<String>,
}

#[derive(Deserialize)]
struct Blocks {
    text_blocks: Option<Vec<Block>>,
}

#[derive(Deserialize)]
struct Block {
    id: Label,
    text: Option<String>,
}

#[derive(Deserialize)]
struct Roles {
    text_roles: Option<Vec<Role>>,
}

#[derive(Deserialize)]
struct Role {
    id: Label,
    role: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "data series")]
    series: Option<Vec<DataSeries>>,
}

fn output<T>(task: Option<Task<T>>) -> Option<T> {
    task.and_then(|task| task.output)
}

impl TableSource for AnnotationTableSource {
    fn table(&self) -> Result<DataTable> {
        let json = read_file::read_within(&self.path, &self.boundary)?;
        let parsed = serde_json::from_str::<Annotation>(&json)
            .map_err(|error| read_file::json_fault(&error, 1));
        let Annotation {
            task1,
            task2,
            task3,
            task6,
        } = parsed.with_context(|| self.path.display().to_string())?;
        let series = output(task6)
            .and_then(|data| data.series)
            .unwrap_or_default();
        if series.iter().all(|series| series.data.is_empty()) {
            return Err(
                MissingTable(format!("{}: task6 has no data series", self.path.display())).into(),
            );
        }
        let chart_type = output(task1)
            .and_then(|task| task.chart_type)
            .as_deref()
            .and_then(parse_field::chart_type);
        let blocks = output(task2)
            .and_then(|task| task.text_blocks)
            .unwrap_or_default();
        let roles = output(task3)
            .and_then(|task| task.text_roles)
            .unwrap_or_default();
        Ok(data_series::to_table(
            title(&blocks, &roles),
            chart_type.as_deref(),
            &series,
        ))
    }
}

/// The text blocks with the role of chart title, in the order of the roles.
fn title(blocks: &[Block], roles: &[Role]) -> String {
    let titles = roles
        .iter()
        .filter(|role| role.role.as_deref() == Some("chart_title"));
    let text = |role: &Role| {
        blocks
            .iter()
            .find(|block| block.id.0 == role.id.0)
            .and_then(|block| block.text.as_deref())
    };
    let words = titles.filter_map(text).flat_map(str::split_whitespace);
    words.collect::<Vec<_>>().join(" ")
}
