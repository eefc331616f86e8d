//! The rate limit of an endpoint.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::endpoint::LONGEST_WAIT;

/// Spaces requests evenly, up to a number of requests and tokens per minute. Tokens are known only
/// after a reply: requests wait until the tokens of earlier replies are paid off at the allowed
/// rate. Requests in flight at the same time can run ahead.
#[derive(Debug)]
pub(super) struct RateLimiter {
    /// Between two requests.
    request: Duration,
    /// For one token.
    token: Duration,
    /// When the next request may begin.
    next: Mutex<Instant>,
    /// When all tokens spent are paid off.
    paid: Mutex<Instant>,
}

impl RateLimiter {
    /// `None` means no limit.
    pub(super) fn new(
        requests_per_minute: Option<usize>,
        tokens_per_minute: Option<usize>,
    ) -> Self {
        let interval = |number: Option<usize>| {
            number.map_or(Duration::ZERO, |number| {
                Duration::from_secs_f64(60.0 / number.max(1) as f64)
            })
        };
        let now = Instant::now();
        let (request, token) = (interval(requests_per_minute), interval(tokens_per_minute));
        Self {
            request,
            token,
            next: Mutex::new(now),
            paid: Mutex::new(now),
        }
    }

    /// Reserves the slot of the next request; returns how long to wait for it.
    pub(super) fn reserve(&self) -> Duration {
        let now = Instant::now();
        let paid = *self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = now.max(*next).max(paid);
        *next = turn + self.request;
        turn - now
    }

    /// Records the tokens of a reply.
    pub(super) fn record_tokens(&self, tokens: u64) {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        // A server that counts wrongly must not stop the run for years.
        *paid = Instant::now().max(*paid) + self.token.saturating_mul(tokens).min(LONGEST_WAIT);
    }

    /// Pauses all requests for a while, as the server asked. Returns whether the pause is new:
    /// requests in flight at the same time receive the same one.
    pub(super) fn pause(&self, time: Duration) -> bool {
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
        let rate_limiter = RateLimiter::new(Some(60), None);
        let waits: Vec<f64> = (0..4)
            .map(|_| rate_limiter.reserve().as_secs_f64())
            .collect();
        for (index, wait) in waits.into_iter().enumerate() {
            assert!((wait - index as f64).abs() < 0.2, "{index}: {wait}");
        }
    }

    #[test]
    fn tokens_are_paid_off_before_the_next_request() {
        let rate_limiter = RateLimiter::new(None, Some(6000));
        assert!(rate_limiter.reserve() < Duration::from_millis(10));
        rate_limiter.record_tokens(1000);
        let wait = rate_limiter.reserve().as_secs_f64();
        assert!((9.5..=10.0).contains(&wait), "{wait}");
    }

    #[test]
    fn without_limits_nothing_waits_until_the_server_asks() {
        let rate_limiter = RateLimiter::new(None, None);
        rate_limiter.record_tokens(1_000_000);
        assert_eq!(rate_limiter.reserve(), Duration::ZERO);
        assert!(rate_limiter.pause(Duration::from_secs(5)));
        assert!(
            !rate_limiter.pause(Duration::from_secs(5)),
            "the same wait is no news"
        );
        assert!(rate_limiter.reserve() > Duration::from_secs(4));
    }

    #[test]
    fn a_count_out_of_all_proportion_is_not_waited_for() {
        let rate_limiter = RateLimiter::new(None, Some(1));
        rate_limiter.record_tokens(u64::MAX);
        assert!(rate_limiter.reserve() <= LONGEST_WAIT);
    }
}
