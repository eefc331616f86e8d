//! UniChart and every other Donut checkpoint (arXiv:2305.14761): the chart is encoded once, its questions are the decoder's
//! prompts, and the answer is what the best beam wrote behind the prompt.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};

use super::checkpoint_dir::CheckpointDir;
use super::{Adapter, AdapterContext, Answer, Failure, Identity, Settings, chart_image};
use crate::config::UniChartSpec;
use chartbench_core::question::{AnswerType, Chart, ChartQuestions, Question};
use chartbench_nn::donut::{Config, Image, Model};
use chartbench_nn::generation::{BeamSearch, EarlyStopping, Generated, GenerationConfig};
use chartbench_nn::preprocess::{DonutProcessor, Pixels};
use chartbench_nn::tokenizer::Tokenizer;
use chartbench_nn::{MemoryNeed, TensorSource};

/// Texts that the reference removes from a decoded sequence before it cuts the answer.
const REMOVED: [&str; 2] = ["</s>", "<pad>"];

/// Tokens that a prompt and its answer rarely exceed.
const USUAL_TOKENS: usize = 128;

/// The computation: the model in candle, or an ONNX export of it.
pub(super) trait Backend {
    /// A chart, encoded.
    type Image: Clone;

    /// Encodes the pixels of one image.
    fn image(&self, pixels: Pixels) -> Result<Self::Image>;

    /// The new token ids of each question, prompted by its tokens: those of the best of `beams`, else the greedy ones.
    fn generate(
        &self,
        questions: &[(&Self::Image, Vec<u32>)],
        beams: Option<&BeamSearch>,
        limits: &GenerationConfig,
    ) -> Result<Vec<Generated>>;

    /// See [`Adapter::memory_need`]: the memory for images and texts of the given sizes.
    fn memory_need(&self, _pixels: usize, _tokens: usize, _beams: usize) -> Option<MemoryNeed> {
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
    type Image = Image;

    fn image(&self, pixels: Pixels) -> Result<Image> {
        let pixels = Tensor::from_vec(pixels.data, (3, pixels.height, pixels.width), &self.device)?;
        self.model.image(&self.model.encode(&pixels)?)
    }

    fn generate(
        &self,
        questions: &[(&Image, Vec<u32>)],
        beams: Option<&BeamSearch>,
        limits: &GenerationConfig,
    ) -> Result<Vec<Generated>> {
        self.model.generate(questions, beams, limits)
    }

    fn memory_need(&self, pixels: usize, tokens: usize, beams: usize) -> Option<MemoryNeed> {
        Some(self.model.memory_need(pixels, tokens, beams))
    }
}

/// A loaded Donut with its processor and tokenizer.
pub(super) struct UniChart<N> {
    pub(super) identity: Identity,
    spec: UniChartSpec,
    pub(super) processor: DonutProcessor,
    pub(super) tokenizer: Tokenizer,
    backend: N,
    limits: GenerationConfig,
}

/// A [`UniChart`] that answers.
pub(super) struct UniChartAdapter<N: Backend> {
    unichart: UniChart<N>,
    /// The last encoded chart, by id, because calls may split a chart's questions.
    last: Option<(String, N::Image)>,
}

impl UniChart<CandleBackend> {
    /// Finds and loads the checkpoint.
    ///
    /// # Errors
    /// Returns an error if weights cannot be found, or the files are not those of a Donut.
    pub(super) fn load(
        context: &AdapterContext<'_>,
        spec: &UniChartSpec,
    ) -> Result<UniChartAdapter<CandleBackend>> {
        let folder = CheckpointDir::locate(context, &spec.weights)?;
        let dir = folder.path();
        let mut unichart = Self::assemble(context, spec, dir, |config| {
            let model = |source: &dyn TensorSource| Model::from_source(config, source);
            let (model, settings) =
                folder.load(context, "unichart", &config.layer_stacks(), model)?;
            Ok((CandleBackend::new(model, context.device.clone()), settings))
        })?;
        unichart.identity.settings.extend(folder.training()?);
        Ok(UniChartAdapter::new(unichart))
    }
}

impl<N> UniChart<N> {
    /// Combines the backend that `load` makes, and its settings, with the processor and the tokenizer of the checkpoint in
    /// `dir`.
    ///
    /// # Errors
    /// Returns an error if the files are not those of a Donut, or `load` fails.
    pub(super) fn assemble(
        context: &AdapterContext<'_>,
        spec: &UniChartSpec,
        dir: &Path,
        load: impl FnOnce(&Config) -> Result<(N, Settings)>,
    ) -> Result<Self> {
        let config = Config::read(dir)?;
        let processor = DonutProcessor::load(&dir.join("preprocessor_config.json"))?;
        let tokenizer = Tokenizer::open(dir)?;
        tokenizer.check_embedding(config.decoder.vocab_size, &dir.join("config.json"))?;
        let (backend, mut settings) = load(&config)?;
        let bad_words = spec
            .bad_words
            .iter()
            .map(|word| Ok(vec![tokenizer.id(word)?]));
        let limits = GenerationConfig {
            eos: config.generation.eos.clone(),
            max_new_tokens: context
                .overrides
                .max_new_tokens
                .or(spec.max_new_tokens)
                .unwrap_or(usize::MAX),
            max_length: Some(config.decoder.max_position_embeddings),
            bad_words: bad_words.collect::<Result<_>>()?,
            forced_eos: config.generation.forced_eos,
        };
        settings.extend(self::settings(spec, &processor, &limits));
        let (identity, spec) = (Identity::new(context, settings), spec.clone());
        Ok(Self {
            identity,
            spec,
            processor,
            tokenizer,
            backend,
            limits,
        })
    }

    /// Returns the model with another backend.
    pub(super) fn with_backend<M>(&self, backend: M) -> UniChart<M> {
        UniChart {
            identity: self.identity.clone(),
            spec: self.spec.clone(),
            processor: self.processor.clone(),
            tokenizer: self.tokenizer.clone(),
            backend,
            limits: self.limits.clone(),
        }
    }

    /// The decoder's input for a question, or for the chart's table.
    pub(super) fn prompt(&self, question: &Question) -> Result<Vec<u32>> {
        let text = match (question.answer_type, &self.spec.table_prompt) {
            (Some(AnswerType::Table), Some(prompt)) => prompt.clone(),
            (Some(AnswerType::Table), None) => {
                anyhow::bail!("{} writes no tables", self.identity.id)
            }
            _ => {
                let (before, after) = &self.spec.question_prompt;
                format!("{before}{}{after}", question.text)
            }
        };
        let tokens = self.tokenizer.encode(&text)?;
        let most = self.limits.max_length.unwrap_or(usize::MAX);
        anyhow::ensure!(
            !tokens.is_empty() && tokens.len() < most,
            "a prompt of {} tokens leaves no room for an answer: the decoder has {most} positions",
            tokens.len()
        );
        Ok(tokens)
    }

    /// The text after the marker in the whole sequence of prompt and answer, cut as the reference cuts it.
    fn answer_text(&self, prompt: &[u32], answer: &[u32]) -> Result<String> {
        let mut text = self
            .tokenizer
            .decode_with_special(&[prompt, answer].concat())?;
        for removed in REMOVED {
            text = text.replace(removed, "");
        }
        let parts: Vec<&str> = text.split(&self.spec.answer_after).collect();
        Ok(parts.get(1).map_or("", |answer| answer.trim()).to_owned())
    }
}

impl<N: Backend> UniChartAdapter<N> {
    pub(super) fn new(unichart: UniChart<N>) -> Self {
        Self {
            unichart,
            last: None,
        }
    }

    /// The encoded chart.
    fn image(&mut self, chart: &Chart) -> Result<N::Image> {
        if let Some((id, image)) = &self.last
            && *id == chart.id
        {
            return Ok(image.clone());
        }
        let pixels = self.unichart.processor.pixels(&chart_image(chart)?);
        let pixels = pixels.with_context(|| format!("image {}", chart.image_name()))?;
        let image = self.unichart.backend.image(pixels)?;
        self.last = Some((chart.id.clone(), image.clone()));
        Ok(image)
    }

    fn generate(&self, prompts: &[(N::Image, Vec<u32>)]) -> Result<Vec<Generated>> {
        let unichart = &self.unichart;
        let search = BeamSearch {
            beams: unichart.spec.beams,
            early_stopping: EarlyStopping::Yes,
            length_penalty: 1.0,
        };
        let questions: Vec<(&N::Image, Vec<u32>)> = prompts
            .iter()
            .map(|(image, tokens)| (image, tokens.clone()))
            .collect();
        unichart.backend.generate(
            &questions,
            (search.beams > 1).then_some(&search),
            &unichart.limits,
        )
    }
}

impl<N: Backend> Adapter for UniChartAdapter<N> {
    fn identity(&self) -> &Identity {
        &self.unichart.identity
    }

    /// A step reads the decoder's weights once for all questions.
    fn batch(&self) -> usize {
        32
    }

    /// For questions about different charts, with texts of [`USUAL_TOKENS`]; longer texts are rare and need more.
    fn memory_need(&self) -> Option<MemoryNeed> {
        let UniChart {
            backend,
            processor,
            spec,
            limits,
            ..
        } = &self.unichart;
        let (height, width) = processor.size();
        let tokens = USUAL_TOKENS.min(limits.max_length.unwrap_or(usize::MAX));
        backend.memory_need(height as usize * width as usize, tokens, spec.beams)
    }

    fn answer(&mut self, work: &[ChartQuestions]) -> Vec<Vec<Result<Answer, Failure>>> {
        let mut prompts: Vec<(N::Image, Vec<u32>)> = Vec::new();
        let mut indices: Vec<Vec<Result<usize, Arc<anyhow::Error>>>> = Vec::new();
        for entry in work {
            let image = self.image(&entry.chart).map_err(Arc::new);
            let mut prepare = |question: &Question| {
                let image = image.clone()?;
                prompts.push((image, self.unichart.prompt(question).map_err(Arc::new)?));
                Ok(prompts.len() - 1)
            };
            indices.push(entry.questions.iter().map(&mut prepare).collect());
        }
        let generated = self.generate(&prompts).map_err(Arc::new);
        let answer_prompt =
            |index: Result<usize, Arc<anyhow::Error>>| -> Result<Answer, Arc<anyhow::Error>> {
                let index = index?;
                let (generated, (_, prompt)) = (
                    &generated.as_ref().map_err(Arc::clone)?[index],
                    &prompts[index],
                );
                let ids = generated
                    .as_ref()
                    .map_err(|error| Arc::new(anyhow::Error::from(*error)))?;
                let text = self.unichart.answer_text(prompt, ids).map_err(Arc::new)?;
                Ok(Answer {
                    token_ids: ids.clone(),
                    ..Answer::from_text(text)
                })
            };
        let answer = |index| {
            answer_prompt(index).map_err(|error| Failure::Question(anyhow::anyhow!("{error:#}")))
        };
        indices
            .into_iter()
            .map(|chart| chart.into_iter().map(answer).collect())
            .collect()
    }
}

/// The settings that do not depend on the backend.
fn settings(
    spec: &UniChartSpec,
    processor: &DonutProcessor,
    limits: &GenerationConfig,
) -> Settings {
    let (before, after) = &spec.question_prompt;
    let (height, width) = processor.size();
    let decoding = match spec.beams {
        1 => "greedy".to_owned(),
        beams => format!("{beams} beams, early stopping"),
    };
    let longest = match limits.max_new_tokens {
        usize::MAX => "as many as the decoder has positions".to_owned(),
        tokens => tokens.to_string(),
    };
    vec![
        ("prompt", format!("{before}{{question}}{after}")),
        (
            "table_prompt",
            spec.table_prompt.clone().unwrap_or_default(),
        ),
        ("answer_after", spec.answer_after.clone()),
        ("image_size", format!("{height} x {width}")),
        ("decoding", decoding),
        ("bad_words", spec.bad_words.join(" ")),
        ("max_new_tokens", longest),
    ]
}
