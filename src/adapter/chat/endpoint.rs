//! An endpoint: sends requests, with retries, or puts them into batches.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use serde_json::Value;

use super::address::Address;
use super::batch::Batches;
use super::connection::{Connection, Payload, variable};
use super::event_stream::{self, StreamError};
use super::meter::{self, Meter};
use super::pool::{AbortSignal, Failure};
use super::rate_limit::RateLimiter;
use super::request_error::{ErrorScope, RequestError};
use super::turns::Turns;
use super::wire::{self, Choice, RequestKeys, WireReply, WireUsage};
use crate::adapter::secrets::Secrets;
use crate::adapter::{Overrides, Usage};
use crate::config::{EndpointSpec, Price, RequestLimits};
use chartbench_core::answer::settings_sha256;

/// Failed questions in a row, each for a reason of its own, after which the endpoint counts as
/// broken. The number is large because one picture that the endpoint refuses fails all questions
/// about its chart.
const MAX_CONSECUTIVE_FAILURES: usize = 50;
/// The same limit before the endpoint has answered its first question.
const MAX_FAILURES_BEFORE_FIRST_ANSWER: usize = 5;
/// Longest `Retry-After` that is waited for; a longer one stops the run, which can be started
/// again.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// Shortest wait that is reported.
pub(super) const REPORTED_WAIT: Duration = Duration::from_secs(2);

/// A parsed, successful reply.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub choices: Vec<Choice>,
    pub usage: Option<Usage>,
}

/// Where a model is served.
pub(super) struct Endpoint {
    spec: EndpointSpec,
    limits: RequestLimits,
    price: Option<Price>,
    /// Where requests share a budget.
    meter: Option<Meter>,
    connection: Connection,
    model: String,
    rate_limiter: RateLimiter,
    abort: Arc<AbortSignal>,
    /// Where requests go in batches.
    batches: Option<Batches>,
    /// Failed questions since the last answer. The initial value applies the lower first limit.
    consecutive_failures: AtomicUsize,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("base_url", &self.address().base().as_str())
            .field("model", &self.model)
            .finish()
    }
}

impl Endpoint {
    /// Takes address, model and key from the environment variables that `spec` names, where they
    /// are set. What its requests cost is taken from the budget of `overrides`, and they go in
    /// batches where it says so.
    ///
    /// # Errors
    /// Returns an error if a required key is not set, the address is invalid, or a budget has no
    /// price to go by.
    pub(super) fn new(
        spec: &EndpointSpec,
        limits: &RequestLimits,
        price: Option<Price>,
        overrides: &Overrides,
    ) -> Result<Self> {
        let connection = Connection::new(spec, limits)?;
        let base = connection.address().base();
        let model = spec
            .model_env
            .as_deref()
            .and_then(variable)
            .unwrap_or_else(|| spec.model.clone());
        // The file's prices are those of its model at its address.
        let price = price.filter(|_| *base == spec.base_url && model == spec.model);
        let meter = overrides
            .budget
            .as_ref()
            .map(|budget| {
                let price = price.with_context(|| {
                    format!("--max-cost: its adapter file has no `[price]` of {model} at {base}")
                });
                price.map(|price| Meter::new(budget, price))
            })
            .transpose()?;
        let mut endpoint = Self {
            price,
            meter,
            connection,
            model,
            rate_limiter: RateLimiter::new(limits.requests_per_minute, limits.tokens_per_minute),
            abort: Arc::default(),
            batches: None,
            consecutive_failures: AtomicUsize::new(
                MAX_CONSECUTIVE_FAILURES - MAX_FAILURES_BEFORE_FIRST_ANSWER,
            ),
            spec: spec.clone(),
            limits: limits.clone(),
        };
        if let Some(batch_api) = &overrides.batch_api {
            endpoint.price = price.and_then(Price::in_batches);
            // A batch has no streams.
            endpoint.spec.stream = false;
            let settings = settings_sha256(&endpoint.settings());
            endpoint.batches = Some(Batches::new(batch_api.clone(), settings));
        }
        Ok(endpoint)
    }

    /// Where the server is.
    pub(super) fn address(&self) -> &Address {
        self.connection.address()
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn limits(&self) -> &RequestLimits {
        &self.limits
    }

    /// The batches that requests go in, where they do.
    pub(super) fn batches(&self) -> Option<&Batches> {
        self.batches.as_ref()
    }

    /// The settings that can change an answer.
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        let settings = [
            ("family", "chat".to_owned()),
            ("base_url", self.address().to_string()),
            ("model", self.model.clone()),
            ("request_without", self.spec.without.join(", ")),
            (
                "request_extra",
                Value::Object(self.spec.extra.clone()).to_string(),
            ),
        ];
        settings
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    /// Whether it is at the address of its file, and not at one that the environment names.
    pub(super) fn is_at_own_address(&self) -> bool {
        *self.address().base() == self.spec.base_url
    }

    /// The key and the passwords of proxies.
    pub(super) fn secrets(&self) -> &Secrets {
        self.connection.secrets()
    }

    pub(super) fn abort_signal(&self) -> &Arc<AbortSignal> {
        &self.abort
    }

    /// Sends one request, with retries, or puts it into a batch as the next of its `turns`.
    ///
    /// # Errors
    /// Returns an error of the question or of the endpoint, or that the reply comes with a batch.
    /// After an error of the endpoint nothing more is sent.
    pub(super) fn ask(
        &self,
        turns: &Turns,
        messages: Vec<Value>,
        keys: &RequestKeys<'_>,
    ) -> Result<Reply, Failure> {
        let guessed = self.meter.as_ref().map(|_| meter::guess_tokens(&messages));
        let body = wire::request(&self.spec, &self.model, messages, keys);
        // `Display` of a value takes milliseconds for a picture, this takes a tenth of one.
        let body = serde_json::to_string(&body).context("cannot write the request")?;
        if let Some(batches) = &self.batches {
            return batches.ask(self, turns, &body);
        }
        let mut delays = self.delays();
        loop {
            self.abort.wait(self.rate_limiter.reserve())?;
            let error = match self.send_paid(&body, guessed, keys)? {
                Ok(reply) => {
                    self.consecutive_failures.store(0, Ordering::Relaxed);
                    return Ok(reply);
                }
                Err(error) => error,
            };
            let delay = delays
                .next()
                .filter(|_| error.retryable && error.wait.is_none_or(|wait| wait <= LONGEST_WAIT));
            let Some(delay) = delay else {
                return Err(self.give_up(error));
            };
            match error.wait {
                Some(wait) if !wait.is_zero() => self.pause(wait, &error.message),
                _ => self.abort.wait(delay)?,
            }
        }
    }

    /// The delays before retries.
    pub(super) fn delays(&self) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(self.limits.first_delay)
            .with_max_delay(self.limits.longest_delay)
            .with_max_times(self.limits.retries)
            .with_jitter()
            .with_jitter_seed(rand::random())
            .build()
    }

    /// Sends a request once its cost is reserved, where there is a budget.
    fn send_paid(
        &self,
        body: &str,
        guessed: Option<u64>,
        keys: &RequestKeys<'_>,
    ) -> Result<Result<Reply, RequestError>, Failure> {
        let Some((meter, guessed)) = self.meter.as_ref().zip(guessed) else {
            return Ok(self.send(body));
        };
        let most = keys
            .max_tokens
            .unwrap_or_default()
            .saturating_mul(keys.samples.max(1));
        let metered = meter.reserve(
            guessed,
            u64::try_from(most).unwrap_or(u64::MAX),
            self.address(),
            &self.abort,
        )?;
        let sent = self.send(body);
        match &sent {
            Ok(reply) => meter.settle(metered, reply.usage),
            Err(error) if error.is_charged => meter.charge(metered),
            Err(_) => drop(metered),
        }
        Ok(sent)
    }

    /// Pauses all requests for as long as the server asks; reports the pause once, however many
    /// requests receive it.
    fn pause(&self, wait: Duration, message: &str) {
        if self.rate_limiter.pause(wait) && wait >= REPORTED_WAIT {
            let (wait, longest) = (wait.as_secs_f64(), LONGEST_WAIT.as_secs());
            chartbench_core::note!(
                "note: {}: {message}; retry after {wait} s (up to {longest} s are waited for)",
                self.address()
            );
        }
    }

    fn give_up(&self, error: RequestError) -> Failure {
        let message = format!("{}: {}", self.address(), error.with_wait());
        match error.scope {
            ErrorScope::Endpoint => self.abort.raise(message),
            ErrorScope::Question => {
                match self.consecutive_failures.fetch_add(1, Ordering::Relaxed) + 1 {
                    MAX_CONSECUTIVE_FAILURES.. => self.abort.raise(format!(
                        "too many questions in a row failed, the last with {message}"
                    )),
                    _ => Failure::Question(anyhow::Error::msg(message)),
                }
            }
        }
    }

    fn send(&self, body: &str) -> Result<Reply, RequestError> {
        self.connection.with_v1(|| {
            let url = self.address().completions();
            let reply = self.connection.exchange(&url, Payload::Json(body))?;
            self.reply(&reply.body)
        })
    }

    /// The reply in a body with a good status; some servers stream although they are not asked to.
    fn reply(&self, body: &str) -> Result<Reply, RequestError> {
        if !event_stream::is_stream(body) {
            return self.parse(body);
        }
        match event_stream::whole_reply(body) {
            Ok(reply) => self.parse(&reply),
            Err(StreamError::Cut) => Err(RequestError::cut_stream()),
            Err(StreamError::Garbled(error)) => {
                let body = self.connection.error_body(body);
                Err(RequestError::garbled(&body, &error))
            }
        }
    }

    /// The reply in a body that is no stream.
    pub(super) fn parse(&self, body: &str) -> Result<Reply, RequestError> {
        let error_body = || self.connection.error_body(body);
        let reply =
            WireReply::parse(body).map_err(|error| RequestError::garbled(&error_body(), &error))?;
        if let Some(error) = &reply.error {
            return Err(RequestError::in_reply(
                error,
                &error_body(),
                &self.connection.key_name(),
            ));
        }
        let mut choices = reply
            .choices
            .ok_or_else(|| RequestError::garbled(&error_body(), &"it has no `choices`"))?;
        if let Some(secret) = choices
            .iter_mut()
            .find_map(|choice| choice.secret(self.secrets()))
        {
            return Err(RequestError::leak(secret));
        }
        Ok(Reply {
            choices,
            usage: reply.usage.and_then(|usage| self.usage(&usage)),
        })
    }

    /// The usage of a reply; the cost is unknown where a count is.
    fn usage(&self, usage: &WireUsage) -> Option<Usage> {
        let (prompt, completion) = (usage.prompt_tokens, usage.completion_tokens);
        prompt.or(completion)?;
        let dollars = |price: Price| {
            Some((prompt? as f64 * price.prompt + completion? as f64 * price.completion) / 1e6)
        };
        let (prompt_tokens, completion_tokens) = (prompt.unwrap_or(0), completion.unwrap_or(0));
        self.rate_limiter
            .record_tokens(prompt_tokens.saturating_add(completion_tokens));
        Some(Usage {
            prompt_tokens,
            completion_tokens,
            cost_usd: self.price.and_then(dollars),
        })
    }
}
