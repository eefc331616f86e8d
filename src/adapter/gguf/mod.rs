//! Quantised language models in this process: GGUF files through candle-transformers.
//!
//! Everything but the weights comes from the file too: the tokenizer, the chat template, the tokens
//! that end an answer.

mod chat_template;
mod file;
mod generate;
mod model;
mod prefix;
mod tokenizer;

use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use candle_core::Device;
use candle_core::quantized::gguf_file::Content;
use tokenizers::Tokenizer;

pub use chat_template::ChatTemplate;

use super::language_model::{Completion, LanguageModel, ReportCompletions, Sampling};
use super::{AdapterContext, ModelRef};
use crate::config::GgufSpec;
use chartbench_core::catch_panic;
use chartbench_nn::{GgufHeader, file_sha256};
use generate::Decoder;
use model::Model;
use prefix::PrefixStates;

/// Prompts in a call. They run one after the other, so the number only decides how often answers
/// are recorded.
const BATCH: usize = 4;

/// Control tokens that end a turn in one template or another, whatever the metadata names besides.
const TURN_ENDS: [&str; 5] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
];

/// A loaded GGUF model.
pub struct Gguf {
    settings: Vec<(String, String)>,
    template: Option<ChatTemplate>,
    tokenizer: Tokenizer,
    ends: Vec<u32>,
    /// The beginning-of-text token, used without a chat template.
    begin: Option<u32>,
    states: PrefixStates,
    context: usize,
}

impl Gguf {
    /// Finds and loads `model`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be found, or this program cannot run it.
    pub fn find(context: &AdapterContext<'_>, model: &ModelRef, spec: &GgufSpec) -> Result<Self> {
        let located = file::locate(&spec.source, model.weights.as_deref(), context.hub)?;
        Self::open(&located.path, &located.origin, context.device)
    }

    /// Loads the model of a file; `origin` says in the settings where that is from.
    ///
    /// # Errors
    /// Returns an error that names the file if this program cannot run it.
    pub fn open(path: &Path, origin: &str, device: &Device) -> Result<Self> {
        catch_panic("candle", || Self::load(path, origin, device))
            .map_err(one_line)
            .with_context(|| format!("{}", path.display()))
    }

    fn load(path: &Path, origin: &str, device: &Device) -> Result<Self> {
        let mut file =
            BufReader::new(chartbench_core::input::open(path).context("cannot read it")?);
        GgufHeader::read(path)?;
        let mut content = Content::read(&mut file).context("no GGUF file")?;
        let architecture = model::architecture(&content)?;
        let tokenizer = tokenizer::read(&mut content)?;
        let tokens = tokenizer::tokens(&content)?;
        let template = template(&content, &tokens)?;
        let (begin, ends) = (begin(&content), ends(&content, &tokens));
        let (model, limits) = Model::load(content, &mut file, device)?;
        let settings = [
            ("family", "gguf".to_owned()),
            ("weights", origin.to_owned()),
            ("weights_sha256", file_sha256(path)?),
            ("architecture", architecture),
            (
                "arithmetic",
                if limits.single_precision {
                    "f32"
                } else {
                    "quantised, activations in 8 bits"
                }
                .to_owned(),
            ),
            ("context", limits.context.to_string()),
            (
                "chat_template",
                template
                    .as_ref()
                    .map_or("none", |_| "the file's, thinking off")
                    .to_owned(),
            ),
        ];
        let settings = settings
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        let states = PrefixStates::new(model, limits.in_blocks);
        Ok(Self {
            settings,
            template,
            tokenizer,
            ends,
            begin,
            states,
            context: limits.context,
        })
    }

    /// A prompt's tokens: in the chat template if there is one, else the prompt after the
    /// beginning-of-text token.
    ///
    /// # Errors
    /// Returns an error if the template fails, or the prompt leaves no room for an answer.
    pub fn encode(&self, prompt: &str) -> Result<Vec<u32>> {
        let (text, begin) = match &self.template {
            Some(template) => (template.render(prompt)?, None),
            None => (prompt.to_owned(), self.begin),
        };
        let encoding = self.tokenizer.encode(text, false);
        let encoding = encoding.map_err(|error| anyhow!("cannot tokenise the prompt: {error}"))?;
        let ids: Vec<u32> = begin
            .into_iter()
            .chain(encoding.get_ids().iter().copied())
            .collect();
        ensure!(
            ids.len() < self.context,
            "the prompt is {} tokens long, the model reads at most {}: the table is too large for it",
            ids.len(),
            self.context
        );
        Ok(ids)
    }

    /// Number of prompt tokens evaluated so far, without reused ones.
    pub fn evaluated_tokens(&self) -> usize {
        self.states.evaluated()
    }

    fn answer(
        &mut self,
        text: &str,
        ids: &[u32],
        next: Option<&[u32]>,
        sampling: &Sampling,
    ) -> Result<Vec<Completion>> {
        let (state, logits) = self.states.evaluate(ids, next)?;
        let room = self.context - ids.len();
        let decoder = Decoder {
            tokenizer: &self.tokenizer,
            ends: &self.ends,
            sampling,
            room,
        };
        // Greedy completions of a prompt are all the same.
        let distinct = if sampling.temperature > 0.0 {
            sampling.samples
        } else {
            sampling.samples.min(1)
        };
        let complete =
            |sample: usize| decoder.complete(state.clone(), &logits, ids.len(), text, sample);
        let completions = (0..distinct).map(complete).collect::<Result<Vec<_>>>()?;
        Ok(completions
            .into_iter()
            .cycle()
            .take(sampling.samples)
            .collect())
    }
}

impl LanguageModel for Gguf {
    fn settings(&self) -> Vec<(String, String)> {
        self.settings.clone()
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn complete(
        &mut self,
        prompts: &[String],
        sampling: &Sampling,
        report: &mut ReportCompletions<'_>,
    ) -> Result<()> {
        let encoded: Vec<Result<Vec<u32>>> =
            prompts.iter().map(|prompt| self.encode(prompt)).collect();
        for (index, (prompt, ids)) in prompts.iter().zip(&encoded).enumerate() {
            let next = encoded.get(index + 1).and_then(|next| next.as_deref().ok());
            let completions = match ids {
                Ok(ids) => self.answer(prompt, ids, next, sampling),
                Err(error) => Err(anyhow!("{error:#}")),
            };
            report(index, completions);
        }
        Ok(())
    }
}

fn template(content: &Content, tokens: &[String]) -> Result<Option<ChatTemplate>> {
    let Some(source) = content.metadata.get("tokenizer.chat_template") else {
        return Ok(None);
    };
    let source = source
        .to_string()
        .map_err(|_| anyhow!("`tokenizer.chat_template` is no text"))?;
    let token = |key: &str| {
        let id = model::number(content, &format!("tokenizer.ggml.{key}_token_id")).ok();
        id.and_then(|id| tokens.get(id)).map_or("", String::as_str)
    };
    ChatTemplate::new(source.clone(), token("bos"), token("eos")).map(Some)
}

/// The token that begins a text, where the file says that one does; SentencePiece models do unless
/// it says otherwise.
fn begin(content: &Content) -> Option<u32> {
    let kind = content
        .metadata
        .get("tokenizer.ggml.model")
        .and_then(|kind| kind.to_string().ok());
    let said = content
        .metadata
        .get("tokenizer.ggml.add_bos_token")
        .and_then(|add| add.to_bool().ok());
    let begins = said.unwrap_or(kind.is_some_and(|kind| kind == "llama"));
    let id = model::number(content, "tokenizer.ggml.bos_token_id")
        .ok()
        .filter(|_| begins)?;
    u32::try_from(id).ok()
}

/// The tokens after which a completion is over.
fn ends(content: &Content, tokens: &[String]) -> Vec<u32> {
    let named = ["eos", "eot", "eom"].into_iter().filter_map(|key| {
        u32::try_from(model::number(content, &format!("tokenizer.ggml.{key}_token_id")).ok()?).ok()
    });
    let turn_ends = tokens
        .iter()
        .zip(0..)
        .filter(|(token, _)| TURN_ENDS.contains(&token.as_str()))
        .map(|(_, id)| id);
    let mut ends: Vec<u32> = named.chain(turn_ends).collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// candle's errors carry backtraces and more below their first lines, and repeat values of any
/// length.
fn one_line(error: anyhow::Error) -> anyhow::Error {
    /// Most characters of a cause: a sentence with a value in it.
    const LONGEST: usize = 300;
    let first = error.chain().map(|cause| {
        let cause = cause.to_string();
        let line = cause.lines().next().unwrap_or_default();
        let short: String = line.chars().take(LONGEST).collect();
        if short.len() < line.len() {
            short + "..."
        } else {
            short
        }
    });
    anyhow!(first.collect::<Vec<_>>().join(": "))
}
