//! UniChart and every other Donut checkpoint (arXiv:2305.14761): the chart is encoded once, its questions are the decoder's
//! prompts, and the answer is what the best beam wrote behind the prompt.

use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};

use super::folder::ModelFolder;
use super::{Adapter, Answer, Failure, Identity, Setup, chart_image};
use crate::config::UniChartSpec;
use crate::nn::donut::{Config, Image, Model};
use crate::nn::generation::{BeamSearch, EarlyStopping, Limits};
use crate::nn::tokenizer::Tokenizer;
use crate::nn::{Checkpoint, weights_sha256};
use crate::preprocess::DonutProcessor;
use crate::sample::{AnswerType, Chart, ChartQuestions, Question};

/// What the reference takes out of a decoded sequence before it cuts the answer.
const REMOVED: [&str; 2] = ["</s>", "<pad>"];

/// A loaded Donut with its processor and tokenizer.
pub struct UniChart {
    identity: Identity,
    spec: UniChartSpec,
    processor: DonutProcessor,
    tokenizer: Tokenizer,
    model: Model,
    device: Device,
    limits: Limits,
    /// The chart encoded last, by its id: calls may cut a chart's questions apart.
    last: Option<(String, Image)>,
}

impl UniChart {
    /// Finds and loads the checkpoint.
    ///
    /// # Errors
    /// Weights that cannot be found, or files that are not those of a Donut.
    pub fn load(setup: &Setup<'_>, spec: &UniChartSpec) -> Result<Self> {
        let folder = ModelFolder::locate(setup, &spec.weights)?;
        let dir = folder.path();
        let config = Config::read(dir)?;
        let processor = DonutProcessor::load(&dir.join("preprocessor_config.json"))?;
        let tokenizer = Tokenizer::open(dir)?;
        tokenizer.check_embedding(config.decoder.vocab_size, &dir.join("config.json"))?;
        let model = Model::load(&config, &Checkpoint::open(dir)?, setup.device)?;
        let bad_words = spec.bad_words.iter().map(|word| Ok(vec![tokenizer.id(word)?]));
        let limits = Limits {
            eos: config.generation.eos.clone(),
            max_new_tokens: setup.overrides.max_new_tokens.or(spec.max_new_tokens).unwrap_or(usize::MAX),
            max_length: Some(config.decoder.max_position_embeddings),
            bad_words: bad_words.collect::<Result<_>>()?,
            forced_eos: config.generation.forced_eos,
        };
        let identity = identity(setup, spec, &folder, &processor, &limits)?;
        let (spec, device) = (spec.clone(), setup.device.clone());
        Ok(Self { identity, spec, processor, tokenizer, model, device, limits, last: None })
    }

    /// The chart as the decoder sees it.
    fn image(&mut self, chart: &Chart) -> Result<Image> {
        if let Some((id, image)) = &self.last
            && *id == chart.id
        {
            return Ok(image.clone());
        }
        let pixels = self.processor.pixels(&chart_image(chart)?);
        let pixels = pixels.with_context(|| format!("image {}", chart.image_name()))?;
        let pixels = Tensor::from_vec(pixels.data, (3, pixels.height, pixels.width), &self.device)?;
        let image = self.model.image(&self.model.encode(&pixels)?)?;
        self.last = Some((chart.id.clone(), image.clone()));
        Ok(image)
    }

    /// The decoder's input for a question, or for the chart's table.
    fn prompt(&self, question: &Question) -> Result<Vec<u32>> {
        let text = match (question.answer_type, &self.spec.table_prompt) {
            (Some(AnswerType::Table), Some(prompt)) => prompt.clone(),
            (Some(AnswerType::Table), None) => anyhow::bail!("{} writes no tables", self.identity.id),
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

    fn generate(&self, prompts: &[(Image, Vec<u32>)]) -> Result<Vec<Vec<u32>>> {
        let search = BeamSearch { beams: self.spec.beams, early_stopping: EarlyStopping::Yes, length_penalty: 1.0 };
        let questions: Vec<(&Image, Vec<u32>)> =
            prompts.iter().map(|(image, tokens)| (image, tokens.clone())).collect();
        self.model.generate(&questions, (search.beams > 1).then_some(&search), &self.limits)
    }

    /// What stands behind the marker in the whole sequence, prompt and answer, as the reference cuts it.
    fn answer_text(&self, prompt: &[u32], answer: &[u32]) -> Result<String> {
        let mut text = self.tokenizer.decode_with_special(&[prompt, answer].concat())?;
        for removed in REMOVED {
            text = text.replace(removed, "");
        }
        let parts: Vec<&str> = text.split(&self.spec.answer_after).collect();
        Ok(parts.get(1).map_or("", |answer| answer.trim()).to_owned())
    }
}

impl Adapter for UniChart {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The decoder's weights are read once a step for all of them.
    fn batch(&self) -> usize {
        32
    }

    fn answer(&mut self, work: &[ChartQuestions]) -> Vec<Vec<Result<Answer, Failure>>> {
        let mut prompts: Vec<(Image, Vec<u32>)> = Vec::new();
        let mut places: Vec<Vec<Result<usize, Arc<anyhow::Error>>>> = Vec::new();
        for entry in work {
            let image = self.image(&entry.chart).map_err(Arc::new);
            let mut prepare = |question: &Question| {
                let image = image.clone()?;
                prompts.push((image, self.prompt(question).map_err(Arc::new)?));
                Ok(prompts.len() - 1)
            };
            places.push(entry.questions.iter().map(&mut prepare).collect());
        }
        let generated = self.generate(&prompts).map_err(Arc::new);
        let answer = |place: Result<usize, Arc<anyhow::Error>>| -> Result<Answer, Arc<anyhow::Error>> {
            let place = place?;
            let (ids, (_, prompt)) = (&generated.as_ref().map_err(Arc::clone)?[place], &prompts[place]);
            let text = self.answer_text(prompt, ids).map_err(Arc::new)?;
            Ok(Answer { token_ids: ids.clone(), ..Answer::of(text) })
        };
        let answer = |place| answer(place).map_err(|error| Failure::Question(anyhow::anyhow!("{error:#}")));
        places.into_iter().map(|chart| chart.into_iter().map(answer).collect()).collect()
    }
}

fn identity(
    setup: &Setup<'_>,
    spec: &UniChartSpec,
    folder: &ModelFolder,
    processor: &DonutProcessor,
    limits: &Limits,
) -> Result<Identity> {
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
    let settings = [
        ("family", "unichart".to_owned()),
        ("weights", folder.origin().to_owned()),
        ("weights_sha256", weights_sha256(folder.path())?),
        ("dtype", "f32".to_owned()),
        ("prompt", format!("{before}{{question}}{after}")),
        ("table_prompt", spec.table_prompt.clone().unwrap_or_default()),
        ("answer_after", spec.answer_after.clone()),
        ("image_size", format!("{height} x {width}")),
        ("decoding", decoding),
        ("bad_words", spec.bad_words.join(" ")),
        ("max_new_tokens", longest),
    ];
    let settings = settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Ok(Identity { id: setup.model.spec.id.clone(), settings })
}
