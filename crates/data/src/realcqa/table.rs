//! The gold table of a chart out of its CHART-Info annotation: the data series of `task6`, titled by the text blocks that
//! `task2` reads and `task3` calls `chart_title`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::NoTable;
use crate::data_series::{self, DataSeries};
use chartbench_core::data_table::DataTable;
use chartbench_core::input::Boundary;
use chartbench_core::parse_field::{self, Label};
use chartbench_core::question::TableSource;
use chartbench_core::read_file;

/// An annotation file, read when the table is asked for.
pub(super) struct Annotated {
    pub(super) path: PathBuf,
    pub(super) boundary: Boundary,
}

/// What is read of the file; every task, and what is in it, may be null.
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

impl TableSource for Annotated {
    fn table(&self) -> Result<DataTable> {
        let json = read_file::read_within(&self.path, &self.boundary)?;
        let parsed = serde_json::from_str::<Annotation>(&json).map_err(|error| read_file::json_fault(&error, 1));
        let Annotation { task1, task2, task3, task6 } = parsed.with_context(|| self.path.display().to_string())?;
        let series = output(task6).and_then(|data| data.series).unwrap_or_default();
        if series.iter().all(|one| one.data.is_empty()) {
            return Err(NoTable(format!("{}: task6 has no data series", self.path.display())).into());
        }
        let chart_type = output(task1).and_then(|task| task.chart_type).as_deref().and_then(parse_field::chart_type);
        let blocks = output(task2).and_then(|task| task.text_blocks).unwrap_or_default();
        let roles = output(task3).and_then(|task| task.text_roles).unwrap_or_default();
        Ok(data_series::table(title(&blocks, &roles), chart_type.as_deref(), &series))
    }
}

/// The texts that are the chart's title, in the order of their roles.
fn title(blocks: &[Block], roles: &[Role]) -> String {
    let titles = roles.iter().filter(|role| role.role.as_deref() == Some("chart_title"));
    let text =
        |role: &Role| blocks.iter().find(|block| block.id.0 == role.id.0).and_then(|block| block.text.as_deref());
    let words = titles.filter_map(text).flat_map(str::split_whitespace);
    words.collect::<Vec<_>>().join(" ")
}
