//! What an adapter or a language model reports in one call, in the order of the questions.

use chartbench::adapter::language_model::{Completion, LanguageModel, Sampling};
use chartbench::adapter::{Adapter, Answer, questions};
use chartbench_core::question::ChartQuestions;

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Unanswered {
    /// It failed.
    Failed(String),
    /// The call ended before it, for this reason.
    Stopped(String),
}

type Slots<T> = Vec<Option<Result<T, Unanswered>>>;

fn report<T>(slots: &mut Slots<T>, index: usize, result: anyhow::Result<T>) {
    let slot = slots.get_mut(index).expect("a question of the call");
    assert!(slot.is_none(), "question {index} is reported twice");
    *slot = Some(result.map_err(|error| Unanswered::Failed(format!("{error:#}"))));
}

fn finished<T>(slots: Slots<T>, ended: anyhow::Result<()>) -> Vec<Result<T, Unanswered>> {
    let missing = || match &ended {
        Ok(()) => panic!("a question is not reported"),
        Err(reason) => Err(Unanswered::Stopped(format!("{reason:#}"))),
    };
    slots
        .into_iter()
        .map(|slot| slot.unwrap_or_else(missing))
        .collect()
}

/// Asks an adapter everything about `charts` in one call.
pub(crate) fn ask(
    adapter: &mut dyn Adapter,
    charts: &[ChartQuestions],
) -> Vec<Result<Answer, Unanswered>> {
    let mut slots: Slots<Answer> = questions(charts).map(|_| None).collect();
    let ended = adapter.answer(charts, &mut |index, answer| {
        report(&mut slots, index, answer);
    });
    finished(slots, ended)
}

/// The answers to questions of which none fails.
pub(crate) fn answers(adapter: &mut dyn Adapter, charts: &[ChartQuestions]) -> Vec<Answer> {
    ask(adapter, charts)
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

/// Has a language model complete prompts in one call.
pub(crate) fn complete(
    model: &mut dyn LanguageModel,
    prompts: &[String],
    sampling: &Sampling,
) -> Vec<Result<Vec<Completion>, Unanswered>> {
    let mut slots: Slots<Vec<Completion>> = prompts.iter().map(|_| None).collect();
    let ended = model.complete(prompts, sampling, &mut |index, completions| {
        report(&mut slots, index, completions);
    });
    finished(slots, ended)
}
