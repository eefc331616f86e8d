//! UniChart and every other Donut checkpoint (arXiv:2305.14761): the chart is encoded once, its
//! questions are the decoder's prompts, and the answer is what the best beam wrote behind the
//! prompt.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use image::RgbImage;

use super::decoding::{DecoderTraits, Decoding};
use super::encoder_decoder::Processor;
use super::{AdapterContext, Settings};
use crate::config::UniChartSpec;
use chartbench_core::question::{AnswerType, Question};
use chartbench_nn::donut::{Config, Model};
use chartbench_nn::generation::{BeamSearch, GenerationConfig, LengthLimit};
use chartbench_nn::preprocess::{DonutProcessor, ImageInput, processor_file};
use chartbench_nn::tokenizer::Tokenizer;

/// Texts that the reference removes from a decoded sequence before it cuts the answer.
const REMOVED: [&str; 2] = ["</s>", "<pad>"];

/// Tokens that a prompt and its answer rarely exceed.
const USUAL_TOKENS: usize = 128;

/// Questions are the decoder's prompts, so that a chart is encoded once for all of them.
pub(super) struct UniChart {
    id: String,
    spec: UniChartSpec,
    config: Config,
    image_processor: DonutProcessor,
    tokenizer: Tokenizer,
    decoding: Decoding,
}

impl Processor for UniChart {
    type Model = Model;

    type Spec = UniChartSpec;

    const FAMILY: &'static str = "unichart";

    /// A step reads the decoder's weights once for all questions.
    const BATCH: usize = 32;

    const ANSWER_PREFIX: &'static str = " ";

    fn open(context: &AdapterContext<'_>, spec: &UniChartSpec, dir: &Path) -> Result<Self> {
        let config = Config::read(dir)?;
        let image_processor = DonutProcessor::load(&processor_file(dir)?)?;
        let tokenizer = Tokenizer::open(dir)?;
        tokenizer.check_embedding(config.decoder.vocab_size, &dir.join("config.json"))?;
        let model = DecoderTraits {
            dir,
            tokenizer: &tokenizer,
            vocabulary: config.decoder.vocab_size,
            eos: &config.generation.eos,
            forced_eos: &config.generation.forced_eos,
            prompt: None,
            limit: LengthLimit {
                default_new_tokens: None,
                positions: Some(config.decoder.max_position_embeddings),
            },
        };
        let decoding = Decoding::open(context, &spec.generation, &model)?;
        Ok(Self {
            id: context.model.spec.id.clone(),
            spec: spec.clone(),
            config,
            image_processor,
            tokenizer,
            decoding,
        })
    }

    fn config(&self) -> &Config {
        &self.config
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn settings(&self) -> Settings {
        let Self { spec, decoding, .. } = self;
        let question = |(before, after): &(String, String)| format!("{before}{{question}}{after}");
        let prompt = spec.question_prompt.as_ref().map(question);
        let (height, width) = self.image_processor.size();
        let table_prompt = spec.table_prompt.clone().unwrap_or_default();
        let mut settings = vec![
            ("prompt", prompt.unwrap_or_default()),
            ("table_prompt", table_prompt),
            ("answer_after", spec.answer_after.clone()),
            ("image_size", format!("{height} x {width}")),
            ("decoding", decoding.describe()),
            ("bad_words", decoding.bad_words().to_owned()),
            ("max_new_tokens", decoding.describe_length()),
        ];
        settings.extend(decoding.more_settings());
        settings
    }

    fn header<'a>(&'a self, _: &'a Question) -> Result<Option<&'a str>> {
        Ok(None)
    }

    /// The question, or the request for the chart's table.
    fn prompt(&self, question: &Question) -> Result<Vec<u32>> {
        let Self { id, spec, .. } = self;
        let is_table = question.answer_type == Some(AnswerType::Table);
        let text = match (is_table, &spec.table_prompt, &spec.question_prompt) {
            (true, Some(prompt), _) => prompt.clone(),
            (true, None, _) => bail!("{id} writes no tables"),
            (false, _, Some((before, after))) => format!("{before}{}{after}", question.text),
            (false, _, None) => bail!(
                "{id} reads tables and answers no questions: name a reader with it ({id}+READER)"
            ),
        };
        let tokens = self.tokenizer.encode(&text)?;
        let most = self.decoding.config.max_length.unwrap_or(usize::MAX);
        let limit = if most == self.config.decoder.max_position_embeddings {
            "the decoder has"
        } else {
            "max_length is"
        };
        ensure!(
            !tokens.is_empty() && tokens.len() < most,
            "a prompt of {} tokens leaves no room for an answer: {limit} {most} positions",
            tokens.len()
        );
        Ok(tokens)
    }

    fn image(&self, image: &RgbImage, _: Option<&str>) -> Result<ImageInput> {
        Ok(self.image_processor.pixels(image)?.into())
    }

    /// The text after the marker in the whole sequence of prompt and answer, cut as the reference
    /// cuts it.
    fn answer(&self, prompt: &[u32], generated: &[u32]) -> Result<String> {
        let sequence = [prompt, generated].concat();
        let mut text = self.tokenizer.decode_with_special(&sequence)?;
        for removed in REMOVED {
            text = text.replace(removed, "");
        }
        let answer = text.split(&self.spec.answer_after).nth(1);
        Ok(answer.map_or("", str::trim).to_owned())
    }

    fn beams(&self) -> Option<&BeamSearch> {
        self.decoding.beams.as_ref()
    }

    fn limits(&self) -> &GenerationConfig {
        &self.decoding.config
    }

    fn usual_size(&self) -> (Vec<usize>, usize) {
        let (height, width) = self.image_processor.size();
        let tokens = USUAL_TOKENS.min(self.decoding.config.max_length.unwrap_or(usize::MAX));
        (vec![3, height as usize, width as usize], tokens)
    }
}
