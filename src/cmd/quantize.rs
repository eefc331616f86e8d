//! `chartbench quantize`: checkpoints in 8 or 4 bits, with the layers in full precision that would lose too much.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::benchmark::BenchmarkArgs;
use super::options::{AdapterArgs, Requested};
use super::{Status, one_line};
use crate::adapter::training::{LabelRule, StartFrom, Trainable};
use crate::config::{Protocol, ProtocolOverrides, ValidateOn};
use crate::finetune::quantize::{self, Decision, Measurement, QuantizeEvent, Study, Trial};
use crate::finetune::{self, SkippedQuestion};
use crate::report::table::{Format, Table};
use chartbench_core::counts::{MAX_LIMIT, parse_count};
use chartbench_core::files::{replace_folder, write_file};
use chartbench_core::question::QuestionSet;
use chartbench_core::terminal;
use chartbench_data::Split;
use chartbench_nn::{Quantization, Quantized};

/// What is quantized without `--adapters`: the embedded models that answer questions.
const DEFAULT_ADAPTERS: &[&str] = &["matcha-tiny-mini", "unichart-tiny-mini"];

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    adapter: AdapterArgs,
    /// Precisions, separated by commas: q8 (Q8_0) and q4 (Q4_K)
    #[arg(long, value_delimiter = ',', value_name = "PRECISIONS", default_value = "q8,q4", value_parser = precision)]
    to: Vec<Quantization>,
    #[command(flatten)]
    benchmark: BenchmarkArgs,
    /// Folder it is written to
    #[arg(long, value_name = "DIR", default_value = "quantized")]
    out: PathBuf,
    /// Points of exact match that may be lost
    #[arg(long, value_name = "POINTS", default_value_t = 0.5)]
    tolerance: f64,
    /// Most questions to measure with, about charts held out as `finetune` holds them out [default: the benchmark's]
    #[arg(long, value_name = "N", value_parser = parse_count::<MAX_LIMIT>)]
    validation_questions: Option<usize>,
}

fn precision(name: &str) -> Result<Quantization, String> {
    Quantization::named(name).map_err(|error| error.to_string())
}

/// What was found for one adapter.
struct Found<'a> {
    requested: &'a Requested,
    baseline: Measurement,
    studies: Vec<Study>,
}

pub fn run(args: &Args) -> Result<Status> {
    args.adapter.on_threads(|_| quantize(args))
}

fn quantize(args: &Args) -> Result<Status> {
    let requested = args.adapter.requested(DEFAULT_ADAPTERS)?;
    let benchmark = args.benchmark.load()?;
    let overrides = ProtocolOverrides {
        validate_on: Some(ValidateOn::Train),
        validation_questions: args.validation_questions,
        max_patches: args.adapter.max_patches,
        ..ProtocolOverrides::default()
    };
    let protocol = benchmark.protocol(&overrides)?;
    let set = chartbench_data::load(&benchmark.data, args.benchmark.data.as_deref(), Split::Train)?;
    let sets = finetune::hold_out(set, protocol.validation.share, protocol.seed)?;
    let questions = finetune::validation_questions(sets.validation, &protocol.validation, protocol.seed);
    let folder = args.out.as_path();
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for one in &requested {
        match study(args, one, &protocol, &questions, folder) {
            Ok(one) => found.push(one),
            Err(error) => failures.push((&one.name, error)),
        }
    }
    if found.is_empty()
        && let Some((name, error)) = failures.pop()
    {
        bail!("{name}: {}", one_line(&error));
    }
    for (name, error) in &failures {
        chartbench_core::note!("error: {name}: {}", one_line(error));
    }
    let table =
        quantize::choices(found.iter().map(|one| (one.requested.name.as_str(), &one.baseline, one.studies.as_slice())));
    let damages = quantize::damages(found.iter().map(|one| (one.requested.name.as_str(), one.studies.as_slice())));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let text = format!("{}\n{}", table.to_markdown(), damages.to_markdown());
    write_file(&folder.join("quantize.md"), text.as_bytes())?;
    terminal::print(&table.render(Format::Table)?);
    let all = tell(args, &found, folder);
    Ok(if all && failures.is_empty() { Status::Done } else { Status::Failures })
}

/// Measures one adapter's choices and writes the chosen ones.
fn study<'a>(
    args: &Args,
    one: &'a Requested,
    protocol: &Protocol,
    questions: &QuestionSet,
    folder: &Path,
) -> Result<Found<'a>> {
    let model = one.trainable(&args.adapter, StartFrom::Checkpoint)?;
    let model = model.as_ref();
    let rule = LabelRule { max_tokens: protocol.max_label_tokens, mask_padding: true };
    let trial = Trial { model, questions, rule, micro_batch: protocol.micro_batch() };
    let name = &one.name;
    let (baseline, failures) = trial.baseline()?;
    if let Some(SkippedQuestion { question, error }) = failures.first() {
        let count = failures.len();
        chartbench_core::note!(
            "{name}: {count} validation questions fail, which counts as wrong; the first, {question}: {error}"
        );
    }
    chartbench_core::note!("{name}: {} validation questions, {}", questions.len(), shown(&baseline));
    let settings = settings(model, protocol, questions)?;
    let mut studies = Vec::new();
    for &to in &args.to {
        let fixed = model.variables().fixed();
        let mut quantized = Quantized::new(&fixed, to);
        let mut observe = |event: QuantizeEvent<'_>| match event {
            QuantizeEvent::Damage { done, of, damage } => {
                chartbench_core::note!(
                    "{name}@{to}: layer {done}/{of}, {}: loss {:+.5}",
                    damage.layer,
                    damage.loss_rise
                );
            }
            QuantizeEvent::Choice(choice) => {
                chartbench_core::note!("{name}@{to}: all but {} layers: {}", choice.kept.len(), shown(&choice.measured))
            }
        };
        let study = trial.study(&mut quantized, &baseline, args.tolerance, &mut observe)?;
        if let Some(decision) = Decision::new(name, &settings, &baseline, &study, args.tolerance) {
            let row = format!("{name}@{to}");
            let table = quantize::choices([(name.as_str(), &baseline, std::slice::from_ref(&study))]);
            write((&row, &folder.join(&row)), model, &quantized, &decision, &table)?;
        }
        studies.push(study);
    }
    Ok(Found { requested: one, baseline, studies })
}

fn shown(measured: &Measurement) -> String {
    let Measurement { bytes, questions_per_second, loss, exact_match, relaxed } = *measured;
    let megabytes = bytes as f64 / 1e6;
    format!(
        "{megabytes:.2} MB, {questions_per_second:.2} questions/s, loss {loss:.4}, exact match {exact_match:.2}, relaxed \
         accuracy {relaxed:.2}"
    )
}

/// The model's, and which questions were asked.
fn settings(model: &dyn Trainable, protocol: &Protocol, questions: &QuestionSet) -> Result<Vec<(String, String)>> {
    let more = [
        ("benchmark", questions.benchmark.clone()),
        ("validation_questions", questions.len().to_string()),
        ("validation_hash", questions.hash()?),
        ("validation_share", protocol.validation.share.to_string()),
        ("seed", protocol.seed.to_string()),
    ];
    let more = more.into_iter().map(|(key, value)| (key.to_owned(), value));
    Ok(model.settings().iter().cloned().chain(more).collect())
}

/// Writes the chosen checkpoint, whole or not at all.
fn write(
    (row, folder): (&str, &Path),
    model: &dyn Trainable,
    quantized: &Quantized<'_>,
    decision: &Decision<'_>,
    table: &Table,
) -> Result<()> {
    let target = checkpoint(folder);
    let failed = || format!("cannot write {}", target.display());
    std::fs::create_dir_all(folder).with_context(failed)?;
    let write = |folder: &Path| {
        model.write_quantized(folder, quantized)?;
        decision.write(folder)?;
        Ok(std::fs::write(folder.join("README.md"), quantize::model_card(row, decision, table))?)
    };
    replace_folder(&target, write).with_context(failed)
}

fn checkpoint(folder: &Path) -> PathBuf {
    folder.join("checkpoint")
}

/// Says which choices hold, and how they are asked; whether all do.
fn tell(args: &Args, found: &[Found<'_>], folder: &Path) -> bool {
    let (mut rows, mut all) = (Vec::new(), true);
    for Found { requested: Requested { name, .. }, studies, .. } in found {
        for study in studies {
            let row = format!("{name}@{}", study.to);
            if study.chosen.is_some() {
                rows.push(row);
                continue;
            }
            all = false;
            chartbench_core::note!(
                "error: {row}: every choice loses more than {} points of exact match: nothing is written",
                args.tolerance
            );
        }
    }
    if !rows.is_empty() {
        let weights = rows.iter().map(|row| format!(" --weights {row}={}", checkpoint(&folder.join(row)).display()));
        chartbench_core::note!("ask them: chartbench run --adapters {}{}", rows.join(","), weights.collect::<String>());
    }
    all
}
