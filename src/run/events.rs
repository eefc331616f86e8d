//! What the runner tells while it works; reporters consume it, the runner knows none of them.

use super::Outcome;

/// Something that happened in a run.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// An adapter is ready and about to answer what is left.
    AdapterStarted { id: &'a str, questions: usize, already_answered: usize },
    /// So many more questions are answered and recorded.
    Answered { questions: usize },
    /// Every question has its row.
    AdapterFinished { id: &'a str, outcome: &'a Outcome },
}
