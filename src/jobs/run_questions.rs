//! Which questions a run asks: the benchmark's, as the request draws and limits them.

use anyhow::Result;

use super::run::RunRequest;
use crate::config::Benchmark;
use crate::run::store::BenchmarkEntry;
use chartbench_core::question::QuestionSetSummary;
use chartbench_data::{QuestionSetSpec, QuestionStream, Questions, Split};

/// Puts the request's number of questions a chart and its seed in the place of the benchmark's; a
/// pinned hash is then no longer that of the questions asked.
pub(super) fn choose_questions(request: &RunRequest, spec: &mut QuestionSetSpec) {
    let (count, seed) = match spec.questions {
        Questions::All => (None, 0),
        Questions::PerChart { count, seed } => (Some(count), seed),
    };
    if let Some(count) = request.questions_per_chart.or(count) {
        let chosen = Questions::PerChart {
            count,
            seed: request.seed.unwrap_or(seed),
        };
        if chosen != spec.questions {
            spec.questions = chosen;
            spec.hash = None;
        }
    }
}

/// The fixed question set of this run, with the manifest's entry about it.
pub(super) fn questions(
    request: &RunRequest,
    benchmark: &Benchmark,
) -> Result<(QuestionStream, QuestionSetSummary, BenchmarkEntry)> {
    let mut asked = QuestionStream::open(
        &benchmark.data,
        request.benchmark.data.as_deref(),
        Split::Test,
    )?;
    if let Some(limit) = request.limit {
        asked = asked.limit(limit);
    }
    let survey = asked.summarize()?;
    let (questions_per_chart, seed) = match benchmark.data.questions {
        Questions::All => ("all".to_owned(), 0),
        Questions::PerChart { count, seed } => (count.to_string(), seed),
    };
    let entry = BenchmarkEntry {
        name: benchmark.data.name.clone(),
        title: benchmark.title.clone(),
        split: Split::Test.to_string(),
        charts: survey.charts,
        questions: survey.questions,
        questions_per_chart,
        seed,
        limit: request.limit.unwrap_or(0),
        hash: survey.hash.clone(),
    };
    Ok((asked, survey, entry))
}
