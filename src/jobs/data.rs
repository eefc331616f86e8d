//! Fetches data sets, and checks them.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use super::benchmark::locate_data;
use crate::config::{Benchmark, HubData, HubSource};
use crate::hub::{DataSetCopy, HubOptions, locate_data_set};
use chartbench_data::lint::{DataSet, LintReport};
use chartbench_data::{Format, Split};

/// Which data set to fetch.
#[derive(Clone, Debug)]
pub struct GetRequest {
    /// A benchmark: a name, or the path of a TOML file.
    pub benchmark: String,
    /// Whether the train split's files are fetched, too.
    pub train: bool,
    /// The hub and its cache.
    pub hub: HubOptions,
}

/// A data set that is here.
#[derive(Clone, Debug)]
pub struct GetReport {
    /// The benchmark's name.
    pub benchmark: String,
    /// Where its data are, and which they are.
    pub copy: DataSetCopy,
    /// Where they are published.
    pub hub: HubData,
    /// The terms of the data set.
    pub license: Option<String>,
    /// Whether there are files of a train split that were not asked for.
    pub has_more: bool,
}

/// Fetches a benchmark's data set into the hub's cache, unless it is there.
///
/// # Errors
/// Returns an error if the benchmark is unknown, nothing of it can be fetched (with how it can be
/// had), or as [`locate_data_set`].
pub fn get(request: &GetRequest) -> Result<GetReport> {
    let benchmark = Benchmark::find(&request.benchmark)?;
    let name = benchmark.data.name;
    ensure!(
        !matches!(benchmark.data.format, Format::Synth { .. }),
        "benchmark `{name}` draws its own charts: there is nothing to fetch"
    );
    let Some(hub) = benchmark.hub else {
        bail!(
            "benchmark `{name}` does not say where its data set is published: name your copy with --data{}",
            benchmark
                .source
                .map(|source| format!(" ({source})"))
                .unwrap_or_default()
        );
    };
    let splits: &[Split] = if request.train {
        &[Split::Test, Split::Train]
    } else {
        &[Split::Test]
    };
    let copy =
        locate_data_set(&request.benchmark, &hub, splits, &request.hub)?.with_context(|| {
            let obtain = hub.obtain.as_deref().unwrap_or_default();
            format!("the data set of benchmark `{name}` cannot be fetched by its name: {obtain}")
        })?;
    let has_train = match &hub.source {
        Some(HubSource::Repo(repo)) => !repo.train.is_empty(),
        _ => false,
    };
    Ok(GetReport {
        benchmark: name,
        copy,
        license: benchmark.license,
        has_more: has_train && !request.train,
        hub,
    })
}

/// Which data set to check.
#[derive(Clone, Debug)]
pub struct CheckRequest {
    /// A folder in a known layout, a question file, or a benchmark's name; may be absent with
    /// `benchmark`.
    pub path: Option<PathBuf>,
    /// The benchmark whose data set it is: a name, or the path of a TOML file.
    pub benchmark: Option<String>,
    /// Its layout; told by its files where it and the benchmark are absent.
    pub format: Option<Format>,
    /// Whether images and tables outside the data set's folder are read.
    pub allow_outside: bool,
    /// Whether images are looked at.
    pub images: bool,
    /// Never asks a hub for the data set.
    pub offline: bool,
}

/// Checks a data set. `start` gets the number of charts, then `progress` is called once a chart
/// whose image was looked at.
///
/// # Errors
/// Returns an error if the data set cannot be had or loaded.
pub fn check(
    request: &CheckRequest,
    start: &dyn Fn(usize),
    progress: &(dyn Fn() + Sync),
) -> Result<LintReport> {
    let data = request.load()?;
    start(data.charts());
    Ok(data.check(request.images.then_some(progress)))
}

impl CheckRequest {
    fn load(&self) -> Result<DataSet> {
        let (benchmark, path) = match (&self.benchmark, &self.path) {
            (Some(benchmark), path) => (benchmark.as_str(), path.as_deref()),
            (None, Some(path)) => match path.to_str().filter(|name| is_benchmark(name)) {
                Some(name) => (name, None),
                None => return DataSet::load(path, self.format.clone(), self.allow_outside),
            },
            (None, None) => bail!("name a data set: a path, or a benchmark"),
        };
        let name = benchmark;
        let benchmark = Benchmark::find(name)?;
        if matches!(benchmark.data.format, Format::Synth { .. }) {
            ensure!(
                path.is_none() && self.format.is_none(),
                "benchmark `{name}` draws its own charts: leave out the path and --dataset-format"
            );
            let others = Benchmark::embedded_names()
                .map(|other| Ok(Benchmark::find(other)?.data))
                .collect::<Result<Vec<_>>>()?;
            return DataSet::draw(benchmark.data, &others);
        }
        let hub = HubOptions::from_env(self.offline);
        let found = locate_data(name, &benchmark, path, &[Split::Test], &hub)?;
        let path = found.path.with_context(|| {
            format!("the data set of benchmark `{name}` is not published by name: name your copy, `chartbench data check DIR`")
        })?;
        let mut spec = benchmark.data;
        spec.allow_outside = self.allow_outside;
        spec.published = found.published;
        if let Some(format) = &self.format {
            spec.format = format.clone();
        }
        DataSet::load_as(&path, spec)
    }
}

/// Whether this is a benchmark and no data set: a file of one, or a name that no file has.
fn is_benchmark(name: &str) -> bool {
    let path = std::path::Path::new(name);
    let is_file = path.extension().is_some_and(|end| end == "toml");
    is_file || (!path.exists() && Benchmark::embedded_names().any(|known| known == name))
}
