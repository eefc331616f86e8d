//! `family = "chat"`: a model behind an OpenAI-compatible `/chat/completions`, that looks at charts
//! itself or reads the tables of another adapter.

mod endpoint;
mod serve;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::count;
use super::reader::{ReaderSpec, WireReader};
use crate::config::{Extraction, PromptSpec};
pub use endpoint::{EndpointSpec, RequestLimits, base_url};
use endpoint::{WireEndpoint, WireLimits};
pub use serve::ServeSpec;

use chartbench_core::counts::MAX_REPLY_TOKENS;

/// Placeholder of the question in a prompt.
const PLACE: &str = "{question}";

/// `family = "chat"`.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatSpec {
    /// `serve`: the command that starts the server; `None`: it runs already.
    pub serve: Option<ServeSpec>,
    /// `[endpoint]`: the server and the model.
    pub endpoint: EndpointSpec,
    /// `[limits]`: concurrency, rates, timeouts and retries.
    pub limits: RequestLimits,
    /// `[price]`; `None` records no cost.
    pub price: Option<Price>,
    /// `[prompt]`: the texts beside the chart.
    pub prompt: ChatPrompt,
    /// `--prompt`: it stands in the place of `prompt.question` and `prompt.system`.
    pub named_prompt: Option<PromptSpec>,
    /// `image.detail`: the API's resolution choice (`low`, `high`, `auto`); `None` sends none.
    pub image_detail: Option<String>,
    /// `[generation]`: sampling of answers about charts.
    pub generation: ChatGeneration,
    /// The answer is what follows the last such text in a reply; absent: the whole reply.
    pub answer_after: Option<String>,
    /// `--extract`: the rules that stand in the place of `answer_after`; empty: none do.
    pub extract: Vec<Extraction>,
    /// How the model answers from the tables of another adapter.
    pub reader: ReaderSpec,
}

/// `[prompt]`: the texts beside the chart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChatPrompt {
    /// The system message, if any.
    pub system: Option<String>,
    /// `{question}` is the question's place.
    pub question: String,
    /// Asks for the chart's data table; absent: it writes none.
    pub table: Option<String>,
}

impl Default for ChatPrompt {
    fn default() -> Self {
        Self {
            system: None,
            question: PLACE.to_owned(),
            table: None,
        }
    }
}

impl ChatPrompt {
    /// The prompt of one question.
    pub fn about(&self, question: &str) -> String {
        self.question.replace(PLACE, question)
    }
}

/// `[generation]`: how an answer about a chart is sampled; what is absent is not sent.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatGeneration {
    /// Sampling temperature from 0 to 2; `None` is the server's default.
    pub temperature: Option<f64>,
    /// Sampling seed; `None` sends none.
    pub seed: Option<u64>,
    /// Longest reply in tokens.
    pub max_tokens: usize,
}

/// `[price]`: US dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// US dollars per million tokens read.
    pub prompt: f64,
    /// US dollars per million tokens written.
    pub completion: f64,
    /// Cost of a batch's tokens as a part of these prices (`0.5`: half of them); `None`: it is
    /// not known.
    #[serde(default)]
    pub batch: Option<f64>,
}

impl Price {
    /// The prices of requests that go in batches, where they are known.
    pub fn in_batches(self) -> Option<Self> {
        let part = self.batch?;
        Some(Self {
            prompt: self.prompt * part,
            completion: self.completion * part,
            batch: self.batch,
        })
    }
}

/// The family's own keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    serve: Option<String>,
    endpoint: Option<WireEndpoint>,
    #[serde(default)]
    limits: WireLimits,
    price: Option<Price>,
    #[serde(default)]
    prompt: ChatPrompt,
    #[serde(default)]
    image: WireImage,
    #[serde(default)]
    generation: WireGeneration,
    #[serde(default)]
    answer: WireAnswer,
    #[serde(default)]
    reader: WireReader,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireImage {
    detail: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireGeneration {
    temperature: Option<f64>,
    seed: Option<u64>,
    max_tokens: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireAnswer {
    after: Option<String>,
}

impl Wire {
    pub(super) fn validate(self) -> Result<ChatSpec> {
        let WireGeneration {
            temperature,
            seed,
            max_tokens,
        } = self.generation;
        let max_tokens =
            count("generation.max_tokens", max_tokens, MAX_REPLY_TOKENS)?.unwrap_or(512);
        ensure!(
            temperature.is_none_or(|value| (0.0..=2.0).contains(&value)),
            "`generation.temperature` must be between 0 and 2"
        );
        ensure!(
            self.prompt.question.contains(PLACE),
            "`prompt.question` must hold {PLACE}"
        );
        ensure!(
            self.answer.after.as_deref() != Some(""),
            "`answer.after` must not be empty"
        );
        if let Some(price) = self.price {
            let fine = |value: f64| value.is_finite() && value >= 0.0;
            ensure!(
                [price.prompt, price.completion, price.batch.unwrap_or(0.0)]
                    .into_iter()
                    .all(fine),
                "prices must not be negative"
            );
        }
        Ok(ChatSpec {
            serve: self.serve.as_deref().map(ServeSpec::parse).transpose()?,
            endpoint: self
                .endpoint
                .context("missing table `[endpoint]`")?
                .validate()?,
            limits: self.limits.validate()?,
            price: self.price,
            prompt: self.prompt,
            named_prompt: None,
            image_detail: self.image.detail,
            generation: ChatGeneration {
                temperature,
                seed,
                max_tokens,
            },
            answer_after: self.answer.after,
            extract: Vec::new(),
            reader: self.reader.validate()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ChatSpec> {
        let table: toml::Table = text.parse()?;
        table.try_into::<Wire>()?.validate()
    }

    #[track_caller]
    fn refused(text: &str) -> String {
        format!("{:#}", parse(text).unwrap_err())
    }

    const ENDPOINT: &str = "[endpoint]\nbase_url = \"http://localhost/v1\"\nmodel = \"m\"\n";

    #[test]
    fn an_endpoint_is_enough() {
        let spec = parse(ENDPOINT).unwrap();
        assert_eq!(spec.prompt.about("Why?"), "Why?");
        assert_eq!(spec.endpoint.key_env, None);
        assert_eq!(spec.reader.samples, 1);
    }

    #[test]
    fn mistakes_name_their_key() {
        assert_eq!(refused(""), "missing table `[endpoint]`");
        for (more, message) in [
            (
                "[prompt]\nquestion = \"What?\"\n",
                "`prompt.question` must hold {question}",
            ),
            (
                "[limits]\nconcurrency = 0\n",
                "`limits.concurrency` must be at least 1",
            ),
            (
                "[limits]\nanswer_timeout = 0\n",
                "`limits.answer_timeout` must be above 0 seconds",
            ),
            (
                "[limits]\nfirst_delay = -1\n",
                "`limits.first_delay` must be a number of seconds",
            ),
            (
                "[limits]\nlongest_delay = 1e12\n",
                "`limits.longest_delay` must be a number of seconds",
            ),
            (
                "[generation]\ntemperature = 3\n",
                "`generation.temperature` must be between 0 and 2",
            ),
            (
                "[reader]\nsamples = 3\n",
                "`reader.samples` above 1 need a `reader.temperature` above 0",
            ),
            (
                "max_image_side = 0\n",
                "`endpoint.max_image_side` must be at least 1",
            ),
            (
                "[limits]\nstart_timeout = 0\n",
                "`limits.start_timeout` must be above 0 seconds",
            ),
            ("[request]\nx = 1\n", "unknown field `request`"),
        ] {
            assert!(
                refused(&format!("{ENDPOINT}{more}")).contains(message),
                "{}",
                refused(&format!("{ENDPOINT}{more}"))
            );
        }
    }

    #[test]
    fn an_address_with_a_password_is_refused_and_not_repeated() {
        for address in [
            "http://me:hunter2@host/v1",
            "https://hunter2@host/v1",
            "https://host/v1?key=hunter2",
            "https://host/v1?api-version=1&key=hunter2",
            "https://host/v1#hunter2",
        ] {
            let message = refused(&ENDPOINT.replace("http://localhost/v1", address));
            assert!(
                message.contains("`endpoint.base_url`") && !message.contains("hunter2"),
                "{message}"
            );
        }
        for address in ["localhost:8000/v1", "no address", "ftp://host"] {
            let message = refused(&ENDPOINT.replace("http://localhost/v1", address));
            assert!(
                message.contains("must be an http:// or https:// address"),
                "{message}"
            );
        }
    }

    #[test]
    fn an_address_may_hold_the_whole_path_or_an_api_version() {
        let address = |text: &str| base_url(text).unwrap().to_string();
        // What was accepted before stays as it is written: it is in fingerprints.
        for same in ["http://host:1/v1", "http://host:1/v1/", "http://host:1/"] {
            assert_eq!(address(same), same);
        }
        assert_eq!(address("http://host/v1/chat/completions"), "http://host/v1");
        assert_eq!(address("http://host/chat/completions/"), "http://host/");
        assert_eq!(
            address(
                "https://r.example/openai/deployments/d/chat/completions?api-version=2024-10-21"
            ),
            "https://r.example/openai/deployments/d?api-version=2024-10-21"
        );
    }

    #[test]
    fn a_command_that_serves_is_split_as_a_shell_does() {
        let serve = |text: &str| parse(&format!("serve = {text:?}\n{ENDPOINT}"));
        let spec = serve("llama-server --model 'my model.gguf' --port 8080").unwrap();
        assert_eq!(
            spec.serve.unwrap().command,
            ["llama-server", "--model", "my model.gguf", "--port", "8080"]
        );
        for text in ["", "  ", "sh -c 'x"] {
            let error = format!("{:#}", serve(text).unwrap_err());
            assert!(error.starts_with("`serve` "), "{error}");
        }
    }
}
