//! Turns checkpoints into 8 or 4 bits, keeping the layers in full precision that would lose too
//! much.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{AdapterFailure, AllFailed, BenchmarkSelection, ModelOptions, SelectedAdapter};
use crate::adapter::training::{LabelRule, StartFrom, Trainable};
use crate::config::{Protocol, ProtocolOverrides, ValidateOn};
use crate::finetune::quantize::{self, Decision, Measurement, Study, Trial};
use crate::finetune::{SkippedQuestion, hold_out, validation_questions};
use crate::report::table::Table;
use chartbench_core::files::{replace_folder, write_file};
use chartbench_core::question::QuestionSet;
use chartbench_data::Split;
use chartbench_nn::{LayerQuantizer, WeightFormat};

/// The embedded models that answer questions: what is quantized where no adapter is named.
pub const DEFAULT_ADAPTERS: &[&str] = &["matcha-tiny-mini", "unichart-tiny-mini"];

/// The checkpoints to quantize, and how much they may lose.
#[derive(Clone, Debug)]
pub struct QuantizeRequest {
    /// The adapters whose checkpoints are quantized, one after the other.
    pub adapters: Vec<SelectedAdapter>,
    /// Hub and device of the adapters' models.
    pub models: ModelOptions,
    /// The benchmark from whose train split the validation questions are held out.
    pub benchmark: BenchmarkSelection,
    /// Formats to quantize to, each studied by itself.
    pub precisions: Vec<WeightFormat>,
    /// Folder that gets quantize.md and a folder for each row `NAME@PRECISION`.
    pub out: PathBuf,
    /// Points of exact match that may be lost.
    pub tolerance: f64,
    /// Most questions to measure with; the benchmark's number where it is absent.
    pub validation_questions: Option<usize>,
    /// Patch budget of the measurements.
    pub max_patches: Option<usize>,
}

/// Something that happened in a quantization.
#[derive(Clone, Copy)]
pub enum Event<'a> {
    /// Questions that fail, which counts as wrong.
    QuestionsFailed {
        /// The row's name, e.g. `matcha-tiny-mini`.
        adapter: &'a str,
        /// The failed questions, at least one, each with its error.
        failures: &'a [SkippedQuestion],
    },
    /// The weights as they are, measured on this many questions.
    Baseline {
        /// The row's name.
        adapter: &'a str,
        /// Number of validation questions.
        questions: usize,
        /// Size, speed, loss and scores in full precision.
        measured: &'a Measurement,
    },
    /// A layer or a choice of one precision.
    Study {
        /// The row's name.
        adapter: &'a str,
        /// The format being studied.
        precision: WeightFormat,
        /// The measured layer or choice.
        event: &'a quantize::QuantizeEvent<'a>,
    },
}

/// The study of one adapter.
#[derive(Debug)]
pub struct QuantizedAdapter {
    /// The row's name, without `@PRECISION`.
    pub adapter: String,
    /// The measurement in full precision.
    pub baseline: Measurement,
    /// One study a format, in the order of the request.
    pub studies: Vec<Study>,
}

/// How a quantization ended.
#[derive(Debug)]
pub struct QuantizeReport {
    /// Adapters that were measured, in the order of the request.
    pub adapters: Vec<QuantizedAdapter>,
    /// Adapters that could not be loaded, measured or written.
    pub failures: Vec<AdapterFailure>,
    /// Every choice that was measured.
    pub choices: Table,
    /// Rows `NAME@PRECISION` that were written, with their checkpoints.
    pub written: Vec<(String, PathBuf)>,
    /// Rows of which every choice loses too much: nothing is written.
    pub refused: Vec<String>,
}

impl QuantizeReport {
    /// Whether every adapter was quantized to every precision.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.refused.is_empty()
    }
}

/// Measures every adapter's choices and writes the chosen ones.
///
/// # Errors
/// Returns [`AllFailed`] if no adapter could be measured. Returns an error if the benchmark cannot
/// be loaded or a file cannot be written.
pub fn quantize(
    request: &QuantizeRequest,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<QuantizeReport> {
    let benchmark = request.benchmark.load()?;
    let overrides = ProtocolOverrides {
        validate_on: Some(ValidateOn::Train),
        validation_questions: request.validation_questions,
        max_patches: request.max_patches,
        ..ProtocolOverrides::default()
    };
    let protocol = benchmark.protocol(&overrides)?;
    let data = request
        .benchmark
        .locate(&benchmark, &[Split::Train], &request.models.hub)?;
    let set = chartbench_data::load(&benchmark.data, data.path.as_deref(), Split::Train)?;
    let sets = hold_out(set, protocol.validation.share, protocol.seed)?;
    let questions = validation_questions(sets.validation, &protocol.validation, protocol.seed);
    let (mut adapters, mut failures) = (Vec::new(), Vec::new());
    for adapter in &request.adapters {
        match study(request, adapter, &protocol, &questions, observe) {
            Ok(quantized) => adapters.push(quantized),
            Err(error) => failures.push(AdapterFailure {
                adapter: adapter.name.clone(),
                error,
            }),
        }
    }
    if adapters.is_empty() && !failures.is_empty() {
        return Err(AllFailed(failures).into());
    }
    let studied = || {
        adapters
            .iter()
            .map(|one| (one.adapter.as_str(), one.studies.as_slice()))
    };
    let choices = quantize::choices(
        adapters
            .iter()
            .map(|one| (one.adapter.as_str(), &one.baseline, one.studies.as_slice())),
    );
    let damages = quantize::damages(studied());
    let folder = request.out.as_path();
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    let text = format!("{}\n{}", choices.to_markdown(), damages.to_markdown());
    write_file(&folder.join("quantize.md"), text.as_bytes())?;
    let (mut written, mut refused) = (Vec::new(), Vec::new());
    for (adapter, studies) in studied() {
        for study in studies {
            let row = format!("{adapter}@{}", study.to);
            match study.chosen {
                Some(_) => written.push((row.clone(), checkpoint(&folder.join(row)))),
                None => refused.push(row),
            }
        }
    }
    Ok(QuantizeReport {
        adapters,
        failures,
        choices,
        written,
        refused,
    })
}

/// Measures one adapter's choices and writes the chosen ones.
fn study(
    request: &QuantizeRequest,
    adapter: &SelectedAdapter,
    protocol: &Protocol,
    questions: &QuestionSet,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<QuantizedAdapter> {
    let model = adapter.trainable(&request.models, StartFrom::Checkpoint)?;
    let model = model.as_ref();
    let rule = LabelRule {
        max_tokens: protocol.max_label_tokens,
        mask_padding: true,
    };
    let trial = Trial {
        model,
        questions,
        rule,
        micro_batch: protocol.micro_batch(),
    };
    let name = adapter.name.as_str();
    let (baseline, failures) = trial.baseline()?;
    if !failures.is_empty() {
        observe(Event::QuestionsFailed {
            adapter: name,
            failures: &failures,
        });
    }
    observe(Event::Baseline {
        adapter: name,
        questions: questions.len(),
        measured: &baseline,
    });
    let settings = settings(model, protocol, questions)?;
    let mut studies = Vec::new();
    for &precision in &request.precisions {
        let fixed = model.variables().frozen();
        let mut quantized = LayerQuantizer::new(&fixed, precision);
        let study = trial.study(&mut quantized, &baseline, request.tolerance, &mut |event| {
            observe(Event::Study {
                adapter: name,
                precision,
                event: &event,
            });
        })?;
        if let Some(decision) = Decision::new(name, &settings, &baseline, &study, request.tolerance)
        {
            let row = format!("{name}@{precision}");
            let choices = quantize::choices([(name, &baseline, std::slice::from_ref(&study))]);
            let card = quantize::model_card(&row, &decision, &choices);
            write(&request.out.join(&row), model, &quantized, &decision, &card)?;
        }
        studies.push(study);
    }
    Ok(QuantizedAdapter {
        adapter: name.to_owned(),
        baseline,
        studies,
    })
}

/// The model's settings, and which questions were asked.
fn settings(
    model: &dyn Trainable,
    protocol: &Protocol,
    questions: &QuestionSet,
) -> Result<Vec<(String, String)>> {
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
    folder: &Path,
    model: &dyn Trainable,
    quantized: &LayerQuantizer<'_>,
    decision: &Decision<'_>,
    card: &str,
) -> Result<()> {
    let target = checkpoint(folder);
    let failed = || format!("cannot write {}", target.display());
    std::fs::create_dir_all(folder).with_context(failed)?;
    let write = |folder: &Path| {
        model.write_quantized(folder, quantized)?;
        decision.write(folder)?;
        Ok(std::fs::write(folder.join("README.md"), card)?)
    };
    replace_folder(&target, write).with_context(failed)
}

fn checkpoint(folder: &Path) -> PathBuf {
    folder.join("checkpoint")
}
