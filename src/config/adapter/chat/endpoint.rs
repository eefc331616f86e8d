//! `[endpoint]` and `[limits]`: where a chat model is served, and its request limits.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use chartbench_core::counts::{MAX_CONCURRENT, MAX_LIMIT, MAX_RETRIES};

/// Requests and bytes of a batch's file, at most (the API's own limits).
const MAX_BATCH_REQUESTS: usize = 50_000;
const MAX_BATCH_BYTES: usize = 200_000_000;
/// The one query that an address may hold: Azure's.
const API_VERSION: &str = "api-version";

/// `[endpoint]`: where the model is served and how it wants to be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointSpec {
    /// `/chat/completions` is added to its path.
    pub base_url: Url,
    /// Environment variable that replaces `base_url` where set.
    pub base_url_env: Option<String>,
    /// The model's name in requests, e.g. `Qwen/Qwen2.5-VL-7B-Instruct`.
    pub model: String,
    /// Environment variable that replaces `model` where set.
    pub model_env: Option<String>,
    /// Environment variable with the key; absent if the server needs none.
    pub key_env: Option<String>,
    /// Whether to go without the key where its variable is not set.
    pub key_optional: bool,
    /// The request key that limits the reply's length.
    pub max_tokens_key: MaxTokensKey,
    /// Request keys that this server refuses; they are omitted.
    pub without: Vec<String>,
    /// Further keys of every request, passed unchanged.
    pub extra: Map<String, Value>,
    /// Whether replies are asked for as a stream.
    pub stream: bool,
    /// Longest side of a picture in pixels; a larger picture is scaled down.
    pub max_image_side: Option<usize>,
    /// Largest picture file in bytes, before base64; a larger one is sent as JPEG, and smaller.
    pub max_image_bytes: Option<usize>,
}

/// The server's name for the maximum reply length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensKey {
    /// The older name, which most servers know.
    #[default]
    MaxTokens,
    /// The name that OpenAI's newer models insist on.
    MaxCompletionTokens,
}

impl MaxTokensKey {
    /// As in the request.
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// `[limits]`: limits of requests, which do not change answers.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestLimits {
    /// Requests under way at the same time.
    pub concurrency: usize,
    /// Largest number of requests begun in a minute; `None` for no limit.
    pub requests_per_minute: Option<usize>,
    /// Largest number of tokens per minute, prompts and replies; `None` for no limit.
    pub tokens_per_minute: Option<usize>,
    /// Longest wait for a connection, above 0.
    pub connect_timeout: Duration,
    /// From a request's beginning to the reply's last byte.
    pub answer_timeout: Duration,
    /// Number of retries after a transient failure.
    pub retries: usize,
    /// Delay before the first retry, doubled for each further one, plus as much again at random.
    pub first_delay: Duration,
    /// Largest delay before a retry, without its random part; `Retry-After` takes precedence.
    pub longest_delay: Duration,
    /// How long a server that `serve` starts may take until it answers, above 0.
    pub start_timeout: Duration,
    /// Most requests of a batch.
    pub batch_requests: usize,
    /// Most bytes of a batch's file.
    pub batch_bytes: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireEndpoint {
    base_url: String,
    base_url_env: Option<String>,
    model: String,
    model_env: Option<String>,
    key_env: Option<String>,
    #[serde(default)]
    key_optional: bool,
    #[serde(default)]
    max_tokens_key: MaxTokensKey,
    #[serde(default)]
    without: Vec<String>,
    #[serde(default)]
    extra: Map<String, Value>,
    #[serde(default)]
    stream: bool,
    max_image_side: Option<usize>,
    max_image_bytes: Option<usize>,
}

impl WireEndpoint {
    pub(super) fn validate(self) -> Result<EndpointSpec> {
        let count = |key: &str, value| super::count(&format!("endpoint.{key}"), value, MAX_LIMIT);
        Ok(EndpointSpec {
            base_url: base_url(&self.base_url).context("`endpoint.base_url`")?,
            base_url_env: self.base_url_env,
            model: self.model,
            model_env: self.model_env,
            key_env: self.key_env,
            key_optional: self.key_optional,
            max_tokens_key: self.max_tokens_key,
            without: self.without,
            extra: self.extra,
            stream: self.stream,
            max_image_side: count("max_image_side", self.max_image_side)?,
            max_image_bytes: count("max_image_bytes", self.max_image_bytes)?,
        })
    }
}

/// Reads the address of a server. A `/chat/completions` at the path's end is left out; Azure's
/// `?api-version=...` stays.
///
/// # Errors
/// Returns an error if the text is no address, or has a user, a password or another query, which
/// would end up in manifests. The error does not repeat the address.
pub fn base_url(text: &str) -> Result<Url> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let mut url = url.context("must be an http:// or https:// address")?;
    let plain = url.username().is_empty() && url.password().is_none();
    ensure!(
        plain,
        "must not hold a user or password: keys come from the variable that `endpoint.key_env` names"
    );
    ensure!(
        url.query_pairs().all(|(key, _)| key == API_VERSION) && url.query() != Some(""),
        "must hold no query but `?{API_VERSION}=...`: keys come from the variable that `endpoint.key_env` names"
    );
    ensure!(url.fragment().is_none(), "must not hold `#`");
    let path = url.path().trim_end_matches('/');
    if let Some(base) = path.strip_suffix("/chat/completions") {
        let base = base.to_owned();
        url.set_path(&base);
    }
    Ok(url)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WireLimits {
    concurrency: usize,
    requests_per_minute: Option<usize>,
    tokens_per_minute: Option<usize>,
    connect_timeout: f64,
    answer_timeout: f64,
    retries: usize,
    first_delay: f64,
    longest_delay: f64,
    start_timeout: f64,
    batch_requests: usize,
    batch_bytes: usize,
}

impl Default for WireLimits {
    fn default() -> Self {
        Self {
            concurrency: 4,
            requests_per_minute: None,
            tokens_per_minute: None,
            connect_timeout: 10.0,
            answer_timeout: 120.0,
            retries: 6,
            first_delay: 1.0,
            longest_delay: 60.0,
            start_timeout: 600.0,
            batch_requests: MAX_BATCH_REQUESTS,
            // Half of what the API takes: a file is in memory while it is uploaded.
            batch_bytes: MAX_BATCH_BYTES / 2,
        }
    }
}

impl WireLimits {
    pub(super) fn validate(self) -> Result<RequestLimits> {
        let count = |key: &str, value: Option<usize>, most| {
            super::count(&format!("limits.{key}"), value, most)
        };
        let seconds =
            |key: &str, value: f64| super::super::seconds(&format!("limits.{key}"), value);
        let above_zero = |key: &str, value: f64| -> Result<Duration> {
            ensure!(value != 0.0, "`limits.{key}` must be above 0 seconds");
            seconds(key, value)
        };
        ensure!(
            self.retries <= MAX_RETRIES,
            "`limits.retries` must be at most {MAX_RETRIES}, not {}",
            self.retries
        );
        Ok(RequestLimits {
            concurrency: count("concurrency", Some(self.concurrency), MAX_CONCURRENT)?.unwrap_or(1),
            requests_per_minute: count("requests_per_minute", self.requests_per_minute, MAX_LIMIT)?,
            tokens_per_minute: count("tokens_per_minute", self.tokens_per_minute, MAX_LIMIT)?,
            connect_timeout: above_zero("connect_timeout", self.connect_timeout)?,
            answer_timeout: above_zero("answer_timeout", self.answer_timeout)?,
            retries: self.retries,
            first_delay: seconds("first_delay", self.first_delay)?,
            longest_delay: seconds("longest_delay", self.longest_delay)?,
            start_timeout: above_zero("start_timeout", self.start_timeout)?,
            batch_requests: count(
                "batch_requests",
                Some(self.batch_requests),
                MAX_BATCH_REQUESTS,
            )?
            .unwrap_or(1),
            batch_bytes: count("batch_bytes", Some(self.batch_bytes), MAX_BATCH_BYTES)?
                .unwrap_or(1),
        })
    }
}
