//! Trains each adapter on the benchmark's train split, keeps the best step by validation, and asks
//! it the test questions, into `results/<name>/`; the untrained model is asked them, too, and
//! compared. A killed training resumes.

mod evaluation;
mod training;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::run::{RunReport, RunRequest};
use super::{AdapterFailure, AllFailed, BenchmarkSelection, ModelOptions, SelectedAdapter};
use crate::adapter::training::Precision;
use crate::config::{Benchmark, Dropout, Keep, Protocol, ProtocolOverrides, ValidateOn};
use crate::finetune::{
    HeldOut, Interrupted, TrainEvent, TrainOutcome, hold_out, validation_questions,
};
use crate::report::{Comparison, SliceBy};
use crate::run::{Stop, Stopped};
use chartbench_core::names::check_folder_name;
use chartbench_data::Split;

/// The embedded models that answer questions: what is trained where no adapter is named.
pub const DEFAULT_ADAPTERS: &[&str] = &["matcha-tiny", "unichart-tiny"];

/// The adapters to train, and how.
#[derive(Clone, Debug)]
pub struct FinetuneRequest {
    /// The adapters to train, one after the other.
    pub adapters: Vec<SelectedAdapter>,
    /// Hub and device of the adapters' models.
    pub models: ModelOptions,
    /// The benchmark whose train split is trained on and whose test split is asked.
    pub benchmark: BenchmarkSelection,
    /// Name of the run, a folder under `results`.
    pub name: String,
    /// Folder that holds the runs.
    pub results: PathBuf,
    /// After training, asks only this many test questions, drawn as [`RunRequest`] says.
    pub limit: Option<usize>,
    /// Convention of the leaderboard, as of [`RunRequest`].
    pub convention: Option<String>,
    /// Slices of the leaderboard besides the stored ones.
    pub slices: Vec<SliceBy>,
    /// Begins with random weights: pre-training, with the checkpoint's configuration and tokenizer.
    pub from_scratch: bool,
    /// Self-test of a set-up: overfits one question and checks that it is answered. Nothing is
    /// stored.
    pub overfit_one: bool,
    /// How the checkpoint's weights are stored; training itself is in f32.
    pub precision: Precision,
    /// Refuses a training that the estimate says does not fit into memory.
    pub check_memory: bool,
    /// Asks the trained checkpoints the test questions. Without it nothing is asked, and the test
    /// split need not be here unless the protocol validates on it.
    pub evaluate: bool,
    /// Asks the untrained models the test questions, too, and compares. A stored run under
    /// `results` with the same answers takes the place of asking. Has no effect with
    /// `from_scratch` or without `evaluate`.
    pub before: bool,
    /// Steps between saved states, besides those of the validations.
    pub save_every: Option<usize>,
    /// Once requested, the training saves the step it is at and ends with [`Interrupted`]; before
    /// and after the trainings, the fine-tuning ends with [`Stopped`].
    pub stop: Stop,
    /// Values that replace those of the benchmark's protocol.
    pub protocol: ProtocolOverrides,
}

impl FinetuneRequest {
    /// The benchmark's own protocol, for some adapters, into `results/finetuned/`.
    pub fn new(adapters: Vec<SelectedAdapter>) -> Self {
        Self {
            adapters,
            models: ModelOptions::default(),
            benchmark: BenchmarkSelection::default(),
            name: "finetuned".to_owned(),
            results: PathBuf::from("results"),
            limit: None,
            convention: None,
            slices: Vec::new(),
            from_scratch: false,
            overfit_one: false,
            precision: Precision::F32,
            check_memory: true,
            evaluate: true,
            before: true,
            save_every: None,
            stop: Stop::default(),
            protocol: ProtocolOverrides::default(),
        }
    }

    /// Whether test questions are asked after the trainings.
    fn asks_test_questions(&self) -> bool {
        self.evaluate && !self.overfit_one
    }
}

/// Something that happened in a fine-tuning.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The protocol chooses the step to keep on test questions.
    SelectsOnTest,
    /// The protocol's warm-up does not end within the steps asked for, and is shortened.
    WarmupShortened {
        /// The protocol's warm-up steps.
        from: usize,
        /// The steps of the shortened warm-up.
        to: usize,
    },
    /// The first model is loaded, and these questions are trained on.
    QuestionsChosen {
        /// One line: number of questions and charts, benchmark, data.
        description: &'a str,
    },
    /// Something of the data set is left out or read otherwise than it is written.
    DataNote {
        /// One line: what, how often and the first place.
        line: &'a str,
    },
    /// The memory and time that the training of an adapter takes.
    Estimated {
        /// The row's name, e.g. `matcha-tiny`.
        adapter: &'a str,
        /// Memory and time, with the free memory.
        estimate: &'a Estimate,
    },
    /// A step, a validation or a remark of an adapter's training.
    Training {
        /// The row's name.
        adapter: &'a str,
        /// The event, passed on from the training loop.
        event: &'a TrainEvent<'a>,
    },
    /// An adapter's training ended and its checkpoint is stored.
    Trained {
        /// The row's name.
        adapter: &'a str,
        /// Its checkpoint's folder, step and validation metrics.
        finished: &'a TrainOutcome,
        /// Text plot of the training curves, for a terminal.
        curves: &'a str,
    },
    /// The self-test of an adapter passed, with this loss.
    Overfitted {
        /// The row's name.
        adapter: &'a str,
        /// Validation loss of the one question after the last step, below 0.1.
        loss: f64,
    },
    /// An adapter could not be trained; the others still are.
    Failed(&'a AdapterFailure),
    /// The untrained model is asked the test questions.
    AsksUntrained {
        /// The row's name.
        adapter: &'a str,
    },
    /// A stored run has the untrained model's answers.
    UntrainedStored {
        /// The row's name.
        adapter: &'a str,
        /// The run's directory.
        run: &'a Path,
    },
    /// A run over the test questions: the trained checkpoints', or an untrained model's.
    Run(crate::run::RunEvent<'a>),
}

/// The memory and time of a training, estimated before it begins.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    /// Bytes of memory for the training and bytes free.
    pub memory: u64,
    /// Free memory in bytes: the cgroup's where it has one, else the system's.
    pub available: u64,
    /// Wall time of an optimizer step.
    pub step: Duration,
    /// Optimizer steps of the whole training.
    pub steps: u64,
}

/// An adapter whose training ended.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The adapter as selected, not yet with the trained checkpoint as its weights.
    pub adapter: SelectedAdapter,
    /// The folder, step and validation metrics of its checkpoint.
    pub finished: TrainOutcome,
}

/// How a fine-tuning ended.
pub struct FinetuneReport {
    /// Adapters whose training ended, now or at an earlier start, in the order of the request.
    pub trained: Vec<Trained>,
    /// Adapters that could not be trained, or whose untrained model could not be asked.
    pub failures: Vec<AdapterFailure>,
    /// The run over the test questions; absent after a self-test.
    pub evaluation: Option<RunReport>,
    /// The run that would have asked the trained checkpoints, where the request leaves it out.
    pub left_to_ask: Option<RunRequest>,
    /// The untrained models against the trained ones; one comparison for each run that holds
    /// untrained models' answers.
    pub comparisons: Vec<Comparison>,
}

impl FinetuneReport {
    /// Whether every adapter was trained and answered every question.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.evaluation.as_ref().is_none_or(RunReport::is_complete)
    }
}

/// Trains each adapter, then asks it the test questions.
///
/// # Errors
/// Returns [`AllFailed`] if no adapter could be trained, and [`Interrupted`] or [`Stopped`] if the
/// request's `stop` was requested. Returns an error if the benchmark cannot be loaded, its protocol
/// is refused, or the folder holds another run.
pub fn finetune(
    request: &FinetuneRequest,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<FinetuneReport> {
    check_folder_name("--name", &request.name)?;
    let benchmark = request.benchmark.load()?;
    let mut protocol = benchmark.protocol(&request.protocol)?;
    if request.overfit_one {
        protocol = overfit_protocol(protocol);
    }
    if protocol.selects_on_test() && !request.overfit_one {
        observe(Event::SelectsOnTest);
    }
    if let Some(from) = protocol.warmup_shortened_from
        && !request.overfit_one
    {
        let to = protocol.schedule.warmup_steps;
        observe(Event::WarmupShortened { from, to });
    }
    let mut data = TrainingData::load(request, &benchmark, &protocol)?;
    if request.asks_test_questions() {
        evaluation::prepare(request, &protocol)?;
    }
    let folder = request.results.join(&request.name);
    let (mut trained, mut failures) = (Vec::new(), Vec::new());
    for adapter in &request.adapters {
        request.stop.check()?;
        match training::train_adapter(
            request,
            adapter,
            &protocol,
            &mut data,
            &folder.join(&adapter.name),
            observe,
        ) {
            Ok(finished) => trained.push(Trained {
                adapter: adapter.clone(),
                finished,
            }),
            Err(error) if error.is::<Interrupted>() => {
                return Err(error.context(adapter.name.clone()));
            }
            Err(error) if error.is::<Stopped>() => return Err(error),
            Err(error) => failures.push(AdapterFailure {
                adapter: adapter.name.clone(),
                error,
            }),
        }
        // The last step ended before it saw that it was to stop.
        if request.stop.is_requested() {
            let step = protocol.steps as u64;
            return Err(anyhow::Error::new(Interrupted { step }).context(adapter.name.clone()));
        }
    }
    if trained.is_empty() && !failures.is_empty() && !request.overfit_one {
        return Err(AllFailed(failures).into());
    }
    failures
        .iter()
        .for_each(|failure| observe(Event::Failed(failure)));
    let mut report = FinetuneReport {
        trained,
        failures,
        evaluation: None,
        left_to_ask: None,
        comparisons: Vec::new(),
    };
    if request.asks_test_questions() {
        report.evaluate(request, &benchmark, &protocol, observe)?;
    } else if !request.overfit_one {
        evaluation::write_cards(&benchmark, &protocol, &report.trained, None)?;
        report.left_to_ask = Some(request.evaluation(&protocol, &report.trained));
    }
    Ok(report)
}

impl FinetuneReport {
    /// Asks the trained checkpoints the test questions, and compares them with the untrained
    /// models.
    fn evaluate(
        &mut self,
        request: &FinetuneRequest,
        benchmark: &Benchmark,
        protocol: &Protocol,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<()> {
        let trained = &self.trained;
        let after = evaluation::evaluate(request, benchmark, protocol, trained, observe)?;
        let (comparisons, failures) =
            evaluation::compare_with_untrained(request, protocol, trained, &after.dir, observe)?;
        for failure in &failures {
            observe(Event::Failed(failure));
        }
        self.failures.extend(failures);
        self.comparisons = comparisons;
        self.evaluation = Some(after);
        Ok(())
    }
}

/// The questions that trainings read.
struct TrainingData {
    sets: HeldOut,
    settings: Vec<(String, String)>,
    /// Describes the questions, until the description is reported.
    description: Option<String>,
    /// Notes about the data set, until they are reported.
    notes: Vec<String>,
}

impl TrainingData {
    fn load(request: &FinetuneRequest, benchmark: &Benchmark, protocol: &Protocol) -> Result<Self> {
        // Test questions are asked after the training: whether they can be had is known before it.
        let validates_on_test = protocol.validation.on == ValidateOn::Test && !request.overfit_one;
        let splits: &[Split] = if request.asks_test_questions() || validates_on_test {
            &[Split::Train, Split::Test]
        } else {
            &[Split::Train]
        };
        let data = request
            .benchmark
            .locate(benchmark, splits, &request.models.hub)?;
        let folder = data.path.as_deref();
        let (set, notes) = chartbench_data::load_with_notes(&benchmark.data, folder, Split::Train)?;
        let description = request
            .benchmark
            .describe(benchmark, set.len(), set.charts.len());
        let settings = vec![
            ("benchmark".to_owned(), benchmark.data.name.clone()),
            ("train_hash".to_owned(), set.hash()?),
        ];
        let sets = if request.overfit_one {
            let question = set.limit(1);
            HeldOut {
                train: question.clone(),
                validation: question,
            }
        } else {
            let validation = &protocol.validation;
            let mut sets = match validation.on {
                ValidateOn::Train => hold_out(set, validation.share, protocol.seed)?,
                ValidateOn::Test => {
                    let test = chartbench_data::load(&benchmark.data, folder, Split::Test)?;
                    HeldOut {
                        train: set,
                        validation: test,
                    }
                }
            };
            sets.validation = validation_questions(sets.validation, validation, protocol.seed);
            sets
        };
        Ok(Self {
            sets,
            settings,
            description: Some(format!("training on {description}")),
            notes,
        })
    }
}

/// The protocol of the self-test: one question, over and over, without dropout or smoothing.
fn overfit_protocol(mut protocol: Protocol) -> Protocol {
    protocol.steps = protocol.steps.min(150);
    protocol.schedule.warmup_steps = 0;
    (protocol.batch, protocol.accumulate) = (1, 1);
    protocol.dropout = Dropout::Off;
    protocol.label_smoothing = 0.0;
    protocol.validation.every = protocol.steps;
    protocol.validation.patience = None;
    protocol.validation.keep = Keep::Last;
    protocol
}
