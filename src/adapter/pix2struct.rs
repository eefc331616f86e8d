//! MatCha and every other Pix2Struct checkpoint (arXiv:2210.03347, 2212.09662): the question is drawn above the
//! chart, the picture is cut into patches, and the answer is decoded greedily.

use std::borrow::Cow;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};

use super::checkpoint_dir::CheckpointDir;
use super::{Adapter, AdapterContext, Answer, Failure, Identity, Settings, chart_image, hub};
use crate::config::{HeaderFontSource, Pix2StructSpec};
use chartbench_core::question::{AnswerType, ChartQuestions, Question};
use chartbench_nn::generation::Generated;
use chartbench_nn::pix2struct::{Config, Model};
use chartbench_nn::preprocess::{HeaderFont, Patches, Pix2StructProcessor};
use chartbench_nn::tokenizer::Tokenizer;
use chartbench_nn::{MemoryNeed, TensorSource};

/// The hub file in which the reference implementation draws its headers.
const REFERENCE_FONT: (&str, &str) = ("ybelkada/fonts", "Arial.TTF");

/// The computation: the model in candle, or an ONNX export of it.
pub(super) trait Backend {
    /// A chart under its question, encoded.
    type Encoded: Clone;

    /// Encodes the patches of one image.
    fn encode(&self, patches: Patches) -> Result<Self::Encoded>;

    /// Answers about each image greedily.
    fn greedy(&self, encoded: &[Self::Encoded], max_new_tokens: usize) -> Result<Vec<Generated>>;

    /// See [`Adapter::memory_need`]: the memory for images and answers of the given sizes.
    fn memory_need(&self, _patches: usize, _tokens: usize) -> Option<MemoryNeed> {
        None
    }
}

/// The model in candle.
pub(super) struct CandleBackend {
    model: Model,
    device: Device,
}

impl CandleBackend {
    pub(super) fn new(model: Model, device: Device) -> Self {
        Self { model, device }
    }
}

impl Backend for CandleBackend {
    type Encoded = Tensor;

    fn encode(&self, patches: Patches) -> Result<Tensor> {
        let rows = patches.rows * patches.cols;
        let width = patches.data.len() / rows;
        self.model.encode(&Tensor::from_vec(
            patches.data,
            (rows, width),
            &self.device,
        )?)
    }

    fn greedy(&self, encoded: &[Tensor], max_new_tokens: usize) -> Result<Vec<Generated>> {
        self.model.greedy(encoded, max_new_tokens)
    }

    fn memory_need(&self, patches: usize, tokens: usize) -> Option<MemoryNeed> {
        Some(self.model.memory_need(patches, tokens))
    }
}

/// A loaded Pix2Struct with its processor and tokenizer.
pub(super) struct Pix2Struct<N> {
    pub(super) identity: Identity,
    pub(super) processor: Pix2StructProcessor,
    pub(super) tokenizer: Tokenizer,
    backend: N,
    max_new_tokens: usize,
    table_prompt: Option<String>,
    answers_questions: bool,
}

impl Pix2Struct<CandleBackend> {
    /// Finds and loads the checkpoint.
    ///
    /// # Errors
    /// Returns an error if weights cannot be found, or the files are not those of a Pix2Struct.
    pub(super) fn load(context: &AdapterContext<'_>, spec: &Pix2StructSpec) -> Result<Self> {
        let folder = CheckpointDir::locate(context, &spec.weights)?;
        let dir = folder.path();
        let mut adapter = Self::assemble(context, spec, dir, |config, _| {
            let model = |source: &dyn TensorSource| Model::from_source(config, source);
            let (model, settings) =
                folder.load(context, "pix2struct", &config.layer_stacks(), model)?;
            Ok((CandleBackend::new(model, context.device.clone()), settings))
        })?;
        adapter.identity.settings.extend(folder.training()?);
        Ok(adapter)
    }
}

impl<N> Pix2Struct<N> {
    /// Combines the backend that `load` makes, and its settings, with the processor and the tokenizer of the checkpoint in
    /// `dir`.
    ///
    /// # Errors
    /// Returns an error if the files are not those of a Pix2Struct, or `load` fails.
    pub(super) fn assemble(
        context: &AdapterContext<'_>,
        spec: &Pix2StructSpec,
        dir: &Path,
        load: impl FnOnce(&Config, &Pix2StructProcessor) -> Result<(N, Settings)>,
    ) -> Result<Self> {
        let config = Config::read(dir)?;
        let mut processor = processor(dir)?.with_font(header_font(context, spec.header_font)?);
        processor = processor.with_positions(config.vision_config.seq_len);
        if let Some(max_patches) = context.overrides.max_patches.or(spec.max_patches) {
            processor = processor.with_max_patches(max_patches)?;
        }
        let tokenizer = Tokenizer::open(dir)?;
        tokenizer.check_embedding(config.text_config.vocab_size, &dir.join("config.json"))?;
        let (backend, mut settings) = load(&config, &processor)?;
        let max_new_tokens = context
            .overrides
            .max_new_tokens
            .unwrap_or(spec.max_new_tokens);
        let question = spec.answers_questions.then(|| "the question".to_owned());
        let prompts: Vec<String> = question
            .into_iter()
            .chain(spec.table_prompt.clone())
            .collect();
        settings.extend([
            ("prompt", prompts.join(" or ") + " as header text"),
            ("header_font", processor.font().name().to_owned()),
            ("header_font_sha256", processor.font().sha256().to_owned()),
            ("max_patches", processor.max_patches().to_string()),
            ("decoding", "greedy".to_owned()),
            ("max_new_tokens", max_new_tokens.to_string()),
        ]);
        let identity = Identity::new(context, settings);
        let (table_prompt, answers_questions) = (spec.table_prompt.clone(), spec.answers_questions);
        Ok(Self {
            identity,
            processor,
            tokenizer,
            backend,
            max_new_tokens,
            table_prompt,
            answers_questions,
        })
    }

    /// Returns the model with another backend.
    pub(super) fn with_backend<M>(&self, backend: M) -> Pix2Struct<M> {
        Pix2Struct {
            identity: self.identity.clone(),
            processor: self.processor.clone(),
            tokenizer: self.tokenizer.clone(),
            backend,
            max_new_tokens: self.max_new_tokens,
            table_prompt: self.table_prompt.clone(),
            answers_questions: self.answers_questions,
        }
    }

    /// The header text above the chart: the question, or the request for its table.
    pub(super) fn header<'a>(&'a self, question: &'a Question) -> Result<&'a str> {
        let id = &self.identity.id;
        match (
            &self.table_prompt,
            question.answer_type == Some(AnswerType::Table),
        ) {
            (Some(prompt), true) => Ok(prompt),
            (None, true) => bail!("{id} answers questions and writes no tables"),
            (_, false) if self.answers_questions => Ok(&question.text),
            (_, false) => bail!(
                "{id} reads tables and answers no questions: name a reader with it ({id}+READER)"
            ),
        }
    }
}

impl<N: Backend> Pix2Struct<N> {
    /// Encodes one chart under each of its questions; the image is decoded once.
    fn encode(&self, entry: &ChartQuestions) -> Vec<Result<N::Encoded>> {
        let image = chart_image(&entry.chart);
        let encode = |question: &Question| {
            let image = image
                .as_ref()
                .map_err(|error| anyhow::anyhow!("{error:#}"))?;
            let patches = self
                .processor
                .patches(image, Some(self.header(question)?))
                .with_context(|| format!("image {}", entry.chart.image_name()))?;
            self.backend.encode(patches)
        };
        entry.questions.iter().map(encode).collect()
    }

    fn decode(&self, ids: Vec<u32>) -> Result<Answer> {
        Ok(Answer {
            token_ids: ids.clone(),
            ..Answer::from_text(self.tokenizer.decode(&ids)?)
        })
    }
}

impl<N: Backend> Adapter for Pix2Struct<N> {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Every image is scaled to fill the patch budget.
    fn memory_need(&self) -> Option<MemoryNeed> {
        self.backend
            .memory_need(self.processor.max_patches(), self.max_new_tokens)
    }

    fn answer(&mut self, work: &[ChartQuestions]) -> Vec<Vec<Result<Answer, Failure>>> {
        let encoded: Vec<Vec<Result<N::Encoded>>> =
            work.iter().map(|entry| self.encode(entry)).collect();
        let good: Vec<N::Encoded> = encoded
            .iter()
            .flatten()
            .filter_map(|states| states.as_ref().ok().cloned())
            .collect();
        let generated = self.backend.greedy(&good, self.max_new_tokens);
        let mut generated = generated
            .map(Vec::into_iter)
            .map_err(|error| format!("{error:#}"));
        let mut decode_next = |encoded: Result<N::Encoded>| {
            encoded?;
            match &mut generated {
                Ok(rows) => self.decode(rows.next().context("greedy decoding left out a row")??),
                Err(error) => Err(anyhow::anyhow!("{error}")),
            }
        };
        encoded
            .into_iter()
            .map(|chart| {
                chart
                    .into_iter()
                    .map(|encoded| decode_next(encoded).map_err(Failure::Question))
                    .collect()
            })
            .collect()
    }
}

/// The image processor of a checkpoint that reads its question above the chart.
fn processor(dir: &Path) -> Result<Pix2StructProcessor> {
    // transformers 5 saves it inside processor_config.json, older versions in a file of its own.
    let path = dir.join("preprocessor_config.json");
    let processor = Pix2StructProcessor::load(&path)?;
    ensure!(
        processor.is_vqa(),
        "{}: is_vqa is false: this model does not read a question above the chart",
        path.display()
    );
    Ok(processor)
}

/// The font named by flag, else the reference's hub file, else (with a note) the embedded one.
fn header_font(context: &AdapterContext<'_>, source: HeaderFontSource) -> Result<HeaderFont> {
    if let Some(path) = &context.overrides.header_font {
        let bytes = chartbench_core::input::read(path, chartbench_core::input::MAX_DOCUMENT_BYTES)
            .with_context(|| format!("cannot read the header font {}", path.display()))?;
        let name = path
            .file_name()
            .map_or(Cow::Borrowed("font"), |name| name.to_string_lossy());
        return HeaderFont::new(&name, bytes)
            .with_context(|| format!("header font {}", path.display()));
    }
    if source == HeaderFontSource::Embedded {
        return Ok(HeaderFont::default());
    }
    let (repo, file) = REFERENCE_FONT;
    match hub::file(repo, "main", file, context.hub) {
        Ok(path) => {
            let bytes =
                chartbench_core::input::read(&path, chartbench_core::input::MAX_DOCUMENT_BYTES)
                    .with_context(|| format!("cannot read {}", path.display()))?;
            HeaderFont::new(file, bytes).with_context(|| format!("header font {}", path.display()))
        }
        Err(error) => {
            chartbench_core::note!(
                "note: {}: headers are drawn in the embedded DejaVu Sans, the reference's {file} cannot be had \
                 ({error:#}); --header-font FILE names a font",
                context.name
            );
            Ok(HeaderFont::default())
        }
    }
}
