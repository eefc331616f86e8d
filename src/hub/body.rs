//! Bodies of replies: bounded, watched for their speed, and resumed where they broke off.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::Instant;

use anyhow::{Result, anyhow};
use ureq::Body;
use ureq::http::header::{CONTENT_RANGE, HeaderMap};
use ureq::http::{Response, StatusCode};

use super::client::{HubClient, RemoteFile, unreachable};
use crate::http::HttpError;

/// Longest file that is read where the hub states no length, in bytes.
const MAX_FILE: u64 = 64 << 30;
/// Fewest bytes a second, on the average, that a body may come with once [`SLOW_START`] time-outs
/// are over.
const MIN_SPEED: f64 = 1024.0;
const SLOW_START: f64 = 10.0;
/// Bytes after which a connection that breaks counts as a new one: its retries begin again.
const GOOD_PIECE: u64 = 1 << 20;

/// Where a file comes from.
pub(super) struct Source<'a> {
    pub url: &'a str,
    /// The file as errors name it.
    pub what: &'a str,
    /// Its length, where it is known.
    pub bytes: Option<u64>,
}

/// Why a body did not come whole.
enum CopyError {
    Transport(HttpError),
    /// It is too long or too slow, or the disk does not take it.
    Other(anyhow::Error),
}

/// The size limit of a body.
struct Bound {
    bytes: u64,
    /// Whether the hub stated this length.
    stated: bool,
    /// The bytes that were there before: the limit counts them.
    before: u64,
}

/// A reply of the hub's API.
pub(super) enum Reply {
    /// What was asked for.
    Content { headers: HeaderMap, body: Vec<u8> },
    /// The status is an error.
    Refusal(Response<Body>),
}

impl HubClient<'_> {
    /// Adds to `part` what it lacks of a file: a server that takes ranges is asked for the rest
    /// alone. A connection that breaks is resumed. `progress` gets the bytes that are there.
    ///
    /// # Errors
    /// Returns an error if the hub refuses, breaks off, or sends more than it states; `part` keeps
    /// what came.
    pub(super) fn fetch(
        &self,
        file: &RemoteFile<'_>,
        bytes: Option<u64>,
        part: &mut File,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let source = Source {
            url: &self.url(&file.path()),
            what: &file.what(),
            bytes,
        };
        let refusal =
            |response: &Response<Body>| self.refusal(response, file.repo, Some(file.name));
        self.fetch_source(&source, part, &refusal, progress)
    }

    /// As [`Self::fetch`], from any address; `refusal` makes the error of a status that is one.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub(super) fn fetch_source(
        &self,
        source: &Source<'_>,
        part: &mut File,
        refusal: &dyn Fn(&Response<Body>) -> anyhow::Error,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let mut delays = self.delays();
        loop {
            let mut begin = part.metadata()?.len();
            if source.bytes.is_some_and(|bytes| begin > bytes) {
                begin = 0;
            }
            if begin > 0 && source.bytes == Some(begin) {
                return Ok(());
            }
            let mut response = self.follow(source.url, Some(begin), source.what)?;
            if begin > 0 && !continues(&response, begin) {
                begin = 0;
                // A server that takes no ranges sends all of it.
                if response.status() != StatusCode::OK {
                    response = self.follow(source.url, None, source.what)?;
                }
            }
            if !response.status().is_success() {
                return Err(refusal(&response));
            }
            part.set_len(begin)?;
            part.seek(SeekFrom::Start(begin))?;
            let bound = Bound {
                bytes: source.bytes.unwrap_or(MAX_FILE),
                stated: source.bytes.is_some(),
                before: begin,
            };
            match self.copy(response, part, bound, source.what, progress) {
                Ok(()) => return Ok(()),
                Err(CopyError::Other(error)) => return Err(error),
                Err(CopyError::Transport(error)) => {
                    let is_broken = matches!(error, HttpError::Broken(_));
                    if part.metadata()?.len() > begin.saturating_add(GOOD_PIECE) {
                        delays = self.delays();
                    }
                    match delays.next().filter(|_| is_broken) {
                        Some(delay) => std::thread::sleep(delay),
                        None => return Err(self.transport(error, source.what)),
                    }
                }
            }
        }
    }

    /// The reply of the hub's API to `url`, at most `max` bytes of it, with its headers; or the
    /// response whose status is an error.
    ///
    /// # Errors
    /// Returns an error if no whole reply comes.
    pub(super) fn get(&self, url: &str, max: u64, what: &str) -> Result<Reply> {
        let response = self.follow(url, None, what)?;
        if !response.status().is_success() {
            return Ok(Reply::Refusal(response));
        }
        let headers = response.headers().clone();
        let mut body = Vec::new();
        let bound = Bound {
            bytes: max,
            stated: false,
            before: 0,
        };
        self.copy(response, &mut body, bound, what, &mut |_| {})
            .map_err(|error| match error {
                CopyError::Transport(error) => self.transport(error, what),
                CopyError::Other(error) => error,
            })?;
        Ok(Reply::Content { headers, body })
    }

    fn copy(
        &self,
        response: Response<Body>,
        out: &mut dyn Write,
        bound: Bound,
        what: &str,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), CopyError> {
        let (begun, mut received) = (Instant::now(), 0_u64);
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 18];
        loop {
            let length = match body.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(CopyError::Transport(error.into())),
            };
            received += length as u64;
            let there = bound.before.saturating_add(received);
            if there > bound.bytes {
                let stated = if bound.stated {
                    "it states"
                } else {
                    "are read"
                };
                return Err(CopyError::Other(anyhow!(
                    "{} sends more for {what} than the {} bytes that {stated}",
                    self.display_address,
                    bound.bytes
                )));
            }
            let patience =
                SLOW_START * self.options.timeout.as_secs_f64() + received as f64 / MIN_SPEED;
            if begun.elapsed().as_secs_f64() > patience {
                return Err(CopyError::Other(unreachable(format!(
                    "{} sends {what} with less than {MIN_SPEED} bytes a second: try again later",
                    self.display_address
                ))));
            }
            out.write_all(buffer.get(..length).unwrap_or_default())
                .map_err(|error| CopyError::Other(error.into()))?;
            progress(there);
        }
    }
}

/// Whether a response is the rest of a file from byte `begin` on.
fn continues(response: &Response<Body>, begin: u64) -> bool {
    let range = response
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|range| range.to_str().ok())
        .and_then(|range| range.trim().strip_prefix("bytes "))
        .and_then(|range| range.split('-').next()?.trim().parse::<u64>().ok());
    response.status() == StatusCode::PARTIAL_CONTENT && range == Some(begin)
}
