//! What can go wrong with a request: whether to ask again, and what failed if that does not help.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use super::wire;
use crate::adapter::secrets::Secrets;

/// What failed, once asking again has not helped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// This question: others may be answered.
    Question,
    /// The endpoint, or what it was given to know: no question will be answered.
    Endpoint,
}

/// A request that brought no reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// What happened, without the endpoint's name.
    pub told: String,
    /// Whether asking again may help.
    pub passing: bool,
    pub blame: Blame,
    /// How long the server wants to be left alone.
    pub wait: Option<Duration>,
}

/// A body without an answer, with the message in it as errors repeat it.
pub(super) struct ErrorBody<'a> {
    body: &'a str,
    message: String,
}

impl<'a> ErrorBody<'a> {
    pub(super) fn new(body: &'a str, secrets: &Secrets) -> Self {
        // Cut after the key is gone: half a key would not be found.
        Self { body, message: wire::one_line(&secrets.blot(&wire::error_message(body))) }
    }
}

impl Fault {
    fn new(told: impl Into<String>, passing: bool, blame: Blame) -> Self {
        Self { told: told.into(), passing, blame, wait: None }
    }

    /// A connection that could not be made, was reset, or was closed within the reply.
    pub(super) fn connection(error: &(dyn std::error::Error + 'static)) -> Self {
        // The innermost cause does not repeat addresses.
        let causes = std::iter::successors(Some(error), |error| error.source());
        let cause = causes.last().map(ToString::to_string).unwrap_or_default();
        Self::new(format!("the connection failed ({cause})"), true, Blame::Endpoint)
    }

    /// No whole reply in time. A model that does not come to an end does so for one question; a server that is gone is
    /// noticed by its connections.
    pub(super) fn slow(limit: Duration) -> Self {
        let told = format!("no whole reply within {} s (`limits.answer_timeout`)", limit.as_secs_f64());
        Self::new(told, true, Blame::Question)
    }

    /// No connection in time.
    pub(super) fn unreachable(limit: Duration) -> Self {
        let told = format!("no connection within {} s (`limits.connect_timeout`)", limit.as_secs_f64());
        Self::new(told, true, Blame::Endpoint)
    }

    /// A reply that is longer than any answer; nothing of it is read further.
    pub(super) fn long(limit: usize) -> Self {
        Self::new(format!("the reply has more than {limit} bytes"), true, Blame::Question)
    }

    /// A reply with a good status that is not a chat completion.
    pub(super) fn garbled(body: &ErrorBody<'_>, error: &dyn std::fmt::Display) -> Self {
        let told = format!("the reply is no chat completion ({error}): {}", body.message);
        Self::new(told, true, Blame::Question)
    }

    /// An answer with a secret in it.
    pub(super) fn leak(secret: &str) -> Self {
        Self::new(format!("the answer repeats {secret}: it is not kept"), false, Blame::Question)
    }

    /// A reply with a status that is an error; `key` describes where the key comes from.
    pub(super) fn status(status: u16, headers: &HeaderMap, body: &ErrorBody<'_>, key: &str) -> Self {
        let said = if body.message.is_empty() { String::new() } else { format!(": {}", body.message) };
        let fault = |passing, blame| Self::new(format!("status {status}{said}"), passing, blame);
        let fault = match status {
            // Servers repeat keys in this message.
            401 | 403 => Self::new(format!("status {status}: it refuses {key}"), false, Blame::Endpoint),
            400 | 413 | 415 | 422 => fault(false, Blame::Question),
            429 if is_spent(body.body) => fault(false, Blame::Endpoint),
            408 | 409 | 429 | 502..=504 => fault(true, Blame::Endpoint),
            500.. => fault(true, Blame::Question),
            300..=399 => {
                Self::new(format!("status {status}: it has moved; change its address"), false, Blame::Endpoint)
            }
            _ => fault(false, Blame::Endpoint),
        };
        Self { wait: retry_after(headers), ..fault }
    }

    /// An error told with a good status: its `code` is a status where it is a number.
    pub(super) fn in_reply(error: &Value, body: &ErrorBody<'_>, key: &str) -> Self {
        let code = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        let status = code.filter(|&code| StatusCode::from_u16(code).is_ok_and(|code| !code.is_success()));
        Self::status(status.unwrap_or(500), &HeaderMap::new(), body, key)
    }
}

/// Whether a 429 is not about speed: the account has no credit left.
fn is_spent(body: &str) -> bool {
    body.contains("insufficient_quota")
}

/// `Retry-After`: seconds or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 => Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)),
        Ok(_) => None,
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, body: &str) -> (bool, Blame) {
        let body = ErrorBody::new(body, &Secrets::default());
        let fault = Fault::status(status, &HeaderMap::new(), &body, "the key");
        (fault.passing, fault.blame)
    }

    #[test]
    fn statuses_are_told_apart() {
        for passing in [408, 409, 429, 502, 503, 504] {
            assert_eq!(status(passing, ""), (true, Blame::Endpoint), "{passing}");
        }
        for lasting in [301, 401, 402, 403, 404, 405] {
            assert_eq!(status(lasting, ""), (false, Blame::Endpoint), "{lasting}");
        }
        for of_the_question in [400, 413, 422] {
            assert_eq!(status(of_the_question, ""), (false, Blame::Question), "{of_the_question}");
        }
        assert_eq!(status(500, ""), (true, Blame::Question));
        assert_eq!(status(429, r#"{"error":{"code":"insufficient_quota"}}"#), (false, Blame::Endpoint));
    }

    #[test]
    fn a_refused_key_is_never_repeated() {
        let body = ErrorBody::new(r#"{"error":{"message":"bad key: hunter2"}}"#, &Secrets::default());
        let fault = Fault::status(401, &HeaderMap::new(), &body, "the key in X");
        assert_eq!(fault.told, "status 401: it refuses the key in X");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let parse = |text: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]));
        assert_eq!(parse("2"), Some(Duration::from_secs(2)));
        assert_eq!(parse("1e300"), Some(Duration::MAX));
        for text in ["soon", "-5", "0", "NaN"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("Wed, 21 Oct 2015 07:28:00 GMT"), None);
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        assert!(parse(&date).is_some_and(|wait| (97..=100).contains(&wait.as_secs())));
    }
}
