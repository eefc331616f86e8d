//! Adapters: the trait between the run loop and the models, and the builder of its implementors.
//!
//! Adding an architecture is one file here, one folder in [`chartbench_nn`], and one match arm in
//! [`build`] and in [`training::load`].

#[cfg_attr(not(feature = "hub"), allow(dead_code))]
mod batch_api;
mod blind;
#[cfg_attr(not(feature = "hub"), allow(dead_code))]
mod budget;
#[cfg(feature = "hub")]
pub mod chat;
mod checkpoint_dir;
mod decoding;
mod encoder_decoder;
mod extraction;
#[cfg(feature = "gguf")]
pub mod gguf;
pub mod hub;
pub mod language_model;
mod lookup;
mod model_files;
pub mod onnx;
mod oracle;
mod pix2struct;
mod process;
// Only endpoints hold conversations.
#[cfg_attr(not(feature = "hub"), allow(dead_code))]
mod process_group;
#[cfg_attr(not(feature = "hub"), expect(dead_code))]
mod prompt;
#[cfg(any(feature = "gguf", feature = "onnx"))]
mod python_package;
mod secrets;
pub mod table_qa;
pub mod training;
mod unichart;

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use candle_core::Device;
use image::RgbImage;

pub use batch_api::BatchApi;
pub use budget::{Budget, MAX_USD};
pub use checkpoint_dir::embedded_config;
use hub::HubOptions;
use language_model::LanguageModel;
pub use model_files::{HubSnapshot, ModelFiles};
use pix2struct::Pix2Struct;
use table_qa::{PromptedModel, TableCache, TableQa, TableReader};
use unichart::UniChart;

use crate::config::{AdapterSpec, Family, ReaderSpec};
pub use chartbench_core::answer::{Answer, Identity, Usage};
use chartbench_core::question::{Chart, ChartQuestions, Question, QuestionSource};
use chartbench_nn::{MemoryNeed, WeightFormat};
use chartbench_pixels::decode;

/// [`Identity::settings`] under construction, with keys that are known
/// here.
type Settings = Vec<(&'static str, String)>;

/// The identity of the row that `context` describes.
fn identity(context: &AdapterContext<'_>, settings: Settings) -> Identity {
    let settings = settings
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value));
    Identity {
        id: context.model.spec.id.clone(),
        settings: settings.collect(),
    }
}

/// A callback that takes the result of one question: its place among the questions of the call (those of the
/// first chart, then those of the second, ...), and the answer, or why this question failed.
pub type ReportAnswer<'a> = dyn FnMut(usize, Result<Answer>) + 'a;

/// Tells a call in hand, from another thread, to come to its end.
pub type GiveUp = Box<dyn Fn() + Send>;

/// The questions of a call with their charts, in the order in which [`ReportAnswer`] counts them.
pub fn questions(charts: &[ChartQuestions]) -> impl Iterator<Item = (&Chart, &Question)> {
    charts.iter().flat_map(|entry| {
        entry
            .questions
            .iter()
            .map(|question| (&entry.chart, question))
    })
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

    /// Answers every question of every chart, and reports each result as it comes, once a question,
    /// in any order. A question that fails (a broken image, say) is reported as an error; the
    /// others still stand. Answers must not depend on how the questions are grouped into calls.
    ///
    /// # Errors
    /// Returns why the adapter cannot go on (a refused key, an endpoint that is gone). Questions
    /// that were not reported get no row, so that a run started again asks them.
    fn answer(&mut self, charts: &[ChartQuestions], report: &mut ReportAnswer<'_>) -> Result<()>;

    /// Ends the row: the answers to all its questions are stored. Whatever an adapter kept for a run
    /// that is started again may go.
    ///
    /// # Errors
    /// Returns an error if that cannot be noted.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    /// What gives up the call in hand: the adapter then begins no more questions, waits for those
    /// that others are answering for it, and returns an error for the rest. It answers nothing
    /// from then on. Empty if its calls cannot be given up.
    fn give_up(&self) -> Vec<GiveUp> {
        Vec::new()
    }
}

/// A model: its adapter file, the weights that replace the file's, and the precision that the row's
/// name asks for.
#[derive(Clone, Debug)]
pub struct ModelRef {
    /// The adapter file's content; its `id` includes the precision.
    pub spec: AdapterSpec,
    /// The checkpoint folder, or GGUF file, of `--weights`; `None` takes the adapter file's source.
    pub weights: Option<PathBuf>,
    /// The precision of `NAME@PRECISION`: that of the stored weights, or the one they are converted
    /// to while loading.
    pub precision: Option<WeightFormat>,
}

/// Values of flags that replace those of the adapter files.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Font file of the question above the chart (`--header-font`); `None` keeps the adapter
    /// file's.
    pub header_font: Option<PathBuf>,
    /// Patch budget of an image (`--max-patches`); `None` keeps the adapter file's or checkpoint's.
    pub max_patches: Option<usize>,
    /// Longest answer in tokens (`--max-new-tokens`); `None` keeps the adapter file's.
    pub max_new_tokens: Option<usize>,
    /// ONNX Runtime's library.
    pub onnxruntime: Option<PathBuf>,
    /// Keep no tables that were read for other runs.
    pub no_table_cache: bool,
    /// What the requests of all endpoints may cost together (`--max-cost`); `None` for no limit.
    pub budget: Option<Budget>,
    /// Whether requests to endpoints go in batches (`--batch-api`), and where these are logged.
    pub batch_api: Option<BatchApi>,
}

/// Opens the train split where it is needed.
pub type TrainSplit<'a> = &'a dyn Fn() -> Result<Box<dyn QuestionSource>>;

/// Everything that is needed to build an adapter.
pub struct AdapterContext<'a> {
    /// The row's name: `MODEL`, `MODEL@PRECISION`, `TABLES+READER`, or any behind `blank+`.
    pub name: &'a str,
    /// The model that sees the chart: it answers, or writes the table for `reader`.
    pub model: &'a ModelRef,
    /// What answers from the tables that `model` reads off the charts: a language model, or rules.
    pub reader: Option<&'a ModelRef>,
    /// Put a blank image in front.
    pub blank: bool,
    /// The flags; with a reader, `max_new_tokens` is the reader's.
    pub overrides: &'a Overrides,
    /// Where checkpoints and fonts are cached and downloaded from.
    pub hub: &'a HubOptions,
    /// The device that models compute on.
    pub device: &'a Device,
    /// Opens the train split, for what learns from it; absent where there is no benchmark.
    pub train: Option<TrainSplit<'a>>,
}

/// Builds the adapter that `context` describes: finds and loads weights, fits baselines.
///
/// # Errors
/// Returns an error if weights cannot be found or loaded, a required train split is missing, or the
/// parts do not fit together.
pub fn build(context: &AdapterContext<'_>) -> Result<Box<dyn Adapter>> {
    let spec = &context.model.spec;
    // The longest answer is the reader's where there is one: a table is as long as it is.
    let tables = Overrides {
        max_new_tokens: None,
        batch_api: context
            .overrides
            .batch_api
            .as_ref()
            .map(BatchApi::for_tables),
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
        Family::UniChart(spec) => encoder_decoder::load::<UniChart>(model, spec, &spec.weights)?,
        #[cfg(feature = "hub")]
        Family::Chat(chat) => Box::new(chat::Chat::new(&spec.id, chat, model.overrides)?),
        #[cfg(not(feature = "hub"))]
        Family::Chat(_) => return Err(left_out("hub")),
        Family::Process(process) => Box::new(process::ProcessAdapter::start(&spec.id, process)?),
        Family::Pix2Struct(spec) => {
            encoder_decoder::load::<Pix2Struct>(model, spec, &spec.weights)?
        }
        Family::Gguf(_) | Family::Lookup => {
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

/// The error of a family that this build leaves out.
#[cfg(not(all(feature = "hub", feature = "gguf", feature = "onnx")))]
fn left_out(feature: &str) -> anyhow::Error {
    anyhow::anyhow!("this build leaves such adapters out: build with `--features {feature}`")
}

/// Combines `tables`, which reads the charts' tables, with a reader that answers from them.
fn with_reader(
    context: &AdapterContext<'_>,
    tables: Box<dyn Adapter>,
    reader: &ModelRef,
) -> Result<Box<dyn Adapter>> {
    let reader = table_reader(context, reader)?;
    let cache = match context.model.spec.family {
        Family::Oracle => None,
        _ if context.overrides.no_table_cache => None,
        _ => match TableCache::folder() {
            Ok(folder) => Some(TableCache::open(&folder, tables.identity())),
            Err(error) => {
                chartbench_core::note!("note: {error:#}");
                None
            }
        },
    };
    Ok(Box::new(TableQa::with_reader(
        context.name,
        tables,
        cache,
        reader,
    )))
}

/// Makes the reader that `reader` names: a language model, or rules.
fn table_reader(context: &AdapterContext<'_>, reader: &ModelRef) -> Result<Box<dyn TableReader>> {
    if reader.spec.family == Family::Lookup {
        return Ok(Box::new(lookup::LookupReader));
    }
    let (model, mut spec) = language_model(context, reader)?;
    spec.max_new_tokens = context
        .overrides
        .max_new_tokens
        .unwrap_or(spec.max_new_tokens);
    Ok(Box::new(PromptedModel::new(model, &spec)))
}

/// Loads the language model of `reader`, with how it is asked.
#[cfg_attr(
    not(any(feature = "hub", feature = "gguf")),
    expect(unused_variables, unreachable_code)
)]
fn language_model(
    context: &AdapterContext<'_>,
    reader: &ModelRef,
) -> Result<(Box<dyn LanguageModel>, ReaderSpec)> {
    Ok(match &reader.spec.family {
        #[cfg(feature = "gguf")]
        Family::Gguf(gguf) => (
            Box::new(gguf::Gguf::find(context, reader, gguf)?),
            gguf.reader.clone(),
        ),
        #[cfg(not(feature = "gguf"))]
        Family::Gguf(_) => return Err(left_out("gguf")),
        #[cfg(feature = "hub")]
        Family::Chat(chat) => (
            Box::new(chat::Chat::new(&reader.spec.id, chat, context.overrides)?),
            chat.reader.clone(),
        ),
        #[cfg(not(feature = "hub"))]
        Family::Chat(_) => return Err(left_out("hub")),
        _ => bail!(
            "{} is no reader of tables: it cannot answer from one",
            reader.spec.id
        ),
    })
}

/// The language model that an adapter file names as a judge: one behind an endpoint, asked in batches
/// where `batch_api` says so.
///
/// # Errors
/// Returns an error if the adapter is none, its key is not set, or its address is invalid.
pub fn judge(spec: &AdapterSpec, batch_api: Option<BatchApi>) -> Result<Box<dyn LanguageModel>> {
    match &spec.family {
        #[cfg(feature = "hub")]
        Family::Chat(chat) => Ok(Box::new(chat::Chat::new(
            &spec.id,
            chat,
            &Overrides {
                batch_api,
                ..Overrides::default()
            },
        )?)),
        #[cfg(not(feature = "hub"))]
        Family::Chat(_) => {
            drop(batch_api);
            Err(left_out("hub"))
        }
        _ => bail!(
            "{} cannot judge: a judge is a model behind an endpoint (family = \"chat\")",
            spec.id
        ),
    }
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

/// Decodes a chart's image. An image one pixel high or wide would be stretched into stripes, as the
/// reference does; such an image cannot be a chart, so it is an error.
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
