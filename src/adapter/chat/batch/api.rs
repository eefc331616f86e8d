//! The calls of the API: uploads a file, makes a batch of it, finds and looks at batches.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::connection::{HttpReply, Payload};
use super::super::endpoint::{Endpoint, LONGEST_WAIT, REPORTED_WAIT};
use super::super::pool::Failure;
use super::super::request_error::{RequestError, retry_after};
use super::super::wire;
use super::input_file::{COMPLETIONS, UploadForm};

/// The time in which a batch is to be done; the API knows no other.
const WINDOW: &str = "24h";
/// Batches of a page of the list, and the most pages that are looked through: newer batches come
/// first.
const PAGE: &str = "100";
const MAX_PAGES: usize = 100;
/// How long a server may take to list a batch whose creation was cut off, by the shortest delay
/// between retries.
const SETTLE_FACTOR: u32 = 20;
/// Longest name that a server may give.
const MAX_ID: usize = 256;

/// Whether a batch may have been made of a file already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Created {
    Not,
    Perhaps,
}

/// Why there is no batch of a file.
pub(super) enum NotCreated {
    /// The server refused: there is none.
    Refused(Failure),
    /// There may be one.
    Unknown(Failure),
}

/// How far a batch is.
pub(super) struct Status {
    pub state: BatchState,
    /// Requests that are answered or have failed.
    pub done: usize,
    /// How long the server wants not to be asked.
    pub wait: Option<Duration>,
}

/// Whether a batch has ended.
pub(super) enum BatchState {
    Waiting,
    Ended(Ended),
}

/// How a batch ended.
pub(super) struct Ended {
    end: End,
    /// The files of replies and of errors.
    output: Option<String>,
    errors: Option<String>,
    /// Why it failed.
    message: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Completed,
    Failed,
    Expired,
    Cancelled,
}

impl Ended {
    /// The files that have replies, in the order in which they count.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.output.iter().chain(&self.errors).map(String::as_str)
    }

    /// How it ended, after its name.
    pub(super) fn describe(&self) -> &'static str {
        match self.end {
            End::Completed => "is done",
            End::Failed => "has failed",
            End::Expired => "has expired",
            End::Cancelled => "was cancelled",
        }
    }

    /// Why a request has no reply.
    pub(super) fn missing(&self, id: &str) -> RequestError {
        let why = self.message.as_ref();
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        RequestError::unanswered(match self.end {
            End::Completed => format!("batch {id} is done and has no reply to the request{why}"),
            _ => format!(
                "batch {id} {} before the request was answered{why}",
                self.describe()
            ),
        })
    }
}

/// Uploads a file of requests; returns its name.
pub(super) fn upload(endpoint: &Endpoint, form: &UploadForm) -> Result<String, Failure> {
    let payload = Payload::Form {
        content_type: &form.content_type,
        bytes: &form.bytes,
    };
    let url = || endpoint.address().path("/files");
    persist(
        endpoint,
        || {
            let reply = endpoint.connection().exchange(&url(), payload)?;
            required_id(endpoint, &parse(endpoint, &reply)?, &reply)
        },
        |error| describe(error, "cannot upload the requests"),
    )
}

/// Makes a batch of a file, unless there is one; returns its name.
///
/// A call whose reply was lost may have made the batch: it is looked for before the next try, twice
/// with a pause between, so that no question is paid twice.
pub(super) fn create(
    endpoint: &Endpoint,
    file: &str,
    created: Created,
    log: &Path,
) -> Result<String, NotCreated> {
    let body = json!({"input_file_id": file, "endpoint": COMPLETIONS, "completion_window": WINDOW});
    let body = body.to_string();
    let (mut created, mut delays) = (created, endpoint.delays());
    loop {
        if created == Created::Perhaps {
            let look = || find(endpoint, file, log).map_err(NotCreated::Unknown);
            if let Some(id) = look()? {
                return Ok(id);
            }
            let settling = endpoint.limits().first_delay * SETTLE_FACTOR;
            let wait = endpoint.abort_signal().wait(settling);
            wait.map_err(NotCreated::Unknown)?;
            if let Some(id) = look()? {
                return Ok(id);
            }
        }
        let made = endpoint.connection().with_v1(|| {
            let url = endpoint.address().path("/batches");
            let reply = endpoint.connection().exchange(&url, Payload::Json(&body))?;
            required_id(endpoint, &parse(endpoint, &reply)?, &reply)
        });
        let error = match made {
            Ok(id) => return Ok(id),
            Err(error) => error,
        };
        // A timeout of the server (408) and its own errors (5xx) leave open what it did.
        let is_refused = error
            .status
            .is_some_and(|status| status < 500 && status != 408);
        if !is_refused {
            created = Created::Perhaps;
        }
        let Some(delay) = next_delay(&error, &mut delays) else {
            let line = describe(&error, "cannot make a batch of the uploaded requests");
            let failure = raise(endpoint, &line);
            return Err(match is_refused && created == Created::Not {
                true => NotCreated::Refused(failure),
                false => NotCreated::Unknown(failure),
            });
        };
        pause(endpoint, &error, delay).map_err(NotCreated::Unknown)?;
    }
}

/// The batch that was made of a file, where the server has one in its list.
///
/// # Errors
/// Returns an error if the list does not say: it has no end, or batches that cannot be told apart.
fn find(endpoint: &Endpoint, file: &str, log: &Path) -> Result<Option<String>, Failure> {
    let unknown = |why: &str| {
        format!(
            "whether file {file} was made a batch is not known: {why}; look for it at the server, and remove {} where there \
             is none",
            log.display()
        )
    };
    let mut after: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let page = persist(
            endpoint,
            || {
                let mut url = endpoint.address().path("/batches");
                url.query_pairs_mut().append_pair("limit", PAGE);
                if let Some(after) = &after {
                    url.query_pairs_mut().append_pair("after", after);
                }
                let reply = endpoint.connection().exchange(&url, Payload::None)?;
                let page = parse(endpoint, &reply)?;
                match page.get("data") {
                    Some(Value::Array(_)) => Ok(page),
                    _ => Err(no_batch(endpoint, &reply, "is no list of batches")),
                }
            },
            |error| unknown(&error.with_wait()),
        )?;
        let batches = page.get("data").and_then(Value::as_array);
        let batches = batches.map(Vec::as_slice).unwrap_or_default();
        for batch in batches {
            let Some(input) = batch.get("input_file_id").and_then(Value::as_str) else {
                return Err(raise(
                    endpoint,
                    &unknown("the list has a batch without a file"),
                ));
            };
            if input == file {
                let id = id(endpoint, batch, "id");
                let odd = || {
                    raise(
                        endpoint,
                        &unknown("its batch has a name that none can have"),
                    )
                };
                return id.map(Some).ok_or_else(odd);
            }
        }
        match page.get("has_more") {
            None | Some(Value::Null | Value::Bool(false)) => return Ok(None),
            Some(_) => {}
        }
        let last = batches.last().and_then(|batch| id(endpoint, batch, "id"));
        if last.is_none() || last == after {
            return Err(raise(
                endpoint,
                &unknown("the list of batches cannot be followed"),
            ));
        }
        after = last;
    }
    Err(raise(endpoint, &unknown("the list of batches has no end")))
}

/// Looks at a batch.
pub(super) fn status(endpoint: &Endpoint, batch: &str, log: &Path) -> Result<Status, Failure> {
    persist(
        endpoint,
        || {
            let url = endpoint.address().path(&format!("/batches/{batch}"));
            let reply = endpoint.connection().exchange(&url, Payload::None)?;
            read_status(endpoint, &reply)
        },
        |error| {
            let hint = match error.is_not_found() {
                true => format!(
                    "; where {} is removed, its requests are submitted again",
                    log.display()
                ),
                false => String::new(),
            };
            format!("batch {batch}: {}{hint}", error.with_wait())
        },
    )
}

fn read_status(endpoint: &Endpoint, reply: &HttpReply) -> Result<Status, RequestError> {
    let batch = parse(endpoint, reply)?;
    let word = batch.get("status").and_then(Value::as_str);
    let end = match word.unwrap_or_default().to_lowercase().as_str() {
        "validating" | "in_progress" | "finalizing" | "cancelling" => None,
        "completed" => Some(End::Completed),
        "failed" => Some(End::Failed),
        "expired" => Some(End::Expired),
        "cancelled" => Some(End::Cancelled),
        _ => {
            return Err(no_batch(
                endpoint,
                reply,
                "has a `status` that no batch has",
            ));
        }
    };
    let count = |key: &str| {
        let count = batch.pointer(&format!("/request_counts/{key}"));
        let count = count.and_then(wire::count).unwrap_or_default();
        usize::try_from(count).unwrap_or(usize::MAX)
    };
    let file = |key: &str| match batch.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(_) => match id(endpoint, &batch, key) {
            Some(id) => Ok(Some(id)),
            None => Err(no_batch(endpoint, reply, "names a file that none can be")),
        },
    };
    let message = batch.pointer("/errors/data/0/message");
    let message = message.and_then(Value::as_str);
    let state = match end {
        None => BatchState::Waiting,
        Some(end) => BatchState::Ended(Ended {
            end,
            output: file("output_file_id")?,
            errors: file("error_file_id")?,
            message: message.map(|message| wire::one_line(&endpoint.secrets().blot(message))),
        }),
    };
    Ok(Status {
        state,
        done: count("completed").saturating_add(count("failed")),
        wait: retry_after(&reply.headers),
    })
}

/// Sends a call until it succeeds, retries do not mend it, or there are no more.
pub(super) fn persist<T>(
    endpoint: &Endpoint,
    call: impl Fn() -> Result<T, RequestError>,
    describe: impl Fn(&RequestError) -> String,
) -> Result<T, Failure> {
    retry(endpoint, call)?.map_err(|error| raise(endpoint, &describe(&error)))
}

/// Repeats a call until it succeeds or a retry does not help; returns its last outcome.
///
/// # Errors
/// Returns an error if everything is aborted.
pub(super) fn retry<T>(
    endpoint: &Endpoint,
    call: impl Fn() -> Result<T, RequestError>,
) -> Result<Result<T, RequestError>, Failure> {
    let mut delays = endpoint.delays();
    loop {
        endpoint.abort_signal().check()?;
        let error = match endpoint.connection().with_v1(&call) {
            Ok(done) => return Ok(Ok(done)),
            Err(error) => error,
        };
        match next_delay(&error, &mut delays) {
            Some(delay) => pause(endpoint, &error, delay)?,
            None => return Ok(Err(error)),
        }
    }
}

/// Waits before a call is sent again, and reports a long wait.
fn pause(endpoint: &Endpoint, error: &RequestError, delay: Duration) -> Result<(), Failure> {
    if delay >= REPORTED_WAIT {
        chartbench_core::note!(
            "note: {}: {}; retry after {:.0} s",
            endpoint.address(),
            error.message,
            delay.as_secs_f64()
        );
    }
    endpoint.abort_signal().wait(delay)
}

/// How long to wait before a call is sent again; `None` where it is not.
fn next_delay(
    error: &RequestError,
    delays: &mut impl Iterator<Item = Duration>,
) -> Option<Duration> {
    let delay = delays.next().filter(|_| error.retryable)?;
    match error.wait {
        Some(wait) if wait > LONGEST_WAIT => None,
        Some(wait) if !wait.is_zero() => Some(wait),
        _ => Some(delay),
    }
}

/// Why a server takes no batches.
fn describe(error: &RequestError, what: &str) -> String {
    match error.status {
        Some(404 | 405 | 501) => format!(
            "it has no batches ({}): leave out --batch-api",
            error.message
        ),
        _ => format!("{what}: {}", error.with_wait()),
    }
}

pub(super) fn raise(endpoint: &Endpoint, line: &str) -> Failure {
    let line = format!("{}: {line}", endpoint.address());
    endpoint.abort_signal().raise(line)
}

fn parse(endpoint: &Endpoint, reply: &HttpReply) -> Result<Value, RequestError> {
    let body = wire::replace_lone_surrogates(&reply.body);
    serde_json::from_str(&body).map_err(|_| no_batch(endpoint, reply, "is no JSON"))
}

fn no_batch(endpoint: &Endpoint, reply: &HttpReply, what: &str) -> RequestError {
    RequestError::no_batch(&endpoint.connection().error_body(&reply.body), what)
}

/// The name that a reply gives.
fn required_id(
    endpoint: &Endpoint,
    object: &Value,
    reply: &HttpReply,
) -> Result<String, RequestError> {
    id(endpoint, object, "id").ok_or_else(|| no_batch(endpoint, reply, "has no `id`"))
}

/// A name at the server, which becomes part of addresses and of the log: it has no characters that
/// mean something there, and no key.
fn id(endpoint: &Endpoint, object: &Value, key: &str) -> Option<String> {
    let id = object.get(key)?.as_str()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    let fits = (1..=MAX_ID).contains(&id.len()) && !id.starts_with('.') && id.bytes().all(is_plain);
    (fits && endpoint.secrets().found_in(id).is_none()).then(|| id.to_owned())
}
