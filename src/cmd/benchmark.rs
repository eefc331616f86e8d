//! Which benchmark is asked, and where its data set is: the flags that commands share which ask questions.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::config::Benchmark;
use chartbench_core::terminal::visible;
use chartbench_data::Format;

/// The benchmark asked where the user names neither a benchmark nor data.
const DEFAULT: &str = "mini";
/// The benchmark asked about data whose benchmark the user does not name.
const OWN_DATA: &str = "custom";

#[derive(Clone, Debug, clap::Args)]
pub struct BenchmarkArgs {
    /// Benchmark: a name (see `chartbench list`) or a TOML file [default: custom with --data, else mini]
    #[arg(long, value_name = "NAME")]
    benchmark: Option<String>,
    /// The data set's folder or file
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Also read images and tables outside the data set's folder: data from a stranger may name private files
    #[arg(long)]
    allow_outside: bool,
}

impl BenchmarkArgs {
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
                if format != Format::Generic {
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

    /// Says which questions are asked, in a line.
    pub fn describe(&self, benchmark: &Benchmark, questions: usize, charts: usize) -> String {
        let whose = match (&self.data, &self.benchmark) {
            (Some(data), _) => format!(" in {}", visible(&data.to_string_lossy())),
            (None, Some(_)) => String::new(),
            (None, None) => ", drawn by this program; --data asks questions of your own".to_owned(),
        };
        format!("{questions} questions on {charts} charts of {}{whose}", benchmark.title)
    }
}
