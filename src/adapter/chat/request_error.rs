//! Errors of a request: whether to retry, and whether the question or the endpoint failed.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use ureq::http::StatusCode;
use ureq::http::header::{HeaderMap, RETRY_AFTER};

use super::endpoint::LONGEST_WAIT;
use super::wire;
use crate::adapter::secrets::Secrets;

/// The wait that the server asks for, in milliseconds.
const RETRY_AFTER_MS: &str = "retry-after-ms";

/// The scope of an error that retries do not mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorScope {
    /// This question; others may be answered.
    Question,
    /// The endpoint or its key: no question will be answered.
    Endpoint,
}

/// An error of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestError {
    /// Describes the error, without the endpoint's name.
    pub message: String,
    /// Whether a retry may help.
    pub retryable: bool,
    pub scope: ErrorScope,
    /// The server's `Retry-After`.
    pub wait: Option<Duration>,
    /// The reply's status, where it is that of an error.
    pub status: Option<u16>,
    /// Whether the server may have computed an answer, which is then to be paid.
    pub is_charged: bool,
}

/// The body of a failed reply, with its error message.
pub(super) struct ErrorBody<'a> {
    body: &'a str,
    message: String,
}

impl<'a> ErrorBody<'a> {
    pub(super) fn new(body: &'a str, secrets: &Secrets) -> Self {
        // Cut after the key is gone: half a key would not be found.
        Self {
            body,
            message: wire::one_line(&secrets.blot(&wire::error_message(body))),
        }
    }
}

impl RequestError {
    fn new(message: impl Into<String>, retryable: bool, scope: ErrorScope) -> Self {
        Self {
            message: message.into(),
            retryable,
            scope,
            wait: None,
            status: None,
            is_charged: false,
        }
    }

    /// Whether the server knows no such path or model.
    pub(super) fn is_not_found(&self) -> bool {
        self.status == Some(404)
    }

    /// Whether the server has no such thing, or has it no more.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.status, Some(404 | 410))
    }

    /// The message, with how long the server wants to be left alone.
    pub(super) fn with_wait(&self) -> String {
        let wait = match self.wait {
            Some(wait) if wait > LONGEST_WAIT => format!(
                "; it wants to be asked again in {} s, and at most {} s are waited for",
                wait.as_secs(),
                LONGEST_WAIT.as_secs()
            ),
            Some(wait) => format!("; it wants to be asked again in {} s", wait.as_secs()),
            None => String::new(),
        };
        format!("{}{wait}", self.message)
    }

    /// The same error of a request that may have to be paid.
    fn charged(self) -> Self {
        Self {
            is_charged: true,
            ..self
        }
    }

    /// A connection that could not be made, was reset, or was closed within the reply.
    pub(super) fn connection(cause: &str) -> Self {
        Self::new(
            format!("the connection failed ({cause})"),
            true,
            ErrorScope::Endpoint,
        )
    }

    /// No connection through a proxy.
    pub(super) fn proxy(proxy: &str, cause: &str) -> Self {
        Self::new(
            format!(
                "no connection through the proxy {proxy} ({cause}): check the proxy, or list the server's host in NO_PROXY"
            ),
            true,
            ErrorScope::Endpoint,
        )
    }

    /// A stream that ended before its last event.
    pub(super) fn cut_stream() -> Self {
        Self::connection("the stream ended before its last event").charged()
    }

    /// No whole reply in time. A model that does not come to an end does so for one question; a
    /// server that is gone is noticed by its connections.
    pub(super) fn slow(limit: Duration) -> Self {
        let message = format!(
            "no whole reply within {} s (`limits.answer_timeout`)",
            limit.as_secs_f64()
        );
        Self::new(message, true, ErrorScope::Question).charged()
    }

    /// No connection in time.
    pub(super) fn unreachable(limit: Duration) -> Self {
        let message = format!(
            "no connection within {} s (`limits.connect_timeout`)",
            limit.as_secs_f64()
        );
        Self::new(message, true, ErrorScope::Endpoint)
    }

    /// A reply that is longer than any answer; nothing of it is read further.
    pub(super) fn long(limit: usize) -> Self {
        Self::new(
            format!("the reply has more than {limit} bytes"),
            true,
            ErrorScope::Question,
        )
        .charged()
    }

    /// A reply with a good status that is not a chat completion.
    pub(super) fn garbled(body: &ErrorBody<'_>, error: &dyn std::fmt::Display) -> Self {
        let message = format!(
            "the reply is no chat completion ({error}): {}",
            body.message
        );
        Self::new(message, true, ErrorScope::Question).charged()
    }

    /// A reply of the server's batches that is not what it should be.
    pub(super) fn no_batch(body: &ErrorBody<'_>, what: &str) -> Self {
        let message = format!("the reply {what}: {}", body.message);
        Self::new(message, true, ErrorScope::Endpoint)
    }

    /// A request of a batch that has no answer.
    pub(super) fn unanswered(why: impl Into<String>) -> Self {
        Self::new(why, false, ErrorScope::Question)
    }

    /// A request of a batch whose line has an error.
    pub(super) fn in_line(body: &ErrorBody<'_>) -> Self {
        Self::unanswered(format!("its batch has an error: {}", body.message))
    }

    /// An answer with a secret in it.
    pub(super) fn leak(secret: &str) -> Self {
        Self::new(
            format!("the answer repeats {secret}: it is not kept"),
            false,
            ErrorScope::Question,
        )
        .charged()
    }

    /// A reply with a status that is an error; `key` describes where the key comes from.
    pub(super) fn status(
        status: u16,
        headers: &HeaderMap,
        body: &ErrorBody<'_>,
        key: &str,
    ) -> Self {
        let said = if body.message.is_empty() {
            String::new()
        } else {
            format!(": {}", body.message)
        };
        let error =
            |retryable, scope| Self::new(format!("status {status}{said}"), retryable, scope);
        let refused = || {
            // Servers repeat keys in this message.
            let message = format!("status {status}: it refuses {key}");
            Self::new(message, false, ErrorScope::Endpoint)
        };
        let error = match status {
            401 | 403 => refused(),
            400 if is_refused_key(body.body) => refused(),
            400 | 413 | 415 | 422 => error(false, ErrorScope::Question),
            429 if is_spent(body.body) => error(false, ErrorScope::Endpoint),
            408 | 409 | 429 | 502..=504 => error(true, ErrorScope::Endpoint),
            500.. => error(true, ErrorScope::Question),
            300..=399 => Self::new(
                format!("status {status}: it has moved; change its address"),
                false,
                ErrorScope::Endpoint,
            ),
            _ => error(false, ErrorScope::Endpoint),
        };
        Self {
            wait: retry_after(headers).or_else(|| wire::retry_delay(body.body)),
            status: Some(status),
            ..error
        }
    }

    /// An error message with a good status: its `code` is a status where it is a number, or a number
    /// as text.
    pub(super) fn in_reply(error: &Value, body: &ErrorBody<'_>, key: &str) -> Self {
        let code = error
            .get("code")
            .and_then(wire::count)
            .and_then(|code| u16::try_from(code).ok());
        let status =
            code.filter(|&code| StatusCode::from_u16(code).is_ok_and(|code| !code.is_success()));
        Self::status(status.unwrap_or(500), &HeaderMap::new(), body, key)
    }
}

/// Whether a 429 is not about speed: the account has no credit left.
fn is_spent(body: &str) -> bool {
    body.contains("insufficient_quota")
}

/// Whether a 400 is about the key: Gemini has no 401.
fn is_refused_key(body: &str) -> bool {
    body.contains("API_KEY_INVALID")
}

/// `Retry-After`: seconds or a date (RFC 9110, 10.2.3); Azure's and OpenAI's `retry-after-ms`, which
/// is more precise, goes before it.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let milliseconds = headers
        .get(RETRY_AFTER_MS)
        .and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok())
        .filter(|milliseconds| *milliseconds > 0.0);
    if let Some(milliseconds) = milliseconds {
        return Some(Duration::try_from_secs_f64(milliseconds / 1e3).unwrap_or(Duration::MAX));
    }
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 => {
            Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
        }
        Ok(_) => None,
        Err(_) => httpdate::parse_http_date(value)
            .ok()?
            .duration_since(SystemTime::now())
            .ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, body: &str) -> (bool, ErrorScope) {
        let body = ErrorBody::new(body, &Secrets::default());
        let error = RequestError::status(status, &HeaderMap::new(), &body, "the key");
        (error.retryable, error.scope)
    }

    #[test]
    fn statuses_are_told_apart() {
        for retryable in [408, 409, 429, 502, 503, 504] {
            assert_eq!(
                status(retryable, ""),
                (true, ErrorScope::Endpoint),
                "{retryable}"
            );
        }
        for lasting in [301, 401, 402, 403, 404, 405] {
            assert_eq!(
                status(lasting, ""),
                (false, ErrorScope::Endpoint),
                "{lasting}"
            );
        }
        for of_the_question in [400, 413, 422] {
            assert_eq!(
                status(of_the_question, ""),
                (false, ErrorScope::Question),
                "{of_the_question}"
            );
        }
        assert_eq!(status(500, ""), (true, ErrorScope::Question));
        assert_eq!(
            status(429, r#"{"error":{"code":"insufficient_quota"}}"#),
            (false, ErrorScope::Endpoint)
        );
    }

    #[test]
    fn a_refused_key_is_never_repeated() {
        let body = ErrorBody::new(
            r#"{"error":{"message":"bad key: hunter2"}}"#,
            &Secrets::default(),
        );
        let error = RequestError::status(401, &HeaderMap::new(), &body, "the key in X");
        assert_eq!(error.message, "status 401: it refuses the key in X");
    }

    #[test]
    fn geminis_and_azures_errors_are_read() {
        let at = |status: u16, text: &str| {
            let body = ErrorBody::new(text, &Secrets::default());
            RequestError::status(status, &HeaderMap::new(), &body, "the key in X")
        };
        let gemini = r#"[{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT",
            "details": [{"reason": "API_KEY_INVALID"}]}}]"#;
        let error = at(400, gemini);
        assert_eq!(error.message, "status 400: it refuses the key in X");
        assert_eq!(error.scope, ErrorScope::Endpoint);
        let quota = r#"[{"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED",
            "details": [{"@type": "q"}, {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]}}]"#;
        let error = at(429, quota);
        assert_eq!(error.message, "status 429: Quota exceeded.");
        assert_eq!(
            (error.retryable, error.wait),
            (true, Some(Duration::from_millis(34_500)))
        );
        for (azure, message) in [
            (
                r#"{"error": {"code": "DeploymentNotFound", "message": "No such deployment."}}"#,
                "status 404: No such deployment.",
            ),
            (
                r#"{"statusCode": 404, "message": "Resource not found"}"#,
                "status 404: Resource not found",
            ),
        ] {
            let error = at(404, azure);
            assert_eq!(error.message, message);
            assert!(error.is_not_found() && !error.retryable);
        }
        let body = ErrorBody::new("{}", &Secrets::default());
        let error = serde_json::json!({"code": "429", "message": "slow down"});
        let error = RequestError::in_reply(&error, &body, "the key");
        assert!(error.retryable && error.scope == ErrorScope::Endpoint);
        let headers = HeaderMap::from_iter([
            (RETRY_AFTER, "1".parse().unwrap()),
            (RETRY_AFTER_MS.parse().unwrap(), "250".parse().unwrap()),
        ]);
        assert_eq!(retry_after(&headers), Some(Duration::from_millis(250)));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let parse = |text: &str| {
            retry_after(&HeaderMap::from_iter([(
                RETRY_AFTER,
                text.parse().unwrap(),
            )]))
        };
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
