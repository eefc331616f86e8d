//! Trains each adapter on the benchmark's train split, keeps the best step by validation, and asks
//! it the test questions, into `results/<name>/`; a killed training resumes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::run::{self, RunReport, RunRequest};
use super::{AdapterFailure, AllFailed, BenchmarkSelection, ModelOptions, SelectedAdapter};
use crate::adapter::training::{Precision, StartFrom, Trainable};
use crate::config::{Benchmark, Dropout, Keep, Protocol, ProtocolOverrides, ValidateOn};
use crate::finetune::curves::Curves;
use crate::finetune::log::{TRAINING_LOG, read_log};
use crate::finetune::{
    HeldOut, MemoryEstimate, ModelCard, TrainEvent, TrainOutcome, Trainer, hold_out,
    measure_step_time, validation_questions,
};
use chartbench_core::files::write_file;
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
    /// Begins with random weights: pre-training, with the checkpoint's configuration and tokenizer.
    pub from_scratch: bool,
    /// Self-test of a set-up: overfits one question and checks that it is answered. Nothing is
    /// stored.
    pub overfit_one: bool,
    /// How the checkpoint's weights are stored; training itself is in f32.
    pub precision: Precision,
    /// Refuses a training that the estimate says does not fit into memory.
    pub check_memory: bool,
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
            from_scratch: false,
            overfit_one: false,
            precision: Precision::F32,
            check_memory: true,
            protocol: ProtocolOverrides::default(),
        }
    }

    /// The run that asks the trained checkpoints the test questions.
    fn evaluation(&self, protocol: &Protocol, trained: &[Trained]) -> RunRequest {
        let adapters = trained.iter().map(|trained| {
            let mut adapter = trained.adapter.clone();
            adapter.model.weights = Some(trained.finished.checkpoint.clone());
            adapter.overrides.max_patches = protocol.max_patches.or(adapter.overrides.max_patches);
            adapter
        });
        RunRequest {
            models: self.models.clone(),
            benchmark: self.benchmark.clone(),
            name: Some(self.name.clone()),
            results: self.results.clone(),
            limit: self.limit,
            convention: self.convention.clone(),
            ..RunRequest::new(adapters.collect())
        }
    }
}

/// Something that happened in a fine-tuning.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The protocol chooses the step to keep on test questions.
    SelectsOnTest,
    /// The first model is loaded, and these questions are trained on.
    QuestionsChosen {
        /// One line: number of questions and charts, benchmark, data.
        description: &'a str,
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
    /// The run over the test questions.
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
    /// Adapters that could not be trained.
    pub failures: Vec<AdapterFailure>,
    /// The run over the test questions; absent after a self-test.
    pub evaluation: Option<RunReport>,
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
/// Returns [`AllFailed`] if no adapter could be trained. Returns an error if the benchmark cannot
/// be loaded, its protocol is refused, or the folder holds another run.
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
    let mut data = TrainingData::load(request, &benchmark, &protocol)?;
    if !request.overfit_one {
        run::create(&request.evaluation(&protocol, &[]))?;
    }
    let folder = request.results.join(&request.name);
    let (mut trained, mut failures) = (Vec::new(), Vec::new());
    for adapter in &request.adapters {
        match train_adapter(
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
            Err(error) => failures.push(AdapterFailure {
                adapter: adapter.name.clone(),
                error,
            }),
        }
    }
    if trained.is_empty() && !failures.is_empty() && !request.overfit_one {
        return Err(AllFailed(failures).into());
    }
    failures
        .iter()
        .for_each(|failure| observe(Event::Failed(failure)));
    let evaluation = match request.overfit_one {
        true => None,
        false => Some(evaluate(
            request, &benchmark, &protocol, &trained, &folder, observe,
        )?),
    };
    Ok(FinetuneReport {
        trained,
        failures,
        evaluation,
    })
}

/// The questions that trainings read.
struct TrainingData {
    sets: HeldOut,
    settings: Vec<(String, String)>,
    /// Describes the questions, until the description is reported.
    description: Option<String>,
}

impl TrainingData {
    fn load(request: &FinetuneRequest, benchmark: &Benchmark, protocol: &Protocol) -> Result<Self> {
        let folder = request.benchmark.data.as_deref();
        let set = chartbench_data::load(&benchmark.data, folder, Split::Train)?;
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

/// Trains one adapter, or finds that it was.
fn train_adapter(
    request: &FinetuneRequest,
    adapter: &SelectedAdapter,
    protocol: &Protocol,
    data: &mut TrainingData,
    folder: &Path,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<TrainOutcome> {
    let name = adapter.name.as_str();
    let start = if request.from_scratch {
        StartFrom::Scratch(protocol.seed)
    } else {
        StartFrom::Checkpoint
    };
    let mut adapter = adapter.clone();
    adapter.overrides.max_patches = protocol.max_patches.or(adapter.overrides.max_patches);
    let mut model = adapter.trainable(&request.models, start)?;
    if let Some(description) = data.description.take() {
        observe(Event::QuestionsChosen {
            description: &description,
        });
    }
    choose_weights(model.as_mut(), protocol)?;
    let scratch;
    let folder = if request.overfit_one {
        scratch = tempfile::tempdir()?;
        scratch.path()
    } else {
        folder
    };
    let settings = [model.settings(), &data.settings, &protocol.settings()].concat();
    let training = Trainer {
        model: model.as_ref(),
        protocol,
        train: &data.sets.train,
        validation: &data.sets.validation,
        folder,
        precision: request.precision,
        settings,
    };
    if !training.is_finished() {
        let estimate = estimate(request, &training)?;
        observe(Event::Estimated {
            adapter: name,
            estimate: &estimate,
        });
    }
    let finished = training.run(&mut |event| {
        observe(Event::Training {
            adapter: name,
            event: &event,
        })
    })?;
    if request.overfit_one {
        let loss = check_overfitted(&finished)?;
        observe(Event::Overfitted {
            adapter: name,
            loss,
        });
        return Ok(finished);
    }
    let curves = Curves::new(&read_log(&folder.join(TRAINING_LOG))?);
    write_file(&folder.join("training.svg"), curves.svg(name)?.as_bytes())?;
    observe(Event::Trained {
        adapter: name,
        finished: &finished,
        curves: &curves.text(),
    });
    Ok(finished)
}

/// Freezes or adapts the weights that the protocol names.
fn choose_weights(model: &mut dyn Trainable, protocol: &Protocol) -> Result<()> {
    for part in &protocol.freeze {
        let is_known = model.variables().all().any(|(name, _)| is_part(name, part));
        ensure!(
            is_known,
            "--freeze {part}: no weight's name is that or begins so"
        );
    }
    let variables = model.variables_mut();
    if let Some(lora) = &protocol.lora {
        return variables
            .add_lora(lora.rank, lora.alpha, &lora.targets, protocol.seed)
            .context("--lora-target-modules");
    }
    variables.freeze(|name| protocol.freeze.iter().any(|part| is_part(name, part)));
    Ok(())
}

fn is_part(name: &str, part: &str) -> bool {
    match part {
        "encoder" => name.starts_with("encoder."),
        "embeddings" => name.contains("embed_tokens") || name.contains("embed_positions"),
        beginning => name.starts_with(beginning),
    }
}

/// Estimates what training takes, and refuses what does not fit into memory.
fn estimate(request: &FinetuneRequest, training: &Trainer<'_>) -> Result<Estimate> {
    let (model, protocol) = (training.model, training.protocol);
    let questions = training
        .train
        .iter()
        .map(|(chart, question)| model.prepare(chart, question, training.rule()));
    let mut unusable = None;
    let examples = questions.filter_map(|prepared| match prepared {
        Ok(prepared) => Some(prepared.example),
        Err(error) => {
            unusable.get_or_insert(error);
            None
        }
    });
    let part: Vec<_> = examples.take(protocol.micro_batch().max(1)).collect();
    let first = part.first().with_context(|| {
        let why = unusable.map_or_else(String::new, |error| format!(" (the first: {error:#})"));
        format!(
            "no question of the train split can be trained on{why}; try `chartbench data check`"
        )
    })?;
    let memory = MemoryEstimate::new(model, protocol, first);
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let available = system
        .cgroup_limits()
        .map_or(system.available_memory(), |limits| limits.free_memory);
    if request.check_memory {
        memory.check(available)?;
    }
    let step = measure_step_time(model, protocol, &part)?;
    Ok(Estimate {
        memory: memory.total(),
        available,
        step,
        steps: protocol.steps as u64,
    })
}

/// The loss after the self-test.
///
/// # Errors
/// Returns an error if the question is not learned or not answered right.
fn check_overfitted(finished: &TrainOutcome) -> Result<f64> {
    /// Mean loss below which a label counts as learned.
    const LEARNED: f64 = 0.1;
    let metric = |key: &str| {
        finished
            .metrics
            .iter()
            .find(|(name, _)| name == key)
            .map(|&(_, value)| value)
    };
    let (loss, right) = (
        metric("loss").unwrap_or(f64::NAN),
        metric("exact_match").unwrap_or(0.0),
    );
    ensure!(
        loss < LEARNED && right == 1.0,
        "one question could not be overfitted (loss {loss:.3}, answered {}): check the learning rate, whether the label \
         survives the tokenizer, and what is frozen",
        if right == 1.0 { "right" } else { "wrong" }
    );
    Ok(loss)
}

/// Asks the fine-tuned checkpoints the test questions and puts their scores into their cards.
fn evaluate(
    request: &FinetuneRequest,
    benchmark: &Benchmark,
    protocol: &Protocol,
    trained: &[Trained],
    folder: &Path,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<RunReport> {
    let report = run::run(&request.evaluation(protocol, trained), &mut |event| {
        observe(Event::Run(event))
    })?;
    let scores = std::fs::read_to_string(folder.join("leaderboard.md"))?;
    for Trained { adapter, finished } in trained {
        let card = ModelCard {
            adapter: &adapter.name,
            benchmark: &benchmark.title,
            finished,
            scores: &scores,
        };
        let text = card.text(protocol, &protocol.settings());
        write_file(&finished.checkpoint.join("README.md"), text.as_bytes())?;
    }
    Ok(report)
}
