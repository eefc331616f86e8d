//! `chartbench list`: which adapters, benchmarks and metrics there are.

use std::path::PathBuf;

use anyhow::Result;

use super::{Status, print_formatted};
use crate::adapter::hub::{HubOptions, is_cached};
use crate::config::{AdapterSpec, Benchmark, Family, GgufSource, WeightsSource};
use crate::report::table::{Cell, Column, Format, Table};
use chartbench_score::metric::{CONVENTIONS, Metric};

#[derive(clap::Args)]
pub struct Args {
    /// Folder of more adapter files (*.toml)
    #[arg(long, value_name = "DIR")]
    adapters_dir: Option<PathBuf>,
    /// What to list [default: all]
    #[arg(value_enum)]
    what: Option<What>,
    /// The form of the tables
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// One kind of thing there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Adapters,
    Benchmarks,
    Conventions,
}

pub fn run(args: &Args) -> Result<Status> {
    let tables = match args.what {
        Some(What::Adapters) => vec![adapters(args)?],
        Some(What::Benchmarks) => vec![benchmarks()?],
        Some(What::Conventions) => vec![conventions()],
        None => vec![adapters(args)?, benchmarks()?, conventions()],
    };
    let rendered: Vec<String> = tables.iter().map(|table| table.render(args.format)).collect::<Result<_>>()?;
    print_formatted(&rendered.join("\n"), args.format);
    Ok(Status::Done)
}

fn table(title: &str, columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
    Table {
        title: title.to_owned(),
        columns: columns.iter().copied().map(Column::left).collect(),
        rows: rows.map(|row| row.into_iter().map(Cell::Text).collect()).collect(),
    }
}

fn adapters(args: &Args) -> Result<Table> {
    let hub = HubOptions::from_env(true);
    let rows = AdapterSpec::all(args.adapters_dir.as_deref())?.into_iter().map(|spec| {
        let weights = match &spec.family {
            Family::Pix2Struct(model) => told(&model.weights, &hub),
            Family::UniChart(model) => told(&model.weights, &hub),
            Family::Chat(chat) => format!("{} at an endpoint", chat.endpoint.model),
            Family::Process(process) => process.command.join(" "),
            Family::Gguf(model) => match &model.source {
                GgufSource::PythonPackage { module, .. } => format!("Python package {}", module.replace('_', "-")),
                GgufSource::Hub { repo, .. } => repo.clone(),
            },
            Family::Onnx(model) => told(&model.weights, &hub),
            Family::Oracle | Family::Majority | Family::QuestionPrior => "none".to_owned(),
        };
        vec![spec.id, weights, spec.title]
    });
    Ok(table("Adapters", &["adapter", "weights", "what it is"], rows))
}

/// Where a checkpoint is, or would come from.
fn told(weights: &WeightsSource, hub: &HubOptions) -> String {
    match weights {
        WeightsSource::Given => "named by --weights".to_owned(),
        WeightsSource::Embedded(_) => "embedded".to_owned(),
        WeightsSource::Hub { repo, revision } if is_cached(repo, revision, hub) => format!("{repo} (cached)"),
        WeightsSource::Hub { repo, .. } => format!("{repo} (to download)"),
    }
}

fn benchmarks() -> Result<Table> {
    let all = Benchmark::embedded_names().map(Benchmark::find).collect::<Result<Vec<_>>>()?;
    let rows = all.into_iter().map(|benchmark| vec![benchmark.data.name, benchmark.title, benchmark.description]);
    Ok(table("Benchmarks", &["benchmark", "title", "what it is"], rows))
}

fn conventions() -> Table {
    let rows = CONVENTIONS.iter().map(|convention| {
        let metrics = convention.metrics.iter().copied().map(Metric::name).collect::<Vec<_>>().join(", ");
        vec![convention.name.to_owned(), metrics, convention.about.to_owned()]
    });
    table("Conventions", &["convention", "metrics", "what it is"], rows)
}
