//! The adapter of encoder-decoders that read a chart's picture: MatCha and DePlot
//! ([`Pix2Struct`](super::pix2struct)), UniChart ([`UniChart`](super::unichart)).
//!
//! A family is a [`Processor`]: its prompts, image processor and tokenizer. What computes is a
//! [`Backend`]: a model in candle, or an ONNX export.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use candle_core::Device;
use image::RgbImage;

use super::checkpoint_dir::CheckpointDir;
use super::{
    Adapter, AdapterContext, Answer, Identity, ReportAnswer, Settings, chart_image, identity,
};
use crate::config::WeightsSource;
use chartbench_core::question::{Chart, ChartQuestions, Question};
use chartbench_nn::generation::{BeamSearch, Generated, GenerationConfig};
use chartbench_nn::preprocess::ImageInput;
use chartbench_nn::tokenizer::Tokenizer;
use chartbench_nn::{EncoderDecoder, MemoryNeed, ModelConfig, TensorSource};

/// Everything of a family but its network: how a question becomes the network's input, and its
/// tokens an answer.
pub(super) trait Processor: Send + Sync + Sized + 'static {
    /// The network.
    type Model: EncoderDecoder;

    /// The family's table in an adapter file.
    type Spec;

    /// The family's name in adapter files.
    const FAMILY: &'static str;

    /// See [`Adapter::batch`].
    const BATCH: usize;

    /// The text between a prompt and its answer in training.
    const ANSWER_PREFIX: &'static str;

    /// Reads configuration, image processor and tokenizer of the checkpoint in `dir`.
    ///
    /// # Errors
    /// Returns an error if the files are not those of the family.
    fn open(context: &AdapterContext<'_>, spec: &Self::Spec, dir: &Path) -> Result<Self>;

    /// The network's configuration.
    fn config(&self) -> &<Self::Model as EncoderDecoder>::Config;

    fn tokenizer(&self) -> &Tokenizer;

    /// Everything here that decides the answers.
    fn settings(&self) -> Settings;

    /// The text that is drawn above the chart, in families that read it there.
    ///
    /// # Errors
    /// Returns an error if the model cannot answer such a question.
    fn header<'a>(&'a self, question: &'a Question) -> Result<Option<&'a str>>;

    /// The decoder's first tokens.
    ///
    /// # Errors
    /// Returns an error if the model cannot answer such a question, or the tokens leave no room for
    /// an answer.
    fn prompt(&self, question: &Question) -> Result<Vec<u32>>;

    /// The encoder's input.
    ///
    /// # Errors
    /// Returns an error if the image or the header does not fit.
    fn image(&self, image: &RgbImage, header: Option<&str>) -> Result<ImageInput>;

    /// The answer in the generated tokens.
    ///
    /// # Errors
    /// Returns an error if a token is outside the vocabulary.
    fn answer(&self, prompt: &[u32], generated: &[u32]) -> Result<String>;

    /// The settings of the beam search; greedy decoding where there are none.
    fn beams(&self) -> Option<&BeamSearch>;

    /// When an answer ends.
    fn limits(&self) -> &GenerationConfig;

    /// The shape of the largest image, and the tokens of a usual text: what memory is estimated
    /// for.
    fn usual_size(&self) -> (Vec<usize>, usize);
}

/// The computation: a model in candle, or an ONNX export of it.
pub(super) trait Backend {
    /// An encoded image; clones share their memory.
    type Image: Clone;

    fn encode(&self, input: ImageInput) -> Result<Self::Image>;

    /// See [`EncoderDecoder::generate`].
    fn generate(
        &self,
        questions: &[(&Self::Image, &[u32])],
        beams: Option<&BeamSearch>,
        limits: &GenerationConfig,
    ) -> Result<Vec<Generated>>;

    /// See [`EncoderDecoder::memory_need`]; `None` if unknown.
    fn memory_need(&self, _input: &[usize], _tokens: usize, _beams: usize) -> Option<MemoryNeed> {
        None
    }
}

/// A model in candle.
pub(super) struct CandleBackend<M> {
    pub(super) model: M,
    pub(super) device: Device,
}

impl<M: EncoderDecoder> Backend for CandleBackend<M> {
    type Image = M::Image;

    fn encode(&self, input: ImageInput) -> Result<M::Image> {
        self.model.encode_image(&input.tensor(&self.device)?)
    }

    fn generate(
        &self,
        questions: &[(&M::Image, &[u32])],
        beams: Option<&BeamSearch>,
        limits: &GenerationConfig,
    ) -> Result<Vec<Generated>> {
        self.model.generate(questions, beams, limits)
    }

    fn memory_need(&self, input: &[usize], tokens: usize, beams: usize) -> Option<MemoryNeed> {
        Some(self.model.memory_need(input, tokens, beams))
    }
}

/// An encoder-decoder that answers.
pub(super) struct EncoderDecoderAdapter<P, B: Backend> {
    identity: Identity,
    processor: Arc<P>,
    backend: B,
    /// The image that was encoded last.
    last: Option<LastImage<B::Image>>,
}

/// The last image that was made of a chart, kept because the chart's next question often needs it
/// too.
pub(super) struct LastImage<I> {
    chart: String,
    header: Option<String>,
    image: I,
}

impl<I: Clone> LastImage<I> {
    pub(super) fn new(chart: &Chart, header: Option<&str>, image: I) -> Self {
        Self {
            chart: chart.id.clone(),
            header: header.map(str::to_owned),
            image,
        }
    }

    /// The image, if it is of this chart under this header.
    pub(super) fn get(&self, chart: &Chart, header: Option<&str>) -> Option<I> {
        let same = self.chart == chart.id && self.header.as_deref() == header;
        same.then(|| self.image.clone())
    }
}

/// A question that is ready for the decoder.
struct Prepared<I> {
    /// Its place among the questions of the call.
    index: usize,
    image: I,
    prompt: Vec<u32>,
}

/// Finds and loads a checkpoint of the family.
///
/// # Errors
/// Returns an error if weights cannot be found, or the files are not those of the family.
pub(super) fn load<P: Processor>(
    context: &AdapterContext<'_>,
    spec: &P::Spec,
    weights: &WeightsSource,
) -> Result<Box<dyn Adapter>> {
    let folder = CheckpointDir::locate(context, weights)?;
    let processor = P::open(context, spec, folder.path())?;
    let stacks = processor.config().layer_stacks();
    let (model, mut settings) =
        folder.load(context, P::FAMILY, &stacks, |source: &dyn TensorSource| {
            P::Model::from_source(processor.config(), source)
        })?;
    settings.extend(processor.settings());
    let mut identity = identity(context, settings);
    identity.settings.extend(folder.training()?);
    let device = context.device.clone();
    let backend = CandleBackend { model, device };
    let adapter = EncoderDecoderAdapter::new(identity, Arc::new(processor), backend);
    Ok(Box::new(adapter))
}

impl<P: Processor, B: Backend> EncoderDecoderAdapter<P, B> {
    pub(super) fn new(identity: Identity, processor: Arc<P>, backend: B) -> Self {
        Self {
            identity,
            processor,
            backend,
            last: None,
        }
    }

    /// The chart encoded under `header`; `decoded` keeps its decoded image for the other questions
    /// about it.
    fn encode(
        &mut self,
        chart: &Chart,
        header: Option<&str>,
        decoded: &mut Option<Result<RgbImage>>,
    ) -> Result<B::Image> {
        if let Some(image) = self.last.as_ref().and_then(|last| last.get(chart, header)) {
            return Ok(image);
        }
        let image = decoded
            .get_or_insert_with(|| chart_image(chart))
            .as_ref()
            .map_err(|error| anyhow!("{error:#}"))?;
        let input = self
            .processor
            .image(image, header)
            .with_context(|| format!("image {}", chart.image_name()))?;
        let image = self.backend.encode(input)?;
        self.last = Some(LastImage::new(chart, header, image.clone()));
        Ok(image)
    }

    fn generate(&self, questions: &[Prepared<B::Image>]) -> Result<Vec<Generated>> {
        let inputs: Vec<(&B::Image, &[u32])> = questions
            .iter()
            .map(|question| (&question.image, question.prompt.as_slice()))
            .collect();
        let (beams, limits) = (self.processor.beams(), self.processor.limits());
        let generated = self.backend.generate(&inputs, beams, limits)?;
        ensure!(
            generated.len() == questions.len(),
            "decoding left out a question: a bug in it"
        );
        Ok(generated)
    }

    fn answer_of(&self, prompt: &[u32], generated: Generated) -> Result<Answer> {
        let token_ids = generated?;
        let text = self.processor.answer(prompt, &token_ids)?;
        Ok(Answer {
            token_ids,
            ..Answer::from_text(text)
        })
    }
}

impl<P: Processor, B: Backend> Adapter for EncoderDecoderAdapter<P, B> {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn batch(&self) -> usize {
        P::BATCH
    }

    /// For questions about different charts of the largest size, with texts of a usual length;
    /// longer texts need more.
    fn memory_need(&self) -> Option<MemoryNeed> {
        let (input, tokens) = self.processor.usual_size();
        let beams = self.processor.beams().map_or(1, |search| search.beams);
        self.backend.memory_need(&input, tokens, beams)
    }

    fn answer(&mut self, charts: &[ChartQuestions], report: &mut ReportAnswer<'_>) -> Result<()> {
        let processor = Arc::clone(&self.processor);
        let mut prepared = Vec::new();
        let mut index = 0;
        for ChartQuestions { chart, questions } in charts {
            let mut decoded = None;
            for question in questions {
                let mut prepare = || {
                    let header = processor.header(question)?;
                    let image = self.encode(chart, header, &mut decoded)?;
                    let prompt = processor.prompt(question)?;
                    Ok(Prepared {
                        index,
                        image,
                        prompt,
                    })
                };
                match prepare() {
                    Ok(question) => prepared.push(question),
                    Err(error) => report(index, Err(error)),
                }
                index += 1;
            }
        }
        match self.generate(&prepared) {
            Ok(generated) => {
                for (question, tokens) in prepared.into_iter().zip(generated) {
                    report(question.index, self.answer_of(&question.prompt, tokens));
                }
            }
            Err(error) => {
                for question in prepared {
                    report(question.index, Err(anyhow!("{error:#}")));
                }
            }
        }
        Ok(())
    }
}
