//! Threads that ask at the same time, and what stops them all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::adapter::Failure;

/// Why the adapter cannot go on, once it cannot: nothing further is sent.
#[derive(Debug, Default)]
pub(super) struct Stop {
    reason: Mutex<Option<String>>,
    raised: Condvar,
}

impl Stop {
    /// Stops everything, unless it is stopped; the failure to return.
    pub(super) fn raise(&self, reason: String) -> Failure {
        let reason = self.lock().get_or_insert(reason).clone();
        self.raised.notify_all();
        Failure::Adapter(anyhow::Error::msg(reason))
    }

    /// # Errors
    /// The reason, where everything is stopped.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.wait(Duration::ZERO)
    }

    /// Waits that long.
    ///
    /// # Errors
    /// The reason, as soon as everything is stopped.
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
            reason = self.raised.wait_timeout(reason, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks about each job on up to `threads` threads, begun in order; the answers in order. Jobs that are not begun before
/// `stop` is raised fail with its reason, those under way are still answered. The caller is on a thread of rayon's pool and
/// waits: `ask` must begin nothing in parallel there.
pub(super) fn each<J: Sync, T: Send + Sync>(
    jobs: &[J],
    threads: usize,
    stop: &Stop,
    ask: impl Fn(&J) -> Result<T, Failure> + Sync,
) -> Vec<Result<T, Failure>> {
    let answers: Vec<OnceLock<Result<T, Failure>>> = jobs.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let at = next.fetch_add(1, Ordering::Relaxed)
            && let (Some(job), Some(answer)) = (jobs.get(at), answers.get(at))
        {
            let _ = answer.set(stop.check().and_then(|()| ask(job)));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(work);
        }
    });
    let unasked = || Err(Failure::Question(anyhow::anyhow!("was not asked: a bug in the adapter")));
    answers.into_iter().map(|answer| answer.into_inner().unwrap_or_else(unasked)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_keep_the_order_and_a_stop_keeps_what_is_answered() {
        let stop = Stop::default();
        let jobs: Vec<usize> = (0..100).collect();
        let asked = AtomicUsize::new(0);
        let answers = each(&jobs, 3, &stop, |&job| {
            asked.fetch_add(1, Ordering::Relaxed);
            if job == 10 { Err(stop.raise("gone".to_owned())) } else { Ok(job) }
        });
        let answered: Vec<usize> = answers.iter().filter_map(|answer| answer.as_ref().ok().copied()).collect();
        assert!(answered.starts_with(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) && answered.len() < 15, "{answered:?}");
        assert!(asked.into_inner() < 15);
        for answer in answers.into_iter().filter_map(Result::err) {
            assert!(matches!(answer, Failure::Adapter(error) if error.to_string() == "gone"));
        }
    }

    #[test]
    fn a_stop_ends_waiting() {
        let stop = Stop::default();
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| stop.wait(Duration::from_secs(60)));
            stop.raise("gone".to_owned());
            assert!(waiting.join().unwrap().is_err());
        });
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
