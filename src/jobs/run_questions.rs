//! Which questions a run asks: the benchmark's, as the request draws and limits them.

use std::path::Path;

use anyhow::Result;

use super::benchmark::{benchmark_entry, limited};
use super::run::{RunRequest, ShardPart};
use crate::config::Benchmark;
use crate::run::store::{BenchmarkEntry, LimitRule, Manifest, OLDEST_FORMAT};
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

/// The fixed question set of a run.
pub(super) struct ChosenQuestions {
    pub(super) asked: QuestionStream,
    pub(super) summary: QuestionSetSummary,
    /// The request's shard of them.
    pub(super) part: Option<ShardPart>,
    /// The manifest's entry about them.
    pub(super) entry: BenchmarkEntry,
    /// The questions of the stored run, where these are more of the same draw.
    pub(super) grows_from: Option<BenchmarkEntry>,
}

impl ChosenQuestions {
    /// The questions of the data set at `data` that `request` asks, by the rules of the run that is
    /// `stored` already.
    ///
    /// # Errors
    /// Returns an error if the questions cannot be read.
    pub(super) fn new(
        request: &RunRequest,
        benchmark: &Benchmark,
        data: Option<&Path>,
        stored: Option<&Manifest>,
    ) -> Result<Self> {
        let rule = stored
            .is_none_or(|stored| stored.format > OLDEST_FORMAT)
            .then_some(LimitRule::Even);
        let draw = Draw {
            request,
            benchmark,
            data,
            rule: rule.filter(|_| request.limit.is_some()),
        };
        let asked = draw.open(request.limit)?;
        let mut part = request.shard.map(ShardPart::new);
        let summary = asked.summarize_with(&mut |charts| {
            if let Some(part) = &mut part {
                part.count(charts);
            }
        })?;
        let entry = draw.entry(&summary);
        let grows_from = match stored {
            Some(stored) if draw.contains(&entry, &stored.benchmark)? => {
                Some(stored.benchmark.clone())
            }
            _ => None,
        };
        Ok(Self {
            asked,
            summary,
            part,
            entry,
            grows_from,
        })
    }
}

/// How the questions of a run are drawn.
struct Draw<'a> {
    request: &'a RunRequest,
    benchmark: &'a Benchmark,
    data: Option<&'a Path>,
    /// Absent without a limit, and in runs of format 1.
    rule: Option<LimitRule>,
}

impl Draw<'_> {
    /// The seed of the draws.
    fn seed(&self) -> u64 {
        match self.benchmark.data.questions {
            Questions::PerChart { seed, .. } => seed,
            Questions::All => self.rule.and(self.request.seed).unwrap_or_default(),
        }
    }

    fn open(&self, limit: Option<usize>) -> Result<QuestionStream> {
        let all = QuestionStream::open(&self.benchmark.data, self.data, Split::Test)?;
        limited(all, limit, self.rule, self.seed())
    }

    fn entry(&self, summary: &QuestionSetSummary) -> BenchmarkEntry {
        let counts = (summary.charts, summary.questions);
        BenchmarkEntry {
            seed: self.seed(),
            limit: self.request.limit.unwrap_or(0),
            limit_rule: self.rule,
            ..benchmark_entry(self.benchmark, counts, summary.hash.clone())
        }
    }

    /// Whether the questions of `now` hold those of a stored run with a smaller limit: both are of
    /// one draw, and the stored hash is that of the smaller draw.
    fn contains(&self, now: &BenchmarkEntry, stored: &BenchmarkEntry) -> Result<bool> {
        let grows = now.limit == 0 || stored.limit < now.limit;
        let Some(rule) = stored.limit_rule.filter(|_| grows && stored.limit > 0) else {
            return Ok(false);
        };
        // Without a limit all questions are asked, whatever the seed of a limit was.
        let all = now.limit == 0 && self.benchmark.data.questions == Questions::All;
        let smaller = BenchmarkEntry {
            charts: stored.charts,
            questions: stored.questions,
            seed: if all { stored.seed } else { now.seed },
            limit: stored.limit,
            limit_rule: stored.limit_rule,
            hash: stored.hash.clone(),
            ..now.clone()
        };
        if smaller != *stored {
            return Ok(false);
        }
        let request = RunRequest {
            seed: Some(stored.seed),
            ..self.request.clone()
        };
        let draw = Draw {
            request: &request,
            benchmark: self.benchmark,
            data: self.data,
            rule: Some(rule),
        };
        let summary = draw.open(Some(stored.limit))?.summarize()?;
        Ok(summary.hash == stored.hash)
    }
}
