//! What the requests of a run may cost together.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Usage;

/// Picodollars of a dollar: prices of a token are whole numbers of them, and sums are exact.
const PICO: f64 = 1e12;
/// Largest budget in dollars.
pub const MAX_USD: f64 = 1e6;
/// How often a request that waits for others looks at whether it is to give up.
const CHECK_EVERY: Duration = Duration::from_millis(100);

/// A sum of money that requests share. Before a request goes out it reserves the most that it may
/// cost; what it did cost is settled afterwards. Clones share the sum.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    limit: u64,
    state: Mutex<State>,
    settled: Condvar,
}

/// Sums in picodollars.
#[derive(Clone, Copy, Default)]
struct State {
    spent: u64,
    reserved: u64,
    under_way: usize,
    /// Most tokens of a stored answer's prompt.
    longest_prompt: u64,
}

/// What a request may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    /// In picodollars.
    pub cost: u64,
    /// Whether it is no more than a guess: the request then waits for all others.
    pub alone: bool,
}

/// Why a request gets no money.
#[derive(Debug)]
pub(super) enum NotReserved<E> {
    /// It may cost more than is left.
    Spent(String),
    /// It gave up waiting for the requests under way.
    GivenUp(E),
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Budget").field(&self.0.limit).finish()
    }
}

/// A sum of dollars in picodollars.
pub(super) fn picodollars(usd: f64) -> u64 {
    // A cast saturates, and NaN is 0.
    (usd * PICO).round() as u64
}

fn dollars(picodollars: u64) -> f64 {
    picodollars as f64 / PICO
}

impl Budget {
    /// A budget of so many US dollars.
    pub fn new(usd: f64) -> Self {
        Self(Arc::new(Shared {
            limit: picodollars(usd),
            state: Mutex::default(),
            settled: Condvar::new(),
        }))
    }

    /// Counts what a stored answer has cost.
    pub fn add_stored(&self, usage: &Usage) {
        let mut state = self.lock();
        let cost = picodollars(usage.cost_usd.unwrap_or_default());
        state.spent = state.spent.saturating_add(cost);
        state.longest_prompt = state.longest_prompt.max(usage.prompt_tokens);
    }

    /// Most tokens of a stored answer's prompt: 0 where there is none.
    pub(super) fn longest_prompt(&self) -> u64 {
        self.lock().longest_prompt
    }

    /// Reserves what a request may cost. Where that is more than is left, it waits for the requests
    /// under way, which may cost less than they have reserved, and estimates anew after each.
    ///
    /// # Errors
    /// Returns an error if nothing under way can make room, or what `check` returns.
    pub(super) fn reserve<E>(
        &self,
        estimate: impl Fn() -> Estimate,
        check: impl Fn() -> Result<(), E>,
    ) -> Result<Reservation, NotReserved<E>> {
        let mut state = self.lock();
        loop {
            check().map_err(NotReserved::GivenUp)?;
            let Estimate { cost, alone } = estimate();
            let sum = state
                .spent
                .saturating_add(state.reserved)
                .saturating_add(cost);
            if sum <= self.0.limit && !(alone && state.under_way > 0) {
                state.reserved = state.reserved.saturating_add(cost);
                state.under_way += 1;
                let budget = self.clone();
                return Ok(Reservation { budget, cost });
            }
            if state.under_way == 0 {
                return Err(NotReserved::Spent(format!(
                    "the run has cost ${} of the ${} of --max-cost, and the next request may cost ${}",
                    dollars(state.spent),
                    dollars(self.0.limit),
                    dollars(cost)
                )));
            }
            state = self
                .0
                .settled
                .wait_timeout(state, CHECK_EVERY)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Money for one request; it is free again when this is dropped.
#[must_use]
pub(super) struct Reservation {
    budget: Budget,
    cost: u64,
}

impl Reservation {
    /// Spends what the request cost, in picodollars; all that was reserved where that is unknown.
    pub(super) fn settle(self, cost: Option<u64>) {
        let mut state = self.budget.lock();
        state.spent = state.spent.saturating_add(cost.unwrap_or(self.cost));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.budget.lock();
        state.reserved = state.reserved.saturating_sub(self.cost);
        state.under_way = state.under_way.saturating_sub(1);
        drop(state);
        self.budget.0.settled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn together(cost: u64) -> Estimate {
        Estimate { cost, alone: false }
    }

    fn reserve(budget: &Budget, usd: f64) -> Result<Reservation, NotReserved<()>> {
        budget.reserve(|| together(picodollars(usd)), || Ok(()))
    }

    #[test]
    fn a_budget_is_met_exactly_and_not_passed() {
        let budget = Budget::new(0.3);
        budget.add_stored(&Usage {
            prompt_tokens: 70,
            completion_tokens: 1,
            cost_usd: Some(0.1),
        });
        assert_eq!(budget.longest_prompt(), 70);
        for _ in 0..2 {
            reserve(&budget, 0.1)
                .unwrap()
                .settle(Some(picodollars(0.1)));
        }
        let Err(NotReserved::Spent(reason)) = reserve(&budget, 1e-12) else {
            panic!("more than there is");
        };
        assert_eq!(
            reason,
            "the run has cost $0.3 of the $0.3 of --max-cost, and the next request may cost $0.000000000001"
        );
    }

    #[test]
    fn what_is_dropped_is_free_again_and_an_unknown_cost_is_all_of_it() {
        let budget = Budget::new(1.0);
        drop(reserve(&budget, 1.0).unwrap());
        reserve(&budget, 0.5).unwrap().settle(None);
        assert!(reserve(&budget, 0.6).is_err());
        drop(reserve(&budget, 0.5).unwrap());
    }

    #[test]
    fn a_request_waits_for_what_others_leave_over() {
        let budget = Budget::new(1.0);
        let first = reserve(&budget, 1.0).unwrap();
        let gives_up = budget.reserve(|| together(1), || Err("stop"));
        assert!(matches!(gives_up, Err(NotReserved::GivenUp("stop"))));
        std::thread::scope(|scope| {
            let second = scope.spawn(|| reserve(&budget, 0.5).map(|second| second.settle(None)));
            std::thread::sleep(Duration::from_millis(20));
            first.settle(Some(picodollars(0.5)));
            assert!(second.join().unwrap().is_ok());
        });
        assert!(reserve(&budget, 0.1).is_err());
    }

    #[test]
    fn a_request_that_goes_alone_waits_for_all_others_and_estimates_anew() {
        let budget = Budget::new(1.0);
        let first = reserve(&budget, 0.1).unwrap();
        let is_known = AtomicBool::new(false);
        let estimate = || match is_known.load(Ordering::SeqCst) {
            false => Estimate {
                cost: 1,
                alone: true,
            },
            true => together(picodollars(0.95)),
        };
        std::thread::scope(|scope| {
            let second = scope.spawn(|| budget.reserve(estimate, || Ok::<(), ()>(())).map(drop));
            std::thread::sleep(Duration::from_millis(20));
            is_known.store(true, Ordering::SeqCst);
            first.settle(None);
            let refused = second.join().unwrap();
            assert!(matches!(refused, Err(NotReserved::Spent(_))), "{refused:?}");
        });
        let alone = Estimate {
            cost: 1,
            alone: true,
        };
        drop(budget.reserve(|| alone, || Ok::<(), ()>(())).unwrap());
    }
}
