//! A connection to a server: sends one call with the key, and reads its reply within bounds.

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use secrecy::{ExposeSecret, SecretString};
use ureq::http::Response;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use ureq::typestate::{WithBody, WithoutBody};
use ureq::{Agent, Body, RequestBuilder};
use url::Url;

use super::address::Address;
use super::event_stream;
use super::request_error::{ErrorBody, RequestError};
use crate::adapter::secrets::Secrets;
use crate::config::{EndpointSpec, RequestLimits, base_url};
use crate::http::{HttpError, HttpLimits, agent, proxy_name};

/// Azure's header for a key, at addresses with an `api-version`.
const API_KEY: &str = "api-key";
/// Longest accepted reply, in bytes.
pub(super) const LONGEST_REPLY: usize = 16 << 20;
/// Longest transfer of a file.
const LONGEST_TRANSFER: Duration = Duration::from_secs(3600);

/// The content of a call.
#[derive(Clone, Copy)]
pub(super) enum Payload<'a> {
    /// A GET.
    None,
    /// A POST of a JSON text.
    Json(&'a str),
    /// A POST of a file: the bytes of a form, and their content type.
    Form {
        content_type: &'a str,
        bytes: &'a [u8],
    },
}

/// The text of a successful reply.
pub(super) struct HttpReply {
    pub headers: HeaderMap,
    pub body: String,
}

/// A server, with the key that it is asked with.
pub(super) struct Connection {
    address: Address,
    /// The proxy that requests go through, as messages name it.
    proxy: Option<String>,
    key: Option<SecretString>,
    /// The variable of the key.
    key_env: Option<String>,
    /// The key and the passwords of proxies; no answer and no error contains them.
    secrets: Secrets,
    client: Agent,
    connect_timeout: Duration,
    answer_timeout: Duration,
}

impl Connection {
    /// Takes address and key from the environment variables that `spec` names, where they are set.
    /// Nothing is sent.
    ///
    /// # Errors
    /// Returns an error if a required key is not set, or the address is invalid.
    pub(super) fn new(spec: &EndpointSpec, limits: &RequestLimits) -> Result<Self> {
        let named = spec
            .base_url_env
            .as_deref()
            .and_then(|name| Some((name, variable(name)?)));
        let base = match named {
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
        let key = key(spec)?;
        let mut secrets = Secrets::default();
        if let (Some(name), Some(key)) = (&spec.key_env, &key) {
            secrets.add(&format!("the key in {name}"), key.expose_secret());
        }
        secrets.add_proxies();
        Ok(Self {
            proxy: proxy_name(&base),
            address: Address::new(base),
            key,
            key_env: spec.key_env.clone(),
            secrets,
            client,
            connect_timeout: limits.connect_timeout,
            answer_timeout: limits.answer_timeout,
        })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// The key and the passwords of proxies.
    pub(super) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The body of a failed reply, without secrets in its message.
    pub(super) fn error_body<'a>(&self, body: &'a str) -> ErrorBody<'a> {
        ErrorBody::new(body, &self.secrets)
    }

    /// Sends something. A server that does not know the path is asked once more with `/v1` before
    /// it, where the address names no version.
    pub(super) fn with_v1<T>(
        &self,
        send: impl Fn() -> Result<T, RequestError>,
    ) -> Result<T, RequestError> {
        let may_lack_v1 = self.address.may_lack_v1();
        match send() {
            Err(error) if error.is_not_found() && may_lack_v1 => {
                self.address.set_adds_v1(true);
                match send() {
                    Err(other) if other.is_not_found() => {
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

    /// Sends a call, and reads the reply whole.
    pub(super) fn exchange(
        &self,
        url: &Url,
        payload: Payload<'_>,
    ) -> Result<HttpReply, RequestError> {
        let limit = match payload {
            Payload::Form { .. } => LONGEST_TRANSFER,
            Payload::None | Payload::Json(_) => self.answer_timeout,
        };
        let begun = Instant::now();
        let (parts, body) = self.send(url, payload, limit)?.into_parts();
        let body = self.read(body, begun, limit)?;
        Ok(HttpReply {
            headers: parts.headers,
            body,
        })
    }

    /// Opens a file of the server, to be read piece by piece; [`Self::broken`] makes errors of the
    /// reader's.
    pub(super) fn download(&self, url: &Url) -> Result<impl Read, RequestError> {
        let response = self.send(url, Payload::None, LONGEST_TRANSFER)?;
        Ok(response.into_body().into_reader())
    }

    /// The error of a transfer that broke off.
    pub(super) fn broken(&self, error: std::io::Error) -> RequestError {
        self.transport(error.into())
    }

    /// Sends a call; a status that is an error is one.
    fn send(
        &self,
        url: &Url,
        payload: Payload<'_>,
        limit: Duration,
    ) -> Result<Response<Body>, RequestError> {
        let begun = Instant::now();
        let sent = match payload {
            Payload::None => self.with_key(self.get(url, limit)).call(),
            Payload::Json(body) => self
                .with_key(self.post(url, limit, "application/json"))
                .send(body),
            Payload::Form {
                content_type,
                bytes,
            } => self
                .with_key(self.post(url, limit, content_type))
                .send(bytes),
        };
        let response = sent.map_err(|error| self.transport(error.into()))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = self.read(body, begun, limit).unwrap_or_default();
        Err(RequestError::status(
            parts.status.as_u16(),
            &parts.headers,
            &self.error_body(&body),
            &self.key_name(),
        ))
    }

    fn get(&self, url: &Url, limit: Duration) -> RequestBuilder<WithoutBody> {
        let request = self.client.get(url.as_str());
        request.config().timeout_global(Some(limit)).build()
    }

    fn post(&self, url: &Url, limit: Duration, content_type: &str) -> RequestBuilder<WithBody> {
        let request = self.client.post(url.as_str());
        let request = request.config().timeout_global(Some(limit)).build();
        request.header(CONTENT_TYPE, content_type)
    }

    fn with_key<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        let Some(key) = &self.key else {
            return request;
        };
        let key = key.expose_secret();
        if self.address.is_azure() {
            request.header(API_KEY, key)
        } else {
            request.header(AUTHORIZATION, format!("Bearer {key}"))
        }
    }

    /// Reads a body whole.
    fn read(&self, reply: Body, begun: Instant, limit: Duration) -> Result<String, RequestError> {
        let mut reader = reply.into_reader();
        let mut body = Vec::new();
        let mut buffer = vec![0; 1 << 14];
        loop {
            let length = match reader.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.map_err(|error| self.transport(error.into()))?,
            };
            body.extend(buffer.get(..length).unwrap_or_default());
            if begun.elapsed() > limit {
                return Err(RequestError::slow(limit));
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

    fn transport(&self, error: HttpError) -> RequestError {
        if let Some(proxy) = &self.proxy {
            match &error {
                HttpError::ConnectTimeout => {
                    let limit = self.connect_timeout.as_secs_f64();
                    let cause = format!("within {limit} s (`limits.connect_timeout`)");
                    return RequestError::proxy(proxy, &cause);
                }
                HttpError::Connect(cause) => return RequestError::proxy(proxy, cause),
                HttpError::Timeout | HttpError::Broken(_) => {}
            }
        }
        match error {
            HttpError::ConnectTimeout => RequestError::unreachable(self.connect_timeout),
            HttpError::Timeout => RequestError::slow(self.answer_timeout),
            HttpError::Connect(cause) | HttpError::Broken(cause) => {
                RequestError::connection(&cause)
            }
        }
    }

    /// How errors name the key: by its variable.
    pub(super) fn key_name(&self) -> String {
        match (&self.key_env, &self.key) {
            (Some(name), Some(_)) => format!("the key in {name}: check it"),
            (Some(name), None) => format!("requests without a key: set {name}"),
            (None, _) => {
                "requests without a key: name a variable with one as `endpoint.key_env`".to_owned()
            }
        }
    }
}

/// An environment variable that is set and not empty.
pub(super) fn variable(name: &str) -> Option<String> {
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
