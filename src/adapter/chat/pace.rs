//! How fast an endpoint may be asked.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::endpoint::LONGEST_WAIT;

/// Spaces requests evenly: never more than so many a minute. Tokens are known only when they are spent, so that requests
/// wait until those spent before are paid off at the allowed rate; the requests under way at the same time can run ahead.
#[derive(Debug)]
pub(super) struct Pace {
    /// Between two requests.
    request: Duration,
    /// For one token.
    token: Duration,
    /// When the next request may begin.
    next: Mutex<Instant>,
    /// When all tokens spent are paid off.
    paid: Mutex<Instant>,
}

impl Pace {
    /// Without a number there is no limit.
    pub(super) fn new(requests_per_minute: Option<usize>, tokens_per_minute: Option<usize>) -> Self {
        let each = |number: Option<usize>| {
            number.map_or(Duration::ZERO, |number| Duration::from_secs_f64(60.0 / number.max(1) as f64))
        };
        let now = Instant::now();
        let (request, token) = (each(requests_per_minute), each(tokens_per_minute));
        Self { request, token, next: Mutex::new(now), paid: Mutex::new(now) }
    }

    /// Takes the next request's turn: how long to wait for it.
    pub(super) fn turn(&self) -> Duration {
        let now = Instant::now();
        let paid = *self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = now.max(*next).max(paid);
        *next = turn + self.request;
        turn - now
    }

    /// Counts what a request took.
    pub(super) fn spent(&self, tokens: u64) {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        // A server that counts wrongly must not stop the run for years.
        *paid = Instant::now().max(*paid) + self.token.saturating_mul(tokens).min(LONGEST_WAIT);
    }

    /// Lets no request begin for a while: the server asked for it. Whether that is news: requests under way at the same time
    /// are asked for the same wait.
    pub(super) fn hold(&self, time: Duration) -> bool {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, now) = (*next, Instant::now());
        *next = before.max(now + time);
        before <= now + time / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_a_minutes_share_apart() {
        let pace = Pace::new(Some(60), None);
        let waits: Vec<f64> = (0..4).map(|_| pace.turn().as_secs_f64()).collect();
        for (index, wait) in waits.into_iter().enumerate() {
            assert!((wait - index as f64).abs() < 0.2, "{index}: {wait}");
        }
    }

    #[test]
    fn tokens_are_paid_off_before_the_next_request() {
        let pace = Pace::new(None, Some(6000));
        assert!(pace.turn() < Duration::from_millis(10));
        pace.spent(1000);
        let wait = pace.turn().as_secs_f64();
        assert!((9.5..=10.0).contains(&wait), "{wait}");
    }

    #[test]
    fn without_limits_nothing_waits_until_the_server_asks() {
        let pace = Pace::new(None, None);
        pace.spent(1_000_000);
        assert_eq!(pace.turn(), Duration::ZERO);
        assert!(pace.hold(Duration::from_secs(5)));
        assert!(!pace.hold(Duration::from_secs(5)), "the same wait is no news");
        assert!(pace.turn() > Duration::from_secs(4));
    }

    #[test]
    fn a_count_out_of_all_proportion_is_not_waited_for() {
        let pace = Pace::new(None, Some(1));
        pace.spent(u64::MAX);
        assert!(pace.turn() <= LONGEST_WAIT);
    }
}
