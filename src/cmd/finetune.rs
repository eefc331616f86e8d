//! `chartbench finetune`: trains each adapter on the benchmark's train split, keeps the best step by validation, and asks it
//! the test questions, into `results/<name>/`.

mod progress;

use std::cell::Cell;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::benchmark::BenchmarkArgs;
use super::options::{AdapterArgs, Requested};
use super::{Status, one_line, run};
use crate::adapter::training::{Precision, StartFrom, Trainable};
use crate::config::{Benchmark, Dropout, Keep, Protocol, ProtocolOverrides, ValidateOn};
use crate::finetune::curves::Curves;
use crate::finetune::log::read_log;
use crate::finetune::{self, HeldOut, MemoryEstimate, ModelCard, TRAINING_LOG, TrainOutcome, Trainer};
use chartbench_core::counts::{MAX_LIMIT, parse_count};
use chartbench_core::files::write_file;
use chartbench_core::names::check_folder_name;
use chartbench_data::Split;
use progress::TrainingProgress;

/// What is trained without `--adapters`: the embedded models that answer questions.
const DEFAULT_ADAPTERS: &[&str] = &["matcha-tiny", "unichart-tiny"];

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(flatten)]
    benchmark: BenchmarkArgs,
    /// Name of the run, a folder under --results
    #[arg(long, default_value = "finetuned")]
    name: String,
    /// Folder the run is written under
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// After training, ask only the first N test questions
    #[arg(long, value_name = "N", value_parser = parse_count::<MAX_LIMIT>)]
    limit: Option<usize>,
    /// Scoring convention of the leaderboard [default: as of `run`]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
    /// Begin with random weights: pre-training, with the checkpoint's configuration and tokenizer
    #[arg(long)]
    from_scratch: bool,
    /// Self-test of a set-up: learn one question by heart and check that it is answered
    #[arg(long)]
    overfit_one: bool,
    /// Store the checkpoint's weights in half precision (f16); training itself is in f32
    #[arg(long)]
    half: bool,
    /// Train even where the estimate says that memory will not do
    #[arg(long)]
    no_memory_check: bool,
    #[command(flatten)]
    protocol: ProtocolOverrides,
}

pub fn run(args: &Args) -> Result<Status> {
    args.adapter.on_threads(|threads| finetune(args, threads))
}

fn finetune(args: &Args, threads: usize) -> Result<Status> {
    check_folder_name("--name", &args.name)?;
    let requested = args.adapter.requested(DEFAULT_ADAPTERS)?;
    let benchmark = args.benchmark.load()?;
    let mut protocol = benchmark.protocol(&args.overrides())?;
    if args.overfit_one {
        protocol = by_heart(protocol);
    }
    if protocol.selects_on_test() && !args.overfit_one {
        chartbench_core::note!(
            "note: this protocol chooses the step to keep on test questions, so that its test score is too good; \
             --protocol chartbench chooses on train charts held out"
        );
    }
    let data = data(args, &benchmark, &protocol)?;
    if !args.overfit_one {
        run::create(&args.evaluation(&protocol, &[]))?;
    }
    let folder = args.results.join(&args.name);
    let mut failures = Vec::new();
    let mut trained = Vec::new();
    for one in &requested {
        match train_one(args, one, &protocol, &data, &folder.join(&one.name)) {
            Ok(finished) => trained.push((one, finished)),
            Err(error) => failures.push((one.name.as_str(), error)),
        }
    }
    if trained.is_empty()
        && !args.overfit_one
        && let Some((name, error)) = failures.pop()
    {
        tell(&failures);
        bail!("{name}: {}", one_line(&error));
    }
    tell(&failures);
    let failed = !failures.is_empty();
    if args.overfit_one {
        return Ok(if failed { Status::Failures } else { Status::Done });
    }
    let status = evaluate(args, threads, (&benchmark, &protocol), &trained, &folder)?;
    Ok(if failed { Status::Failures } else { status })
}

impl Args {
    /// The run that asks the test questions of what was trained.
    fn evaluation(&self, protocol: &Protocol, trained: &[(&Requested, TrainOutcome)]) -> run::Args {
        let mut adapter = self.adapter.clone();
        adapter.adapters = trained.iter().map(|(one, _)| one.name.clone()).collect();
        adapter.weights =
            trained.iter().map(|(one, done)| format!("{}={}", one.name, done.checkpoint.display())).collect();
        adapter.max_patches = protocol.max_patches.or(adapter.max_patches);
        let run = (self.name.as_str(), self.results.clone());
        run::Args::after_training(adapter, self.benchmark.clone(), run, self.limit, self.convention.clone())
    }

    /// The flags that say how to train.
    fn overrides(&self) -> ProtocolOverrides {
        ProtocolOverrides { max_patches: self.adapter.max_patches, ..self.protocol.clone() }
    }
}

fn tell(failures: &[(&str, anyhow::Error)]) {
    for (name, error) in failures {
        chartbench_core::note!("error: {name}: {}", one_line(error));
    }
}

/// What a training reads.
struct Data {
    sets: HeldOut,
    settings: Vec<(String, String)>,
    /// Which questions are trained on, until that was printed.
    description: Cell<Option<String>>,
}

fn data(args: &Args, benchmark: &Benchmark, protocol: &Protocol) -> Result<Data> {
    let folder = args.benchmark.data.as_deref();
    let set = chartbench_data::load(&benchmark.data, folder, Split::Train)?;
    let description = args.benchmark.describe(benchmark, set.len(), set.charts.len());
    let settings = vec![("benchmark".to_owned(), benchmark.data.name.clone()), ("train_hash".to_owned(), set.hash()?)];
    let sets = if args.overfit_one {
        let one = set.limit(1);
        HeldOut { train: one.clone(), validation: one }
    } else {
        let validation = &protocol.validation;
        let mut sets = match validation.on {
            ValidateOn::Train => finetune::hold_out(set, validation.share, protocol.seed)?,
            ValidateOn::Test => {
                let test = chartbench_data::load(&benchmark.data, folder, Split::Test)?;
                HeldOut { train: set, validation: test }
            }
        };
        sets.validation = finetune::validation_questions(sets.validation, validation, protocol.seed);
        sets
    };
    Ok(Data { sets, settings, description: Cell::new(Some(format!("training on {description}"))) })
}

/// The protocol of `--overfit-one`: one question, over and over, nothing in its way.
fn by_heart(protocol: Protocol) -> Protocol {
    let mut protocol = protocol;
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
fn train_one(args: &Args, one: &Requested, protocol: &Protocol, data: &Data, folder: &Path) -> Result<TrainOutcome> {
    let start = if args.from_scratch { StartFrom::Scratch(protocol.seed) } else { StartFrom::Checkpoint };
    let mut one = one.clone();
    one.overrides.max_patches = protocol.max_patches.or(one.overrides.max_patches);
    let mut model = one.trainable(&args.adapter, start)?;
    if let Some(description) = data.description.take() {
        chartbench_core::note!("{description}");
    }
    choose(model.as_mut(), protocol)?;
    let scratch;
    let folder = if args.overfit_one {
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
        precision: if args.half { Precision::F16 } else { Precision::F32 },
        settings,
    };
    if !training.is_finished() {
        estimate(args, &one.name, &training)?;
    }
    let mut progress = TrainingProgress::new(&one.name);
    let finished = training.run(&mut |event| progress.observe(&event))?;
    progress.finish();
    if args.overfit_one {
        return learned_by_heart(&one.name, finished);
    }
    let curves = Curves::new(&read_log(&folder.join(TRAINING_LOG))?);
    write_file(&folder.join("training.svg"), curves.svg(&one.name)?.as_bytes())?;
    chartbench_core::terminal::write_note_block(&curves.text());
    if finished.step == 0 {
        chartbench_core::note!(
            "warning: {}: no validation was better than the one before training: the weights kept are the untrained ones \
             (try another --lr, more --steps, or --select-by loss)",
            one.name
        );
    }
    chartbench_core::note!(
        "{}: the weights of step {} are in {}",
        one.name,
        finished.step,
        finished.checkpoint.display()
    );
    Ok(finished)
}

/// Leaves what the protocol says to be trained.
fn choose(model: &mut dyn Trainable, protocol: &Protocol) -> Result<()> {
    for part in &protocol.freeze {
        let known = model.variables().all().any(|(name, _)| is_part(name, part));
        ensure!(known, "--freeze {part}: no weight's name is that or begins so");
    }
    let variables = model.variables_mut();
    if let Some(lora) = &protocol.lora {
        return variables.adapt(lora.rank, lora.alpha, &lora.targets, protocol.seed).context("--lora-targets");
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

/// Tells what training will take, and refuses what does not fit.
fn estimate(args: &Args, name: &str, training: &Trainer<'_>) -> Result<()> {
    let (model, protocol) = (training.model, training.protocol);
    let questions = training.train.iter().map(|(chart, question)| model.prepare(chart, question, training.rule()));
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
        format!("no question of the train split can be trained on{why}; try `chartbench data check`")
    })?;
    let memory = MemoryEstimate::new(model, protocol, first);
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let available = system.cgroup_limits().map_or(system.available_memory(), |limits| limits.free_memory);
    if !args.no_memory_check {
        memory.check(available)?;
    }
    let step = finetune::measure_step_time(model, protocol, &part)?;
    let hours = step.as_secs_f64() * protocol.steps as f64 / 3600.0;
    chartbench_core::note!(
        "{name}: about {} of memory ({} free), {:.2} s a step, {hours:.2} h for {} steps without validation",
        finetune::format_bytes(memory.total()),
        finetune::format_bytes(available),
        step.as_secs_f64(),
        protocol.steps
    );
    Ok(())
}

/// The verdict of `--overfit-one`.
fn learned_by_heart(name: &str, finished: TrainOutcome) -> Result<TrainOutcome> {
    /// Mean loss of a label that is known by heart.
    const KNOWN: f64 = 0.1;
    let metric = |key: &str| finished.metrics.iter().find(|(name, _)| name == key).map(|&(_, value)| value);
    let (loss, right) = (metric("loss").unwrap_or(f64::NAN), metric("exact_match").unwrap_or(0.0));
    ensure!(
        loss < KNOWN && right == 1.0,
        "one question could not be learned by heart (loss {loss:.3}, answered {}): check the learning rate, whether the label \
         survives the tokenizer, and what is frozen",
        if right == 1.0 { "right" } else { "wrong" }
    );
    chartbench_core::note!("{name}: one question was learned by heart (loss {loss:.4}) and is answered right");
    Ok(finished)
}

/// Asks the fine-tuned checkpoints the test questions and puts their scores into their cards.
fn evaluate(
    args: &Args,
    threads: usize,
    (benchmark, protocol): (&Benchmark, &Protocol),
    trained: &[(&Requested, TrainOutcome)],
    folder: &Path,
) -> Result<Status> {
    let status = run::answer(&args.evaluation(protocol, trained), threads)?;
    let scores = std::fs::read_to_string(folder.join("leaderboard.md"))?;
    for (one, finished) in trained {
        let card = ModelCard { adapter: &one.name, benchmark: &benchmark.title, finished, scores: &scores };
        let text = card.text(protocol, &protocol.settings());
        write_file(&finished.checkpoint.join("README.md"), text.as_bytes())?;
    }
    Ok(status)
}
