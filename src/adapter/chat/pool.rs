//! Concurrent requests, and the signal that aborts them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::adapter::Failure;

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

/// Maps `ask` over the jobs on up to `threads` threads; jobs begin in order, answers keep the order. After `abort` is raised,
/// jobs in flight are still answered and the others fail with its reason. The caller waits on a thread of rayon's pool, so `ask`
/// must not use that pool.
pub(super) fn map_concurrent<J: Sync, T: Send + Sync>(
    jobs: &[J],
    threads: usize,
    abort: &AbortSignal,
    ask: impl Fn(&J) -> Result<T, Failure> + Sync,
) -> Vec<Result<T, Failure>> {
    let answers: Vec<OnceLock<Result<T, Failure>>> = jobs.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let answer_jobs = || {
        while let index = next.fetch_add(1, Ordering::Relaxed)
            && let (Some(job), Some(answer)) = (jobs.get(index), answers.get(index))
        {
            let _ = answer.set(abort.check().and_then(|()| ask(job)));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(answer_jobs);
        }
    });
    let unasked = || {
        Err(Failure::Question(anyhow::anyhow!(
            "was not asked: a bug in the adapter"
        )))
    };
    answers
        .into_iter()
        .map(|answer| answer.into_inner().unwrap_or_else(unasked))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_keep_the_order_and_a_stop_keeps_what_is_answered() {
        let stop = AbortSignal::default();
        let jobs: Vec<usize> = (0..100).collect();
        let asked = AtomicUsize::new(0);
        let answers = map_concurrent(&jobs, 3, &stop, |&job| {
            asked.fetch_add(1, Ordering::Relaxed);
            if job == 10 {
                Err(stop.raise("gone".to_owned()))
            } else {
                Ok(job)
            }
        });
        let answered: Vec<usize> = answers
            .iter()
            .filter_map(|answer| answer.as_ref().ok().copied())
            .collect();
        assert!(
            answered.starts_with(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) && answered.len() < 15,
            "{answered:?}"
        );
        assert!(asked.into_inner() < 15);
        for answer in answers.into_iter().filter_map(Result::err) {
            assert!(matches!(answer, Failure::Adapter(error) if error.to_string() == "gone"));
        }
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
