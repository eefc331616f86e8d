//! Adapters: the trait between the run loop and the models, and the builder of its implementors.
//!
//! Adding an architecture is one file here, one in [`chartbench_nn`] and one match arm in [`build`].

mod blind;
pub mod chat;
mod checkpoint_dir;
pub mod gguf;
pub mod hub;
pub mod language_model;
pub mod onnx;
mod oracle;
mod pix2struct;
mod process;
mod python_package;
mod secrets;
pub mod table_qa;
pub mod training;
mod unichart;

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use candle_core::Device;
use image::RgbImage;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use hub::HubOptions;
use language_model::LanguageModel;
use table_qa::{TableCache, TableQa};

use crate::config::{AdapterSpec, Family, ReaderSpec};
use chartbench_core::question::{Chart, ChartQuestions, Prediction, QuestionSource};
use chartbench_nn::{MemoryNeed, WeightFormat};
use chartbench_pixels::decode;

/// The identity of an adapter: everything that can change its answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The leaderboard row, e.g. `matcha-base`.
    pub id: String,
    /// Everything that decides the answers (weights hash, prompt, preprocessing, generation), as ordered
    /// key-value pairs: written to the manifest, hashed into the fingerprint.
    pub settings: Vec<(String, String)>,
}

/// [`Identity::settings`] under construction.
type Settings = Vec<(&'static str, String)>;

impl Identity {
    fn new(context: &AdapterContext<'_>, settings: Settings) -> Self {
        let settings = settings
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        Self {
            id: context.model.spec.id.clone(),
            settings,
        }
    }
}

/// SHA-256 over key-value pairs in order, in lower-case hex.
pub fn settings_sha256<'a>(settings: impl IntoIterator<Item = &'a (String, String)>) -> String {
    let mut hasher = Sha256::new();
    for text in settings.into_iter().flat_map(|(key, value)| [key, value]) {
        // Length prefixes keep ("a", "bc") and ("ab", "c") apart.
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    }
    format!("{:x}", hasher.finalize())
}

/// One raw answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    pub prediction: Prediction,
    /// The generated token ids, end-of-sequence token included; empty where the adapter has no tokens.
    pub token_ids: Vec<u32>,
    /// The whole completions of a language model, one per sample, where the prediction is only a part of them.
    pub completions: Vec<String>,
    /// Usage of a metered service.
    pub usage: Option<Usage>,
    /// Why a language model's text ends, as its service names it (`stop`, `length`).
    pub finish_reason: Option<String>,
    /// Whether the text before the answer is missing in the completion, so that all of it is the answer.
    pub marker_missing: bool,
}

impl Answer {
    /// An answer that consists of its text alone.
    pub fn from_text(prediction: impl Into<String>) -> Self {
        Self {
            prediction: Prediction(prediction.into()),
            ..Self::default()
        }
    }
}

/// The usage of a metered service by one answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Tokens read, as the service counted them.
    pub prompt_tokens: u64,
    /// Tokens written, as the service counted them.
    pub completion_tokens: u64,
    /// In US dollars, from the adapter file's prices; absent where that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
}

impl Usage {
    /// The sum of both; the cost is known where both costs are.
    pub fn plus(self, other: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            completion_tokens: self
                .completion_tokens
                .saturating_add(other.completion_tokens),
            cost_usd: self.cost_usd.zip(other.cost_usd).map(|(a, b)| a + b),
        }
    }
}

/// Why a question has no answer.
#[derive(Debug)]
pub enum Failure {
    /// This question failed: its row holds the error, and the others keep their answers.
    Question(anyhow::Error),
    /// The adapter cannot go on (a refused key, an endpoint that is gone). The question gets no row, so that a run
    /// started again asks it.
    Adapter(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Question(error)
    }
}

/// One model, or one blind baseline, that answers questions about charts.
pub trait Adapter {
    /// The adapter's identity, which never changes.
    fn identity(&self) -> &Identity;

    /// The default number of questions in a call.
    fn batch(&self) -> usize {
        4
    }

    /// The memory that its calls need; `None` if unknown.
    fn memory_need(&self) -> Option<MemoryNeed> {
        None
    }

    /// Answers every question of every chart in `work`: one inner vector a chart, one entry a question, in order.
    /// A question that fails (a broken image, say) is its own `Err`; the others still stand. Answers must not
    /// depend on how the questions are grouped into calls.
    fn answer(&mut self, work: &[ChartQuestions]) -> Vec<Vec<Result<Answer, Failure>>>;
}

/// A model: its adapter file, the weights that replace the file's, and the precision that the row's name asks for.
#[derive(Clone, Debug)]
pub struct ModelRef {
    pub spec: AdapterSpec,
    pub weights: Option<PathBuf>,
    /// The precision of `NAME@PRECISION`: that of the stored weights, or the one they are converted to while loading.
    pub precision: Option<WeightFormat>,
}

/// Values of flags that replace those of the adapter files.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub header_font: Option<PathBuf>,
    pub max_patches: Option<usize>,
    pub max_new_tokens: Option<usize>,
    /// ONNX Runtime's library.
    pub onnxruntime: Option<PathBuf>,
}

/// Opens the train split where it is needed.
pub type TrainSplit<'a> = &'a dyn Fn() -> Result<Box<dyn QuestionSource>>;

/// Everything that is needed to build an adapter.
pub struct AdapterContext<'a> {
    /// The row's name: `MODEL`, `MODEL@PRECISION`, `TABLES+READER`, or any behind `blank+`.
    pub name: &'a str,
    pub model: &'a ModelRef,
    /// The language model that answers from the tables `model` reads off the charts.
    pub reader: Option<&'a ModelRef>,
    /// Put a blank image in front.
    pub blank: bool,
    pub overrides: &'a Overrides,
    pub hub: &'a HubOptions,
    pub device: &'a Device,
    /// Opens the train split, for what learns from it; absent where there is no benchmark.
    pub train: Option<TrainSplit<'a>>,
}

/// Builds the adapter that `context` describes: finds and loads weights, fits baselines.
///
/// # Errors
/// Returns an error if weights cannot be found or loaded, a required train split is missing, or the parts do not fit together.
pub fn build(context: &AdapterContext<'_>) -> Result<Box<dyn Adapter>> {
    let spec = &context.model.spec;
    // The longest answer is the reader's where there is one: a table is as long as it is.
    let tables = Overrides {
        max_new_tokens: None,
        ..context.overrides.clone()
    };
    let overrides = if context.reader.is_some() {
        &tables
    } else {
        context.overrides
    };
    let model = &AdapterContext {
        overrides,
        ..*context
    };
    let adapter: Box<dyn Adapter> = match &spec.family {
        Family::UniChart(unichart) => Box::new(unichart::UniChart::load(model, unichart)?),
        Family::Chat(chat) => Box::new(chat::Chat::new(&spec.id, chat, model.overrides)?),
        Family::Process(process) => Box::new(process::ProcessAdapter::start(&spec.id, process)?),
        Family::Pix2Struct(pix2struct) => {
            Box::new(pix2struct::Pix2Struct::load(model, pix2struct)?)
        }
        Family::Gguf(_) => {
            bail!(
                "it reads tables and sees no charts: name what reads them with it (TABLES+{})",
                spec.id
            )
        }
        Family::Onnx(onnx) => onnx::build(model, onnx)?,
        Family::Oracle => Box::new(oracle::OracleAdapter::new(&spec.id)),
        Family::Majority => Box::new(fit_prior(context, blind::MostFrequentAnswer::fit_overall)?),
        Family::QuestionPrior => Box::new(fit_prior(
            context,
            blind::MostFrequentAnswer::fit_by_template,
        )?),
    };
    let adapter = match (context.blank, &spec.family) {
        (false, _) => adapter,
        (true, Family::Majority | Family::QuestionPrior | Family::Oracle) => {
            bail!(
                "{} looks at no image: `blank+` would change nothing",
                spec.id
            )
        }
        (true, _) => Box::new(blind::BlankAdapter::new(context.name, adapter)),
    };
    match context.reader {
        None => Ok(adapter),
        Some(reader) => with_reader(context, adapter, reader),
    }
}

/// Combines `tables`, which reads the charts' tables, with a language model that answers from them.
fn with_reader(
    context: &AdapterContext<'_>,
    tables: Box<dyn Adapter>,
    reader: &ModelRef,
) -> Result<Box<dyn Adapter>> {
    let (model, mut spec): (Box<dyn LanguageModel>, ReaderSpec) = match &reader.spec.family {
        Family::Gguf(gguf) => (
            Box::new(gguf::Gguf::find(context, reader, gguf)?),
            gguf.reader.clone(),
        ),
        Family::Chat(chat) => (
            Box::new(chat::Chat::new(&reader.spec.id, chat, context.overrides)?),
            chat.reader.clone(),
        ),
        _ => bail!(
            "{} is no language model: it cannot answer from a table",
            reader.spec.id
        ),
    };
    spec.max_new_tokens = context
        .overrides
        .max_new_tokens
        .unwrap_or(spec.max_new_tokens);
    let cache = match context.model.spec.family {
        Family::Oracle => None,
        _ => match TableCache::folder() {
            Ok(folder) => Some(TableCache::open(&folder, tables.identity())),
            Err(error) => {
                chartbench_core::note!("note: {error:#}");
                None
            }
        },
    };
    Ok(Box::new(TableQa::new(
        context.name,
        tables,
        cache,
        model,
        &spec,
    )))
}

/// Fits a blind baseline to the train split.
fn fit_prior(
    context: &AdapterContext<'_>,
    fit: impl FnOnce(&str, &dyn QuestionSource) -> Result<blind::MostFrequentAnswer>,
) -> Result<blind::MostFrequentAnswer> {
    let open = context
        .train
        .context("needs a benchmark's train split to learn from")?;
    open()
        .and_then(|train| fit(&context.model.spec.id, train.as_ref()))
        .context("cannot learn from the train split")
}

/// Decodes a chart's image. An image one pixel high or wide would be stretched into stripes, as the reference does; such an
/// image cannot be a chart, so it is an error.
fn chart_image(chart: &Chart) -> Result<RgbImage> {
    let name = chart.image_name();
    let image = decode(&chart.image.bytes()?, &name)?;
    let (width, height) = image.dimensions();
    ensure!(
        width.min(height) >= 2,
        "image {name} is {width} x {height} pixels, too thin to be a chart: check the file"
    );
    Ok(image)
}
