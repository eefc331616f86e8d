//! The turns of a question: the requests that its answer takes, by number.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The requests of one question, counted as they are made. The same question makes the same requests
/// in the same order, so that a reply which came with a batch is known by owner and number.
pub(super) struct Turns {
    owner: String,
    next: AtomicUsize,
}

/// One request of a question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Turn {
    pub owner: String,
    pub number: usize,
}

impl Turns {
    /// The turns of a question or prompt of which `done` were made before.
    pub(super) fn new(owner: String, done: usize) -> Self {
        Self {
            owner,
            next: AtomicUsize::new(done),
        }
    }

    /// Counts the next turn.
    pub(super) fn next(&self) -> Turn {
        Turn {
            owner: self.owner.clone(),
            number: self.next.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// The question's or prompt's name.
    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    /// How many turns there were.
    pub(super) fn count(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }
}
