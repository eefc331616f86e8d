//! An endpoint: sends requests, with retries.

use std::fmt;
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use backon::{BackoffBuilder, ExponentialBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use ureq::{Agent, Body};

use super::address::Address;
use super::event_stream::{self, StreamError};
use super::meter::{self, Meter};
use super::pool::{AbortSignal, Failure};
use super::rate_limit::RateLimiter;
use super::request_error::{ErrorBody, ErrorScope, RequestError};
use super::wire::{self, Choice, RequestKeys, WireReply, WireUsage};
use crate::adapter::secrets::Secrets;
use crate::adapter::{Budget, Usage};
use crate::config::{EndpointSpec, Price, RequestLimits, base_url};
use crate::http::{HttpError, HttpLimits, agent, proxy_name};

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
const REPORTED_WAIT: Duration = Duration::from_secs(2);
/// Azure's header for a key, at addresses with an `api-version`.
const API_KEY: &str = "api-key";
/// Longest accepted reply, in bytes.
const LONGEST_REPLY: usize = 16 << 20;

/// A parsed, successful reply.
#[derive(Debug)]
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
    address: Address,
    /// The proxy that requests go through, as messages name it.
    proxy: Option<String>,
    model: String,
    key: Option<SecretString>,
    /// The key and the passwords of proxies; no answer and no error contains them.
    secrets: Secrets,
    client: Agent,
    rate_limiter: RateLimiter,
    abort: Arc<AbortSignal>,
    /// Failed questions since the last answer. The initial value applies the lower first limit.
    consecutive_failures: AtomicUsize,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("base_url", &self.address.base().as_str())
            .field("model", &self.model)
            .finish()
    }
}

impl Endpoint {
    /// Takes address, model and key from the environment variables that `spec` names, where they
    /// are set. What its requests cost is taken from `budget`.
    ///
    /// # Errors
    /// Returns an error if a required key is not set, the address is invalid, or a budget has no
    /// price to go by.
    pub(super) fn new(
        spec: &EndpointSpec,
        limits: &RequestLimits,
        price: Option<Price>,
        budget: Option<&Budget>,
    ) -> Result<Self> {
        let base = match spec
            .base_url_env
            .as_deref()
            .and_then(|name| Some((name, variable(name)?)))
        {
            Some((name, address)) => {
                base_url(&address).with_context(|| format!("the address in {name}"))?
            }
            None => spec.base_url.clone(),
        };
        let http_limits = HttpLimits {
            connect: limits.connect_timeout,
            read: limits.answer_timeout,
            whole: Some(limits.answer_timeout),
            // A redirected POST would become a GET, and take the key elsewhere.
            redirects: 0,
            connections: limits.concurrency,
        };
        let client = agent(&base, &http_limits);
        let model = spec
            .model_env
            .as_deref()
            .and_then(variable)
            .unwrap_or_else(|| spec.model.clone());
        let key = key(spec)?;
        let mut secrets = Secrets::default();
        if let (Some(name), Some(key)) = (&spec.key_env, &key) {
            secrets.add(&format!("the key in {name}"), key.expose_secret());
        }
        secrets.add_proxies();
        // The file's prices are those of its model at its address.
        let price = price.filter(|_| base == spec.base_url && model == spec.model);
        let meter = budget
            .map(|budget| {
                let price = price.with_context(|| {
                    format!("--max-cost: its adapter file has no `[price]` of {model} at {base}")
                });
                price.map(|price| Meter::new(budget, price))
            })
            .transpose()?;
        Ok(Self {
            price,
            meter,
            proxy: proxy_name(&base),
            address: Address::new(base),
            model,
            key,
            secrets,
            client,
            rate_limiter: RateLimiter::new(limits.requests_per_minute, limits.tokens_per_minute),
            abort: Arc::default(),
            consecutive_failures: AtomicUsize::new(
                MAX_CONSECUTIVE_FAILURES - MAX_FAILURES_BEFORE_FIRST_ANSWER,
            ),
            spec: spec.clone(),
            limits: limits.clone(),
        })
    }

    /// The settings that can change an answer.
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        let settings = [
            ("family", "chat".to_owned()),
            ("base_url", self.address.to_string()),
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
        *self.address.base() == self.spec.base_url
    }

    /// The key and the passwords of proxies.
    pub(super) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    pub(super) fn abort_signal(&self) -> &Arc<AbortSignal> {
        &self.abort
    }

    /// Sends one request, with retries.
    ///
    /// # Errors
    /// Returns an error of the question or of the endpoint. After an error of the endpoint nothing
    /// more is sent.
    pub(super) fn ask(
        &self,
        messages: Vec<Value>,
        keys: &RequestKeys<'_>,
    ) -> Result<Reply, Failure> {
        let guessed = self.meter.as_ref().map(|_| meter::guess_tokens(&messages));
        let body = wire::request(&self.spec, &self.model, messages, keys);
        // `Display` of a value takes milliseconds for a picture, this takes a tenth of one.
        let body = serde_json::to_string(&body).context("cannot write the request")?;
        let mut delays = ExponentialBuilder::new()
            .with_min_delay(self.limits.first_delay)
            .with_max_delay(self.limits.longest_delay)
            .with_max_times(self.limits.retries)
            .with_jitter()
            .with_jitter_seed(rand::random())
            .build();
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
            &self.address,
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
                self.address
            );
        }
    }

    fn give_up(&self, error: RequestError) -> Failure {
        let RequestError {
            message,
            scope,
            wait,
            ..
        } = error;
        let wait = match wait {
            Some(wait) if wait > LONGEST_WAIT => format!(
                "; it wants to be asked again in {} s, and at most {} s are waited for",
                wait.as_secs(),
                LONGEST_WAIT.as_secs()
            ),
            Some(wait) => format!("; it wants to be asked again in {} s", wait.as_secs()),
            None => String::new(),
        };
        let message = format!("{}: {message}{wait}", self.address);
        match scope {
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

    /// Sends a request. A server that does not know the path is asked once more with `/v1` before
    /// it, where the address names no version.
    fn send(&self, body: &str) -> Result<Reply, RequestError> {
        let may_lack_v1 = self.address.may_lack_v1();
        match self.post(body) {
            Err(error) if error.is_not_found && may_lack_v1 => {
                self.address.set_adds_v1(true);
                let again = self.post(body);
                match again {
                    Err(other) if other.is_not_found => {
                        self.address.set_adds_v1(false);
                        let message = format!("{} (with `/v1`: {})", error.message, other.message);
                        Err(RequestError { message, ..error })
                    }
                    again => again,
                }
            }
            sent => sent,
        }
    }

    fn post(&self, body: &str) -> Result<Reply, RequestError> {
        let begun = Instant::now();
        let mut request = self
            .client
            .post(self.address.completions().as_str())
            .header(CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            let key = key.expose_secret();
            request = if self.address.is_azure() {
                request.header(API_KEY, key)
            } else {
                request.header(AUTHORIZATION, format!("Bearer {key}"))
            };
        }
        let response = request
            .send(body)
            .map_err(|error| self.transport(error.into()))?;
        let (parts, body) = response.into_parts();
        let (status, headers) = (parts.status, parts.headers);
        let read = self.read(body, begun);
        if !status.is_success() {
            let body = read.unwrap_or_default();
            let body = ErrorBody::new(&body, &self.secrets);
            return Err(RequestError::status(
                status.as_u16(),
                &headers,
                &body,
                &self.key_name(),
            ));
        }
        self.reply(&read?)
    }

    /// Reads a body whole.
    fn read(&self, reply: Body, begun: Instant) -> Result<String, RequestError> {
        let mut reader = reply.into_reader();
        let mut body = Vec::new();
        let mut buffer = vec![0; 1 << 14];
        loop {
            let length = match reader.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.map_err(|error| self.transport(error.into()))?,
            };
            body.extend(buffer.get(..length).unwrap_or_default());
            if begun.elapsed() > self.limits.answer_timeout {
                return Err(RequestError::slow(self.limits.answer_timeout));
            }
            if body.len() > LONGEST_REPLY {
                return Err(RequestError::long(LONGEST_REPLY));
            }
            if length == 0 || event_stream::is_at_end(&body) {
                break;
            }
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
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
                let body = ErrorBody::new(body, &self.secrets);
                Err(RequestError::garbled(&body, &error))
            }
        }
    }

    fn parse(&self, body: &str) -> Result<Reply, RequestError> {
        let error_body = || ErrorBody::new(body, &self.secrets);
        let reply =
            WireReply::parse(body).map_err(|error| RequestError::garbled(&error_body(), &error))?;
        if let Some(error) = &reply.error {
            return Err(RequestError::in_reply(
                error,
                &error_body(),
                &self.key_name(),
            ));
        }
        let mut choices = reply
            .choices
            .ok_or_else(|| RequestError::garbled(&error_body(), &"it has no `choices`"))?;
        if let Some(secret) = choices
            .iter_mut()
            .find_map(|choice| choice.secret(&self.secrets))
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

    fn transport(&self, error: HttpError) -> RequestError {
        if let Some(proxy) = &self.proxy {
            match &error {
                HttpError::ConnectTimeout => {
                    let limit = self.limits.connect_timeout.as_secs_f64();
                    let cause = format!("within {limit} s (`limits.connect_timeout`)");
                    return RequestError::proxy(proxy, &cause);
                }
                HttpError::Connect(cause) => return RequestError::proxy(proxy, cause),
                HttpError::Timeout | HttpError::Broken(_) => {}
            }
        }
        match error {
            HttpError::ConnectTimeout => RequestError::unreachable(self.limits.connect_timeout),
            HttpError::Timeout => RequestError::slow(self.limits.answer_timeout),
            HttpError::Connect(cause) | HttpError::Broken(cause) => {
                RequestError::connection(&cause)
            }
        }
    }

    /// How errors name the key: by its variable.
    fn key_name(&self) -> String {
        match (&self.spec.key_env, &self.key) {
            (Some(name), Some(_)) => format!("the key in {name}: check it"),
            (Some(name), None) => format!("requests without a key: set {name}"),
            (None, _) => {
                "requests without a key: name a variable with one as `endpoint.key_env`".to_owned()
            }
        }
    }
}

/// An environment variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name)
        .ok()
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}

fn key(spec: &EndpointSpec) -> Result<Option<SecretString>> {
    let Some(name) = &spec.key_env else {
        return Ok(None);
    };
    let key = variable(name);
    ensure!(
        key.is_some() || spec.key_optional,
        "set the environment variable {name} to the key of {}",
        spec.base_url
    );
    let fits = key
        .as_deref()
        .is_none_or(|key| HeaderValue::from_str(key).is_ok());
    ensure!(
        fits,
        "the environment variable {name} holds characters that no key has"
    );
    Ok(key.map(SecretString::from))
}
