//! Which benchmark a job asks, and where its data set is.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::config::Benchmark;
use crate::run::store::BenchmarkEntry;
#[cfg(feature = "models")]
use crate::run::store::DataFolder;
#[cfg(any(feature = "models", feature = "report"))]
use crate::run::store::LimitRule;
use chartbench_core::question::Split;
use chartbench_core::terminal::visible;
#[cfg(any(feature = "models", feature = "report"))]
use chartbench_data::QuestionStream;
use chartbench_data::{Format, Questions};

/// The benchmark asked where the user names neither a benchmark nor data.
const DEFAULT: &str = "mini";
/// The benchmark asked about data whose benchmark the user does not name.
const OWN_DATA: &str = "custom";

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

    /// Where the user's data are, for a run on the benchmark of the name `loaded`; `None` without
    /// data of the user's.
    #[cfg(feature = "models")]
    pub(super) fn data_folder(&self, loaded: &str) -> Option<DataFolder> {
        let data = std::path::absolute(self.data.as_deref()?).ok()?;
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
        Some(DataFolder { benchmark, data })
    }

    /// Describes the questions in a line.
    pub fn describe(&self, benchmark: &Benchmark, questions: usize, charts: usize) -> String {
        let whose = match (&self.data, &self.benchmark) {
            (Some(data), _) => format!(" in {}", visible(&data.to_string_lossy())),
            (None, Some(_)) => String::new(),
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
