//! Reads the data table off one image.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::{ModelOptions, SelectedAdapter, ask};
use crate::report::table::{Cell, Column, Table};
use chartbench_core::data_table::DataTable;
use chartbench_core::input;
use chartbench_core::question::{AnswerType, Gold, Prediction};
use chartbench_data::TABLE_QUESTION;
use chartbench_score::metric::{CONVENTIONS, Convention, Metric, Pair, Score};

/// The embedded model that was taught to write tables: what reads where no adapter is named.
pub const DEFAULT_ADAPTER: &str = "deplot-tiny";

/// Which adapters read which image.
#[derive(Clone, Debug)]
pub struct TableRequest {
    /// The chart's image file, or a pipe.
    pub image: PathBuf,
    /// The adapters that read the image, one after the other.
    pub adapters: Vec<SelectedAdapter>,
    /// Hub and device of the adapters' models.
    pub models: ModelOptions,
    /// The right table, as CSV or as models write tables.
    pub gold: Option<PathBuf>,
}

/// The text that one adapter wrote.
#[derive(Debug)]
pub struct TableReading {
    /// The row's name, e.g. `deplot`.
    pub adapter: String,
    /// The adapter's answer as decoded.
    pub raw: Prediction,
    /// The table that the text writes down.
    pub table: Result<DataTable>,
}

/// The tables that the adapters wrote.
#[derive(Debug)]
pub struct TableReport {
    /// One reading an adapter, in the order of the request.
    pub readings: Vec<TableReading>,
    /// The right table in DePlot's linearized form; `None` if the request has none.
    pub gold: Option<Gold>,
}

/// Reads the table with each adapter.
///
/// # Errors
/// Returns an error if the image or the gold table cannot be read, or an adapter cannot be made or
/// does not answer.
pub fn table(request: &TableRequest) -> Result<TableReport> {
    let gold = request.gold.as_deref().map(gold).transpose()?;
    let charts = [ask::question_about(
        &request.image,
        TABLE_QUESTION,
        Some(AnswerType::Table),
    )?];
    let mut readings = Vec::new();
    for adapter in &request.adapters {
        let raw = ask::answer(adapter, &request.models, &charts)?.prediction;
        let table = DataTable::parse(&raw.0);
        readings.push(TableReading {
            adapter: adapter.name.clone(),
            raw,
            table,
        });
    }
    Ok(TableReport { readings, gold })
}

/// The right table as the gold answer of a table question.
pub(crate) fn gold(path: &Path) -> Result<Gold> {
    let text =
        input::read_stream(path).with_context(|| format!("cannot read {}", path.display()))?;
    let table = if DataTable::is_written_in(&text) {
        DataTable::parse(&text)
    } else {
        DataTable::from_csv(&text)
    };
    Ok(Gold::Text(
        table
            .with_context(|| path.display().to_string())?
            .linearized(),
    ))
}

/// The conventions for tables.
fn conventions() -> impl Iterator<Item = &'static Convention> {
    CONVENTIONS
        .iter()
        .filter(|convention| convention.tables_only)
}

fn scores(
    reading: &TableReading,
    gold: &Gold,
    convention: &Convention,
) -> impl Iterator<Item = (Metric, Score)> {
    let pair = Pair {
        answer_type: Some(AnswerType::Table),
        ..Pair::new(gold, &reading.raw)
    };
    convention
        .score(&pair)
        .iter()
        .collect::<Vec<_>>()
        .into_iter()
}

/// A row an adapter and convention.
pub fn agreement(readings: &[TableReading], gold: &Gold) -> Table {
    let metrics = conventions()
        .next()
        .map_or(&[][..], |convention| convention.metrics);
    let names = metrics.iter().map(|metric| Column::right(metric.name()));
    let percent = |(_, score): (Metric, Score)| {
        score
            .counted()
            .map_or(Cell::Missing, |value| Cell::Decimal(100.0 * value, 2))
    };
    let row = |(reading, convention): (&TableReading, &Convention)| {
        let own = [Cell::text(&reading.adapter), Cell::text(convention.name)];
        own.into_iter()
            .chain(scores(reading, gold, convention).map(percent))
            .collect()
    };
    Table {
        title: "Agreement with the gold table in %".to_owned(),
        columns: ["adapter", "convention"]
            .map(Column::left)
            .into_iter()
            .chain(names)
            .collect(),
        rows: readings
            .iter()
            .flat_map(|reading| conventions().map(move |convention| (reading, convention)))
            .map(row)
            .collect(),
    }
}

/// A list with one object an adapter: `adapter`, `raw`, `table` (null where the text is none), and
/// with a gold table `scores` by convention and metric, from 0 to 1.
pub fn to_json(readings: &[TableReading], gold: Option<&Gold>) -> Result<String> {
    let object = |reading: &TableReading| {
        let mut object = json!({"adapter": reading.adapter, "raw": reading.raw, "table": reading.table.as_ref().ok()});
        if let Some(gold) = gold {
            let by_metric = |convention: &Convention| -> Map<String, Value> {
                let values = scores(reading, gold, convention);
                values
                    .map(|(metric, score)| (metric.key().to_owned(), json!(score.counted())))
                    .collect()
            };
            let by_convention: Map<String, Value> = conventions()
                .map(|convention| (convention.name.to_owned(), by_metric(convention).into()))
                .collect();
            object["scores"] = by_convention.into();
        }
        object
    };
    Ok(serde_json::to_string_pretty(&readings.iter().map(object).collect::<Vec<_>>())? + "\n")
}
