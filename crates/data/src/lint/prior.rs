//! Questions that the text alone gives away: what a model scores that never looks at a chart.
//!
//! Questions of one template, or where the data set has none of one text, form a kind. The prior answers each test
//! question with the most frequent gold of its kind in the train split, or where there is none in all other test charts;
//! a kind it has not met, with the most frequent gold of all. Golds are compared up to case and white space, and ties go
//! to the one that sorts first. A kind is a finding where the prior is right on [`SHARE`] of at least [`ASKED`] test
//! questions: half of the yes/no questions are right by chance and are none.

use std::borrow::Cow;
use std::collections::HashMap;

use rayon::prelude::*;
use serde::Serialize;

use super::text::{folded, folded_gold, shown};
use super::{Entry, Finding, Kind};
use chartbench_core::question::Question;
use chartbench_core::question::Split;

/// Test questions a kind must have to be judged.
const ASKED: usize = 20;
/// The share that must be right for a kind to be given away, in percent.
const SHARE: usize = 90;

/// How the prior does on the whole test split.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prior {
    /// `train`, or `test` where it is learned on the other test charts.
    pub learned_on: Split,
    /// Kinds of test questions.
    pub kinds: usize,
    /// Test questions.
    pub questions: usize,
    /// Those it is right on.
    pub right: usize,
    /// The same in percent.
    pub accuracy: f64,
}

/// A template, or a folded question text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key<'a> {
    Template(&'a str),
    Text(Cow<'a, str>),
}

impl<'a> Key<'a> {
    fn of(question: &'a Question) -> Self {
        match &question.template {
            Some(template) => Self::Template(template),
            None => Self::Text(Cow::Owned(folded(&question.text))),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Template(template) => format!("template {}", shown(template)),
            Self::Text(text) => format!("the question {}", shown(text)),
        }
    }
}

/// A question's kind and its folded gold.
type Asked<'a> = (Key<'a>, String);

type Counts<'a> = HashMap<&'a str, usize>;

/// The golds of a kind, the most frequent first.
struct Ranking<'a>(Vec<(&'a str, usize)>);

impl<'a> Ranking<'a> {
    fn of(counts: Counts<'a>) -> Self {
        let mut ranked: Vec<(&str, usize)> = counts.into_iter().collect();
        ranked.sort_unstable_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        Self(ranked)
    }

    /// The most frequent gold when `own` are taken away.
    fn best_without(&self, own: Option<&Counts<'_>>) -> Option<&'a str> {
        let mut best: Option<(&str, usize)> = None;
        for &(gold, count) in &self.0 {
            // Golds of one count come in order: nothing after this is better.
            if best.is_some_and(|(first, most)| count < most || count == most && gold > first) {
                break;
            }
            let left = count - own.and_then(|own| own.get(gold)).copied().unwrap_or(0).min(count);
            let better = best.is_none_or(|(first, most)| left > most || left == most && gold < first);
            if left > 0 && better {
                best = Some((gold, left));
            }
        }
        best.map(|(gold, _)| gold)
    }
}

/// The counts of golds by kind, and those of all.
#[derive(Default)]
struct Tally<'a> {
    by_kind: HashMap<&'a Key<'a>, Counts<'a>>,
    all: Counts<'a>,
}

impl<'a> Tally<'a> {
    fn add(&mut self, asked: &'a [Asked<'a>]) {
        for (key, gold) in asked {
            *self.by_kind.entry(key).or_default().entry(gold).or_default() += 1;
            *self.all.entry(gold).or_default() += 1;
        }
    }
}

/// How the prior does on one kind.
struct Outcome<'a> {
    asked: usize,
    right: usize,
    example: (&'a Entry<'a>, &'a Question),
}

pub(super) fn check(entries: &[Entry<'_>]) -> (Prior, Vec<Finding>) {
    let learned_on = entries.first().map_or(Split::Test, |entry| entry.split);
    let asked: Vec<Vec<Asked<'_>>> = entries.par_iter().map(asked).collect();
    let mut learned = Tally::default();
    let pairs = || entries.iter().zip(&asked);
    pairs().filter(|(entry, _)| entry.split == learned_on).for_each(|(_, asked)| learned.add(asked));
    let all = Ranking::of(learned.all);
    let rankings: HashMap<&Key<'_>, Ranking<'_>> =
        learned.by_kind.into_iter().map(|(key, counts)| (key, Ranking::of(counts))).collect();
    let mut prior = Prior { learned_on, kinds: 0, questions: 0, right: 0, accuracy: 0.0 };
    let mut outcomes: HashMap<&Key<'_>, Outcome<'_>> = HashMap::new();
    for (entry, asked) in pairs().filter(|(entry, _)| entry.split == Split::Test) {
        let mut own = Tally::default();
        if learned_on == Split::Test {
            own.add(asked);
        }
        for (question, (key, gold)) in entry.questions.iter().zip(asked) {
            let best = rankings.get(key).and_then(|ranking| ranking.best_without(own.by_kind.get(key)));
            let answer = best.or_else(|| all.best_without(Some(&own.all)));
            prior.questions += 1;
            prior.right += usize::from(answer == Some(gold.as_str()));
            let new = || Outcome { asked: 0, right: 0, example: (entry, question) };
            let outcome = outcomes.entry(key).or_insert_with(new);
            outcome.asked += 1;
            outcome.right += usize::from(best == Some(gold.as_str()));
        }
    }
    prior.kinds = outcomes.len();
    prior.accuracy = percent(prior.right, prior.questions);
    let mut given_away: Vec<_> = outcomes
        .into_iter()
        .filter(|(_, outcome)| outcome.asked >= ASKED && 100 * outcome.right >= SHARE * outcome.asked)
        .collect();
    given_away.sort_unstable_by_key(|(key, _)| *key);
    let found = |(key, outcome): (&Key<'_>, Outcome<'_>)| {
        let gold = rankings.get(key).and_then(|ranking| ranking.best_without(None)).unwrap_or_default();
        finding(key, &outcome, gold, learned_on)
    };
    (prior, given_away.into_iter().map(found).collect())
}

fn asked<'a>(entry: &Entry<'a>) -> Vec<Asked<'a>> {
    let pair = |question: &'a Question| (Key::of(question), folded_gold(&question.gold, question.answer_type));
    entry.questions.iter().map(pair).collect()
}

fn finding(key: &Key<'_>, outcome: &Outcome<'_>, gold: &str, learned_on: Split) -> Finding {
    let from = match learned_on {
        Split::Train => "the train split",
        Split::Test => "the other test charts",
    };
    let message = format!(
        "{}: the most frequent gold of {from}, {}, is right for {} of {} test questions ({:.1} %)",
        key.shown(),
        shown(gold),
        outcome.right,
        outcome.asked,
        percent(outcome.right, outcome.asked)
    );
    let (entry, question) = outcome.example;
    Finding { chart: None, file: None, ..Finding::of_question(Kind::GivenAway, entry, question, message) }
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::testing::Asked;

    #[test]
    fn a_chart_does_not_give_itself_away() {
        let alone = Asked::of(&["x"; 30], "Which?");
        let (prior, findings) = check(&[alone.entry()]);
        assert_eq!((prior.learned_on, prior.questions, prior.right, findings.len()), (Split::Test, 30, 0, 0));
        let other = Asked::of(&["X", "y"], "which?");
        let (prior, findings) = check(&[alone.entry(), other.entry()]);
        assert_eq!((prior.kinds, prior.right, findings.len()), (1, 31, 1), "30 by a tie that sorts first, and `X`");
    }

    #[test]
    fn twenty_questions_at_nine_in_ten_are_given_away() {
        let given_away = |golds: &[&str]| {
            let (train, test) = (Asked::of(&["x"], "Which?"), Asked::of(golds, "Which?"));
            check(&[Entry { split: Split::Train, ..train.entry() }, test.entry()]).1.len()
        };
        let mut golds = vec!["x"; 18];
        golds.extend(["y"; 2]);
        assert_eq!(given_away(&golds), 1);
        assert_eq!(given_away(&golds[1..]), 0, "nineteen are too few");
        golds[0] = "y";
        assert_eq!(given_away(&golds), 0, "17 of 20");
    }
}
