//! Answers a benchmark with each adapter, into `results/<name>/`; started again, a run resumes
//! where it stopped.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use bytesize::ByteSize;

use super::{
    AdapterFailure, AllFailed, BenchmarkSelection, ModelOptions, SelectedAdapter, convention,
};
use crate::adapter::Adapter;
use crate::config::Benchmark;
use crate::report::table::Format;
use crate::report::{Leaderboard, LeaderboardOptions};
use crate::run::RunEvent;
use crate::run::store::{
    AdapterEntry, BenchmarkEntry, FORMAT_VERSION, Manifest, RunDir, RunReader,
};
use chartbench_core::files::{FileLock, is_disk_full, write_file};
use chartbench_core::names::check_folder_name;
use chartbench_core::question::{AnswerType, QuestionSetSummary, QuestionSource};
use chartbench_data::{QuestionSetSpec, QuestionStream, Questions, Split};
use chartbench_nn::MemoryNeed;
use chartbench_score::metric::Convention;

/// The embedded models before and after fine-tuning, and every blind row: what is asked where no
/// adapter is named.
pub const DEFAULT_ADAPTERS: &[&str] = &[
    "matcha-tiny",
    "matcha-tiny-mini",
    "unichart-tiny",
    "unichart-tiny-mini",
    "blank+matcha-tiny-mini",
    "blank+unichart-tiny-mini",
    "question-prior",
    "majority",
];

/// Largest useful batch: decoding more questions at a time gains nothing.
const MAX_BATCH: usize = 32;
/// Memory used besides the model, in bytes: the program, queued questions and one decoded image.
const OVERHEAD_BYTES: u64 = 160 << 20;

/// The questions to ask, and the adapters to ask.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// The adapters to ask, one after the other.
    pub adapters: Vec<SelectedAdapter>,
    /// Hub and device of the adapters' models.
    pub models: ModelOptions,
    /// The benchmark whose test split is asked.
    pub benchmark: BenchmarkSelection,
    /// Name of the run, a folder under `results`; the benchmark's name where it is absent.
    pub name: Option<String>,
    /// Folder the run is written under.
    pub results: PathBuf,
    /// Questions a chart, drawn by `seed`, instead of what the benchmark says.
    pub questions_per_chart: Option<usize>,
    /// Asks only the first questions.
    pub limit: Option<usize>,
    /// Seed of the draw; the benchmark's where it is absent.
    pub seed: Option<u64>,
    /// Size of an adapter's batches: it changes the speed, not the answers.
    pub batch: BatchSize,
    /// Asks questions again whose stored row is a failure.
    pub retry_failed: bool,
    /// Convention of the leaderboard; `chartbench` where it is absent, `deplot-corrected` where
    /// only tables are asked for.
    pub convention: Option<String>,
}

/// How many questions an adapter gets at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchSize {
    /// The adapter's own default.
    #[default]
    Adapter,
    /// This many; 0 counts as 1.
    Questions(usize),
    /// As many as fit into this memory, in bytes, 32 at most.
    Memory(u64),
}

/// How a run ended.
pub struct RunReport {
    /// The run's directory.
    pub dir: PathBuf,
    /// The leaderboard over all adapters of the run, as it is stored.
    pub leaderboard: Leaderboard,
    /// Adapters that did not load or could not go on.
    pub failures: Vec<AdapterFailure>,
    /// Questions whose row is a failure, over all adapters of the request.
    pub failed_questions: usize,
}

impl RunReport {
    /// Whether every adapter answered every question.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.failed_questions == 0
    }
}

impl RunRequest {
    /// All questions of a benchmark, for some adapters, under `results/`.
    ///
    /// ```no_run
    /// use chartbench::jobs::{SelectedAdapter, run};
    /// let adapters = vec![SelectedAdapter::by_name("matcha-tiny")?];
    /// let report = run::run(&run::RunRequest::new(adapters), &mut |_| {})?;
    /// println!("{}", report.leaderboard.render(chartbench::report::table::Format::Markdown)?);
    /// # anyhow::Ok(())
    /// ```
    pub fn new(adapters: Vec<SelectedAdapter>) -> Self {
        Self {
            adapters,
            models: ModelOptions::default(),
            benchmark: BenchmarkSelection::default(),
            name: None,
            results: PathBuf::from("results"),
            questions_per_chart: None,
            limit: None,
            seed: None,
            batch: BatchSize::Adapter,
            retry_failed: false,
            convention: None,
        }
    }
}

/// Answers the benchmark with each adapter and stores the leaderboard.
///
/// # Errors
/// Returns [`AllFailed`] if no adapter began to answer. Returns an error if the benchmark cannot be
/// loaded, the folder holds another run, the questions cannot be read, or answers cannot be stored.
pub fn run(request: &RunRequest, observe: &mut dyn FnMut(RunEvent<'_>)) -> Result<RunReport> {
    let mut run = OpenRun::open(request)?;
    for selected in &request.adapters {
        let outcome = load(request, selected, &run).and_then(|mut adapter| {
            ask(request, &selected.name, adapter.as_mut(), &mut run, observe)
        });
        run.count(&selected.name, outcome)?;
    }
    run.conclude()
}

/// As [`run`], with adapters that the caller made in the place of those of the request.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    request: &RunRequest,
    adapters: &mut [Box<dyn Adapter>],
    observe: &mut dyn FnMut(RunEvent<'_>),
) -> Result<RunReport> {
    let mut run = OpenRun::open(request)?;
    for adapter in adapters {
        let name = adapter.identity().id.clone();
        let outcome = ask(request, &name, adapter.as_mut(), &mut run, observe);
        run.count(&name, outcome)?;
    }
    run.conclude()
}

/// Makes the run's folder, so that it is known to be writable before the hours that come before its
/// first answer.
///
/// # Errors
/// As [`run`].
pub fn create(request: &RunRequest) -> Result<()> {
    OpenRun::open(request)?.dir.create()
}

/// Checks that the run can be written or continued, and writes nothing.
///
/// # Errors
/// As [`run`].
pub fn check(request: &RunRequest) -> Result<()> {
    OpenRun::open(request).map(|_| ())
}

/// A run whose questions and folder are known, with nothing asked yet.
struct OpenRun {
    benchmark: Benchmark,
    asked: QuestionStream,
    questions: usize,
    /// Describes the questions, until the description is reported.
    description: Option<String>,
    convention: &'static Convention,
    dir: RunDir,
    /// Whether an adapter began to answer.
    began: bool,
    failures: Vec<AdapterFailure>,
    failed_questions: usize,
}

impl OpenRun {
    /// Opens the run's folder, or goes on with it.
    ///
    /// # Errors
    /// Returns an error if the benchmark cannot be loaded or the folder holds another run.
    fn open(request: &RunRequest) -> Result<Self> {
        request
            .convention
            .as_deref()
            .map(Convention::by_name)
            .transpose()?;
        let mut benchmark = request.benchmark.load()?;
        let name = request
            .name
            .clone()
            .unwrap_or_else(|| benchmark.data.name.clone());
        check_folder_name("--name", &name)?;
        choose_questions(request, &mut benchmark.data);
        let (asked, survey, entry) = questions(request, &benchmark)?;
        let questions = survey.questions;
        let answer_types = [survey.only_tables.then_some(AnswerType::Table)];
        let convention = convention(request.convention.as_deref(), answer_types)?;
        let manifest = Manifest {
            format: FORMAT_VERSION,
            name: name.clone(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            benchmark: entry,
            adapters: Vec::new(),
        };
        let dir = RunDir::open(&request.results.join(&name), manifest)?;
        let description = Some(
            request
                .benchmark
                .describe(&benchmark, questions, survey.charts),
        );
        Ok(Self {
            benchmark,
            asked,
            questions,
            description,
            convention,
            dir,
            began: false,
            failures: Vec::new(),
            failed_questions: 0,
        })
    }

    /// Counts how an adapter's part of the run ended.
    ///
    /// # Errors
    /// Returns an error if the run cannot go on.
    fn count(&mut self, adapter: &str, outcome: Result<usize, AdapterError>) -> Result<()> {
        let (began, error) = match outcome {
            Ok(failed) => {
                self.failed_questions += failed;
                (true, None)
            }
            Err(AdapterError::Loading(error)) => (false, Some(error)),
            Err(AdapterError::Answering(error)) => (true, Some(error)),
            Err(AdapterError::Fatal(error)) => return Err(error),
        };
        self.began |= began;
        self.failures.extend(error.map(|error| AdapterFailure {
            adapter: adapter.to_owned(),
            error,
        }));
        Ok(())
    }

    /// Stores the leaderboard.
    fn conclude(self) -> Result<RunReport> {
        let Self {
            convention,
            dir,
            asked,
            began,
            failures,
            failed_questions,
            ..
        } = self;
        // Some data sets are held whole, and scoring needs the memory.
        drop(asked);
        if !began && !failures.is_empty() {
            return Err(AllFailed(failures).into());
        }
        let dir = dir.path().to_owned();
        let leaderboard = store_leaderboard(convention, &dir)?;
        Ok(RunReport {
            dir,
            leaderboard,
            failures,
            failed_questions,
        })
    }
}

/// Why an adapter's part of a run ended early.
enum AdapterError {
    /// The adapter did not load: the others still answer.
    Loading(anyhow::Error),
    /// The adapter could not go on: its answers stand, and the others still answer.
    Answering(anyhow::Error),
    /// The questions cannot be read, or the answers cannot be stored: the run ends.
    Fatal(anyhow::Error),
}

/// Loads one adapter.
fn load(
    request: &RunRequest,
    selected: &SelectedAdapter,
    run: &OpenRun,
) -> Result<Box<dyn Adapter>, AdapterError> {
    // Read anew for each blind row, which takes seconds; held for all of them it would be most of
    // what is in memory.
    let train = || -> Result<Box<dyn QuestionSource>> {
        Ok(Box::new(QuestionStream::open(
            &run.benchmark.data,
            request.benchmark.data.as_deref(),
            Split::Train,
        )?))
    };
    selected
        .build(&request.models, Some(&train))
        .map_err(AdapterError::Loading)
}

/// Asks one adapter what it has not answered; returns how many questions failed.
fn ask(
    request: &RunRequest,
    name: &str,
    adapter: &mut dyn Adapter,
    run: &mut OpenRun,
    observe: &mut dyn FnMut(RunEvent<'_>),
) -> Result<usize, AdapterError> {
    let OpenRun {
        asked,
        questions,
        description,
        dir,
        ..
    } = run;
    let batch = match request.batch {
        BatchSize::Adapter => adapter.batch(),
        BatchSize::Questions(questions) => questions,
        BatchSize::Memory(bytes) => {
            batch_within(bytes, name, adapter, observe).map_err(AdapterError::Loading)?
        }
    };
    if let Some(description) = description.take() {
        observe(RunEvent::QuestionsChosen {
            description: &description,
        });
    }
    let execution = [
        (
            "device".to_owned(),
            device_name(&request.models.device).to_owned(),
        ),
        (
            "threads".to_owned(),
            rayon::current_num_threads().to_string(),
        ),
        ("batch".to_owned(), batch.to_string()),
    ];
    let entry = AdapterEntry::new(adapter.identity(), &execution);
    // Another process may be at work on this adapter alone; a full disk stops them all.
    let stop = |error| {
        if is_disk_full(&error) {
            AdapterError::Fatal(error)
        } else {
            AdapterError::Loading(error)
        }
    };
    let mut log = dir.add_adapter(entry, request.retry_failed).map_err(stop)?;
    let outcome = crate::run::answer_all(adapter, asked, *questions, &mut log, batch, observe);
    let outcome = outcome.map_err(AdapterError::Fatal)?;
    match outcome.stopped {
        None => Ok(outcome.failed),
        Some(error) => Err(AdapterError::Answering(anyhow::anyhow!(
            "{error}; start the run again to go on"
        ))),
    }
}

/// The device's name in a manifest.
fn device_name(device: &candle_core::Device) -> &'static str {
    match device {
        candle_core::Device::Cpu => "cpu",
        candle_core::Device::Cuda(_) => "cuda",
        candle_core::Device::Metal(_) => "metal",
    }
}

/// The most questions at a time, up to [`MAX_BATCH`], with which `adapter` stays within `bytes` of
/// memory.
///
/// # Errors
/// Returns an error if the memory is too little for one question.
fn batch_within(
    bytes: u64,
    name: &str,
    adapter: &dyn Adapter,
    observe: &mut dyn FnMut(RunEvent<'_>),
) -> Result<usize> {
    let Some(need) = adapter.memory_need() else {
        observe(RunEvent::MemoryUnknown { id: name });
        return Ok(adapter.batch());
    };
    let need = MemoryNeed {
        fixed_bytes: need.fixed_bytes + OVERHEAD_BYTES,
        ..need
    };
    let questions = need.max_questions(bytes);
    ensure!(
        questions > 0,
        "--memory {} is too little: {name} takes {} to answer one question",
        ByteSize(bytes),
        ByteSize(need.batch_bytes(1))
    );
    Ok(questions.min(MAX_BATCH))
}

/// Scores the run and stores its leaderboard. Processes at work on the same run do so one after the
/// other: the last one's leaderboard has the answers of all.
fn store_leaderboard(convention: &'static Convention, dir: &Path) -> Result<Leaderboard> {
    let file = dir.join("leaderboard.md");
    let _lock = FileLock::acquire(&file)?;
    let mut leaderboard = Leaderboard::from_runs(
        &[RunReader::open(dir)?],
        convention,
        LeaderboardOptions::default(),
    )?;
    leaderboard.show_speed(false);
    write_file(&file, leaderboard.render(Format::Markdown)?.as_bytes())?;
    leaderboard.show_speed(true);
    Ok(leaderboard)
}

/// Puts the request's number of questions a chart and its seed in the place of the benchmark's; a
/// pinned hash is then no longer that of the questions asked.
fn choose_questions(request: &RunRequest, spec: &mut QuestionSetSpec) {
    let (count, seed) = match spec.questions {
        Questions::All => (None, 0),
        Questions::PerChart { count, seed } => (Some(count), seed),
    };
    if let Some(count) = request.questions_per_chart.or(count) {
        let chosen = Questions::PerChart {
            count,
            seed: request.seed.unwrap_or(seed),
        };
        if chosen != spec.questions {
            spec.questions = chosen;
            spec.hash = None;
        }
    }
}

/// The fixed question set of this run, with the manifest's entry about it.
fn questions(
    request: &RunRequest,
    benchmark: &Benchmark,
) -> Result<(QuestionStream, QuestionSetSummary, BenchmarkEntry)> {
    let mut asked = QuestionStream::open(
        &benchmark.data,
        request.benchmark.data.as_deref(),
        Split::Test,
    )?;
    if let Some(limit) = request.limit {
        asked = asked.limit(limit);
    }
    let survey = asked.summarize()?;
    let (questions_per_chart, seed) = match benchmark.data.questions {
        Questions::All => ("all".to_owned(), 0),
        Questions::PerChart { count, seed } => (count.to_string(), seed),
    };
    let entry = BenchmarkEntry {
        name: benchmark.data.name.clone(),
        title: benchmark.title.clone(),
        split: Split::Test.to_string(),
        charts: survey.charts,
        questions: survey.questions,
        questions_per_chart,
        seed,
        limit: request.limit.unwrap_or(0),
        hash: survey.hash.clone(),
    };
    Ok((asked, survey, entry))
}
