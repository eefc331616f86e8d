//! Requests to a hub. Every request has time-outs and every body a bound; what an answer states is
//! checked before it is used, and no server text is repeated in an error.

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use backon::{BackoffBuilder, ExponentialBuilder};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use ureq::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, ETAG, HeaderMap, HeaderValue, LOCATION, RANGE,
};
use ureq::http::{Method, Request, Response};
use ureq::{Agent, Body};
use url::Url;

use super::cache::{HubOptions, Repo};
use super::unavailable::{Unavailable, WeightsUnavailable};
use crate::http::{HttpError, HttpLimits, agent};
use chartbench_core::terminal::{shorten, url_without_credentials};

const MAX_REDIRECTS: u32 = 10;
/// A hub's headers of the checksum of a large file, and of the commit.
const LINKED_ETAG: &str = "x-linked-etag";
const REPO_COMMIT: &str = "x-repo-commit";
/// Most connections to a hub: a data set's files come several at a time.
pub(super) const MAX_CONNECTIONS: usize = 4;
/// Characters of a path's part that need no percent-encoding: the unreserved ones of RFC 3986.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A client of a hub, or of another server that has a file.
pub(super) struct HubClient<'a> {
    pub(super) options: &'a HubOptions,
    /// The server's address as errors show it.
    pub display_address: String,
    /// What to do where it cannot be reached.
    advice: String,
    token: Option<SecretString>,
    client: Agent,
}

/// A hub's metadata of a file.
pub(super) struct FileFacts {
    /// SHA-256 or git's SHA-1 of the content, in lower-case hexadecimal; absent where the hub
    /// states neither.
    pub checksum: Option<String>,
    pub bytes: Option<u64>,
}

impl<'a> HubClient<'a> {
    /// A client of the hub for `repo`. Sends nothing.
    ///
    /// # Errors
    /// Returns an error if the endpoint is no address, or the token cannot be one.
    pub(super) fn new(options: &'a HubOptions, repo: Repo<'_>) -> Result<Self> {
        let display_address = url_without_credentials(&options.endpoint);
        let url = Url::parse(&options.endpoint)
            .map_err(|error| anyhow!("HF_ENDPOINT `{display_address}` is no address: {error}"))?;
        ensure!(
            matches!(url.scheme(), "http" | "https") && url.has_host(),
            "HF_ENDPOINT `{display_address}` is no address: it must begin with https:// or http://"
        );
        Ok(Self {
            advice: format!(
                "check the network or HF_ENDPOINT, or name a folder with {}",
                repo.flag()
            ),
            token: token()?,
            client: agent(&url, &limits(options)),
            options,
            display_address,
        })
    }

    /// A client of the server of `url`, which is no hub and gets no token. Sends nothing.
    pub(super) fn without_token(options: &'a HubOptions, url: &Url) -> Self {
        Self {
            advice: "check the network, or name a copy with --data".to_owned(),
            token: None,
            client: agent(url, &limits(options)),
            options,
            display_address: url_without_credentials(&url.origin().ascii_serialization()),
        }
    }

    /// Requests the metadata of a file.
    ///
    /// # Errors
    /// Returns an error if it does not have the file, or states a tag that looks like a path.
    pub(super) fn facts(&self, file: &RemoteFile<'_>) -> Result<FileFacts> {
        let response = self.describe(file)?;
        let status = response.status();
        if !status.is_success() && !status.is_redirection() {
            return Err(self.refusal(&response, file.repo, Some(file.name)));
        }
        let headers = response.headers();
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let tag = text(LINKED_ETAG).or_else(|| text(ETAG.as_str()));
        let checksum = tag.map(checksum).transpose().map_err(|tag| {
            anyhow!(
                "{} gives {} the tag `{}`, a path: it is not trusted",
                self.display_address,
                file.what(),
                shorten(tag)
            )
        })?;
        let length = text("x-linked-size")
            .or_else(|| text(CONTENT_LENGTH.as_str()).filter(|_| status.is_success()));
        Ok(FileFacts {
            checksum: checksum.flatten(),
            bytes: length.and_then(|length| length.trim().parse().ok()),
        })
    }

    /// The response that describes a file in its headers: a redirect that leads to the content, or
    /// the hub's own answer, to where a renamed repository or a mirror leads.
    fn describe(&self, file: &RemoteFile<'_>) -> Result<Response<Body>> {
        let what = file.what();
        let mut url = self.url(&file.path());
        let mut response = self.send(Method::HEAD, &url, None, &what)?;
        for _ in 0..MAX_REDIRECTS {
            let is_described = response.headers().contains_key(LINKED_ETAG);
            let Some(next) = redirect(&url, &response).filter(|_| !is_described) else {
                break;
            };
            let is_elsewhere = !self.is_hub(&next);
            let sent = self.send(Method::HEAD, next.as_str(), None, &what);
            // Another host may be a store of contents, which knows no hub's headers: then the
            // redirect is all there is.
            let is_answer = |response: &Response<Body>| {
                response.headers().contains_key(LINKED_ETAG)
                    || response.headers().contains_key(REPO_COMMIT)
                    || response.status().is_redirection()
            };
            response = match sent {
                Ok(answer) if !is_elsewhere || is_answer(&answer) => answer,
                Err(error) if !is_elsewhere => return Err(error),
                _ => break,
            };
            url = next.into();
        }
        Ok(response)
    }

    /// The reply to a request of the content at `url` from byte `begin` on, from where redirects
    /// lead.
    ///
    /// # Errors
    /// Returns an error if no reply comes.
    pub(super) fn follow(
        &self,
        url: &str,
        begin: Option<u64>,
        what: &str,
    ) -> Result<Response<Body>> {
        let mut url = url.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(Method::GET, &url, begin, what)?;
            match redirect(&url, &response) {
                Some(next) => url = next.into(),
                None => return Ok(response),
            }
        }
        Err(unreachable(format!(
            "{} redirects {what} more than {MAX_REDIRECTS} times: check HF_ENDPOINT",
            self.display_address
        )))
    }

    /// Whether an address is the hub's own, which alone gets the token.
    fn is_hub(&self, url: &Url) -> bool {
        Url::parse(&self.options.endpoint).is_ok_and(|hub| hub.origin() == url.origin())
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.options.endpoint)
    }

    pub(super) fn delays(&self) -> impl Iterator<Item = Duration> {
        ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(5))
            .with_max_times(self.options.retries)
            .with_jitter()
            .with_jitter_seed(rand::random())
            .build()
    }

    /// Sends a request, of the content from byte `begin` on, with retries after transient failures.
    /// A timeout is not retried: another attempt would take as long.
    fn send(
        &self,
        method: Method,
        url: &str,
        begin: Option<u64>,
        what: &str,
    ) -> Result<Response<Body>> {
        let mut delays = self.delays();
        loop {
            let sent = self
                .request(&method, url, begin)
                .and_then(|request| self.client.run(request).map_err(HttpError::from));
            let passing = match &sent {
                Ok(response) => matches!(response.status().as_u16(), 408 | 429 | 500 | 502..=504),
                Err(error) => matches!(error, HttpError::Connect(_)),
            };
            match delays.next().filter(|_| passing) {
                Some(delay) => std::thread::sleep(delay),
                None => return sent.map_err(|error| self.transport(error, what)),
            }
        }
    }

    fn request(
        &self,
        method: &Method,
        url: &str,
        begin: Option<u64>,
    ) -> Result<Request<()>, HttpError> {
        let mut request = Request::builder().method(method).uri(url);
        let is_hub = Url::parse(url).is_ok_and(|url| self.is_hub(&url));
        if let Some(token) = self.token.as_ref().filter(|_| is_hub) {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        }
        if let Some(begin) = begin.filter(|begin| *begin > 0) {
            request = request.header(RANGE, format!("bytes={begin}-"));
        }
        Ok(request.body(()).map_err(ureq::Error::from)?)
    }

    /// A request that brought no answer; never with an address that may carry a signature.
    pub(super) fn transport(&self, error: HttpError, what: &str) -> anyhow::Error {
        let (hub, seconds) = (&self.display_address, self.options.timeout.as_secs_f64());
        let no_connection = |cause: &str| {
            unreachable(format!(
                "cannot reach {hub} for {what} ({cause}): {}",
                self.advice
            ))
        };
        match error {
            HttpError::ConnectTimeout => {
                no_connection(&format!("no connection within {seconds} s"))
            }
            HttpError::Connect(cause) => no_connection(&cause),
            HttpError::Timeout => unreachable(format!(
                "{hub} sent nothing of {what} for {seconds} s: try again later, or set HF_HUB_DOWNLOAD_TIMEOUT to more \
                 seconds"
            )),
            HttpError::Broken(cause) => {
                unreachable(format!("{what} broke off ({cause}): run again"))
            }
        }
    }

    /// A status that is an error.
    pub(super) fn refusal(
        &self,
        response: &Response<Body>,
        repo: Repo<'_>,
        file: Option<&str>,
    ) -> anyhow::Error {
        let (status, code) = (response.status().as_u16(), error_code(response.headers()));
        let hub = &self.display_address;
        WeightsUnavailable::refused(hub, status, code, [repo.name, repo.revision], file).into()
    }
}

fn limits(options: &HubOptions) -> HttpLimits {
    HttpLimits {
        connect: options.timeout,
        read: options.timeout,
        whole: None,
        // Redirects are followed here: the token goes to no other host.
        redirects: 0,
        connections: MAX_CONNECTIONS,
    }
}

pub(super) fn unreachable(message: String) -> anyhow::Error {
    Unavailable::Unreachable.because(message).into()
}

/// A file of a repository at a commit.
pub(super) struct RemoteFile<'a> {
    pub repo: Repo<'a>,
    pub commit: &'a str,
    pub name: &'a str,
}

impl RemoteFile<'_> {
    pub(super) fn path(&self) -> String {
        format!(
            "{}/resolve/{}/{}",
            self.repo.path(),
            self.commit,
            encode_path(self.name)
        )
    }

    pub(super) fn what(&self) -> String {
        format!("{} of {}", self.name, self.repo)
    }
}

/// A part of a path, percent-encoded.
pub(super) fn encode_part(part: &str) -> String {
    utf8_percent_encode(part, UNRESERVED).to_string()
}

/// A relative path, whose parts are percent-encoded.
fn encode_path(path: &str) -> String {
    path.split('/')
        .map(encode_part)
        .collect::<Vec<_>>()
        .join("/")
}

/// The checksum that a tag is, in lower case; none of a tag that is no checksum.
///
/// # Errors
/// Returns the tag if it looks like a path.
fn checksum(tag: &str) -> Result<Option<String>, &str> {
    let tag = tag.trim().trim_start_matches("W/").trim_matches('"');
    let is_hex = tag.bytes().all(|byte| byte.is_ascii_hexdigit());
    if tag.contains(['/', '\\']) || tag.contains("..") {
        return Err(tag);
    }
    Ok(Some(tag.to_lowercase()).filter(|_| is_hex && matches!(tag.len(), 40 | 64)))
}

/// Where a response leads, if it is a redirect.
fn redirect(url: &str, response: &Response<Body>) -> Option<Url> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(LOCATION).filter(|_| is_redirect)?;
    let next = Url::parse(url).ok()?.join(location.to_str().ok()?).ok()?;
    matches!(next.scheme(), "http" | "https").then_some(next)
}

fn error_code(headers: &HeaderMap) -> &str {
    headers
        .get("x-error-code")
        .and_then(|code| code.to_str().ok())
        .unwrap_or_default()
}

/// The token as Hugging Face's own tools find it: `HF_TOKEN`, the file `HF_TOKEN_PATH`, or the file
/// that `huggingface-cli login` left.
fn token() -> Result<Option<SecretString>> {
    let set = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    };
    if set("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some() {
        return Ok(None);
    }
    let file = || {
        let path =
            set("HF_TOKEN_PATH").map_or_else(|| super::cache::hf_home().join("token"), Into::into);
        let token = std::fs::read_to_string(path).ok()?;
        Some(token.trim().to_owned()).filter(|token| !token.is_empty())
    };
    let token = set("HF_TOKEN").or_else(file);
    let fits = token
        .as_deref()
        .is_none_or(|token| HeaderValue::from_str(token).is_ok());
    ensure!(
        fits,
        "HF_TOKEN, or the file `huggingface-cli login` left, holds characters that no token has"
    );
    Ok(token.map(SecretString::from))
}

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn only_a_checksum_is_taken_for_one() {
        let (sha1, sha256) = ("0a".repeat(20), "F".repeat(64));
        assert_eq!(checksum(&format!("\"{sha1}\"")), Ok(Some(sha1.clone())));
        assert_eq!(
            checksum(&format!("W/\"{sha256}\"")),
            Ok(Some(sha256.to_lowercase()))
        );
        for tag in [
            "",
            "\"5f3-1a2b\"",
            &"g".repeat(40),
            &"0".repeat(32),
            &"0".repeat(41),
        ] {
            assert_eq!(checksum(tag), Ok(None), "{tag}");
        }
        for tag in [
            "../../victim",
            "/srv/victim",
            "a\\b",
            "..",
            &format!("{sha1}/.."),
        ] {
            assert!(checksum(&format!("\"{tag}\"")).is_err(), "{tag}");
        }
    }
}
