//! Requests that go in batches: gathered into files, submitted, and waited for
//! (<https://platform.openai.com/docs/api-reference/batch>).
//!
//! The questions are asked in passes. A request whose reply has come with a batch is answered by it;
//! another is put into the next file, and its question is left for a later pass. Files and batches
//! are logged ([`log`]), so that a process started again goes on with them.

mod api;
mod input_file;
mod log;
mod output;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

use super::endpoint::{Endpoint, LONGEST_WAIT, Reply};
use super::pool::Failure;
use super::request_error::RequestError;
use super::turns::{Turn, Turns};
use crate::adapter::BatchApi;
use api::{BatchState, Created, Status};
use chartbench_core::answer::sha256;
use input_file::InputFile;
pub(in crate::adapter) use log::count_waiting_batches;
use log::{BatchEvent, BatchLog, BatchRequest};
use output::Outputs;

/// Waits between two looks at the batches, by the delays between retries.
const WAIT_FACTOR: u32 = 5;

/// The batches of an endpoint.
pub(in crate::adapter::chat) struct Batches {
    options: BatchApi,
    /// SHA-256 over the endpoint's settings: batches of others in the log are not its own.
    settings_sha256: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    log: Option<BatchLog>,
    /// The number of the last batch, and how many requests have a number.
    batches: usize,
    requests: usize,
    replies: HashMap<Turn, Slot>,
    /// How many turns were made of each owner whose answer was reported.
    turns_done: HashMap<String, usize>,
    file: InputFile,
    submitted: Vec<Batch>,
}

/// The place of a reply.
struct Slot {
    body_sha256: String,
    /// Absent until it comes.
    reply: Option<Result<Reply, RequestError>>,
}

/// A batch whose file is uploaded.
struct Batch {
    number: usize,
    file: String,
    /// Its name at the server; absent until that is known.
    id: Option<String>,
    requests: Vec<BatchRequest>,
    is_collected: bool,
    /// Whether an earlier start submitted it.
    is_earlier: bool,
}

impl Batches {
    pub(in crate::adapter::chat) fn new(options: BatchApi, settings_sha256: String) -> Self {
        Self {
            options,
            settings_sha256,
            state: Mutex::default(),
        }
    }

    /// Opens the log, and goes on with the batches of earlier starts.
    ///
    /// # Errors
    /// Returns an error if the log cannot be read, another process has it open, or the server does
    /// not say what became of a batch.
    pub(in crate::adapter::chat) fn open(&self, endpoint: &Endpoint) -> Result<()> {
        let mut state = self.lock();
        self.read_log(&mut state)?;
        if state.submitted.iter().any(|batch| !batch.is_collected) {
            self.report(
                endpoint,
                "going on with the batches that an earlier start submitted",
            );
        }
        self.create_all(endpoint, &mut state, Created::Perhaps)
            .map_err(into_error)
    }

    /// The turns of a question or prompt.
    pub(in crate::adapter::chat) fn turns(&self, owner: String) -> Turns {
        let done = self.lock().turns_done.get(&owner).copied();
        Turns::new(owner, done.unwrap_or_default())
    }

    /// Notes that the answer which took these turns is reported.
    pub(in crate::adapter::chat) fn finish_turns(&self, turns: &Turns) {
        let (mut state, owner) = (self.lock(), turns.owner());
        let before = state.turns_done.insert(owner.to_owned(), turns.count());
        for number in before.unwrap_or_default()..turns.count() {
            let owner = owner.to_owned();
            state.replies.remove(&Turn { owner, number });
        }
    }

    /// The reply to a request, where it has come; else the request is in a batch from now on.
    ///
    /// # Errors
    /// Returns [`Failure::Deferred`] while there is no reply, why the request has none, or why the
    /// endpoint cannot go on.
    pub(in crate::adapter::chat) fn ask(
        &self,
        endpoint: &Endpoint,
        turns: &Turns,
        body: &str,
    ) -> Result<Reply, Failure> {
        let (turn, body_sha256) = (turns.next(), sha256(body.as_bytes()));
        let mut state = self.lock();
        let slot = state.replies.get(&turn);
        if let Some(slot) = slot.filter(|slot| slot.body_sha256 == body_sha256) {
            return match &slot.reply {
                None => Err(Failure::Deferred),
                Some(Ok(reply)) => Ok(reply.clone()),
                Some(Err(error)) => Err(Failure::Question(anyhow::anyhow!(
                    "{}: {}",
                    endpoint.address(),
                    error.message
                ))),
            };
        }
        endpoint.abort_signal().check()?;
        let limits = endpoint.limits();
        if !state.file.has_room(body.len(), limits) {
            self.submit(endpoint, &mut state)?;
        }
        state.requests += 1;
        let custom_id = format!("r{}", state.requests);
        let request = BatchRequest {
            custom_id,
            owner: turn.owner.clone(),
            turn: turn.number,
            body_sha256: body_sha256.clone(),
        };
        state.file.push(request, body, limits)?;
        let reply = None;
        state.replies.insert(turn, Slot { body_sha256, reply });
        Err(Failure::Deferred)
    }

    /// Submits what is gathered, and waits until a batch has ended.
    ///
    /// # Errors
    /// Returns why the endpoint cannot go on: its server refuses, or everything is aborted.
    pub(in crate::adapter::chat) fn advance(&self, endpoint: &Endpoint) -> Result<()> {
        let mut state = self.lock();
        self.submit(endpoint, &mut state)
            .and_then(|()| self.wait(endpoint, &mut state))
            .map_err(into_error)
    }

    /// Closes all batches: the answers to all questions are stored.
    ///
    /// # Errors
    /// Returns an error if the log cannot be written.
    pub(in crate::adapter::chat) fn finish(&self) -> Result<()> {
        let mut state = self.lock();
        if state.log.is_none() && !self.options.log.exists() {
            return Ok(());
        }
        self.read_log(&mut state)?;
        let closed: Vec<BatchEvent> = std::mem::take(&mut state.submitted)
            .into_iter()
            .map(|batch| BatchEvent::Closed {
                batch: batch.number,
            })
            .collect();
        match &mut state.log {
            Some(log) if !closed.is_empty() => log.append(&closed),
            _ => Ok(()),
        }
    }

    /// Reads the log, once.
    fn read_log(&self, state: &mut State) -> Result<()> {
        if state.log.is_some() {
            return Ok(());
        }
        let (log, events) = BatchLog::open(&self.options.log)?;
        state.log = Some(log);
        for event in events {
            match event {
                BatchEvent::Uploaded {
                    batch,
                    settings_sha256,
                    file,
                    requests,
                } => {
                    state.batches = state.batches.max(batch);
                    state.requests += requests.len();
                    if settings_sha256 == self.settings_sha256 {
                        state.submitted.push(Batch {
                            number: batch,
                            file,
                            id: None,
                            requests,
                            is_collected: false,
                            is_earlier: true,
                        });
                    }
                }
                BatchEvent::Submitted { batch, id } => {
                    let mut batches = state.submitted.iter_mut();
                    if let Some(batch) = batches.find(|submitted| submitted.number == batch) {
                        batch.id = Some(id);
                    }
                }
                BatchEvent::Closed { batch } => {
                    state
                        .submitted
                        .retain(|submitted| submitted.number != batch);
                }
            }
        }
        let requests = state.submitted.iter().flat_map(|batch| &batch.requests);
        let slots = requests.map(|request| {
            let body_sha256 = request.body_sha256.clone();
            let slot = Slot {
                body_sha256,
                reply: None,
            };
            (request.turn(), slot)
        });
        state.replies = slots.collect();
        Ok(())
    }

    /// Uploads the requests that are gathered, and has them made a batch. The log knows the file
    /// before the server is told to make a batch of it.
    fn submit(&self, endpoint: &Endpoint, state: &mut State) -> Result<(), Failure> {
        let file = std::mem::take(&mut state.file);
        let Some((form, requests)) = file.finish() else {
            return Ok(());
        };
        let id = api::upload(endpoint, &form)?;
        drop(form);
        state.batches += 1;
        let number = state.batches;
        let uploaded = BatchEvent::Uploaded {
            batch: number,
            settings_sha256: self.settings_sha256.clone(),
            file: id.clone(),
            requests: requests.clone(),
        };
        append(endpoint, state, uploaded)?;
        state.submitted.push(Batch {
            number,
            file: id,
            id: None,
            requests,
            is_collected: false,
            is_earlier: false,
        });
        self.create_all(endpoint, state, Created::Not)
    }

    /// Makes batches of the files that are none yet.
    fn create_all(
        &self,
        endpoint: &Endpoint,
        state: &mut State,
        created: Created,
    ) -> Result<(), Failure> {
        let files = state.submitted.iter().filter(|batch| batch.id.is_none());
        let files: Vec<(usize, String, usize)> = files
            .map(|batch| (batch.number, batch.file.clone(), batch.requests.len()))
            .collect();
        for (number, file, requests) in files {
            let id = match api::create(endpoint, &file, created, &self.options.log) {
                Ok(id) => id,
                Err(api::NotCreated::Refused(failure)) => {
                    // Nothing is paid: the next start uploads its requests again.
                    append(endpoint, state, BatchEvent::Closed { batch: number })?;
                    return Err(failure);
                }
                Err(api::NotCreated::Unknown(failure)) => return Err(failure),
            };
            let submitted = BatchEvent::Submitted {
                batch: number,
                id: id.clone(),
            };
            append(endpoint, state, submitted)?;
            self.report(
                endpoint,
                &format!("batch {id} is submitted, {requests} requests"),
            );
            let mut batches = state.submitted.iter_mut();
            if let Some(batch) = batches.find(|batch| batch.number == number) {
                batch.id = Some(id);
            }
        }
        Ok(())
    }

    /// Looks at the batches at growing intervals, until one has ended and its replies are here.
    fn wait(&self, endpoint: &Endpoint, state: &mut State) -> Result<(), Failure> {
        let limits = endpoint.limits();
        let longest = limits.longest_delay * WAIT_FACTOR;
        let (mut delay, mut last) = (limits.first_delay * WAIT_FACTOR, String::new());
        loop {
            let (mut collected, mut asked_wait) = (false, None);
            let (mut waiting, mut answered, mut total) = (0, 0, 0);
            for index in 0..state.submitted.len() {
                let Some(batch) = state
                    .submitted
                    .get(index)
                    .filter(|batch| !batch.is_collected)
                else {
                    continue;
                };
                let id = batch.id.clone().unwrap_or_default();
                let Status {
                    state: batch_state,
                    done,
                    wait,
                } = api::status(endpoint, &id, &self.options.log)?;
                match batch_state {
                    BatchState::Waiting => {
                        waiting += 1;
                        answered += done.min(batch.requests.len());
                        total += batch.requests.len();
                        asked_wait = asked_wait.max(wait);
                    }
                    BatchState::Ended(outputs) => {
                        self.collect(endpoint, state, index, &outputs)?;
                        collected = true;
                    }
                }
            }
            if collected {
                return Ok(());
            }
            if waiting == 0 {
                let bug = "a question waits for no batch: a bug in the adapter";
                return Err(endpoint.abort_signal().raise(bug.to_owned()));
            }
            let line = format!("{answered} of {total} requests in {waiting} batches are answered");
            if line != last {
                self.report(endpoint, &line);
                last = line;
            }
            let asked_wait = asked_wait.map(|wait| wait.min(LONGEST_WAIT).max(limits.first_delay));
            let wait = asked_wait.unwrap_or(delay);
            endpoint.abort_signal().wait(wait)?;
            delay = longest.min(2 * delay);
        }
    }

    /// Fetches the replies of a batch that has ended. Each of its requests has a reply or an error
    /// afterwards.
    fn collect(
        &self,
        endpoint: &Endpoint,
        state: &mut State,
        index: usize,
        ended: &api::Ended,
    ) -> Result<(), Failure> {
        let Some(batch) = state.submitted.get_mut(index) else {
            return Ok(());
        };
        let id = batch.id.clone().unwrap_or_default();
        let mut outputs = Outputs::new(&batch.requests);
        for file in ended.files() {
            outputs.add(endpoint, file)?;
        }
        if let Some(odd) = outputs.describe_odd() {
            chartbench_core::note!("note: {}: batch {id}: {odd}", endpoint.address());
        }
        batch.is_collected = true;
        for request in &batch.requests {
            let reply = outputs.take(&request.custom_id);
            let reply = reply.unwrap_or_else(|| Err(ended.missing(&id)));
            // The row has this failure already: the request is submitted again.
            if reply.is_err() && batch.is_earlier && self.options.retry_failed {
                state.replies.remove(&request.turn());
                continue;
            }
            // A later batch may have the request again, in other words.
            let slot = state.replies.get_mut(&request.turn());
            if let Some(slot) = slot.filter(|slot| slot.body_sha256 == request.body_sha256) {
                slot.reply.get_or_insert(reply);
            }
        }
        self.report(
            endpoint,
            &format!("batch {id} {}, its replies are here", ended.describe()),
        );
        Ok(())
    }

    /// Reports how far the batches are.
    fn report(&self, endpoint: &Endpoint, line: &str) {
        (self.options.report)(&format!("{}: {line}", endpoint.address()));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Appends an event to the log; an endpoint whose log cannot be written cannot go on.
fn append(endpoint: &Endpoint, state: &mut State, event: BatchEvent) -> Result<(), Failure> {
    let log = state.log.as_mut().context("the log of batches is not open");
    log.and_then(|log| log.append(&[event]))
        .map_err(|error| endpoint.abort_signal().raise(format!("{error:#}")))
}

fn into_error(failure: Failure) -> anyhow::Error {
    match failure {
        Failure::Question(error) | Failure::Adapter(error) => error,
        Failure::Deferred => anyhow::anyhow!("a batch is waited for"),
    }
}
