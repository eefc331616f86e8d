//! How questions are put to models in the place of what adapter files say: a named prompt, named
//! rules that cut out the answer, or the protocol of a published harness.

use anyhow::{Context, Result, bail, ensure};

use super::SelectedAdapter;
use super::run::RunRequest;
use crate::config::{
    BenchmarkProtocol, ChatSpec, EvaluationProtocol, Extraction, Family, HistoryAnswers,
    HistoryForm, PromptSpec, ReaderSpec,
};

/// The words around questions and what is made of replies; what is absent stays as adapter files
/// say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// A prompt's name, or the path of its file.
    pub prompt: Option<String>,
    /// The rules that cut out the answer, in order; empty: those of the protocol, or of the file.
    pub extract: Vec<Extraction>,
    /// A protocol's name.
    pub protocol: Option<String>,
}

impl Asking {
    /// Has the adapters of a run ask so. The leaderboard's convention is the protocol's, unless the
    /// request names one.
    ///
    /// # Errors
    /// Returns an error if a name is unknown, the protocol or the prompt does not have the
    /// benchmark, or an adapter takes no prompt.
    pub fn apply(&self, request: &mut RunRequest) -> Result<()> {
        if self == &Self::default() {
            return Ok(());
        }
        let benchmark = &request.benchmark.load()?.data.name;
        let protocol = match &self.protocol {
            Some(name) => {
                let protocol = EvaluationProtocol::find(name)?;
                let protocol = protocol.for_benchmark(benchmark);
                Some(protocol.context("--protocol")?.clone())
            }
            None => None,
        };
        let own = protocol.as_ref().map(|protocol| &protocol.prompt);
        let prompt = match self.prompt.as_ref().or(own) {
            Some(name) => {
                let prompt = PromptSpec::find(name)?.for_benchmark(benchmark);
                Some(prompt.context("--prompt")?)
            }
            None => None,
        };
        let extract = match &protocol {
            Some(protocol) if self.extract.is_empty() => protocol.extract.clone(),
            _ => self.extract.clone(),
        };
        let choices = Choices {
            protocol: protocol.as_ref(),
            prompt,
            extract,
        };
        let mut asked = 0;
        for adapter in &mut request.adapters {
            let applied = choices.apply(adapter);
            asked += usize::from(applied.with_context(|| self.flags())?);
        }
        ensure!(
            asked > 0,
            "{}: no adapter of --adapters takes a prompt; endpoints (family = \"chat\") do",
            self.flags()
        );
        let convention = protocol.map(|protocol| protocol.convention);
        request.convention = request.convention.take().or(convention);
        Ok(())
    }

    /// The flags that ask for it.
    fn flags(&self) -> String {
        let named = [("--protocol", &self.protocol), ("--prompt", &self.prompt)];
        let mut flags: Vec<String> = named
            .into_iter()
            .filter_map(|(flag, name)| Some(format!("{flag} {}", name.as_ref()?)))
            .collect();
        if !self.extract.is_empty() {
            flags.push(format!("--extract {}", Extraction::describe(&self.extract)));
        }
        flags.join(" ")
    }
}

/// What adapters are given.
struct Choices<'a> {
    protocol: Option<&'a BenchmarkProtocol>,
    prompt: Option<PromptSpec>,
    extract: Vec<Extraction>,
}

impl Choices<'_> {
    /// Gives an adapter the choices; `false` where it answers without looking at the question's
    /// words.
    fn apply(&self, adapter: &mut SelectedAdapter) -> Result<bool> {
        let SelectedAdapter {
            name,
            model,
            reader,
            ..
        } = adapter;
        let is_reader = reader.is_some();
        let family = match reader {
            Some(reader) => &mut reader.spec.family,
            None => &mut model.spec.family,
        };
        match (family, is_reader) {
            (Family::Chat(chat), false) => self.give_chat(chat),
            (Family::Chat(chat), true) => self.give_reader(&mut chat.reader, name)?,
            (Family::Gguf(gguf), true) => self.give_reader(&mut gguf.reader, name)?,
            (Family::Majority | Family::QuestionPrior, false) => return Ok(false),
            _ => bail!(
                "{name} takes no prompt but its own, which it was trained on or its program makes; endpoints (family = \
                 \"chat\") and readers of tables (TABLES+READER) take one"
            ),
        }
        Ok(true)
    }

    fn give_chat(&self, chat: &mut ChatSpec) {
        if let Some(prompt) = &self.prompt {
            chat.named_prompt = Some(prompt.clone());
        }
        chat.extract.clone_from(&self.extract);
        if let Some(protocol) = self.protocol {
            chat.image_detail.clone_from(&protocol.image_detail);
            let generation = &mut chat.generation;
            generation.temperature = protocol.temperature;
            generation.seed = None;
            generation.max_tokens = protocol.max_tokens.unwrap_or(generation.max_tokens);
        }
    }

    fn give_reader(&self, reader: &mut ReaderSpec, name: &str) -> Result<()> {
        ensure!(
            self.protocol.is_none(),
            "{name} answers from tables, and harnesses show the chart; --prompt with a prompt for tables and --extract work"
        );
        if let Some(prompt) = &self.prompt {
            ensure!(
                prompt.table.is_some(),
                "{name} answers from tables, and the prompt {} has no words for them (key `table`)",
                prompt.name
            );
            ensure!(
                (prompt.history, prompt.answers) == (HistoryForm::Text, HistoryAnswers::Gold),
                "{name} answers from tables, where a conversation is a text with the right answers"
            );
            reader.named_prompt = Some(prompt.clone());
        }
        reader.extract.clone_from(&self.extract);
        Ok(())
    }
}
