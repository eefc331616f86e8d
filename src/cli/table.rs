//! `chartbench table IMAGE`: the data table of a chart, as an adapter reads it.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::Status;
use super::options::AdapterArgs;
use crate::jobs::Task;
use crate::jobs::table::{DEFAULT_ADAPTER, TableReading, TableRequest, agreement, table, to_json};
use crate::report::table::{Cell, Column, Table};
use chartbench_core::data_table::DataTable;
use chartbench_core::terminal;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The chart's image file
    image: PathBuf,
    #[command(flatten)]
    adapter: AdapterArgs,
    /// How to print the table
    #[arg(long, alias = "form", value_enum, default_value_t)]
    format: Form,
    /// The right table (CSV, or as models write tables): also print how much of it was read (with
    /// csv and raw on stderr)
    #[arg(long, value_name = "FILE")]
    gold: Option<PathBuf>,
}

/// `--format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// Aligned columns.
    #[default]
    Text,
    Csv,
    /// A list with one object an adapter.
    Json,
    /// The adapter's own text.
    Raw,
}

/// Prints what each adapter reads; a text that is no table is reported on stderr and printed as it
/// is.
pub(super) fn run(args: &Args) -> Result<Status> {
    args.adapter.on_threads(|| {
        let adapters = args.adapter.select_for(Task::Tables, &[DEFAULT_ADAPTER])?;
        ensure!(
            args.format != Form::Csv || adapters.len() == 1,
            "--format csv prints one table: name one adapter"
        );
        let models = args.adapter.model_options()?;
        let report = table(&TableRequest {
            image: args.image.clone(),
            adapters,
            models,
            gold: args.gold.clone(),
        })?;
        args.adapter.note_embedded(DEFAULT_ADAPTER);
        let readings = report.readings.as_slice();
        let text = if args.format == Form::Json {
            to_json(readings, report.gold.as_ref())?
        } else {
            let texts = readings
                .iter()
                .map(|reading| format_reading(args.format, reading, readings.len() > 1));
            texts.collect::<Result<Vec<_>>>()?.join("\n")
        };
        match args.format {
            Form::Text => terminal::print(&text),
            Form::Csv | Form::Json | Form::Raw => {
                terminal::print_data(&text);
            }
        }
        let mut status = Status::Done;
        for reading in readings {
            if let Err(error) = &reading.table {
                chartbench_core::note!("{}: what it wrote is {error:#}", reading.adapter);
                status = Status::Failures;
            }
        }
        match (&report.gold, args.format) {
            (Some(gold), Form::Text) => terminal::print(&format!(
                "\n{}",
                agreement(readings, gold).to_terminal_within(terminal::width())
            )),
            (Some(gold), Form::Csv | Form::Raw) => {
                terminal::write_note_block(&agreement(readings, gold).to_terminal())
            }
            (Some(_), Form::Json) | (None, _) => {}
        }
        Ok(status)
    })
}

/// The table in one of the forms for a single one, under the adapter's name where there are
/// several.
fn format_reading(form: Form, reading: &TableReading, several: bool) -> Result<String> {
    let raw = || format!("{}\n", reading.raw.0);
    let text = match (&reading.table, form) {
        (Err(_), _) | (_, Form::Raw) => raw(),
        (Ok(table), Form::Csv) => to_table(table).to_csv()?,
        (Ok(table), Form::Text | Form::Json) => {
            to_table(table).to_terminal_within(terminal::width())
        }
    };
    Ok(if several {
        format!("{}:\n{text}", reading.adapter)
    } else {
        text
    })
}

/// With as many columns as the widest row has cells; those of numbers are aligned at the right.
fn to_table(table: &DataTable) -> Table {
    let column = |index: usize| {
        let name = table.header.get(index).map_or("", String::as_str);
        let mut cells = table
            .rows
            .iter()
            .filter_map(|row| row.get(index))
            .filter(|cell| !cell.is_empty());
        let numbers = cells.all(|cell| cell.trim_end_matches('%').parse::<f64>().is_ok());
        if numbers {
            Column::right(name)
        } else {
            Column::left(name)
        }
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

#[cfg(test)]
mod tests {
    use chartbench_core::question::Prediction;

    use super::*;
    use crate::jobs::table::gold;

    fn readings() -> Vec<TableReading> {
        let texts = [
            (
                "good",
                "TITLE | Sales <0x0A> Year | North | South <0x0A> 2019 | 200 | 158 | more <0x0A> 2020 | 5% | ",
            ),
            ("bad", "A bar chart."),
        ];
        let reading = |(adapter, text): (&str, &str)| TableReading {
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
            let shown: Vec<String> = readings
                .iter()
                .map(|reading| format_reading(form, reading, true).unwrap())
                .collect();
            text += &format!("{form:?}\n{}\n", shown.join("\n"));
        }
        text += &format!(
            "{}\n{}",
            to_json(&readings, Some(&gold)).unwrap(),
            agreement(&readings, &gold).to_terminal()
        );
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
            gold(&file).map_or_else(
                |error| format!("{error:#}"),
                |gold| gold.text().into_owned(),
            )
        };
        assert_eq!(read("a,b\n1,2\n"), "TITLE |  <0x0A> a | b <0x0A> 1 | 2");
        assert_eq!(
            read("title | T\na | b\n1 | 2\n"),
            "TITLE | T <0x0A> a | b <0x0A> 1 | 2"
        );
        assert!(read("").ends_with("the table is empty"));
    }
}
