//! `chartbench table IMAGE`: the data table of a chart, as an adapter reads it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::options::AdapterArgs;
use super::{Status, ask};
use crate::report::table::{Cell, Column, Table};
use chartbench_core::data_table::DataTable;
use chartbench_core::input;
use chartbench_core::question::{AnswerType, Gold, Prediction};
use chartbench_core::terminal;
use chartbench_data::TABLE_QUESTION;
use chartbench_score::metric::{CONVENTIONS, Convention, Metric, Pair, Score};

#[derive(clap::Args)]
pub struct Args {
    /// The chart's image file
    image: PathBuf,
    #[command(flatten)]
    adapter: AdapterArgs,
    /// How to print the table
    #[arg(long, value_enum, default_value_t)]
    form: Form,
    /// The right table (CSV, or as models write tables): also print how much of it was read (with csv and raw on stderr)
    #[arg(long, value_name = "FILE")]
    gold: Option<PathBuf>,
}

/// `--form`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// Aligned columns.
    #[default]
    Text,
    Csv,
    /// A list with one object an adapter.
    Json,
    /// What the adapter wrote.
    Raw,
}

/// What one adapter wrote.
struct Reading {
    adapter: String,
    raw: Prediction,
    table: Result<DataTable>,
}

pub fn run(args: &Args) -> Result<Status> {
    args.adapter.on_threads(|_| read(args))
}

/// Prints what each adapter reads; a text that is no table is told on stderr and printed as it is.
fn read(args: &Args) -> Result<Status> {
    let requested = args.adapter.requested(&["deplot"])?;
    ensure!(args.form != Form::Csv || requested.len() == 1, "--form csv prints one table: name one adapter");
    let gold = args.gold.as_deref().map(gold).transpose()?;
    let work = [ask::work(&args.image, TABLE_QUESTION, Some(AnswerType::Table))?];
    let mut readings = Vec::new();
    for one in &requested {
        let raw = ask::answer(one, &args.adapter, &work)?.prediction;
        let table = DataTable::parse(&raw.0);
        readings.push(Reading { adapter: one.name.clone(), raw, table });
    }
    let text = if args.form == Form::Json {
        json_text(&readings, gold.as_ref())?
    } else {
        let texts = readings.iter().map(|reading| shown(args.form, reading, requested.len() > 1));
        texts.collect::<Result<Vec<_>>>()?.join("\n")
    };
    match args.form {
        Form::Text => terminal::print(&text),
        Form::Csv | Form::Json | Form::Raw => {
            terminal::print_data(&text);
        }
    }
    let unread: Vec<_> = readings.iter().filter_map(|one| Some((&one.adapter, one.table.as_ref().err()?))).collect();
    unread.iter().for_each(|(adapter, error)| chartbench_core::note!("{adapter}: what it wrote is {error:#}"));
    match (&gold, args.form) {
        (Some(gold), Form::Text) => terminal::print(&format!("\n{}", agreement(&readings, gold).to_terminal())),
        (Some(gold), Form::Csv | Form::Raw) => terminal::write_note_block(&agreement(&readings, gold).to_terminal()),
        (Some(_), Form::Json) | (None, _) => {}
    }
    Ok(if unread.is_empty() { Status::Done } else { Status::Failures })
}

/// The right table as the gold answer of a table question.
fn gold(path: &Path) -> Result<Gold> {
    let text = input::read_stream(path).with_context(|| format!("cannot read {}", path.display()))?;
    let table = if DataTable::is_written_in(&text) { DataTable::parse(&text) } else { DataTable::from_csv(&text) };
    Ok(Gold::Text(table.with_context(|| path.display().to_string())?.linearized()))
}

/// The table in one of the forms for a single one, under the adapter's name where there are several.
fn shown(form: Form, reading: &Reading, several: bool) -> Result<String> {
    let raw = || format!("{}\n", reading.raw.0);
    let text = match (&reading.table, form) {
        (Err(_), _) | (_, Form::Raw) => raw(),
        (Ok(table), Form::Csv) => printed(table).to_csv()?,
        (Ok(table), Form::Text | Form::Json) => printed(table).to_terminal(),
    };
    Ok(if several { format!("{}:\n{text}", reading.adapter) } else { text })
}

/// With as many columns as the widest row has cells; those of numbers are aligned at the right.
fn printed(table: &DataTable) -> Table {
    let column = |place: usize| {
        let name = table.header.get(place).map_or("", String::as_str);
        let mut cells = table.rows.iter().filter_map(|row| row.get(place)).filter(|cell| !cell.is_empty());
        let numbers = cells.all(|cell| cell.trim_end_matches('%').parse::<f64>().is_ok());
        if numbers { Column::right(name) } else { Column::left(name) }
    };
    let cells = |row: &Vec<String>| {
        let texts = row.iter().map(String::as_str).chain(std::iter::repeat(""));
        texts.take(table.width()).map(Cell::text).collect()
    };
    Table {
        title: table.title.clone(),
        columns: (0..table.width()).map(column).collect(),
        rows: table.rows.iter().map(cells).collect(),
    }
}

/// The conventions for tables.
fn conventions() -> impl Iterator<Item = &'static Convention> {
    CONVENTIONS.iter().filter(|convention| convention.tables_only)
}

fn scores(reading: &Reading, gold: &Gold, convention: &Convention) -> impl Iterator<Item = (Metric, Score)> {
    let pair = Pair { answer_type: Some(AnswerType::Table), ..Pair::new(gold, &reading.raw) };
    convention.score(&pair).iter().collect::<Vec<_>>().into_iter()
}

/// A row an adapter and convention.
fn agreement(readings: &[Reading], gold: &Gold) -> Table {
    let metrics = conventions().next().map_or(&[][..], |convention| convention.metrics);
    let names = metrics.iter().map(|metric| Column::right(metric.name()));
    let percent =
        |(_, score): (Metric, Score)| score.counted().map_or(Cell::Missing, |value| Cell::Decimal(100.0 * value, 2));
    let row = |(reading, convention): (&Reading, &Convention)| {
        let own = [Cell::text(&reading.adapter), Cell::text(convention.name)];
        own.into_iter().chain(scores(reading, gold, convention).map(percent)).collect()
    };
    Table {
        title: "Agreement with the gold table in %".to_owned(),
        columns: ["adapter", "convention"].map(Column::left).into_iter().chain(names).collect(),
        rows: readings.iter().flat_map(|one| conventions().map(move |convention| (one, convention))).map(row).collect(),
    }
}

/// A list with one object an adapter: `adapter`, `raw`, `table` (null where the text is none), and with a gold table
/// `scores` by convention and metric, from 0 to 1.
fn json_text(readings: &[Reading], gold: Option<&Gold>) -> Result<String> {
    let object = |reading: &Reading| {
        let mut object = json!({"adapter": reading.adapter, "raw": reading.raw, "table": reading.table.as_ref().ok()});
        if let Some(gold) = gold {
            let by_metric = |convention: &Convention| -> Map<String, Value> {
                let values = scores(reading, gold, convention);
                values.map(|(metric, score)| (metric.key().to_owned(), json!(score.counted()))).collect()
            };
            let by_convention: Map<String, Value> =
                conventions().map(|convention| (convention.name.to_owned(), by_metric(convention).into())).collect();
            object["scores"] = by_convention.into();
        }
        object
    };
    Ok(serde_json::to_string_pretty(&readings.iter().map(object).collect::<Vec<_>>())? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings() -> Vec<Reading> {
        let texts = [
            ("good", "TITLE | Sales <0x0A> Year | North | South <0x0A> 2019 | 200 | 158 | more <0x0A> 2020 | 5% | "),
            ("bad", "A bar chart."),
        ];
        let reading = |(adapter, text): (&str, &str)| Reading {
            adapter: adapter.to_owned(),
            raw: Prediction(text.to_owned()),
            table: DataTable::parse(text),
        };
        texts.map(reading).into()
    }

    #[test]
    fn tables_in_every_form() {
        let (readings, folder) = (readings(), tempfile::tempdir().unwrap());
        let file = folder.path().join("gold.csv");
        std::fs::write(&file, "Year,North,South\n2019,200,158\n2020,0.05,160\n").unwrap();
        let gold = gold(&file).unwrap();
        let mut text = String::new();
        for form in [Form::Text, Form::Csv, Form::Raw] {
            let shown: Vec<String> = readings.iter().map(|reading| shown(form, reading, true).unwrap()).collect();
            text += &format!("{form:?}\n{}\n", shown.join("\n"));
        }
        text +=
            &format!("{}\n{}", json_text(&readings, Some(&gold)).unwrap(), agreement(&readings, &gold).to_terminal());
        insta::with_settings!({
            snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
            prepend_module_to_snapshot => true,
        }, {
            insta::assert_snapshot!("tables_in_every_form", text);
        });
    }

    #[test]
    fn gold_tables_are_csv_or_written_as_models_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gold");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            gold(&file).map_or_else(|error| format!("{error:#}"), |gold| gold.text().into_owned())
        };
        assert_eq!(read("a,b\n1,2\n"), "TITLE |  <0x0A> a | b <0x0A> 1 | 2");
        assert_eq!(read("title | T\na | b\n1 | 2\n"), "TITLE | T <0x0A> a | b <0x0A> 1 | 2");
        assert!(read("").ends_with("the table is empty"));
    }
}
