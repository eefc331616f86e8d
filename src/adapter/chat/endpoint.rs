//! One endpoint: sending a request, and sending it again.

use std::fmt;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::fault::{Blame, ErrorBody, Fault};
use super::pace::Pace;
use super::pool::Stop;
use super::wire::{self, Choice, RequestKeys, WireReply, WireUsage};
use crate::adapter::secrets::Secrets;
use crate::adapter::{Failure, Usage};
use crate::config::{EndpointSpec, Limits, Price, base_url};

/// So many questions in a row that fail, each for reasons of its own, mean that the endpoint is at fault. One picture that
/// it does not take fails all questions about a chart, so that they are many,
const BARREN: usize = 50;
/// but fewer where it has not answered any question yet.
const BARREN_AT_FIRST: usize = 5;
/// A server that wants to be left alone for longer stops the run, which can be started again.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// A wait that a server asks for and that is at least so long is reported.
const REPORTED_WAIT: Duration = Duration::from_secs(2);
/// Longest reply that is read, in bytes.
const LONGEST_REPLY: usize = 16 << 20;

/// A reply that is one.
#[derive(Debug)]
pub(super) struct Reply {
    pub choices: Vec<Choice>,
    pub usage: Option<Usage>,
}

/// Where a model is served.
pub(super) struct Endpoint {
    spec: EndpointSpec,
    limits: Limits,
    price: Option<Price>,
    base_url: Url,
    model: String,
    key: Option<SecretString>,
    /// The key, and the passwords of proxies: they reach neither an answer nor an error.
    secrets: Secrets,
    client: Client,
    pace: Pace,
    stop: Stop,
    /// Questions that failed since the last that was answered; begins as if some had.
    barren: AtomicUsize,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("base_url", &self.base_url.as_str()).field("model", &self.model).finish()
    }
}

impl Endpoint {
    /// Takes address, model and key from the environment variables that `spec` names, where they are set.
    ///
    /// # Errors
    /// A key that is needed and not set, or an address that cannot be one.
    pub(super) fn new(spec: &EndpointSpec, limits: &Limits, price: Option<Price>) -> Result<Self> {
        let base = match spec.base_url_env.as_deref().and_then(|name| Some((name, variable(name)?))) {
            Some((name, address)) => base_url(&address).with_context(|| format!("the address in {name}"))?,
            None => spec.base_url.clone(),
        };
        let client = Client::builder()
            .connect_timeout(limits.connect_timeout)
            .timeout(limits.answer_timeout)
            // A redirected POST would become a GET, and take the key elsewhere.
            .redirect(redirect::Policy::none())
            .build()
            .context("cannot set up an HTTP client")?;
        let model = spec.model_env.as_deref().and_then(variable).unwrap_or_else(|| spec.model.clone());
        let key = key(spec)?;
        let mut secrets = Secrets::default();
        if let (Some(name), Some(key)) = (&spec.key_env, &key) {
            secrets.add(&format!("the key in {name}"), key.expose_secret());
        }
        secrets.add_proxies();
        Ok(Self {
            // The file's prices are those of its model at its address.
            price: price.filter(|_| base == spec.base_url && model == spec.model),
            base_url: base,
            model,
            key,
            secrets,
            client,
            pace: Pace::new(limits.requests_per_minute, limits.tokens_per_minute),
            stop: Stop::default(),
            barren: AtomicUsize::new(BARREN - BARREN_AT_FIRST),
            spec: spec.clone(),
            limits: limits.clone(),
        })
    }

    /// What of it can change an answer.
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        let settings = [
            ("family", "chat".to_owned()),
            ("base_url", self.base_url.to_string()),
            ("model", self.model.clone()),
            ("request_without", self.spec.without.join(", ")),
            ("request_extra", Value::Object(self.spec.extra.clone()).to_string()),
        ];
        settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    pub(super) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Sends one request until it is answered, or asking again is of no use.
    ///
    /// # Errors
    /// What failed: the question, or the endpoint. After the latter nothing is sent any more.
    pub(super) fn ask(&self, messages: Vec<Value>, keys: &RequestKeys<'_>) -> Result<Reply, Failure> {
        let body = wire::request(&self.spec, &self.model, messages, keys).to_string();
        let mut delays = ExponentialBuilder::new()
            .with_min_delay(self.limits.first_delay)
            .with_max_delay(self.limits.longest_delay)
            .with_max_times(self.limits.retries)
            .with_jitter()
            .with_jitter_seed(rand::random())
            .build();
        loop {
            self.stop.wait(self.pace.turn())?;
            let fault = match self.send(&body) {
                Ok(reply) => {
                    self.barren.store(0, Ordering::Relaxed);
                    return Ok(reply);
                }
                Err(fault) => fault,
            };
            let delay = delays.next().filter(|_| fault.passing && fault.wait.is_none_or(|wait| wait <= LONGEST_WAIT));
            let Some(delay) = delay else { return Err(self.give_up(fault)) };
            match fault.wait {
                Some(wait) if !wait.is_zero() => self.hold(wait, &fault.told),
                _ => self.stop.wait(delay)?,
            }
        }
    }

    /// Lets no request begin for as long as the server asks for; reports it once, whatever number of requests it was told.
    fn hold(&self, wait: Duration, told: &str) {
        if self.pace.hold(wait) && wait >= REPORTED_WAIT {
            let (wait, longest) = (wait.as_secs_f64(), LONGEST_WAIT.as_secs());
            chartbench_core::note!(
                "note: {}: {told}; retry after {wait} s (up to {longest} s are waited for)",
                self.base_url
            );
        }
    }

    fn give_up(&self, fault: Fault) -> Failure {
        let Fault { told, blame, wait, .. } = fault;
        let wait = match wait {
            Some(wait) if wait > LONGEST_WAIT => format!(
                "; it wants to be asked again in {} s, and at most {} s are waited for",
                wait.as_secs(),
                LONGEST_WAIT.as_secs()
            ),
            Some(wait) => format!("; it wants to be asked again in {} s", wait.as_secs()),
            None => String::new(),
        };
        let told = format!("{}: {told}{wait}", self.base_url);
        match blame {
            Blame::Endpoint => self.stop.raise(told),
            Blame::Question => match self.barren.fetch_add(1, Ordering::Relaxed) + 1 {
                BARREN.. => self.stop.raise(format!("too many questions in a row failed, the last with {told}")),
                _ => Failure::Question(anyhow::Error::msg(told)),
            },
        }
    }

    fn send(&self, body: &str) -> Result<Reply, Fault> {
        let begun = Instant::now();
        let address = format!("{}/chat/completions", self.base_url.as_str().trim_end_matches('/'));
        let mut request = self.client.post(address).header(CONTENT_TYPE, "application/json").body(body.to_owned());
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose_secret());
        }
        let response = request.send().map_err(|error| self.transport(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let read = self.read(response, begun);
        if !status.is_success() {
            let body = read.unwrap_or_default();
            let body = ErrorBody::new(&body, &self.secrets);
            return Err(Fault::status(status.as_u16(), &headers, &body, &self.key_name()));
        }
        self.reply(&read?)
    }

    /// Reads a body whole.
    fn read(&self, mut response: Response, begun: Instant) -> Result<String, Fault> {
        let mut body = Vec::new();
        let mut buffer = vec![0; 1 << 14];
        loop {
            let length = response.read(&mut buffer).map_err(|error| {
                match error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>()) {
                    Some(inner) => self.transport(inner),
                    None => Fault::connection(&error),
                }
            })?;
            body.extend(buffer.get(..length).unwrap_or_default());
            if begun.elapsed() > self.limits.answer_timeout {
                return Err(Fault::slow(self.limits.answer_timeout));
            }
            if body.len() > LONGEST_REPLY {
                return Err(Fault::long(LONGEST_REPLY));
            }
            if length == 0 {
                break;
            }
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    fn reply(&self, body: &str) -> Result<Reply, Fault> {
        let error_body = || ErrorBody::new(body, &self.secrets);
        let reply = WireReply::parse(body).map_err(|error| Fault::garbled(&error_body(), &error))?;
        if let Some(error) = &reply.error {
            return Err(Fault::in_reply(error, &error_body(), &self.key_name()));
        }
        let mut choices = reply.choices.ok_or_else(|| Fault::garbled(&error_body(), &"it has no `choices`"))?;
        if let Some(secret) = choices.iter_mut().find_map(|choice| choice.secret(&self.secrets)) {
            return Err(Fault::leak(secret));
        }
        Ok(Reply { choices, usage: reply.usage.and_then(|usage| self.usage(&usage)) })
    }

    /// What a reply took; the cost is unknown where a count is.
    fn usage(&self, usage: &WireUsage) -> Option<Usage> {
        let (prompt, completion) = (usage.prompt_tokens, usage.completion_tokens);
        prompt.or(completion)?;
        let dollars =
            |price: Price| Some((prompt? as f64 * price.prompt + completion? as f64 * price.completion) / 1e6);
        let (prompt_tokens, completion_tokens) = (prompt.unwrap_or(0), completion.unwrap_or(0));
        self.pace.spent(prompt_tokens.saturating_add(completion_tokens));
        Some(Usage { prompt_tokens, completion_tokens, cost_usd: self.price.and_then(dollars) })
    }

    fn transport(&self, error: &reqwest::Error) -> Fault {
        if error.is_timeout() && error.is_connect() {
            Fault::unreachable(self.limits.connect_timeout)
        } else if error.is_timeout() {
            Fault::slow(self.limits.answer_timeout)
        } else {
            Fault::connection(error)
        }
    }

    /// How errors name the key: by its variable.
    fn key_name(&self) -> String {
        match (&self.spec.key_env, &self.key) {
            (Some(name), Some(_)) => format!("the key in {name}: check it"),
            (Some(name), None) => format!("requests without a key: set {name}"),
            (None, _) => "requests without a key: name a variable with one as `endpoint.key_env`".to_owned(),
        }
    }
}

/// An environment variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn key(spec: &EndpointSpec) -> Result<Option<SecretString>> {
    let Some(name) = &spec.key_env else { return Ok(None) };
    let key = variable(name);
    ensure!(key.is_some() || spec.key_optional, "set the environment variable {name} to the key of {}", spec.base_url);
    let fits = key.as_deref().is_none_or(|key| HeaderValue::from_str(key).is_ok());
    ensure!(fits, "the environment variable {name} holds characters that no key has");
    Ok(key.map(SecretString::from))
}
