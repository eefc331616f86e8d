//! `chartbench leaderboard`: one table over many runs.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::{Status, convention, print_formatted, read_document};
use crate::config::Benchmark;
use crate::record::{PredictionRecord, RunReader};
use crate::report::table::Format;
use crate::report::{Dimension, Leaderboard, Options, check_known, splice};
use chartbench_core::files::write_file;
use chartbench_score::metric::{Convention, Metric};

/// What `--write` writes: `leaderboard.` and the ending.
const FILES: [(&str, Format); 4] =
    [("md", Format::Markdown), ("csv", Format::Csv), ("json", Format::Json), ("tex", Format::Latex)];

#[derive(clap::Args)]
pub struct Args {
    /// Run directories
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Scoring convention [default: chartbench; deplot-corrected where only tables are asked for]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Leave out questions a second: the output then depends on the predictions alone
    #[arg(long)]
    no_speed: bool,
    /// Leave out the tables by slice
    #[arg(long)]
    no_slices: bool,
    /// Slices: `answer type`, `taxonomy`, `chart type`, `source`, `template`, `label length`, `series`, `negative values`,
    /// or a column of the data [default: the first four]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "no_slices")]
    by: Vec<Dimension>,
    /// Also write leaderboard.md, .csv, .json and .tex into DIR
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// Also put the Markdown between the markers of FILE
    #[arg(long, value_name = "FILE")]
    splice: Option<PathBuf>,
    /// Write nothing: fail where the files of --write and --splice are not what would be written
    #[arg(long)]
    check: bool,
}

pub fn run(args: &Args) -> Result<Status> {
    let runs = args.runs.iter().map(|path| RunReader::open(path)).collect::<Result<Vec<_>>>()?;
    check_known(&args.by, records(&runs))?;
    // One that is no table decides: of most runs the first. What cannot be read, the leaderboard fails at.
    let asked = records(&runs).map_while(|record| Some(record.ok()?.answer_type));
    let convention = convention(args.convention.as_deref(), asked)?;
    let leaderboard = Leaderboard::of(&runs, convention, options(args, &runs)?)?;
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    if let Some(dir) = &args.write {
        for (ending, format) in FILES {
            files.push((dir.join("leaderboard").with_extension(ending), leaderboard.render(format)?));
        }
    }
    if let Some(file) = &args.splice {
        let document = read_document(file)?;
        let spliced = splice(&document, "leaderboard", &command(args), &leaderboard.render(Format::Markdown)?)
            .with_context(|| format!("cannot splice into {}", file.display()))?;
        files.push((file.clone(), spliced));
    }
    if args.check {
        return check(&files);
    }
    if let Some(dir) = &args.write {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    for (path, text) in &files {
        write_file(path, text.as_bytes())?;
    }
    print_formatted(&leaderboard.render(args.format)?, args.format);
    Ok(Status::Done)
}

/// All answers.
fn records(runs: &[RunReader]) -> impl Iterator<Item = Result<PredictionRecord>> {
    let pieces = runs.iter().flat_map(RunReader::predictions).flat_map(|(_, pieces)| pieces);
    pieces.flat_map(|piece| {
        let (records, error) = piece.map_or_else(|error| (Vec::new(), Some(Err(error))), |records| (records, None));
        records.into_iter().map(Ok).chain(error)
    })
}

/// Names each file that is not what it would be.
fn check(files: &[(PathBuf, String)]) -> Result<Status> {
    ensure!(!files.is_empty(), "--check: there is nothing to check: name files with --write or --splice");
    let mut status = Status::Done;
    for (path, text) in files {
        let there = read_document(path)?;
        if there != *text {
            let line = 1 + there.lines().zip(text.lines()).take_while(|(a, b)| a == b).count();
            chartbench_core::note!("{}: stale from line {line} on: run the same without --check", path.display());
            status = Status::Failures;
        }
    }
    Ok(status)
}

/// What the flags ask for, with the results that were published for the runs' benchmarks.
fn options(args: &Args, runs: &[RunReader]) -> Result<Options> {
    let mut published = Vec::new();
    for name in runs.iter().map(|run| &run.manifest.benchmark.name) {
        // What a run names is taken for the name of an embedded benchmark, never for a file.
        if !Benchmark::embedded_names().any(|embedded| embedded == name) {
            continue;
        }
        let benchmark = Benchmark::find(name)?;
        for result in &benchmark.published {
            let known = Convention::by_name(&result.convention).and(Metric::by_name(&result.metric));
            known.with_context(|| format!("[[published]] {} of the benchmark {name}", result.system))?;
        }
        published.push((name.clone(), benchmark.published));
    }
    let slices = match (args.no_slices, args.by.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => Dimension::USUAL.into(),
        (false, false) => args.by.clone(),
    };
    Ok(Options { slices, speed: !args.no_speed, published })
}

/// The command that makes the spliced text again.
fn command(args: &Args) -> String {
    let runs: Vec<String> = args.runs.iter().map(|path| path.display().to_string()).collect();
    let convention = args.convention.as_ref().map(|name| format!(" --convention {name}")).unwrap_or_default();
    let speed = if args.no_speed { " --no-speed" } else { "" };
    let slices = match (args.no_slices, args.by.is_empty()) {
        (true, _) => " --no-slices".to_owned(),
        (false, true) => String::new(),
        (false, false) => {
            format!(" --by '{}'", args.by.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
        }
    };
    format!("chartbench leaderboard {}{convention}{speed}{slices} --splice FILE", runs.join(" "))
}
