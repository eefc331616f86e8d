use super::*;
use crate::adapter::{Identity, ReportAnswer};
use chartbench_core::question::{ImageRef, Prediction, QuestionSet};

/// An adapter behind the real trait that answers with the question's text and notes how it was
/// called.
struct Echo {
    identity: Identity,
    calls: Vec<Vec<String>>,
}

impl Echo {
    fn new() -> Self {
        Self {
            identity: Identity {
                id: "echo".to_owned(),
                settings: Vec::new(),
            },
            calls: Vec::new(),
        }
    }
}

impl Adapter for Echo {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    /// In reverse, which changes nothing.
    fn answer(&mut self, charts: &[ChartQuestions], report: &mut ReportAnswer<'_>) -> Result<()> {
        let asked: Vec<&Question> = adapter::questions(charts).map(|(_, asked)| asked).collect();
        self.calls
            .push(asked.iter().map(|question| question.id.clone()).collect());
        for (index, question) in asked.into_iter().enumerate().rev() {
            let answer = match question.text.as_str() {
                "broken" => Err(anyhow::anyhow!("no such image")),
                "gone" => anyhow::bail!("the endpoint is gone"),
                "twice" => {
                    report(index, Ok(Answer::default()));
                    Ok(Answer::default())
                }
                "left out" => continue,
                text => Ok(Answer::from_text(text.to_owned())),
            };
            report(index, answer);
        }
        Ok(())
    }
}

fn set(charts: &[&[&str]]) -> QuestionSet {
    let mut next = 0;
    let charts = charts
        .iter()
        .enumerate()
        .map(|(index, texts)| ChartQuestions {
            chart: Chart {
                id: format!("c{index}"),
                image: ImageRef::File("none.png".into()),
                chart_type: None,
                table: None,
            },
            questions: texts
                .iter()
                .map(|text| {
                    next += 1;
                    Question {
                        id: format!("q{next}"),
                        text: (*text).to_owned(),
                        gold: "gold".into(),
                        answer_type: None,
                        taxonomy: None,
                        template: None,
                        source: None,
                        slices: Default::default(),
                        context: None,
                    }
                })
                .collect(),
        });
    QuestionSet {
        benchmark: "test".to_owned(),
        charts: charts.collect(),
    }
}

fn run(set: &QuestionSet, dir: &tempfile::TempDir, batch: usize) -> (Outcome, Vec<Vec<String>>) {
    let mut adapter = Echo::new();
    let mut log = PredictionLog::open(&dir.path().join("p.jsonl"), false).unwrap();
    let outcome = answer_all(&mut adapter, set, set.len(), &mut log, batch, &mut |_| {}).unwrap();
    (outcome, adapter.calls)
}

#[test]
fn batches_cross_charts_and_keep_the_order() {
    let dir = tempfile::tempdir().unwrap();
    let (outcome, calls) = run(&set(&[&["a", "b", "c"], &["d"], &["e"]]), &dir, 2);
    assert_eq!(
        outcome,
        Outcome {
            questions: 5,
            ..Outcome::default()
        }
    );
    assert_eq!(calls, [vec!["q1", "q2"], vec!["q3", "q4"], vec!["q5"]]);
}

#[test]
fn a_failure_is_a_row_and_the_rest_stands() {
    let dir = tempfile::tempdir().unwrap();
    let (outcome, _) = run(&set(&[&["a", "broken", "c"]]), &dir, 2);
    assert_eq!(
        outcome,
        Outcome {
            questions: 3,
            failed: 1,
            first_error: Some("no such image".to_owned()),
            ..Outcome::default()
        }
    );
    let records = crate::run::store::Predictions::new(&dir.path().join("p.jsonl"))
        .read()
        .unwrap();
    assert_eq!(records[1].prediction, None);
    assert_eq!(records[2].prediction, Some(Prediction("c".to_owned())));
}

#[test]
fn a_stop_keeps_what_is_answered_and_the_rest_is_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    let (outcome, calls) = run(&set(&[&["a", "gone", "c", "d"], &["e"]]), &dir, 4);
    assert_eq!(outcome.questions, 2);
    assert_eq!(outcome.stopped.as_deref(), Some("the endpoint is gone"));
    assert_eq!(calls.len(), 1, "nothing is asked after a stop");
    let ids = |dir: &tempfile::TempDir| {
        let stored = crate::run::store::Predictions::new(&dir.path().join("p.jsonl"));
        let records = stored.read().unwrap();
        records
            .into_iter()
            .map(|record| record.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&dir), ["q3", "q4"]);
    let (outcome, calls) = run(&set(&[&["a", "gone", "c", "d"], &["e"]]), &dir, 4);
    assert_eq!(
        (outcome.questions, calls),
        (2, vec![vec!["q1".to_owned(), "q2".to_owned()]])
    );
}

#[test]
fn an_adapter_must_report_every_question_once() {
    for odd in ["twice", "left out"] {
        let dir = tempfile::tempdir().unwrap();
        let mut log = PredictionLog::open(&dir.path().join("p.jsonl"), false).unwrap();
        let set = set(&[&["a", odd]]);
        let ended = answer_all(&mut Echo::new(), &set, 2, &mut log, 2, &mut |_| {});
        let error = format!("{:#}", ended.unwrap_err());
        assert!(
            error.contains("did not answer every question of a call once"),
            "{error}"
        );
    }
}

#[test]
fn a_second_run_asks_nothing_and_a_torn_one_only_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let set = set(&[&["a", "b", "c"], &["d"]]);
    run(&set, &dir, 2);
    assert!(run(&set, &dir, 2).1.is_empty());
    let path = dir.path().join("p.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let first_and_a_half = text.split_inclusive('\n').next().unwrap().len() + 5;
    std::fs::write(&path, &text[..first_and_a_half]).unwrap();
    assert_eq!(run(&set, &dir, 2).1, [vec!["q2"], vec!["q3", "q4"]]);
}

#[test]
fn stored_answers_to_other_questions_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    run(&set(&[&["a"]]), &dir, 1);
    let mut log = PredictionLog::open(&dir.path().join("p.jsonl"), false).unwrap();
    let error = answer_all(
        &mut Echo::new(),
        &set(&[&["other"]]),
        1,
        &mut log,
        1,
        &mut |_| {},
    )
    .unwrap_err();
    assert!(
        error.to_string().contains("the stored answer to `q1`"),
        "{error:#}"
    );
}

/// Charts of which the second cannot be read.
struct Torn(QuestionSet);

impl QuestionSource for Torn {
    fn chunks(&self) -> Box<dyn Iterator<Item = Result<Vec<ChartQuestions>>> + '_> {
        Box::new(self.0.chunks().chain(std::iter::once_with(|| {
            Err(anyhow::anyhow!("qa/c1.json is gone"))
        })))
    }
}

#[test]
fn questions_that_cannot_be_read_end_it_and_what_was_answered_stands() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.jsonl");
    let mut log = PredictionLog::open(&path, false).unwrap();
    let torn = Torn(set(&[&["a", "b"]]));
    let error = answer_all(&mut Echo::new(), &torn, 3, &mut log, 1, &mut |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "qa/c1.json is gone");
    drop(log);
    assert_eq!(
        crate::run::store::Predictions::new(&path)
            .read()
            .unwrap()
            .len(),
        2
    );
}
