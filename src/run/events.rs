//! What happens in a run; reporters consume it, the runner knows none of them.

use super::Outcome;

/// Something that happened in a run.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The first adapter is loaded, and these questions are about to be asked.
    QuestionsChosen { description: &'a str },
    /// The adapter cannot tell what memory it takes: a limit on memory does not change its batches.
    MemoryUnknown { id: &'a str },
    /// An adapter is ready and about to answer what is left.
    AdapterStarted { id: &'a str, questions: usize, already_answered: usize },
    /// This many more questions are answered and recorded.
    Answered { questions: usize },
    /// Every question has its row.
    AdapterFinished { id: &'a str, outcome: &'a Outcome },
}
