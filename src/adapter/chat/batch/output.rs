//! The replies of a batch: files with a line for each request, in any order.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use ureq::http::HeaderMap;

use super::super::connection::LONGEST_REPLY;
use super::super::endpoint::{Endpoint, Reply};
use super::super::pool::Failure;
use super::super::request_error::RequestError;
use super::super::wire;
use super::api::{raise, retry};
use super::log::BatchRequest;

/// Longest line: a reply, and what is around it.
const LONGEST_LINE: u64 = LONGEST_REPLY as u64 + (1 << 16);
/// Most bytes of a file that are read.
const MAX_BYTES: u64 = 4 << 30;

type Outcome = Result<Reply, RequestError>;

/// The replies in the files of a batch.
pub(super) struct Outputs {
    /// The names of its requests.
    expected: HashSet<String>,
    lines: Lines,
    /// Files that the server has no more: it keeps them for some days.
    lost_files: Vec<String>,
}

/// The replies in some lines, with counts of lines that give none.
#[derive(Default)]
struct Lines {
    replies: HashMap<String, Outcome>,
    /// Lines that cannot be read, that name no request of the batch, and that come again.
    unreadable: usize,
    unknown: usize,
    doubled: usize,
}

impl Outputs {
    pub(super) fn new(requests: &[BatchRequest]) -> Self {
        let ids = requests.iter().map(|request| request.custom_id.clone());
        Self {
            expected: ids.collect(),
            lines: Lines::default(),
            lost_files: Vec::new(),
        }
    }

    /// Adds a file of the server. A transfer that breaks off begins anew; a file that the server
    /// has no more gives no reply.
    ///
    /// # Errors
    /// Returns why the file cannot be had.
    pub(super) fn add(&mut self, endpoint: &Endpoint, file: &str) -> Result<(), Failure> {
        let lines = match retry(endpoint, || self.read(endpoint, file))? {
            Ok(lines) => lines,
            Err(error) if error.is_gone() => {
                self.lost_files.push(file.to_owned());
                return Ok(());
            }
            Err(error) => {
                let why = error.with_wait();
                let message = format!("the replies in {file} cannot be had: {why}");
                return Err(raise(endpoint, &message));
            }
        };
        self.lines.unreadable += lines.unreadable;
        self.lines.unknown += lines.unknown;
        self.lines.doubled += lines.doubled;
        for (id, outcome) in lines.replies {
            self.lines.insert(id, outcome);
        }
        Ok(())
    }

    /// Takes the reply to a request.
    pub(super) fn take(&mut self, custom_id: &str) -> Option<Outcome> {
        self.lines.replies.remove(custom_id)
    }

    /// Describes lines that are not as they should be; `None` where all are.
    pub(super) fn describe_odd(&self) -> Option<String> {
        let lines = &self.lines;
        let counts = [
            (lines.unreadable, "cannot be read"),
            (lines.unknown, "name no request of it"),
            (lines.doubled, "come again, and the first counts"),
        ];
        let odd = counts.into_iter().filter(|(count, _)| *count > 0);
        let lost = self.lost_files.iter();
        let lost = lost.map(|file| format!("the server has its replies in {file} no more"));
        odd.map(|(count, what)| format!("{count} lines of its replies {what}"))
            .chain(lost)
            .reduce(|odd, more| format!("{odd}; {more}"))
    }

    fn read(&self, endpoint: &Endpoint, file: &str) -> Result<Lines, RequestError> {
        let connection = endpoint.connection();
        let url = connection.address().path(&format!("/files/{file}/content"));
        let mut reader = BufReader::new(connection.download(&url)?.take(MAX_BYTES));
        let mut read_line = |line: &mut Vec<u8>| {
            line.clear();
            let read = (&mut reader).take(LONGEST_LINE).read_until(b'\n', line);
            read.map_err(|error| connection.broken(error))
        };
        let (mut lines, mut line, mut is_within_line) = (Lines::default(), Vec::new(), false);
        while read_line(&mut line)? > 0 {
            // The rest of a line that is too long is read over.
            let (was_within_line, is_whole) = (is_within_line, line.ends_with(b"\n"));
            is_within_line = !is_whole && line.len() as u64 >= LONGEST_LINE;
            if was_within_line {
                continue;
            }
            if is_within_line {
                lines.unreadable += 1;
                continue;
            }
            let text = String::from_utf8_lossy(&line);
            if !text.trim().is_empty() {
                self.take_line(endpoint, &text, &mut lines);
            }
        }
        Ok(lines)
    }

    fn take_line(&self, endpoint: &Endpoint, text: &str, lines: &mut Lines) {
        let text = wire::replace_lone_surrogates(text);
        let Ok(line) = serde_json::from_str::<Line<'_>>(&text) else {
            lines.unreadable += 1;
            return;
        };
        if self.expected.contains(&line.custom_id) {
            let outcome = line.outcome(endpoint);
            lines.insert(line.custom_id, outcome);
        } else {
            lines.unknown += 1;
        }
    }
}

impl Lines {
    /// Takes an outcome, unless the request has one.
    fn insert(&mut self, id: String, outcome: Outcome) {
        match self.replies.entry(id) {
            Entry::Vacant(place) => {
                place.insert(outcome);
            }
            Entry::Occupied(_) => self.doubled += 1,
        }
    }
}

/// A line.
#[derive(Deserialize)]
struct Line<'a> {
    custom_id: String,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(default)]
    error: Value,
}

/// The reply in a line.
#[derive(Deserialize)]
struct LineResponse<'a> {
    #[serde(default)]
    status_code: Value,
    #[serde(borrow)]
    body: &'a RawValue,
}

impl Line<'_> {
    /// The reply, or why there is none.
    fn outcome(&self, endpoint: &Endpoint) -> Outcome {
        let connection = endpoint.connection();
        if wire::is_error(&self.error) {
            let body = serde_json::json!({"error": self.error}).to_string();
            return Err(RequestError::in_line(&connection.error_body(&body)));
        }
        let response = self.response.map(RawValue::get).unwrap_or("null");
        let Ok(response) = serde_json::from_str::<LineResponse<'_>>(response) else {
            return Err(RequestError::unanswered(
                "the line of its batch has no reply",
            ));
        };
        let body = response.body.get();
        let status = wire::count(&response.status_code).unwrap_or(200);
        if (200..300).contains(&status) {
            return endpoint.parse(body);
        }
        let status = u16::try_from(status).unwrap_or(500);
        Err(RequestError::status(
            status,
            &HeaderMap::new(),
            &connection.error_body(body),
            &connection.key_name(),
        ))
    }
}
