//! Which adapters, benchmarks, conventions, prompts and protocols there are.

use std::path::Path;

use anyhow::Result;

#[cfg(feature = "models")]
use crate::adapter::hub;
use crate::config::{
    AdapterSpec, Benchmark, EvaluationProtocol, Family, GgufSource, PromptSpec, WeightsSource,
};
use crate::hub::{HubOptions, data_set_size};
use crate::report::table::{Cell, Column, Table};
use chartbench_core::names::is_commit_id;
use chartbench_data::{Format, official_repository};
use chartbench_score::metric::{CONVENTIONS, JUDGED_CONVENTIONS, Metric};

fn table(title: &str, columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
    Table {
        title: title.to_owned(),
        columns: columns.iter().copied().map(Column::left).collect(),
        rows: rows
            .map(|row| row.into_iter().map(Cell::Text).collect())
            .collect(),
    }
}

/// The adapters of the program, of the default folders, and of `adapters_dir`, with where their
/// weights come from.
///
/// # Errors
/// Returns an error if an adapter file cannot be read.
pub fn adapters(adapters_dir: Option<&Path>) -> Result<Table> {
    #[cfg(feature = "models")]
    let options = HubOptions::from_env(true);
    #[cfg(feature = "models")]
    let is_cached = |repo: &str, revision: &str| hub::is_cached(repo, revision, &options);
    // A build without models has no cache of them.
    #[cfg(not(feature = "models"))]
    let is_cached = |_: &str, _: &str| false;
    let rows = AdapterSpec::all(adapters_dir)?.into_iter().map(|spec| {
        let weights = match &spec.family {
            Family::Pix2Struct(model) => describe_weights(&model.weights, &is_cached),
            Family::UniChart(model) => describe_weights(&model.weights, &is_cached),
            Family::Chat(chat) => format!("{} at an endpoint", chat.endpoint.model),
            Family::Process(process) => process.command.join(" "),
            Family::Gguf(model) => match &model.source {
                GgufSource::PythonPackage { module, .. } => {
                    format!("Python package {}", module.replace('_', "-"))
                }
                GgufSource::Hub { repo, revision, .. } => describe_repo(repo, revision),
            },
            Family::Onnx(model) => describe_weights(&model.weights, &is_cached),
            Family::Lookup | Family::Oracle | Family::Majority | Family::QuestionPrior => {
                "none".to_owned()
            }
        };
        vec![spec.id, weights, spec.title]
    });
    Ok(table(
        "Adapters",
        &["adapter", "weights", "what it is"],
        rows,
    ))
}

/// Where a checkpoint is, or would come from.
fn describe_weights(weights: &WeightsSource, is_cached: &dyn Fn(&str, &str) -> bool) -> String {
    match weights {
        WeightsSource::Given => "named by --weights".to_owned(),
        WeightsSource::Embedded(_) => "embedded".to_owned(),
        WeightsSource::Folder(path) => path.display().to_string(),
        WeightsSource::Hub { repo, revision } if is_cached(repo, revision) => {
            format!("{} (cached)", describe_repo(repo, revision))
        }
        WeightsSource::Hub { repo, revision } => {
            format!("{} (to download)", describe_repo(repo, revision))
        }
    }
}

/// A repository with the beginning of its commit, or that its revision is none.
fn describe_repo(repo: &str, revision: &str) -> String {
    match revision.get(..8).filter(|_| is_commit_id(revision)) {
        Some(commit) => format!("{repo}@{commit}"),
        None => format!("{repo}, not pinned"),
    }
}

/// The benchmarks of the program, with whether their data sets are here and how large the others
/// are.
///
/// # Errors
/// Returns an error if one of them cannot be read.
pub fn benchmarks() -> Result<Table> {
    let all = Benchmark::embedded_names()
        .map(Benchmark::find)
        .collect::<Result<Vec<_>>>()?;
    let options = HubOptions::from_env(true);
    let rows = all.into_iter().map(|benchmark| {
        let data = describe_data(&benchmark, &options);
        vec![
            benchmark.data.name,
            benchmark.title,
            data,
            benchmark.description,
        ]
    });
    Ok(table(
        "Benchmarks",
        &["benchmark", "title", "data set", "what it is"],
        rows,
    ))
}

/// Where a benchmark's data set is: here, at the hub, or with the user.
fn describe_data(benchmark: &Benchmark, options: &HubOptions) -> String {
    if matches!(benchmark.data.format, Format::Synth { .. }) {
        return "drawn".to_owned();
    }
    let Some(hub) = &benchmark.hub else {
        return "--data".to_owned();
    };
    let Some(source) = &hub.source else {
        return "--data (`data get` says how)".to_owned();
    };
    let size = data_set_size(hub, options);
    let bytes = |bytes: u64| indicatif::DecimalBytes(bytes).to_string();
    let place = match (size.is_here, size.left) {
        (true, _) => format!("here, {}", bytes(size.here)),
        (false, Some(left)) if size.here > 0 => {
            format!("in part, {} to fetch", bytes(left))
        }
        (false, Some(left)) => format!("to fetch, {}", bytes(left)),
        (false, None) => "to fetch".to_owned(),
    };
    let clone =
        official_repository(&benchmark.data.format).map_or("", |_| "a clone by --data; charts ");
    if source.is_pinned() {
        format!("{clone}{place}")
    } else {
        format!("{clone}{place}, not pinned")
    }
}

/// The scoring conventions with their metrics.
pub fn conventions() -> Table {
    let all = CONVENTIONS.iter().chain(JUDGED_CONVENTIONS);
    let rows = all.map(|convention| {
        let metrics = convention
            .metrics
            .iter()
            .copied()
            .map(Metric::name)
            .collect::<Vec<_>>()
            .join(", ");
        vec![
            convention.name.to_owned(),
            metrics,
            convention.about.to_owned(),
        ]
    });
    table(
        "Conventions",
        &["convention", "metrics", "what it is"],
        rows,
    )
}

/// The named prompts.
///
/// # Errors
/// Returns an error if one of them cannot be read.
pub fn prompts() -> Result<Table> {
    let names = PromptSpec::embedded_names().into_iter();
    let all = names.map(PromptSpec::find).collect::<Result<Vec<_>>>()?;
    let rows = all
        .into_iter()
        .map(|prompt| vec![prompt.name, prompt.title, prompt.source]);
    let columns = ["prompt", "what it is", "source"];
    Ok(table("Prompts", &columns, rows))
}

/// The protocols of published harnesses, with the benchmarks that each has.
///
/// # Errors
/// Returns an error if one of them cannot be read.
pub fn protocols() -> Result<Table> {
    let names = EvaluationProtocol::embedded_names().into_iter();
    let all = names
        .map(EvaluationProtocol::find)
        .collect::<Result<Vec<_>>>()?;
    let rows = all.into_iter().map(|protocol| {
        let benchmarks = protocol.benchmark_names().join(", ");
        vec![protocol.name, benchmarks, protocol.title]
    });
    let columns = ["protocol", "benchmarks", "what it is"];
    Ok(table("Protocols", &columns, rows))
}
