//! Events of a run: the loop emits them, reporters consume them.

use super::Outcome;

/// The events of a run.
#[derive(Clone, Copy, Debug)]
pub enum RunEvent<'a> {
    /// The first adapter is loaded, and these questions are about to be asked.
    QuestionsChosen { description: &'a str },
    /// The adapter cannot tell what memory it takes: a limit on memory does not change its batches.
    MemoryUnknown { id: &'a str },
    /// An adapter is ready to answer the questions that are left.
    AdapterStarted {
        id: &'a str,
        questions: usize,
        already_answered: usize,
    },
    /// `questions` more questions are answered and recorded.
    Answered { questions: usize },
    /// Every question has its row.
    AdapterFinished { id: &'a str, outcome: &'a Outcome },
}
