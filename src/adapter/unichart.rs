//! UniChart and every other Donut checkpoint (arXiv:2305.14761): the chart is encoded once, its
//! questions are the decoder's prompts, and the answer is what the best beam wrote behind the
//! prompt.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use image::RgbImage;

use super::encoder_decoder::Processor;
use super::{AdapterContext, Settings};
use crate::config::UniChartSpec;
use chartbench_core::question::{AnswerType, Question};
use chartbench_nn::donut::{Config, Model};
use chartbench_nn::generation::{BeamSearch, EarlyStopping, GenerationConfig};
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
    beams: Option<BeamSearch>,
    limits: GenerationConfig,
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
        let beams = (spec.beams > 1).then_some(BeamSearch {
            beams: spec.beams,
            early_stopping: EarlyStopping::Yes,
            length_penalty: 1.0,
        });
        Ok(Self {
            id: context.model.spec.id.clone(),
            spec: spec.clone(),
            config,
            image_processor,
            tokenizer,
            beams,
            limits,
        })
    }

    fn config(&self) -> &Config {
        &self.config
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn settings(&self) -> Settings {
        let Self { spec, limits, .. } = self;
        let (before, after) = &spec.question_prompt;
        let (height, width) = self.image_processor.size();
        let decoding = match spec.beams {
            1 => "greedy".to_owned(),
            beams => format!("{beams} beams, early stopping"),
        };
        let longest = match limits.max_new_tokens {
            usize::MAX => "as many as the decoder has positions".to_owned(),
            tokens => tokens.to_string(),
        };
        let table_prompt = spec.table_prompt.clone().unwrap_or_default();
        vec![
            ("prompt", format!("{before}{{question}}{after}")),
            ("table_prompt", table_prompt),
            ("answer_after", spec.answer_after.clone()),
            ("image_size", format!("{height} x {width}")),
            ("decoding", decoding),
            ("bad_words", spec.bad_words.join(" ")),
            ("max_new_tokens", longest),
        ]
    }

    fn header<'a>(&'a self, _: &'a Question) -> Result<Option<&'a str>> {
        Ok(None)
    }

    /// The question, or the request for the chart's table.
    fn prompt(&self, question: &Question) -> Result<Vec<u32>> {
        let text = match (question.answer_type, &self.spec.table_prompt) {
            (Some(AnswerType::Table), Some(prompt)) => prompt.clone(),
            (Some(AnswerType::Table), None) => bail!("{} writes no tables", self.id),
            _ => {
                let (before, after) = &self.spec.question_prompt;
                format!("{before}{}{after}", question.text)
            }
        };
        let tokens = self.tokenizer.encode(&text)?;
        let most = self.limits.max_length.unwrap_or(usize::MAX);
        ensure!(
            !tokens.is_empty() && tokens.len() < most,
            "a prompt of {} tokens leaves no room for an answer: the decoder has {most} positions",
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
        self.beams.as_ref()
    }

    fn limits(&self) -> &GenerationConfig {
        &self.limits
    }

    fn usual_size(&self) -> (Vec<usize>, usize) {
        let (height, width) = self.image_processor.size();
        let tokens = USUAL_TOKENS.min(self.limits.max_length.unwrap_or(usize::MAX));
        (vec![3, height as usize, width as usize], tokens)
    }
}
