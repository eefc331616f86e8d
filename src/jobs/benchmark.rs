//! Which benchmark a job asks, and where its data set is: where the user says, in the cache of the
//! hub, or at the hub.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::config::Benchmark;
#[cfg(feature = "models")]
use crate::config::HubSource;
use crate::hub::{DataSetCopy, HubOptions, locate_data_set};
#[cfg(feature = "models")]
use crate::hub::{Unavailable, WeightsUnavailable};
use crate::run::store::BenchmarkEntry;
#[cfg(feature = "models")]
use crate::run::store::DataFolder;
#[cfg(any(feature = "models", feature = "report"))]
use crate::run::store::LimitRule;
use chartbench_core::question::Split;
use chartbench_core::terminal::visible;
use chartbench_data::{Format, Questions, needs_published, official_repository};
#[cfg(any(feature = "models", feature = "report"))]
use chartbench_data::{QuestionSetSpec, QuestionStream};

/// The benchmark asked where the user names neither a benchmark nor data.
const DEFAULT: &str = "mini";
/// The benchmark asked about data whose benchmark the user does not name.
const OWN_DATA: &str = "custom";

/// A data set on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DataLocation {
    /// Its folder or file; `None` for a benchmark that has none, or whose data only the user can
    /// name.
    pub path: Option<PathBuf>,
    /// The hub's copy, where it is one.
    pub copy: Option<DataSetCopy>,
    /// The hub's copy besides, where `path` is a clone of an official repository that lacks files.
    pub published: Option<PathBuf>,
}

/// Locates the files of a benchmark's data set that `splits` need: `data`, which the user names,
/// else the hub's copy in the cache, else a download. `name` is the benchmark's as the user named
/// it.
///
/// # Errors
/// Returns an error if the files are not here and cannot be downloaded, or only a person can get
/// them.
pub(super) fn locate_data(
    name: &str,
    benchmark: &Benchmark,
    data: Option<&Path>,
    splits: &[Split],
    hub: &HubOptions,
) -> Result<DataLocation> {
    if let Some(path) = data {
        let copy = match &benchmark.hub {
            Some(published) if needs_published(&benchmark.data.format, path) => {
                locate_data_set(name, published, splits, hub)?
            }
            _ => None,
        };
        return Ok(DataLocation {
            path: Some(path.to_owned()),
            copy: None,
            published: copy.map(|copy| copy.path),
        });
    }
    if let Some(repository) = official_repository(&benchmark.data.format) {
        bail!(
            "benchmark `{name}` needs --data DIR, a clone of {repository}: the wording of its questions is read from there"
        );
    }
    let Some(published) = &benchmark.hub else {
        return Ok(DataLocation::default());
    };
    let copy = locate_data_set(name, published, splits, hub)?;
    if let (None, Some(obtain)) = (&copy, &published.obtain) {
        bail!("benchmark `{name}` needs --data: {obtain}");
    }
    Ok(DataLocation {
        path: copy.as_ref().map(|copy| copy.path.clone()),
        copy,
        published: None,
    })
}

/// A train split that is not in the cache, and that nobody asked for.
#[cfg(feature = "models")]
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct TrainNotHere(String);

/// A benchmark by name, and the user's copy of its data set.
#[derive(Clone, Debug, Default)]
pub struct BenchmarkSelection {
    /// A name or a TOML file; `custom` with data and `mini` without where it is absent.
    pub benchmark: Option<String>,
    /// The data set's folder or file.
    pub data: Option<PathBuf>,
    /// Whether images and tables outside the data set's folder are read.
    pub allow_outside: bool,
}

impl BenchmarkSelection {
    /// The benchmark named, else the one of the user's own data, else the mini benchmark.
    ///
    /// # Errors
    /// An unknown benchmark; data in the layout of a known data set, whose benchmark must be named.
    pub fn load(&self) -> Result<Benchmark> {
        let name = match (&self.benchmark, &self.data) {
            (Some(name), _) => name,
            (None, None) => DEFAULT,
            (None, Some(data)) => {
                let format = chartbench_data::detect(data).context("--data without --benchmark")?;
                let layout = chartbench_data::format_name(&format).unwrap_or_default();
                if !matches!(format, Format::Generic | Format::Parquet) {
                    bail!(
                        "--data {} has the layout of {layout}: name its benchmark, e.g. --benchmark {layout}",
                        data.display()
                    );
                }
                OWN_DATA
            }
        };
        let mut benchmark = Benchmark::find(name)?;
        benchmark.data.allow_outside = self.allow_outside;
        Ok(benchmark)
    }

    /// Locates the files that `splits` need, as [`locate_data`].
    ///
    /// # Errors
    /// As [`locate_data`].
    pub(super) fn locate(
        &self,
        benchmark: &Benchmark,
        splits: &[Split],
        hub: &HubOptions,
    ) -> Result<DataLocation> {
        locate_data(
            self.name(benchmark),
            benchmark,
            self.data.as_deref(),
            splits,
            hub,
        )
    }

    /// The benchmark's name as it was given.
    fn name<'a>(&'a self, benchmark: &'a Benchmark) -> &'a str {
        self.benchmark.as_deref().unwrap_or(&benchmark.data.name)
    }

    /// Where the train split is, for adapters that learn from it beside a run on `test`. It is
    /// downloaded only with `fetch`.
    ///
    /// # Errors
    /// Returns [`TrainNotHere`] without `fetch`, if the split is not in the cache; else as
    /// [`locate_data`].
    #[cfg(feature = "models")]
    pub(super) fn locate_train(
        &self,
        benchmark: &Benchmark,
        test: &DataLocation,
        hub: &HubOptions,
        fetch: bool,
    ) -> Result<Option<PathBuf>> {
        let is_apart = match benchmark.hub.as_ref().and_then(|hub| hub.source.as_ref()) {
            Some(HubSource::Repo(repo)) => test.copy.is_some() && !repo.train.is_empty(),
            _ => false,
        };
        if !is_apart {
            return Ok(test.path.clone());
        }
        let options = HubOptions {
            offline: hub.offline || !fetch,
            ..hub.clone()
        };
        let found = self.locate(benchmark, &[Split::Train], &options);
        found.map(|found| found.path).map_err(|error| {
            let is_offline = error
                .downcast_ref::<WeightsUnavailable>()
                .is_some_and(|error| error.reason == Unavailable::Offline);
            if fetch || !is_offline {
                return error;
            }
            let name = self.name(benchmark);
            TrainNotHere(format!(
                "majority and question-prior are left out: the train split of {name} is not here (`chartbench data get \
                 {name} --train` fetches it)"
            ))
            .into()
        })
    }

    /// Where the data are, for a run on the benchmark of the name `loaded`; `None` where there are
    /// no files.
    #[cfg(feature = "models")]
    pub(super) fn data_folder(&self, loaded: &str, location: &DataLocation) -> Option<DataFolder> {
        let data = std::path::absolute(location.path.as_deref()?).ok()?;
        let benchmark = match &self.benchmark {
            Some(file)
                if std::path::Path::new(file)
                    .extension()
                    .is_some_and(|end| end == "toml") =>
            {
                std::path::absolute(file).ok()?.to_str()?.to_owned()
            }
            _ => loaded.to_owned(),
        };
        data.to_str()?;
        let copy = location.copy.as_ref();
        Some(DataFolder {
            benchmark,
            data,
            repo: copy.and_then(|copy| copy.repo.clone()),
            commit: copy.and_then(|copy| copy.commit.clone()),
        })
    }

    /// Describes the questions in a line.
    pub fn describe(&self, benchmark: &Benchmark, questions: usize, charts: usize) -> String {
        let whose = match (&self.data, &self.benchmark) {
            (Some(data), _) => format!(" in {}", visible(&data.to_string_lossy())),
            (None, Some(_)) => benchmark
                .hub
                .as_ref()
                .and_then(|hub| hub.describe_source())
                .map(|source| format!(", from {}", visible(&source)))
                .unwrap_or_default(),
            (None, None) => {
                ", drawn by this program and no real charts; RealCQA's: --benchmark realcqa --data RealCQA/".to_owned()
            }
        };
        format!(
            "{questions} questions on {charts} charts of {}{whose}",
            benchmark.title
        )
    }
}

/// The manifest's entry about the benchmark's test questions without a limit: so many charts and
/// questions, with this hash.
pub(super) fn benchmark_entry(
    benchmark: &Benchmark,
    (charts, questions): (usize, usize),
    hash: String,
) -> BenchmarkEntry {
    let (questions_per_chart, seed) = match benchmark.data.questions {
        Questions::All => ("all".to_owned(), 0),
        Questions::PerChart { count, seed } => (count.to_string(), seed),
    };
    BenchmarkEntry {
        name: benchmark.data.name.clone(),
        title: benchmark.title.clone(),
        split: Split::Test.to_string(),
        charts,
        questions,
        questions_per_chart,
        seed,
        limit: 0,
        limit_rule: None,
        hash,
    }
}

/// The questions that a stored run was asked, in the data set at `data`. That they are the same its
/// hash says: the benchmark's pinned one is not compared.
///
/// # Errors
/// Returns an error if the questions cannot be read.
#[cfg(any(feature = "models", feature = "report"))]
pub(super) fn stored_questions(
    mut spec: QuestionSetSpec,
    data: Option<&Path>,
    asked: &BenchmarkEntry,
) -> Result<QuestionStream> {
    spec.hash = None;
    spec.questions = match asked.questions_per_chart.as_str() {
        "all" => Questions::All,
        count => {
            let count = count
                .parse()
                .with_context(|| format!("questions_per_chart `{count}` is no number"))?;
            Questions::PerChart {
                count,
                seed: asked.seed,
            }
        }
    };
    let all = QuestionStream::open(&spec, data, Split::Test)?;
    let limit = (asked.limit > 0).then_some(asked.limit);
    limited(all, limit, asked.limit_rule, asked.seed)
}

/// The questions of `all` within a limit, by its rule: the first ones without a rule.
///
/// # Errors
/// Returns an error if the questions cannot be read.
#[cfg(any(feature = "models", feature = "report"))]
pub(super) fn limited(
    all: QuestionStream,
    limit: Option<usize>,
    rule: Option<LimitRule>,
    seed: u64,
) -> Result<QuestionStream> {
    match (limit, rule) {
        (None, _) => Ok(all),
        (Some(limit), None) => Ok(all.limit(limit)),
        (Some(limit), Some(LimitRule::Even)) => all.draw_evenly(limit, seed),
    }
}
