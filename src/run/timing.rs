//! A few questions asked for their time alone.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::plan::{AnsweredIds, batches};
use crate::adapter::Adapter;
use crate::run::store::Predictions;
use chartbench_core::question::QuestionSource;

/// The time that answers took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Questions that were asked.
    pub questions: usize,
    /// Wall time of the call.
    pub spent: Duration,
}

impl Timing {
    /// The time that `questions` take at this rate.
    pub fn for_questions(&self, questions: usize) -> Duration {
        Duration::try_from_secs_f64(
            self.spent.as_secs_f64() / self.questions.max(1) as f64 * questions as f64,
        )
        .unwrap_or(Duration::MAX)
    }
}

/// Asks the first questions of `source` that `stored` does not answer, at most `batch` in one call,
/// and keeps no answer. `None` where every question is answered.
///
/// # Errors
/// Returns an error if questions or answers cannot be read, or if a question fails.
pub fn time_questions(
    adapter: &mut dyn Adapter,
    source: &dyn QuestionSource,
    stored: Predictions,
    batch: usize,
) -> Result<Option<Timing>> {
    let mut answered = AnsweredIds::default();
    for chunk in stored {
        chunk?.into_iter().for_each(|record| answered.add(record));
    }
    let Some(charts) = batches(source, answered, batch)?.next().transpose()? else {
        return Ok(None);
    };
    let (mut questions, mut failed) = (0, None);
    let started = Instant::now();
    adapter.answer(&charts, &mut |_, answer| match answer {
        Ok(_) => questions += 1,
        Err(error) => failed = failed.take().or(Some(error)),
    })?;
    let spent = started.elapsed();
    match failed {
        Some(error) => bail!(error.context("a question that was asked for its time failed")),
        None => Ok(Some(Timing { questions, spent })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_grows_with_the_questions() {
        let timing = Timing {
            questions: 4,
            spent: Duration::from_secs(2),
        };
        assert_eq!(timing.for_questions(10), Duration::from_secs(5));
        assert_eq!(timing.for_questions(0), Duration::ZERO);
    }
}
