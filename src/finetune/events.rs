//! What happens in a training, as its caller sees it.

use super::log::{StepEntry, ValidationEntry};
use super::prefetch::SkippedQuestion;

/// The events of a training.
#[derive(Clone, Debug)]
pub enum TrainEvent<'a> {
    /// It starts, or resumes after `done` steps.
    Started {
        /// Steps finished by earlier starts; 0 for a new training.
        done: u64,
        /// Steps of the whole training, `done` included.
        steps: u64,
    },
    /// A step ended; it is reported before its line is in the log.
    Step(&'a StepEntry),
    /// A question is skipped.
    Skipped(&'a SkippedQuestion),
    /// A validation question cannot be answered or learned from; each is reported once.
    ValidationFailed(&'a SkippedQuestion),
    /// Number of labels cut in a step.
    Cut(usize),
    /// A validation ended; it is reported before its line is in the log.
    Validated(&'a ValidationEntry),
    /// Every question got the same answer.
    Collapsed {
        /// Finished steps at that validation, at least 1.
        step: u64,
    },
    /// Early stopping: no better validation within the protocol's patience.
    EndedEarly {
        /// Finished steps when the training stopped.
        step: u64,
    },
}
