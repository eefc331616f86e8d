//! The rules that answer from tables (`lookup`), over the mini benchmark's own tables.

use std::collections::BTreeMap;

use crate::asked::{Unanswered, answers, ask};
use chartbench::config::Benchmark;
use chartbench::jobs::{ModelOptions, SelectedAdapter};
use chartbench_core::question::{Prediction, QuestionSet};
use chartbench_data::Split;
use chartbench_score::metric::{Convention, Metric, Pair};

fn test_questions(benchmark: &str) -> QuestionSet {
    let spec = Benchmark::find(benchmark).unwrap().data;
    chartbench_data::load(&spec, None, Split::Test).unwrap()
}

fn adapter(name: &str) -> anyhow::Result<Box<dyn chartbench::adapter::Adapter>> {
    SelectedAdapter::by_name(name)?.build(&ModelOptions::default(), None)
}

fn is_right(question: &chartbench_core::question::Question, prediction: &Prediction) -> bool {
    let convention = Convention::by_name("chartbench").unwrap();
    let scores = convention.score(&Pair {
        question: Some(&question.text),
        answer_type: question.answer_type,
        ..Pair::new(&question.gold, prediction)
    });
    scores.get(Metric::Strict).counted() == Some(1.0)
}

/// Right and all, by the template's number. The templates from 19 on ask for data, those before for
/// the chart and its parts (`synth/questions`).
#[test]
fn the_rules_answer_every_question_about_data_from_the_right_table() {
    let set = test_questions("mini");
    let mut oracle = adapter("oracle+lookup").unwrap();
    let answers = answers(oracle.as_mut(), &set.charts);
    let mut counts: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    for ((_, question), answer) in set.iter().zip(&answers) {
        let template = question.template.as_deref().unwrap().parse().unwrap();
        let (right, all) = counts.entry(template).or_default();
        *right += usize::from(is_right(question, &answer.prediction));
        *all += 1;
    }
    let sum = |templates: std::ops::RangeInclusive<u32>| {
        counts
            .range(templates)
            .fold((0, 0), |(right, all), (_, count)| {
                (right + count.0, all + count.1)
            })
    };
    assert_eq!(sum(19..=30), (43, 43), "{counts:?}");
    // Series, categories, names and negative values: what a table has of the chart's parts.
    for template in [5, 7, 12, 16, 17, 18] {
        let (right, all) = counts[&template];
        assert_eq!(right, all, "template {template}: {counts:?}");
    }
    // Legend's place, grid lines, error bars, largest tick, number of ticks, axis titles: no table
    // has them, and no answer is guessed.
    for template in [4, 6, 8, 9, 11, 13, 14] {
        assert_eq!(counts[&template].0, 0, "template {template}: {counts:?}");
    }
    // 60.0 %, of which the chart's type, told by the form of the table, is 84 of 120.
    assert_eq!(counts[&1], (84, 120), "{counts:?}");
    assert_eq!(sum(1..=30), (288, 480), "{counts:?}");
}

#[test]
fn the_rules_say_what_they_are() {
    let oracle = adapter("oracle+lookup").unwrap();
    let settings: Vec<(&str, &str)> = oracle
        .identity()
        .settings
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        settings,
        [
            ("table_table", "the data set's own"),
            ("family", "lookup"),
            ("rules", "1"),
        ]
    );
    let error = adapter("lookup").map(|_| ()).unwrap_err().to_string();
    assert!(
        error.contains("sees no charts") && error.contains("TABLES+lookup"),
        "{error}"
    );
}

#[test]
fn questions_of_another_benchmark_fail_by_name() {
    let mut set = test_questions("mini");
    set.charts.truncate(1);
    let question = &mut set.charts[0].questions[0];
    question.text = "Which of both is larger?".to_owned();
    let mut oracle = adapter("oracle+lookup").unwrap();
    let answers = ask(oracle.as_mut(), &set.charts);
    let Err(Unanswered::Failed(error)) = &answers[0] else {
        panic!("answered: {:?}", answers[0]);
    };
    assert!(
        error.starts_with("`Which of both is larger?` is no question"),
        "{error}"
    );
    assert!(answers[1..].iter().all(Result::is_ok));
}
