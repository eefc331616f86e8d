//! `chartbench list`: which adapters, benchmarks and metrics there are.

use std::path::PathBuf;

use anyhow::Result;

use super::{Status, print};
use crate::adapter::{HubOptions, is_cached};
use crate::config::{AdapterSpec, Benchmark, Family, WeightsSource};
use crate::metric::Convention;
use crate::report::{Align, Cell, Column, Table};

#[derive(clap::Args)]
pub struct Args {
    /// Folder of more adapter files (*.toml)
    #[arg(long, value_name = "DIR")]
    adapters_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<Status> {
    let tables = [adapters(args)?, benchmarks()?, conventions()];
    let rendered = if args.json {
        let parts = tables.iter().map(|table| {
            format!("\"{}\": {}", table.title.as_deref().unwrap_or_default().to_lowercase(), table.to_json().trim_end())
        });
        format!("{{\n{}\n}}\n", parts.collect::<Vec<_>>().join(",\n"))
    } else {
        tables.iter().map(Table::to_terminal).collect::<Vec<_>>().join("\n")
    };
    print(&rendered)?;
    Ok(Status::Done)
}

fn table(title: &str, columns: &[&str], rows: Vec<Vec<String>>) -> Table {
    let columns = columns.iter().map(|&name| Column { name: name.to_owned(), align: Align::Left });
    let rows = rows.into_iter().map(|row| row.into_iter().map(Cell::Text).collect());
    Table { title: Some(title.to_owned()), columns: columns.collect(), rows: rows.collect() }
}

fn adapters(args: &Args) -> Result<Table> {
    let hub = HubOptions::from_env();
    let rows = AdapterSpec::all(args.adapters_dir.as_deref())?.into_iter().map(|spec| {
        let weights = match &spec.family {
            Family::Pix2Struct(model) => match &model.weights {
                WeightsSource::Embedded(_) => "embedded".to_owned(),
                WeightsSource::Hub { repo, revision } if is_cached(repo, revision, &hub) => format!("{repo} (cached)"),
                WeightsSource::Hub { repo, .. } => format!("{repo} (to download)"),
            },
            Family::Majority | Family::QuestionPrior => "none".to_owned(),
        };
        vec![spec.id, weights, spec.title]
    });
    Ok(table("Adapters", &["adapter", "weights", "what it is"], rows.collect()))
}

fn benchmarks() -> Result<Table> {
    let rows = Benchmark::all()?.into_iter().map(|benchmark| {
        vec![benchmark.name.clone(), benchmark.format.name().to_owned(), benchmark.title.clone()]
    });
    Ok(table("Benchmarks", &["benchmark", "format", "what it is"], rows.collect()))
}

fn conventions() -> Table {
    let rows = Convention::ALL.iter().map(|convention| {
        vec![convention.to_string(), "exact match, relaxed accuracy, ANLS".to_owned(), convention.summary().to_owned()]
    });
    table("Conventions", &["convention", "metrics", "what it is"], rows.collect())
}
