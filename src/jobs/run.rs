//! Answers a benchmark with each adapter, into `results/<name>/`; started again, a run resumes
//! where it stopped.

mod adapter_error;
mod batch_api;
mod batch_size;
mod blind_rows;
mod load;
mod max_cost;
mod origin;
mod report;
mod shard;

use std::path::PathBuf;

use anyhow::Result;

pub(super) use self::adapter_error::AdapterError;
pub(super) use self::batch_api::note_waiting;
pub use self::batch_size::BatchSize;
pub(super) use self::batch_size::{batch_size, with_overhead};
pub use self::blind_rows::BlindRows;
use self::blind_rows::ask_blind_rows;
pub(super) use self::blind_rows::blind_rows;
pub(super) use self::load::load;
use self::origin::Origin;
pub use self::report::{FailedQuestions, RunReport};
pub use self::shard::{AskedRow, ShardReport};
pub(super) use self::shard::{RowShare, ShardPart};
use super::benchmark::DataLocation;
use super::leaderboard::store_leaderboard;
use super::run_questions::{ChosenQuestions, choose_questions};
use super::{
    AdapterFailure, AllFailed, BenchmarkSelection, ModelOptions, SelectedAdapter,
    check_rule_convention, convention,
};
use crate::adapter::{Adapter, Budget};
use crate::config::Benchmark;
use crate::report::{Leaderboard, LeaderboardOptions, SliceBy, check_slices_exist};
use crate::run::store::{AdapterEntry, DataFolder, Manifest, Processor, RunDir};
use crate::run::{Outcome, RunEvent, Stop, unanswered};
use chartbench_core::files::is_disk_full;
use chartbench_core::isa;
use chartbench_core::names::check_folder_name;
use chartbench_core::question::{AnswerType, QuestionSource};
use chartbench_core::shard::{Shard, ShardQuestions};
use chartbench_data::{QuestionStream, Split};
use chartbench_nn::KERNELS_VERSION;
use chartbench_score::metric::Convention;

/// The embedded models before and after fine-tuning.
pub const DEFAULT_MODELS: &[&str] = &[
    "matcha-tiny",
    "matcha-tiny-mini",
    "unichart-tiny",
    "unichart-tiny-mini",
];

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

/// The questions to ask, and the adapters to ask.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// The adapters to ask, one after the other.
    pub adapters: Vec<SelectedAdapter>,
    /// The blind rows to ask besides, after them.
    pub blind: BlindRows,
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
    /// Asks only this many questions, drawn by `seed` from the whole split, each source and answer
    /// type in proportion. A run grows with its limit.
    pub limit: Option<usize>,
    /// Seed of the draws; the benchmark's where it is absent.
    pub seed: Option<u64>,
    /// Asks only the charts of this shard; all charts where it is absent.
    pub shard: Option<Shard>,
    /// Size of an adapter's batches: it changes the speed, not the answers.
    pub batch: BatchSize,
    /// Asks questions again whose stored row is a failure.
    pub retry_failed: bool,
    /// US dollars that the run's requests to endpoints may cost, those of its stored answers
    /// included; an endpoint that would pass it stops.
    pub max_cost: Option<f64>,
    /// Asks endpoints in batches; takes a line on how far these are. `None` asks one by one.
    pub batch_api: Option<fn(&str)>,
    /// Convention of the leaderboard; the benchmark's where it is absent, `deplot-corrected` where
    /// only tables are asked for.
    pub convention: Option<String>,
    /// Slices of the leaderboard besides the usual ones, which are stored.
    pub slices: Vec<SliceBy>,
    /// Once requested, the run stores what is answered and ends with
    /// [`Stopped`](crate::run::Stopped).
    pub stop: Stop,
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
            blind: BlindRows::Named,
            models: ModelOptions::default(),
            benchmark: BenchmarkSelection::default(),
            name: None,
            results: PathBuf::from("results"),
            questions_per_chart: None,
            limit: None,
            seed: None,
            shard: None,
            batch: BatchSize::Adapter,
            retry_failed: false,
            max_cost: None,
            batch_api: None,
            convention: None,
            slices: Vec::new(),
            stop: Stop::default(),
        }
    }
}

/// Answers the benchmark with each adapter and stores the leaderboard, which a shard leaves to the
/// merge.
///
/// # Errors
/// Returns [`AllFailed`] if no adapter began to answer, and [`Stopped`](crate::run::Stopped) if the
/// request's `stop` was requested. Returns an error if the benchmark cannot be loaded, the folder
/// holds another run, the questions cannot be read, or answers cannot be stored.
pub fn run(request: &RunRequest, observe: &mut dyn FnMut(RunEvent<'_>)) -> Result<RunReport> {
    batch_api::check(request)?;
    let mut run = OpenRun::open(request)?;
    run.budget = max_cost::budget(request, run.dir.path())?;
    run.describe(observe);
    run.begin_shard(request, observe)?;
    for selected in &request.adapters {
        request.stop.check()?;
        let share = run.share(selected);
        if share.questions == 0 {
            run.began = true;
            continue;
        }
        let outcome = load(request, selected, &run).and_then(|mut adapter| {
            let origin = Origin::new(selected, run.dir.path(), &request.models.hub);
            ask(request, share, origin, adapter.as_mut(), &mut run, observe)
        });
        run.count(&selected.name, outcome)?;
    }
    // Where no named adapter answers, the run has failed.
    if run.began {
        ask_blind_rows(request, &mut run, observe)?;
    }
    request.stop.check()?;
    run.conclude(&request.slices)
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
    run.describe(observe);
    let share = run.model_share();
    if share.shard.is_some() {
        let names = adapters.iter().map(|adapter| adapter.identity().id.clone());
        run.dir.set_order(names.collect());
    }
    for adapter in adapters {
        request.stop.check()?;
        if share.questions == 0 {
            run.began = true;
            continue;
        }
        let name = adapter.identity().id.clone();
        let origin = Origin::default();
        let outcome = ask(request, share, origin, adapter.as_mut(), &mut run, observe);
        run.count(&name, outcome)?;
    }
    request.stop.check()?;
    run.conclude(&request.slices)
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
pub(super) struct OpenRun {
    benchmark: Benchmark,
    /// Where the questions of the test split are.
    data: DataLocation,
    pub(super) asked: QuestionStream,
    pub(super) charts: usize,
    pub(super) questions: usize,
    /// The part of them that this process asks, where the run is cut into shards.
    pub(super) part: Option<ShardPart>,
    /// The questions in a line.
    pub(super) description: String,
    /// Notes about the data set, line by line.
    pub(super) notes: Vec<String>,
    convention: &'static Convention,
    pub(super) dir: RunDir,
    /// Where the user's data are; stored beside the answers.
    data_folder: Option<DataFolder>,
    /// What its requests may still cost.
    budget: Option<Budget>,
    /// Whether an adapter began to answer, or has nothing to answer here.
    began: bool,
    /// The rows that were asked.
    rows: Vec<AskedRow>,
    failures: Vec<AdapterFailure>,
    failed_questions: Vec<FailedQuestions>,
}

impl OpenRun {
    /// Opens the run's folder, or goes on with it.
    ///
    /// # Errors
    /// Returns an error if the benchmark cannot be loaded, the folder holds another run, or no
    /// question has a slice of the request.
    pub(super) fn open(request: &RunRequest) -> Result<Self> {
        check_rule_convention(request.convention.as_deref())?;
        let mut benchmark = request.benchmark.load()?;
        let name = request
            .name
            .clone()
            .unwrap_or_else(|| benchmark.data.name.clone());
        check_folder_name("--name", &name)?;
        choose_questions(request, &mut benchmark.data);
        let path = request.results.join(&name);
        let stored = RunDir::manifest_at(&path)?;
        let data = request
            .benchmark
            .locate(&benchmark, &[Split::Test], &request.models.hub)?;
        benchmark.data.published.clone_from(&data.published);
        let ChosenQuestions {
            asked,
            summary,
            part,
            entry,
            grows_from,
        } = ChosenQuestions::new(request, &benchmark, data.path.as_deref(), stored.as_ref())?;
        let answer_types = [summary.only_tables.then_some(AnswerType::Table)];
        let own = benchmark.convention.as_deref();
        let convention = convention(request.convention.as_deref(), own, answer_types)?;
        check_slices(&request.slices, &asked)?;
        let manifest = Manifest::new(&name, entry);
        let dir = RunDir::open_grown(&path, manifest, grows_from)?;
        let (charts, questions) = (summary.charts, summary.questions);
        let notes = asked.notes();
        let mut description = request.benchmark.describe(&benchmark, questions, charts);
        if let Some(part) = &part {
            description += &format!(" ({})", part.describe());
        }
        let data_folder = request.benchmark.data_folder(&benchmark.data.name, &data);
        Ok(Self {
            benchmark,
            data,
            asked,
            charts,
            questions,
            part,
            description,
            notes,
            convention,
            dir,
            data_folder,
            budget: None,
            began: false,
            rows: Vec::new(),
            failures: Vec::new(),
            failed_questions: Vec::new(),
        })
    }

    /// Reports the questions that are asked.
    fn describe(&self, observe: &mut dyn FnMut(RunEvent<'_>)) {
        observe(RunEvent::QuestionsChosen {
            description: &self.description,
        });
        for line in &self.notes {
            observe(RunEvent::DataNote { line });
        }
    }

    /// Counts how an adapter's part of the run ended.
    ///
    /// # Errors
    /// Returns an error if the run cannot go on.
    fn count(&mut self, adapter: &str, outcome: Result<Outcome, AdapterError>) -> Result<()> {
        let (began, error) = match outcome {
            Ok(outcome) => {
                let failed = outcome.first_error.map(|first_error| FailedQuestions {
                    adapter: adapter.to_owned(),
                    failed: outcome.failed,
                    questions: outcome.questions,
                    first_error,
                });
                self.failed_questions.extend(failed);
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

    /// Stores the leaderboard, and makes tables by `slices` too; a shard has none.
    fn conclude(self, slices: &[SliceBy]) -> Result<RunReport> {
        let Self {
            convention,
            mut dir,
            asked,
            part,
            rows,
            data_folder,
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
        dir.confirm()?;
        let dir = dir.path().to_owned();
        if let Some(folder) = &data_folder {
            folder.write(&dir)?;
        }
        let shard = part.map(|part| ShardReport {
            shard: part.shard,
            charts: part.charts,
            questions: part.questions,
            rows,
        });
        let (leaderboard, against_blind) = if shard.is_some() {
            let options = LeaderboardOptions::default();
            (Leaderboard::new(convention, options), None)
        } else {
            store_leaderboard(convention, &dir, slices)?
        };
        Ok(RunReport {
            dir,
            leaderboard,
            against_blind,
            failures,
            failed_questions,
            shard,
        })
    }
}

/// Asks one adapter what it has not answered of its share; returns the counts of its rows.
fn ask(
    request: &RunRequest,
    share: RowShare,
    origin: Origin,
    adapter: &mut dyn Adapter,
    run: &mut OpenRun,
    observe: &mut dyn FnMut(RunEvent<'_>),
) -> Result<Outcome, AdapterError> {
    let OpenRun {
        asked, dir, rows, ..
    } = run;
    let RowShare { shard, questions } = share;
    let batch = batch_size(request.batch, adapter, observe).map_err(AdapterError::Loading)?;
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
    let entry = origin.describe(AdapterEntry::new(adapter.identity(), &execution));
    // Another process may be at work on this adapter alone; a full disk stops them all.
    let not_stored = |error| {
        if is_disk_full(&error) {
            AdapterError::Fatal(error)
        } else {
            AdapterError::Loading(error)
        }
    };
    let log = dir.add_log(entry, shard, request.retry_failed);
    let log = log.map_err(not_stored)?;
    let id = adapter.identity().id.clone();
    if log.answered() < questions {
        let processor = Processor::new(isa::current().name, KERNELS_VERSION, shard);
        dir.record_processor(&id, &processor).map_err(not_stored)?;
    }
    let outcome = crate::run::answer_all(
        adapter,
        &ShardQuestions::new(asked, shard),
        questions,
        log,
        batch,
        &request.stop,
        observe,
    );
    let outcome = outcome.map_err(AdapterError::Fatal)?;
    rows.push(AskedRow {
        adapter: id,
        shard,
        questions,
        answered: outcome.questions,
    });
    match outcome.stopped {
        None => Ok(outcome),
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

/// Returns an error if no question of the test split has one of the slices.
fn check_slices(slices: &[SliceBy], asked: &QuestionStream) -> Result<()> {
    let records = asked.chunks().flat_map(|chunk| {
        let (records, error) = match chunk {
            Ok(charts) => (unanswered(&charts), None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        records.into_iter().map(Ok).chain(error)
    });
    check_slices_exist(slices, records)
}
