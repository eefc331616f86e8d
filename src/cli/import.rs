//! `chartbench import`: puts predictions made elsewhere into a run directory.

use std::path::PathBuf;

use anyhow::Result;

use super::Status;
use super::columns::ColumnArgs;
use crate::jobs::BenchmarkSelection;
use crate::jobs::import::{ImportReport, ImportRequest, import};
use crate::report::LeaderboardParts;
use crate::report::table::Format;
use chartbench_core::terminal;
use chartbench_score::import::MatchBy;

/// Puts predictions made elsewhere into a run directory, so that `compare`, `report` and
/// `leaderboard` take them for those of an adapter: samples of lmms-eval, lm-eval and inspect,
/// VLMEvalKit's files, CSV, TSV, JSON, JSON lines, RealCQA's folders.
///
/// A question without a prediction is a failed row; predictions without a question are counted.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// A file of predictions, or a RealCQA prediction folder
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Name of the run, a folder under --results
    #[arg(long = "as", visible_alias = "name", value_name = "NAME")]
    name: String,
    /// Name of the row [default: the model that the file names, else NAME]
    #[arg(long, value_name = "ID")]
    adapter: Option<String>,
    /// Folder the run is written under
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// The benchmark whose test questions were asked [default: custom with --data, else the
    /// questions and gold answers of FILE]
    #[arg(long, value_name = "NAME")]
    benchmark: Option<String>,
    /// Where the benchmark's data set is [default: the hub's copy in the cache, else downloaded]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Never ask a hub for the data set
    #[arg(long)]
    offline: bool,
    /// Also read tables outside the data set's folder
    #[arg(long)]
    allow_outside: bool,
    /// Gold answers of FILE's own questions, kept in another file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["benchmark", "data"])]
    gold: Option<PathBuf>,
    /// How predictions find their questions
    #[arg(long = "match", value_enum, value_name = "HOW", default_value = "auto")]
    match_by: MatchBy,
    #[command(flatten)]
    columns: ColumnArgs,
}

pub(super) fn run(args: &Args) -> Result<Status> {
    let report = import(&ImportRequest {
        file: args.file.clone(),
        name: args.name.clone(),
        adapter: args.adapter.clone(),
        results: args.results.clone(),
        benchmark: BenchmarkSelection {
            benchmark: args.benchmark.clone(),
            data: args.data.clone(),
            allow_outside: args.allow_outside,
        },
        offline: args.offline,
        golds: args.gold.clone(),
        columns: args.columns.names(),
        format: args.columns.file_format,
        match_by: args.match_by,
    })?;
    let file = args.file.display();
    if let Some(columns) = &report.columns {
        chartbench_core::note!("{file}: {columns}");
    }
    for problem in &report.problems {
        chartbench_core::note!("{file}: {problem}");
    }
    let parts = LeaderboardParts {
        explanation: false,
        settings: false,
        slices: Vec::new(),
    };
    let width = terminal::width();
    terminal::print(
        &report
            .leaderboard
            .render_parts(Format::Table, width, &parts)?,
    );
    chartbench_core::note!("{}", conclusion(&report));
    Ok(if report.failed == 0 && report.problems.is_empty() {
        Status::Done
    } else {
        Status::Failures
    })
}

/// How many predictions are where, and how they found their questions.
fn conclusion(report: &ImportReport) -> String {
    let matched = report.matched.map_or_else(String::new, |matched| {
        let by = match matched.by {
            MatchBy::Order => "order",
            MatchBy::Question => "question",
            MatchBy::Ids | MatchBy::Auto => "id",
        };
        let repeated = match matched.repeated {
            0 => String::new(),
            repeated => format!("; {repeated} fit several charts and are matched in order"),
        };
        format!(" (matched by {by}{repeated})")
    });
    format!(
        "{}: {} of {} questions have a prediction{matched}",
        report.dir.join(&report.adapter).display(),
        report.questions - report.failed,
        report.questions
    )
}
