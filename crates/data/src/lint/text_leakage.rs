//! Finds questions that their text alone gives away, and the accuracy of a model that never looks
//! at a chart.
//!
//! Questions of one template form a kind; without templates, questions of one text. The prior
//! answers each test question with the most frequent gold of its kind in the train split, or
//! without a train split in all other test charts. An unseen kind gets the most frequent gold of
//! all. Golds are compared up to case and white space, and ties go to the gold that sorts first. A
//! kind is a finding if the prior is right on [`MIN_SHARE`] of at least [`MIN_QUESTIONS`] test
//! questions; yes/no questions, half right by chance, are below that.

use std::borrow::Cow;
use std::collections::HashMap;

use rayon::prelude::*;
use serde::Serialize;

use super::text::{fold, fold_gold, quote};
use super::{Finding, FindingKind, SplitChart};
use chartbench_core::question::Question;
use chartbench_core::question::Split;

/// Least test questions of a kind that can be a finding.
const MIN_QUESTIONS: usize = 20;
/// Least share of right answers of a kind that is given away, in percent.
const MIN_SHARE: usize = 90;

/// The accuracy of the prior on the whole test split.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TextLeakage {
    /// The split on which the prior is fitted: `test` means the other test charts.
    pub learned_on: Split,
    /// Kinds of test questions.
    pub kinds: usize,
    /// Test questions.
    pub questions: usize,
    /// Test questions that the prior answers right.
    pub right: usize,
    /// The share of those in percent.
    pub accuracy: f64,
}

/// A kind of questions: a template, or a folded question text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum QuestionKind<'a> {
    Template(&'a str),
    Text(Cow<'a, str>),
}

impl<'a> QuestionKind<'a> {
    fn from_question(question: &'a Question) -> Self {
        match &question.template {
            Some(template) => Self::Template(template),
            None => Self::Text(Cow::Owned(fold(&question.text))),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Template(template) => format!("template {}", quote(template)),
            Self::Text(text) => format!("the question {}", quote(text)),
        }
    }
}

/// A question's kind and its folded gold.
type KindAndGold<'a> = (QuestionKind<'a>, String);

type Counts<'a> = HashMap<&'a str, usize>;

/// The golds of a kind, the most frequent first.
struct Ranking<'a>(Vec<(&'a str, usize)>);

impl<'a> Ranking<'a> {
    fn from_counts(counts: Counts<'a>) -> Self {
        let mut ranked: Vec<(&str, usize)> = counts.into_iter().collect();
        ranked.sort_unstable_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        Self(ranked)
    }

    /// The most frequent gold after `own` is subtracted.
    fn best_without(&self, own: Option<&Counts<'_>>) -> Option<&'a str> {
        let mut best: Option<(&str, usize)> = None;
        for &(gold, count) in &self.0 {
            // Golds of one count are sorted: no later gold is better.
            if best.is_some_and(|(first, most)| count < most || count == most && gold > first) {
                break;
            }
            let left = count
                - own
                    .and_then(|own| own.get(gold))
                    .copied()
                    .unwrap_or(0)
                    .min(count);
            let better =
                best.is_none_or(|(first, most)| left > most || left == most && gold < first);
            if left > 0 && better {
                best = Some((gold, left));
            }
        }
        best.map(|(gold, _)| gold)
    }
}

/// The counts of golds, by kind and in all.
#[derive(Default)]
struct GoldCounts<'a> {
    by_kind: HashMap<&'a QuestionKind<'a>, Counts<'a>>,
    all: Counts<'a>,
}

impl<'a> GoldCounts<'a> {
    fn add(&mut self, asked: &'a [KindAndGold<'a>]) {
        for (key, gold) in asked {
            *self
                .by_kind
                .entry(key)
                .or_default()
                .entry(gold)
                .or_default() += 1;
            *self.all.entry(gold).or_default() += 1;
        }
    }
}

/// The prior's answers to one kind.
struct Outcome<'a> {
    asked: usize,
    right: usize,
    example: (&'a SplitChart<'a>, &'a Question),
}

pub(super) fn check(split_charts: &[SplitChart<'_>]) -> (TextLeakage, Vec<Finding>) {
    let learned_on = split_charts
        .first()
        .map_or(Split::Test, |split_chart| split_chart.split);
    let asked: Vec<Vec<KindAndGold<'_>>> = split_charts.par_iter().map(kinds_and_golds).collect();
    let mut train_counts = GoldCounts::default();
    let pairs = || split_charts.iter().zip(&asked);
    pairs()
        .filter(|(split_chart, _)| split_chart.split == learned_on)
        .for_each(|(_, asked)| train_counts.add(asked));
    let all = Ranking::from_counts(train_counts.all);
    let rankings: HashMap<&QuestionKind<'_>, Ranking<'_>> = train_counts
        .by_kind
        .into_iter()
        .map(|(key, counts)| (key, Ranking::from_counts(counts)))
        .collect();
    let mut prior = TextLeakage {
        learned_on,
        kinds: 0,
        questions: 0,
        right: 0,
        accuracy: 0.0,
    };
    let mut outcomes: HashMap<&QuestionKind<'_>, Outcome<'_>> = HashMap::new();
    for (split_chart, asked) in pairs().filter(|(split_chart, _)| split_chart.split == Split::Test)
    {
        let mut own = GoldCounts::default();
        if learned_on == Split::Test {
            own.add(asked);
        }
        for (question, (key, gold)) in split_chart.questions.iter().zip(asked) {
            let best = rankings
                .get(key)
                .and_then(|ranking| ranking.best_without(own.by_kind.get(key)));
            let answer = best.or_else(|| all.best_without(Some(&own.all)));
            prior.questions += 1;
            prior.right += usize::from(answer == Some(gold.as_str()));
            let new = || Outcome {
                asked: 0,
                right: 0,
                example: (split_chart, question),
            };
            let outcome = outcomes.entry(key).or_insert_with(new);
            outcome.asked += 1;
            outcome.right += usize::from(best == Some(gold.as_str()));
        }
    }
    prior.kinds = outcomes.len();
    prior.accuracy = percent(prior.right, prior.questions);
    let mut given_away: Vec<_> = outcomes
        .into_iter()
        .filter(|(_, outcome)| {
            outcome.asked >= MIN_QUESTIONS && 100 * outcome.right >= MIN_SHARE * outcome.asked
        })
        .collect();
    given_away.sort_unstable_by_key(|(key, _)| *key);
    let found = |(key, outcome): (&QuestionKind<'_>, Outcome<'_>)| {
        let gold = rankings
            .get(key)
            .and_then(|ranking| ranking.best_without(None))
            .unwrap_or_default();
        finding(key, &outcome, gold, learned_on)
    };
    (prior, given_away.into_iter().map(found).collect())
}

fn kinds_and_golds<'a>(split_chart: &SplitChart<'a>) -> Vec<KindAndGold<'a>> {
    let pair = |question: &'a Question| {
        (
            QuestionKind::from_question(question),
            fold_gold(&question.gold, question.answer_type),
        )
    };
    split_chart.questions.iter().map(pair).collect()
}

fn finding(
    key: &QuestionKind<'_>,
    outcome: &Outcome<'_>,
    gold: &str,
    learned_on: Split,
) -> Finding {
    let from = match learned_on {
        Split::Train => "the train split",
        Split::Test => "the other test charts",
    };
    let message = format!(
        "{}: the most frequent gold of {from}, {}, is right for {} of {} test questions ({:.1} %)",
        key.describe(),
        quote(gold),
        outcome.right,
        outcome.asked,
        percent(outcome.right, outcome.asked)
    );
    let (split_chart, question) = outcome.example;
    Finding {
        chart: None,
        file: None,
        ..Finding::about_question(FindingKind::GivenAway, split_chart, question, message)
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        100.0 * part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::testing::TestChart;

    #[test]
    fn a_chart_does_not_give_itself_away() {
        let alone = TestChart::with_golds(&["x"; 30], "Which?");
        let (prior, findings) = check(&[alone.split_chart()]);
        assert_eq!(
            (
                prior.learned_on,
                prior.questions,
                prior.right,
                findings.len()
            ),
            (Split::Test, 30, 0, 0)
        );
        let other = TestChart::with_golds(&["X", "y"], "which?");
        let (prior, findings) = check(&[alone.split_chart(), other.split_chart()]);
        assert_eq!(
            (prior.kinds, prior.right, findings.len()),
            (1, 31, 1),
            "30 by a tie that sorts first, and `X`"
        );
    }

    #[test]
    fn twenty_questions_at_nine_in_ten_are_given_away() {
        let given_away = |golds: &[&str]| {
            let (train, test) = (
                TestChart::with_golds(&["x"], "Which?"),
                TestChart::with_golds(golds, "Which?"),
            );
            check(&[
                SplitChart {
                    split: Split::Train,
                    ..train.split_chart()
                },
                test.split_chart(),
            ])
            .1
            .len()
        };
        let mut golds = vec!["x"; 18];
        golds.extend(["y"; 2]);
        assert_eq!(given_away(&golds), 1);
        assert_eq!(given_away(&golds[1..]), 0, "nineteen are too few");
        golds[0] = "y";
        assert_eq!(given_away(&golds), 0, "17 of 20");
    }
}
