//! Concurrent requests, and the signal that aborts them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// This question failed; others may be answered.
    Question(anyhow::Error),
    /// The adapter cannot go on.
    Adapter(anyhow::Error),
    /// The answer comes with a batch.
    Deferred,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Question(error)
    }
}

/// Aborts all requests: holds the reason why the adapter cannot go on.
#[derive(Debug, Default)]
pub(super) struct AbortSignal {
    reason: Mutex<Option<String>>,
    raised: Condvar,
}

impl AbortSignal {
    /// Aborts everything unless it is aborted already; returns the failure.
    pub(super) fn raise(&self, reason: String) -> Failure {
        let reason = self.lock().get_or_insert(reason).clone();
        self.raised.notify_all();
        Failure::Adapter(anyhow::Error::msg(reason))
    }

    /// # Errors
    /// Returns the reason if everything is aborted.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.wait(Duration::ZERO)
    }

    /// Waits for `time`.
    ///
    /// # Errors
    /// Returns the reason as soon as everything is aborted.
    pub(super) fn wait(&self, time: Duration) -> Result<(), Failure> {
        let until = Instant::now() + time;
        let mut reason = self.lock();
        loop {
            if let Some(reason) = &*reason {
                return Err(Failure::Adapter(anyhow::Error::msg(reason.clone())));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            reason = self
                .raised
                .wait_timeout(reason, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long no result may come before [`Pool::when_quiet`] is called; the next wait is twice as
/// long.
const QUIET: Duration = Duration::from_secs(2);
/// Longest such wait.
const MAX_QUIET: Duration = Duration::from_secs(60);

/// Threads that send requests.
pub(super) struct Pool<'a> {
    /// How many there are.
    pub threads: usize,
    /// Ends them all.
    pub abort: &'a AbortSignal,
    /// Called when no result came for a while, between results.
    pub when_quiet: &'a dyn Fn(),
}

impl Pool<'_> {
    /// Asks every job; jobs begin in order, and each result is reported as it comes, with the job's
    /// place, but for those that are deferred. The caller waits on a thread of rayon's pool, so `ask` must not use that pool.
    ///
    /// # Errors
    /// Returns the reason of the abort signal where it was raised: jobs in flight are still
    /// reported, the others are not begun.
    pub(super) fn ask_concurrently<J: Sync, T: Send>(
        &self,
        jobs: &[J],
        ask: impl Fn(&J) -> Result<T, Failure> + Sync,
        report: &mut dyn FnMut(usize, anyhow::Result<T>),
    ) -> anyhow::Result<()> {
        let abort = self.abort;
        let next = AtomicUsize::new(0);
        let (sender, results) = mpsc::channel();
        let work = |sender: Sender<_>| {
            while let index = next.fetch_add(1, Ordering::Relaxed)
                && let Some(job) = jobs.get(index)
                && abort.check().is_ok()
                && sender.send((index, ask(job))).is_ok()
            {}
        };
        std::thread::scope(|scope| {
            for _ in 0..self.threads.min(jobs.len()) {
                let (work, sender) = (&work, sender.clone());
                scope.spawn(move || work(sender));
            }
            drop(sender);
            let (mut stopped, mut quiet) = (Ok(()), QUIET);
            loop {
                let (index, result) = match results.recv_timeout(quiet) {
                    Ok(result) => result,
                    Err(RecvTimeoutError::Timeout) => {
                        (self.when_quiet)();
                        quiet = MAX_QUIET.min(2 * quiet);
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                quiet = QUIET;
                match result {
                    Ok(answer) => report(index, Ok(answer)),
                    Err(Failure::Question(error)) => report(index, Err(error)),
                    Err(Failure::Adapter(error)) => stopped = stopped.and(Err(error)),
                    Err(Failure::Deferred) => {}
                }
            }
            match abort.check() {
                Err(Failure::Adapter(error) | Failure::Question(error)) => stopped.and(Err(error)),
                Ok(()) | Err(Failure::Deferred) => stopped,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_keeps_what_is_answered_and_begins_nothing() {
        let stop = AbortSignal::default();
        let jobs: Vec<usize> = (0..100).collect();
        let asked = AtomicUsize::new(0);
        let ask = |&job: &usize| {
            asked.fetch_add(1, Ordering::Relaxed);
            if job == 10 {
                Err(stop.raise("gone".to_owned()))
            } else if job == 5 {
                Err(Failure::Question(anyhow::anyhow!("odd")))
            } else {
                Ok(job)
            }
        };
        let mut answered = Vec::new();
        let pool = Pool {
            threads: 3,
            abort: &stop,
            when_quiet: &|| {},
        };
        let stopped = pool.ask_concurrently(&jobs, ask, &mut |index, answer| {
            match answer {
                Ok(job) => assert_eq!(job, index),
                Err(error) => assert_eq!((index, error.to_string().as_str()), (5, "odd")),
            }
            answered.push(index);
        });
        assert_eq!(stopped.unwrap_err().to_string(), "gone");
        answered.sort_unstable();
        assert!(
            answered.starts_with(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) && answered.len() < 15,
            "{answered:?}"
        );
        assert_eq!(asked.into_inner(), answered.len() + 1);
    }

    #[test]
    fn quiet_is_noticed_before_the_result_comes() {
        let quiet = AtomicUsize::new(0);
        let pool = Pool {
            threads: 1,
            abort: &AbortSignal::default(),
            when_quiet: &|| {
                quiet.fetch_add(1, Ordering::Relaxed);
            },
        };
        let ask = |wait: &Duration| {
            std::thread::sleep(*wait);
            Ok(())
        };
        let jobs = [Duration::ZERO, QUIET + Duration::from_millis(500)];
        pool.ask_concurrently(&jobs, ask, &mut |_, _| {}).unwrap();
        assert_eq!(quiet.into_inner(), 1);
    }

    #[test]
    fn a_stop_ends_waiting() {
        let stop = AbortSignal::default();
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| stop.wait(Duration::from_secs(60)));
            stop.raise("gone".to_owned());
            assert!(waiting.join().unwrap().is_err());
        });
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
