//! Single questions of a stored run: by default those that an adapter got wrong, each with the rule
//! that decided.

mod filter;
mod render;

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;

pub use self::filter::{AnswerKind, QuestionFilter, SliceCondition};
pub use self::render::ListFormat;
use super::SliceBy;
use super::matrix::score_name;
use super::scored::{counterparts, pair};
use super::verdict::Verdict;
use crate::run::store::{PredictionRecord, StoredRun};
use chartbench_core::question::Gold;
use chartbench_score::metric::{Convention, Metric, Pair, Scores, Step, StepTrace};

/// The questions of a run that pass a filter, adapter by adapter.
pub struct FailureList {
    run: String,
    convention: &'static Convention,
    /// The convention's first metric, which decides.
    metric: Metric,
    filter: QuestionFilter,
    adapters: Vec<AdapterQuestions>,
}

/// The questions of one adapter.
#[derive(Default)]
struct AdapterQuestions {
    adapter: String,
    /// `RUN/ADAPTER`, with the adapter's remark.
    label: String,
    /// Questions that pass the conditions on slices and text.
    matching: usize,
    /// Those of them that pass the whole filter, whatever its limit.
    found: usize,
    /// Those of `found` that failed, have no answer yet, or are right but for notation.
    failed: usize,
    unanswered: usize,
    but_for_notation: usize,
    /// Matching questions that the convention has no rule for.
    unscored: usize,
    /// Questions that no adapter of the run has answered yet, of which nothing is stored.
    unknown: usize,
    questions: Vec<ListedQuestion>,
}

/// One question with its answer and the rule that decided.
struct ListedQuestion {
    id: String,
    chart: String,
    question: String,
    gold: Gold,
    prediction: Option<String>,
    error: Option<String>,
    /// `None` where the adapter has not answered yet.
    verdict: Option<Verdict>,
    scores: Option<Scores>,
    /// The last step of the convention's first metric.
    rule: Option<Step>,
    /// The rule by which a wrong answer is right but for notation.
    lenient_rule: Option<&'static str>,
    /// The question's properties, by name.
    slices: Vec<(String, String)>,
}

impl FailureList {
    /// Selects questions of every adapter of `run`, or of the one that is named.
    ///
    /// # Errors
    /// Returns an error if the run does not have the adapter or has no answers, or if no question
    /// has a property or value of the filter.
    pub fn new(
        run: &StoredRun,
        adapter: Option<&str>,
        convention: &'static Convention,
        filter: QuestionFilter,
    ) -> Result<Self> {
        let manifest = &run.manifest;
        let scorer = Scorer::new(convention)?;
        let mut seen = HashSet::new();
        let known: Vec<&PredictionRecord> = run
            .records()
            .filter(|record| seen.insert(record.id.as_str()))
            .collect();
        ensure!(
            !known.is_empty(),
            "no answers in {}: finish the run first",
            manifest.name
        );
        ensure!(
            adapter.is_none_or(|adapter| run.predictions.iter().any(|(name, _)| name == adapter)),
            "{} has no {}: it has {}",
            manifest.name,
            adapter.unwrap_or_default(),
            names(run)
        );
        filter.check(run.records())?;
        let unknown = manifest.benchmark.questions.saturating_sub(known.len());
        let chosen = run
            .predictions
            .iter()
            .filter(|(name, _)| adapter.is_none_or(|adapter| adapter == name));
        let adapters = chosen
            .map(|(name, records)| {
                let label = manifest.remarked(name, &format!("{}/{name}", manifest.name));
                let mut questions = AdapterQuestions {
                    adapter: name.clone(),
                    label,
                    unknown,
                    ..AdapterQuestions::default()
                };
                questions.add_answered(records, &scorer, &filter);
                questions.add_unanswered(records, &known, &filter);
                questions
            })
            .collect();
        Ok(Self {
            run: manifest.name.clone(),
            convention,
            metric: scorer.metric,
            filter,
            adapters,
        })
    }

    /// The ids of the listed questions of all adapters.
    pub fn ids(&self) -> HashSet<String> {
        let questions = self.adapters.iter().flat_map(|adapter| &adapter.questions);
        questions.map(|question| question.id.clone()).collect()
    }

    /// A line for each adapter: how many questions were found, and how many are listed.
    pub fn summaries(&self) -> Vec<String> {
        let summary = |adapter| self.summary(adapter);
        self.adapters.iter().map(summary).collect()
    }

    fn summary(&self, adapter: &AdapterQuestions) -> String {
        let mut line = format!(
            "{}: {} of {} questions{} are {} under {}",
            adapter.label,
            adapter.found,
            adapter.matching,
            self.filter.describe(),
            self.filter.kind.describe(),
            score_name(self.convention, self.metric)
        );
        if self.filter.kind == AnswerKind::Wrong {
            let counts = [
                (adapter.failed, "failed"),
                (adapter.unanswered, "not answered yet"),
                (adapter.but_for_notation, "right but for notation"),
            ];
            let counts: Vec<String> = counts
                .into_iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, kind)| format!("{count} {kind}"))
                .collect();
            if !counts.is_empty() {
                line += &format!(", of these {}", counts.join(", "));
            }
        }
        if adapter.unscored > 0 {
            line += &format!("; {} have no score under it", adapter.unscored);
        }
        if adapter.unknown > 0 {
            line += &format!("; {} more have no answer in the run yet", adapter.unknown);
        }
        if adapter.questions.len() < adapter.found {
            line += &format!(
                "; the first {} are listed, --limit 0 lists all",
                adapter.questions.len()
            );
        }
        line
    }
}

fn names(run: &StoredRun) -> String {
    let names = run.predictions.iter().map(|(name, _)| name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

impl AdapterQuestions {
    /// Adds the questions that the adapter has a row for.
    fn add_answered(
        &mut self,
        records: &[PredictionRecord],
        scorer: &Scorer,
        filter: &QuestionFilter,
    ) {
        let counterparts = counterparts(records);
        let judged: Vec<Option<(Verdict, bool)>> = records
            .par_iter()
            .map(|record| {
                let answer = record.prediction.as_ref().map(|text| text.0.as_str());
                filter
                    .matches(record, answer)
                    .then(|| scorer.verdict(record, &pair(record, &counterparts)))
            })
            .collect();
        for (record, judged) in records.iter().zip(judged) {
            let Some((verdict, but_for_notation)) = judged else {
                continue;
            };
            self.matching += 1;
            self.unscored += usize::from(verdict == Verdict::Unscored);
            if !filter.kind.includes(verdict, but_for_notation) {
                continue;
            }
            self.failed += usize::from(verdict == Verdict::Failed);
            self.but_for_notation += usize::from(but_for_notation);
            self.add(filter, || {
                let pair = pair(record, &counterparts);
                scorer.explain(record, &pair, verdict, but_for_notation)
            });
        }
    }

    /// Adds the questions that only other adapters of the run have a row for.
    fn add_unanswered(
        &mut self,
        records: &[PredictionRecord],
        known: &[&PredictionRecord],
        filter: &QuestionFilter,
    ) {
        if records.len() == known.len() {
            return;
        }
        let own: HashSet<&str> = records.iter().map(|record| record.id.as_str()).collect();
        for record in known {
            if own.contains(record.id.as_str()) || !filter.matches(record, None) {
                continue;
            }
            self.matching += 1;
            if filter.kind == AnswerKind::Wrong {
                self.unanswered += 1;
                self.add(filter, || ListedQuestion::unanswered(record));
            }
        }
    }

    /// Counts one more found question, and lists it if the limit allows.
    fn add(&mut self, filter: &QuestionFilter, question: impl FnOnce() -> ListedQuestion) {
        self.found += 1;
        if filter
            .limit
            .is_none_or(|limit| self.questions.len() < limit)
        {
            self.questions.push(question());
        }
    }
}

impl ListedQuestion {
    /// A question without the answer in `record`, which may be another adapter's.
    fn unanswered(record: &PredictionRecord) -> Self {
        let slices_by = SliceBy::recorded(std::iter::once(record));
        let slices = slices_by
            .into_iter()
            .chain([SliceBy::Template])
            .filter_map(|slice_by| Some((slice_by.to_string(), slice_by.value(record)?)));
        Self {
            id: record.id.clone(),
            chart: record.chart.clone(),
            question: record.question.clone(),
            gold: record.gold.clone(),
            prediction: None,
            error: None,
            verdict: None,
            scores: None,
            rule: None,
            lenient_rule: None,
            slices: slices.collect(),
        }
    }
}

/// Scores answers by the convention's first metric, and by the lenient accuracy of `chartbench`.
struct Scorer {
    convention: &'static Convention,
    metric: Metric,
    lenient: &'static Convention,
}

impl Scorer {
    fn new(convention: &'static Convention) -> Result<Self> {
        let metric = convention.metrics.first().copied();
        Ok(Self {
            convention,
            metric: metric.with_context(|| format!("{} has no metric", convention.name))?,
            lenient: Convention::by_name("chartbench")?,
        })
    }

    /// The verdict, and whether the answer is right but for notation.
    fn verdict(&self, record: &PredictionRecord, pair: &Pair<'_>) -> (Verdict, bool) {
        let score = |convention: &Convention, metric| convention.score(pair).get(metric).counted();
        let verdict = Verdict::new(record, score(self.convention, self.metric));
        let but_for_notation = matches!(verdict, Verdict::Wrong | Verdict::Partly)
            && score(self.lenient, Metric::Lenient).is_some_and(|score| score >= 1.0);
        (verdict, but_for_notation)
    }

    fn explain(
        &self,
        record: &PredictionRecord,
        pair: &Pair<'_>,
        verdict: Verdict,
        but_for_notation: bool,
    ) -> ListedQuestion {
        let mut steps = StepTrace::default();
        let scores = self.convention.explain(pair, &mut steps);
        let lenient_rule = but_for_notation.then(|| {
            let mut steps = StepTrace::rules_only();
            self.lenient.explain(pair, &mut steps);
            steps.deciding(Metric::Lenient).map(|step| step.rule)
        });
        ListedQuestion {
            prediction: record.prediction.as_ref().map(|text| text.0.clone()),
            error: record.failure().map(str::to_owned),
            verdict: Some(verdict),
            scores: Some(scores),
            rule: steps.deciding(self.metric).cloned(),
            lenient_rule: lenient_rule.flatten(),
            ..ListedQuestion::unanswered(record)
        }
    }
}
