//! `chartbench run`: answers a benchmark with each adapter, into `results/<name>/`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use bytesize::ByteSize;

use super::benchmark::BenchmarkArgs;
use super::options::{AdapterArgs, Requested};
use super::progress::Progress;
use super::{Status, convention, one_line};
use crate::adapter::Adapter;
use crate::config::Benchmark;
use crate::record::{AdapterEntry, BenchmarkEntry, FORMAT_VERSION, Manifest, RunDir, RunReader};
use crate::report::table::Format;
use crate::report::{Leaderboard, Options};
use crate::runner;
use chartbench_core::counts::{MAX_BATCH, MAX_LIMIT, MAX_QUESTIONS_PER_CHART, parse_count};
use chartbench_core::files::{FileLock, write_file};
use chartbench_core::names::check_folder_name;
use chartbench_core::question::{AnswerType, QuestionSetSummary, QuestionSource};
use chartbench_core::terminal;
use chartbench_data::{QuestionSetSpec, QuestionStream, Questions, Split};
use chartbench_nn::Footprint;
use chartbench_score::metric::Convention;

/// What `run` without `--adapters` asks: the embedded models before and after fine-tuning, and every blind row.
const DEFAULT_ADAPTERS: &[&str] = &[
    "matcha-tiny",
    "matcha-tiny-mini",
    "unichart-tiny",
    "unichart-tiny-mini",
    "blank+matcha-tiny-mini",
    "blank+unichart-tiny-mini",
    "question-prior",
    "majority",
];

/// Questions at a time beyond which decoding gains nothing.
const MOST_TOGETHER: usize = 32;
/// Bytes of the program itself, questions and one picture on its way.
const BESIDES: u64 = 160 << 20;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(flatten)]
    benchmark: BenchmarkArgs,
    /// Name of the run, a folder under --results [default: the benchmark's name]
    #[arg(long)]
    name: Option<String>,
    /// Folder the run is written under
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Ask N questions a chart, drawn by --seed, instead of what the benchmark says
    #[arg(long, value_name = "N", value_parser = parse_count::<MAX_QUESTIONS_PER_CHART>)]
    questions_per_chart: Option<usize>,
    /// Ask only the first N questions
    #[arg(long, value_name = "N", value_parser = parse_count::<MAX_LIMIT>)]
    limit: Option<usize>,
    /// Seed of that draw [default: the benchmark's]
    #[arg(long)]
    seed: Option<u64>,
    /// Questions an adapter gets at a time [default: what suits it]
    #[arg(long, value_name = "N", value_parser = parse_count::<MAX_BATCH>)]
    batch: Option<usize>,
    /// Memory the program may take, e.g. 8GiB: adapters get as many questions at a time as it is enough for, 32 at most
    #[arg(long, value_name = "SIZE", conflicts_with = "batch")]
    memory: Option<ByteSize>,
    /// Ask questions whose stored row is a failure again
    #[arg(long)]
    retry_failed: bool,
    /// Scoring convention of the leaderboard that is printed and stored [default: chartbench; deplot-corrected where only
    /// tables are asked for]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
}

impl Args {
    /// The questions asked of what was just trained: adapters with their weights, benchmark and data, the run's name and
    /// the folder it is under.
    pub(super) fn after_training(
        adapter: AdapterArgs,
        benchmark: BenchmarkArgs,
        (name, results): (&str, PathBuf),
        limit: Option<usize>,
        convention: Option<String>,
    ) -> Self {
        Self {
            adapter,
            benchmark,
            name: Some(name.to_owned()),
            results,
            questions_per_chart: None,
            limit,
            seed: None,
            batch: None,
            memory: None,
            retry_failed: false,
            convention,
        }
    }
}

pub fn run(args: &Args) -> Result<Status> {
    args.adapter.on_threads(|threads| answer(args, threads))
}

/// A run whose folder is there, with nothing asked yet.
struct Begun {
    benchmark: Benchmark,
    asked: QuestionStream,
    questions: usize,
    /// Which questions are asked, until that was printed.
    description: Option<String>,
    convention: &'static Convention,
    dir: RunDir,
}

/// Opens the run's folder, or goes on with it.
///
/// # Errors
/// A benchmark that cannot be loaded; a folder that is none of this run.
fn begin(args: &Args) -> Result<Begun> {
    args.convention.as_deref().map(Convention::by_name).transpose()?;
    let mut benchmark = args.benchmark.load()?;
    let name = args.name.clone().unwrap_or_else(|| benchmark.data.name.clone());
    check_folder_name("--name", &name)?;
    choose_questions(args, &mut benchmark.data);
    let (asked, summary, entry) = questions(args, &benchmark)?;
    let questions = summary.questions;
    let convention = convention(args.convention.as_deref(), [summary.only_tables.then_some(AnswerType::Table)])?;
    let manifest = Manifest {
        format: FORMAT_VERSION,
        name: name.clone(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        benchmark: entry,
        adapters: Vec::new(),
    };
    let dir = RunDir::open(&args.results.join(&name), manifest)?;
    let description = Some(args.benchmark.describe(&benchmark, questions, summary.charts));
    Ok(Begun { benchmark, asked, questions, description, convention, dir })
}

/// Makes the run's folder, for what comes before the first answer.
///
/// # Errors
/// As of a run.
pub(super) fn create(args: &Args) -> Result<()> {
    begin(args)?.dir.create()
}

/// [`run`] on `threads` that have been started.
///
/// # Errors
/// As of a run.
pub(super) fn answer(args: &Args, threads: usize) -> Result<Status> {
    let requested = args.adapter.requested(DEFAULT_ADAPTERS)?;
    let mut begun = begin(args)?;
    let mut failures = Vec::new();
    let mut failed_questions = 0;
    let mut began = false;
    for adapter in &requested {
        match ask(args, adapter, threads, &mut begun) {
            Ok(failed) => (began, failed_questions) = (true, failed_questions + failed),
            Err(Stop::Loading(error)) => failures.push((adapter.name.as_str(), error)),
            Err(Stop::Answering(error)) => {
                began = true;
                failures.push((adapter.name.as_str(), error));
            }
            Err(Stop::Fatal(error)) => return Err(error),
        }
    }
    let Begun { convention, dir, asked, .. } = begun;
    // Nothing of it is needed further, and some data sets are held whole.
    drop(asked);
    conclude(convention, dir.path(), began, failures, failed_questions)
}

/// Why an adapter's part of a run stopped.
enum Stop {
    /// The adapter did not load: the others still answer.
    Loading(anyhow::Error),
    /// The adapter could not go on: what it answered stands, and the others still answer.
    Answering(anyhow::Error),
    /// The questions cannot be read, or the answers not be stored: nothing further can be.
    Fatal(anyhow::Error),
}

/// Loads one adapter and asks it what it has not answered; returns how many questions failed.
fn ask(args: &Args, requested: &Requested, threads: usize, begun: &mut Begun) -> Result<usize, Stop> {
    let Begun { benchmark, asked, questions, description, dir, .. } = begun;
    // Read anew for each blind row, which takes seconds; held for all of them it would be most of what is in memory.
    let train = || -> Result<Box<dyn QuestionSource>> {
        Ok(Box::new(QuestionStream::open(&benchmark.data, args.benchmark.data.as_deref(), Split::Train)?))
    };
    let mut adapter = requested.build(&args.adapter, Some(&train)).map_err(Stop::Loading)?;
    let batch = match args.memory {
        Some(memory) => batch_within(memory, &requested.name, adapter.as_ref()).map_err(Stop::Loading)?,
        None => args.batch.unwrap_or_else(|| adapter.batch()),
    };
    if let Some(description) = description.take() {
        chartbench_core::note!("{description}");
    }
    let execution = [
        ("device".to_owned(), format!("{:?}", args.adapter.device).to_lowercase()),
        ("threads".to_owned(), threads.to_string()),
        ("batch".to_owned(), batch.to_string()),
    ];
    let entry = AdapterEntry::new(adapter.identity(), &execution);
    // Another process may be at work on this adapter alone.
    let mut log = dir.add_adapter(entry, args.retry_failed).map_err(Stop::Loading)?;
    let mut progress = Progress::new();
    let mut observe = |event: runner::Event<'_>| progress.observe(event);
    let outcome = runner::answer_all(adapter.as_mut(), asked, *questions, &mut log, batch, &mut observe);
    let outcome = outcome.map_err(Stop::Fatal)?;
    match outcome.stopped {
        None => Ok(outcome.failed),
        Some(error) => Err(Stop::Answering(anyhow::anyhow!("{error}; start the run again to go on"))),
    }
}

/// The most questions at a time, up to [`MOST_TOGETHER`], with which `adapter` stays within `memory`.
///
/// # Errors
/// It is too little for one question.
fn batch_within(memory: ByteSize, name: &str, adapter: &dyn Adapter) -> Result<usize> {
    let Some(footprint) = adapter.footprint() else {
        chartbench_core::note!("note: {name} cannot tell what memory it takes: --memory does not change its batches");
        return Ok(adapter.batch());
    };
    let footprint = Footprint { fixed: footprint.fixed + BESIDES, ..footprint };
    let questions = footprint.questions(memory.as_u64());
    ensure!(
        questions > 0,
        "--memory {memory} is too little: {name} takes {} to answer one question",
        ByteSize(footprint.of(1))
    );
    Ok(questions.min(MOST_TOGETHER))
}

/// Writes and prints the leaderboard, tells what failed, and picks the exit code: the user's mistake where no adapter
/// began to answer.
fn conclude(
    convention: &'static Convention,
    dir: &Path,
    began: bool,
    failures: Vec<(&str, anyhow::Error)>,
    failed_questions: usize,
) -> Result<Status> {
    if !began && let [(name, error), rest @ ..] = failures.as_slice() {
        for (name, error) in rest {
            chartbench_core::note!("error: {name}: {}", one_line(error));
        }
        bail!("{name}: {}", one_line(error));
    }
    terminal::print(&write_leaderboard(convention, dir)?);
    for (name, error) in &failures {
        chartbench_core::note!("error: {name}: {}", one_line(error));
    }
    Ok(if failures.is_empty() && failed_questions == 0 { Status::Done } else { Status::Failures })
}

/// Scores the run and stores its leaderboard; returns it as it is printed. Processes at work on the same run do so one after
/// the other: the last one's leaderboard has the answers of all.
fn write_leaderboard(convention: &'static Convention, dir: &Path) -> Result<String> {
    let file = dir.join("leaderboard.md");
    let _lock = FileLock::acquire(&file)?;
    let leaderboard = Leaderboard::of(&[RunReader::open(dir)?], convention, Options::default())?;
    let printed = leaderboard.render(Format::Table)?;
    let stored = leaderboard.without_speed().render(Format::Markdown)?;
    write_file(&file, stored.as_bytes())?;
    Ok(printed)
}

/// Puts `--questions-per-chart` and `--seed` in the place of what the benchmark says; a pinned hash is then no longer
/// that of the questions asked.
fn choose_questions(args: &Args, spec: &mut QuestionSetSpec) {
    let (count, seed) = match spec.questions {
        Questions::All => (None, 0),
        Questions::PerChart { count, seed } => (Some(count), seed),
    };
    if let Some(count) = args.questions_per_chart.or(count) {
        let chosen = Questions::PerChart { count, seed: args.seed.unwrap_or(seed) };
        if chosen != spec.questions {
            spec.questions = chosen;
            spec.hash = None;
        }
    }
}

/// The fixed question set of this run, with what the manifest says of it.
fn questions(args: &Args, benchmark: &Benchmark) -> Result<(QuestionStream, QuestionSetSummary, BenchmarkEntry)> {
    let mut asked = QuestionStream::open(&benchmark.data, args.benchmark.data.as_deref(), Split::Test)?;
    if let Some(limit) = args.limit {
        asked = asked.limit(limit);
    }
    let summary = asked.summarize()?;
    let (questions_per_chart, seed) = match benchmark.data.questions {
        Questions::All => ("all".to_owned(), 0),
        Questions::PerChart { count, seed } => (count.to_string(), seed),
    };
    let entry = BenchmarkEntry {
        name: benchmark.data.name.clone(),
        title: benchmark.title.clone(),
        split: Split::Test.to_string(),
        charts: summary.charts,
        questions: summary.questions,
        questions_per_chart,
        seed,
        limit: args.limit.unwrap_or(0),
        hash: summary.hash.clone(),
    };
    Ok((asked, summary, entry))
}
