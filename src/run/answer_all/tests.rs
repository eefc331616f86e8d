use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;
use crate::adapter::{GiveUp, Identity, ReportAnswer};
use crate::run::{RowProgress, Stopped};
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
    let log = PredictionLog::open(&dir.path().join("p.jsonl"), false).unwrap();
    let stop = Stop::default();
    let outcome = answer_all(&mut adapter, set, set.len(), log, batch, &stop, &mut |_| {});
    let outcome = outcome.unwrap();
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
        let log = PredictionLog::open(&dir.path().join("p.jsonl"), false).unwrap();
        let set = set(&[&["a", odd]]);
        let stop = Stop::default();
        let ended = answer_all(&mut Echo::new(), &set, 2, log, 2, &stop, &mut |_| {});
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
    let log = PredictionLog::open(&dir.path().join("p.jsonl"), false).unwrap();
    let error = answer_all(
        &mut Echo::new(),
        &set(&[&["other"]]),
        1,
        log,
        1,
        &Stop::default(),
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
    let log = PredictionLog::open(&path, false).unwrap();
    let torn = Torn(set(&[&["a", "b"]]));
    let stop = Stop::default();
    let error = answer_all(&mut Echo::new(), &torn, 3, log, 1, &stop, &mut |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "qa/c1.json is gone");
    assert_eq!(
        crate::run::store::Predictions::new(&path)
            .read()
            .unwrap()
            .len(),
        2
    );
}

/// An adapter that has answered two questions of a call when its stop is requested, and then
/// returns, gives up, or hangs until another thread has ended the row.
struct Stopping {
    echo: Echo,
    stop: Stop,
    then: Then,
    is_given_up: Arc<AtomicBool>,
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    Finishes,
    GivesUp,
    Hangs,
}

impl Adapter for Stopping {
    fn identity(&self) -> &Identity {
        self.echo.identity()
    }

    fn answer(&mut self, charts: &[ChartQuestions], report: &mut ReportAnswer<'_>) -> Result<()> {
        let asked: Vec<&Question> = adapter::questions(charts).map(|(_, asked)| asked).collect();
        for (index, question) in asked.into_iter().enumerate() {
            if index == 2 {
                self.stop.request();
                assert!(self.is_given_up.load(Ordering::Relaxed));
                if self.then == Then::GivesUp {
                    anyhow::bail!("it was given up");
                }
                assert!(self.stop.end_after(Duration::from_secs(3600)).is_none());
                if self.then == Then::Hangs {
                    let ended = self.stop.end_after(Duration::ZERO).unwrap();
                    assert_eq!(ended.unwrap(), stopped(2));
                }
            }
            report(index, Ok(Answer::from_text(question.text.clone())));
        }
        Ok(())
    }

    fn give_up(&self) -> Vec<GiveUp> {
        let is_given_up = Arc::clone(&self.is_given_up);
        vec![Box::new(move || is_given_up.store(true, Ordering::Relaxed))]
    }
}

fn stopped(answered: usize) -> Stopped {
    let progress = RowProgress {
        adapter: "echo".to_owned(),
        answered,
        questions: 6,
    };
    Stopped {
        progress: Some(progress),
    }
}

#[test]
fn a_request_to_stop_keeps_what_is_reported_and_the_rest_is_asked_again() {
    for (then, answered) in [(Then::Finishes, 3), (Then::GivesUp, 2), (Then::Hangs, 2)] {
        let dir = tempfile::tempdir().unwrap();
        let set = set(&[&["a", "b", "c"], &["d", "e", "f"]]);
        let stop = Stop::default();
        let mut adapter = Stopping {
            echo: Echo::new(),
            stop: stop.clone(),
            then,
            is_given_up: Arc::default(),
        };
        let path = dir.path().join("p.jsonl");
        let log = PredictionLog::open(&path, false).unwrap();
        let error = answer_all(&mut adapter, &set, 6, log, 3, &stop, &mut |_| {}).unwrap_err();
        assert_eq!(error.downcast::<Stopped>().unwrap(), stopped(answered));
        assert_eq!(stop.end_after(Duration::from_secs(3600)).map(|_| ()), None);

        let stored = crate::run::store::Predictions::new(&path).read().unwrap();
        let ids: Vec<String> = stored.into_iter().map(|record| record.id).collect();
        assert_eq!(ids, ["q1", "q2", "q3"][..answered]);
        // A stop is for good: a row that begins after it asks nothing.
        let log = PredictionLog::open(&path, false).unwrap();
        let mut echo = Echo::new();
        let error = answer_all(&mut echo, &set, 6, log, 3, &stop, &mut |_| {}).unwrap_err();
        assert_eq!(error.downcast::<Stopped>().unwrap(), stopped(answered));
        assert!(echo.calls.is_empty());
        let (outcome, calls) = run(&set, &dir, 3);
        assert_eq!(outcome.questions, 6);
        assert_eq!(
            calls.concat(),
            ["q1", "q2", "q3", "q4", "q5", "q6"][answered..]
        );
    }
}

/// Reports the first two answers, waits, reports the fourth and looks at the log, then the third.
struct Slow {
    identity: Identity,
    log: std::path::PathBuf,
    stored: Vec<String>,
}

impl Adapter for Slow {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn answer(&mut self, _: &[ChartQuestions], report: &mut ReportAnswer<'_>) -> Result<()> {
        report(1, Ok(Answer::from_text("b")));
        report(0, Err(anyhow::anyhow!("no such image")));
        std::thread::sleep(in_hand::STORE_INTERVAL + Duration::from_millis(100));
        report(3, Ok(Answer::from_text("d")));
        self.stored = ids(&self.log);
        report(2, Ok(Answer::from_text("c")));
        Ok(())
    }
}

fn ids(log: &std::path::Path) -> Vec<String> {
    let lines = std::fs::read_to_string(log).unwrap();
    let records = lines.lines().map(serde_json::from_str::<PredictionRecord>);
    records.map(|record| record.unwrap().id).collect()
}

#[test]
fn a_long_call_stores_its_first_answers_before_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.jsonl");
    let log = PredictionLog::open(&path, false).unwrap();
    let mut adapter = Slow {
        identity: Echo::new().identity,
        log: path.clone(),
        stored: Vec::new(),
    };
    let set = set(&[&["a", "b", "c"], &["d"]]);
    let stop = Stop::default();
    let outcome = answer_all(&mut adapter, &set, 4, log, 4, &stop, &mut |_| {}).unwrap();
    assert_eq!((outcome.questions, outcome.failed), (4, 1));
    assert_eq!(adapter.stored, ["q1", "q2"]);
    assert_eq!(ids(&path), ["q1", "q2", "q3", "q4"]);
}
