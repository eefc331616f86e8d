//! Stopping a run early. The run and whoever may stop it share a [`Stop`]: what is answered is
//! kept, and a call in hand is given up and asked again by the next start.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::answer_all::in_hand::RowInHand;
use crate::adapter::GiveUp;

/// A request to stop, which nobody may ever make. Clones share it.
#[derive(Clone, Default)]
pub struct Stop(Arc<Shared>);

#[derive(Default)]
struct Shared {
    is_requested: Arc<AtomicBool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tasks: Vec<Task>,
    next_key: u64,
    /// Since when the tasks are waited for.
    since: Option<Instant>,
    /// Whether a task ended after the request: its caller is about to say how.
    is_leaving: bool,
}

/// Something that a stop may find under way.
struct Task {
    key: u64,
    work: Work,
}

enum Work {
    /// An adapter is asked.
    Asking {
        row: Arc<Mutex<RowInHand>>,
        give_up: Vec<GiveUp>,
    },
    /// Something is asked whose answers are stored as they come.
    Calling { give_up: Vec<GiveUp> },
    /// It looks at the flag and saves what it has, however long that takes.
    Saving,
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stop").field(&self.is_requested()).finish()
    }
}

impl Stop {
    /// The flag of the request. Whoever can do no more, as a signal's handler, sets it and leaves
    /// [`Self::request`] to another thread.
    pub fn flag(&self) -> &Arc<AtomicBool> {
        &self.0.is_requested
    }

    /// Whether the stop is requested.
    pub fn is_requested(&self) -> bool {
        self.0.is_requested.load(Ordering::SeqCst)
    }

    /// Requests the stop, and has calls in hand end early where their adapters can.
    pub fn request(&self) {
        self.0.is_requested.store(true, Ordering::SeqCst);
        let mut state = lock(&self.0.state);
        if state.since.is_some() {
            return;
        }
        state.since = Some(Instant::now());
        for task in &state.tasks {
            if let Work::Asking { give_up, .. } | Work::Calling { give_up } = &task.work {
                give_up.iter().for_each(|give_up| give_up());
            }
        }
    }

    /// Looks at the request between two steps of work.
    ///
    /// # Errors
    /// Returns [`Stopped`] if the stop is requested.
    pub fn check(&self) -> Result<(), Stopped> {
        match self.is_requested() {
            true => Err(Stopped { progress: None }),
            false => Ok(()),
        }
    }

    /// Ends what is under way, for a thread that then ends the process: stores the answers that
    /// were reported in calls in hand, and stores none from then on. `None` without a request, for
    /// `grace` after it while something is under way, and while something saves itself.
    ///
    /// # Errors
    /// Returns an error if answers cannot be stored.
    pub fn end_after(&self, grace: Duration) -> Option<Result<Stopped>> {
        let state = lock(&self.0.state);
        let waited = state.since?.elapsed();
        let is_saving = state
            .tasks
            .iter()
            .any(|task| matches!(task.work, Work::Saving));
        let is_under_way = state.is_leaving || !state.tasks.is_empty();
        if is_saving || (is_under_way && waited < grace) {
            return None;
        }
        let rows = state.tasks.iter().filter_map(|task| match &task.work {
            Work::Asking { row, .. } => Some(row),
            Work::Calling { .. } | Work::Saving => None,
        });
        // Each row is ended, whether another one failed or not.
        let ended: Vec<Result<RowProgress>> = rows.map(|row| lock(row).end()).collect();
        let rows: Result<Vec<RowProgress>> = ended.into_iter().collect();
        Some(rows.map(|rows| Stopped {
            progress: rows.into_iter().next(),
        }))
    }

    /// Marks work that ends by itself after a request and saves what it has, until the guard is
    /// dropped.
    ///
    /// # Errors
    /// Returns [`Stopped`] if the stop is requested already.
    pub fn saving(&self) -> Result<UnderWay<'_>, Stopped> {
        self.begin(Work::Saving).ok_or(Stopped { progress: None })
    }

    /// Marks that something is asked whose answers are stored as they come, until the guard is
    /// dropped; a request to stop gives it up.
    ///
    /// # Errors
    /// Returns [`Stopped`] if the stop is requested already.
    pub fn calling(&self, give_up: Vec<GiveUp>) -> Result<UnderWay<'_>, Stopped> {
        self.begin(Work::Calling { give_up })
            .ok_or(Stopped { progress: None })
    }

    /// Marks that the row's adapter is asked, until the guard is dropped.
    ///
    /// # Errors
    /// Returns [`Stopped`] if the stop is requested already.
    pub(super) fn asking(
        &self,
        row: RowInHand,
        give_up: Vec<GiveUp>,
    ) -> Result<Asking<'_>, Stopped> {
        let row = Arc::new(Mutex::new(row));
        let work = Work::Asking {
            row: Arc::clone(&row),
            give_up,
        };
        match self.begin(work) {
            Some(under_way) => Ok(Asking { under_way, row }),
            None => Err(lock(&row).stopped()),
        }
    }

    fn begin(&self, work: Work) -> Option<UnderWay<'_>> {
        let mut state = lock(&self.0.state);
        // Looked at under the lock: a request finds every task that began before it.
        if self.is_requested() {
            return None;
        }
        let key = state.next_key;
        state.next_key += 1;
        state.tasks.push(Task { key, work });
        Some(UnderWay { stop: self, key })
    }
}

/// Work that a stop may find under way; it is under way until this is dropped.
#[must_use]
pub struct UnderWay<'a> {
    stop: &'a Stop,
    key: u64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.stop.0.state);
        let was_saving = state
            .tasks
            .iter()
            .any(|task| task.key == self.key && matches!(task.work, Work::Saving));
        state.tasks.retain(|task| task.key != self.key);
        state.is_leaving |= self.stop.is_requested();
        // What was saved took as long as it took: the caller has the whole grace time to say so.
        if was_saving && state.since.is_some() {
            state.since = Some(Instant::now());
        }
    }
}

/// A row whose adapter is asked.
pub(super) struct Asking<'a> {
    under_way: UnderWay<'a>,
    row: Arc<Mutex<RowInHand>>,
}

impl Asking<'_> {
    /// The row, for a moment: a stop must be able to take it from a call in hand.
    pub(super) fn row(&self) -> MutexGuard<'_, RowInHand> {
        lock(&self.row)
    }

    /// Looks at the request between two calls.
    ///
    /// # Errors
    /// Returns [`Stopped`] if the stop is requested.
    pub(super) fn check(&self) -> Result<(), Stopped> {
        match self.under_way.stop.is_requested() {
            true => Err(self.row().stopped()),
            false => Ok(()),
        }
    }
}

/// The error of a run that was stopped: what was answered is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// How far the row has come that was being asked; `None` between two rows.
    pub progress: Option<RowProgress>,
}

/// How far a row of a run has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowProgress {
    /// The row's name, e.g. `matcha-base`.
    pub adapter: String,
    /// Questions with a row.
    pub answered: usize,
    /// Questions of the whole set.
    pub questions: usize,
}

impl Stopped {
    /// One line that says who or what stopped it, and how it goes on.
    pub fn by(&self, cause: &str) -> String {
        format!("stopped by {cause}{}", self.state())
    }

    fn state(&self) -> String {
        let progress = self.progress.as_ref().map(|row| {
            format!(
                ": {} of {} questions of {} are answered",
                row.answered, row.questions, row.adapter
            )
        });
        progress.unwrap_or_default() + "; start the same command again to go on"
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped{}", self.state())
    }
}

impl std::error::Error for Stopped {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Duration = Duration::from_secs(3600);

    #[test]
    fn without_a_request_nothing_ends_and_without_work_it_ends_at_once() {
        let stop = Stop::default();
        assert!(stop.check().is_ok() && stop.end_after(Duration::ZERO).is_none());
        // A handler's flag alone lets no more begin; the grace time begins with the request.
        stop.flag().store(true, Ordering::SeqCst);
        assert!(stop.check().is_err() && stop.saving().is_err());
        assert!(stop.end_after(Duration::ZERO).is_none());
        stop.request();
        let ended = stop.end_after(NEVER).unwrap().unwrap();
        assert_eq!(
            ended.by("SIGTERM"),
            "stopped by SIGTERM; start the same command again to go on"
        );
    }

    #[test]
    fn what_saves_itself_is_never_ended_and_then_has_the_grace_time() {
        let stop = Stop::default();
        let saving = stop.saving().unwrap();
        stop.request();
        assert!(stop.end_after(Duration::ZERO).is_none());
        drop(saving);
        assert!(stop.end_after(NEVER).is_none());
        assert!(stop.end_after(Duration::ZERO).is_some());
    }

    #[test]
    fn calls_are_given_up_and_have_the_grace_time() {
        let stop = Stop::default();
        let given_up = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&given_up);
        let give_up: GiveUp = Box::new(move || flag.store(true, Ordering::SeqCst));
        let calling = stop.calling(vec![give_up]).unwrap();
        stop.request();
        assert!(given_up.load(Ordering::SeqCst));
        assert!(stop.end_after(NEVER).is_none());
        assert!(stop.end_after(Duration::ZERO).is_some());
        drop(calling);
        assert!(stop.calling(Vec::new()).is_err());
    }

    #[test]
    fn progress_is_in_the_line() {
        let progress = Some(RowProgress {
            adapter: "matcha-tiny".to_owned(),
            answered: 131,
            questions: 480,
        });
        let rest = ": 131 of 480 questions of matcha-tiny are answered; start the same command again to go on";
        let stopped = Stopped { progress };
        assert_eq!(stopped.by("SIGTERM"), format!("stopped by SIGTERM{rest}"));
        assert_eq!(stopped.to_string(), format!("stopped{rest}"));
    }
}
