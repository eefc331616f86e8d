//! What a training needs beside a model: the order of its data, its saved state, its log and its
//! curves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::assert_close::{Tolerance, assert_close};
use candle_core::{Device, Tensor};
use chartbench::adapter::{Adapter, Answer, Identity, ReportAnswer, questions};
use chartbench::config::{Keep, Preset, Protocol, QuestionsPerEpoch, Ties};
use chartbench::finetune::curves::{Curves, overlaid};
use chartbench::finetune::log::{LogEntry, StepEntry, TrainingLog, ValidationEntry, read_log};
use chartbench::finetune::state::{
    FileChecksum, History, StateDir, TrainingState, ValidationPoint,
};
use chartbench::finetune::{
    Order, QuestionIndex, answer_questions, failed_questions, hold_out, summarize,
    validation_questions,
};
use chartbench_core::question::{
    AnswerType, Chart, ChartQuestions, ImageRef, Question, QuestionSet,
};
use chartbench_score::metric::{Convention, Metric};
use proptest::prelude::*;

const KINDS: [Option<AnswerType>; 3] =
    [Some(AnswerType::Numerical), Some(AnswerType::Binary), None];

/// Charts with so many questions each, their kinds in turn.
fn set(counts: &[usize]) -> QuestionSet {
    let chart = |(index, &count): (usize, &usize)| ChartQuestions {
        chart: Chart {
            id: format!("chart-{index}"),
            image: ImageRef::File(PathBuf::new().into()),
            chart_type: None,
            table: None,
        },
        questions: (0..count)
            .map(|number| Question {
                id: format!("{index}/{number}"),
                text: "What?".to_owned(),
                gold: "1".into(),
                answer_type: KINDS[(index + number) % KINDS.len()],
                taxonomy: None,
                template: None,
                source: None,
                slices: Default::default(),
                context: None,
            })
            .collect(),
    };
    QuestionSet {
        benchmark: "made-up".to_owned(),
        charts: counts.iter().enumerate().map(chart).collect(),
    }
}

fn protocol(batch: usize, seed: u64, all: bool, weights: &[(AnswerType, f64)]) -> Protocol {
    let questions_per_epoch = if all {
        QuestionsPerEpoch::All
    } else {
        QuestionsPerEpoch::OnePerChart
    };
    Protocol {
        batch,
        seed,
        questions_per_epoch,
        weights: weights.iter().copied().collect(),
        ..Preset::Chartbench.protocol()
    }
}

fn chart_ids(set: &QuestionSet) -> BTreeSet<String> {
    set.charts
        .iter()
        .map(|entry| entry.chart.id.clone())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_epoch_has_each_question_or_each_chart_once(
        counts in prop::collection::vec(1usize..6, 1..40), seed: u64, all: bool, epoch in 0u64..1000,
    ) {
        let set = set(&counts);
        let items = Order::new(&set, &protocol(4, seed, all, &[])).unwrap().epoch(epoch);
        let distinct: BTreeSet<QuestionIndex> = items.iter().copied().collect();
        prop_assert_eq!(distinct.len(), items.len());
        let charts: BTreeSet<usize> = items.iter().map(|item| item.chart).collect();
        prop_assert_eq!(charts.len(), counts.len());
        prop_assert_eq!(items.len(), if all { set.len() } else { counts.len() });
        prop_assert!(items.iter().all(|item| item.question < counts[item.chart]));
    }

    #[test]
    fn by_chart_an_epoch_is_all_questions_with_each_charts_in_a_row(
        counts in prop::collection::vec(1usize..6, 1..40), seed: u64, epoch in 0u64..1000,
    ) {
        let set = set(&counts);
        let questions_per_epoch = QuestionsPerEpoch::AllByChart;
        let protocol = Protocol { questions_per_epoch, ..protocol(4, seed, true, &[]) };
        let items = Order::new(&set, &protocol).unwrap().epoch(epoch);
        prop_assert_eq!(items.iter().collect::<BTreeSet<_>>().len(), set.len());
        prop_assert_eq!(items.len(), set.len());
        prop_assert_eq!(items.chunk_by(|a, b| a.chart == b.chart).count(), counts.len());
    }

    #[test]
    fn a_resumed_order_goes_on_as_the_first_would_have(
        counts in prop::collection::vec(1usize..6, 1..20), seed: u64, all: bool, batch in 1usize..9, done in 0usize..60,
        weight in 0.1f64..4.0,
    ) {
        let order = Order::new(&set(&counts), &protocol(batch, seed, all, &[(AnswerType::Numerical, weight)]));
        let Ok(order) = order else { return Ok(()) };
        let straight: Vec<Vec<QuestionIndex>> = order.batches(0).take(done + 30).collect();
        let resumed: Vec<Vec<QuestionIndex>> = order.batches(done as u64).take(30).collect();
        prop_assert_eq!(&straight[done..], &resumed[..]);
        prop_assert!(straight.iter().all(|items| items.len() == batch));
    }

    #[test]
    fn weights_repeat_questions(
        counts in prop::collection::vec(1usize..6, 1..30), seed: u64, weight in 0.0f64..5.0, epoch in 0u64..9,
    ) {
        let set = set(&counts);
        let order = Order::new(&set, &protocol(4, seed, true, &[(AnswerType::Numerical, weight)]));
        let Ok(order) = order else { return Ok(()) };
        let mut seen: BTreeMap<QuestionIndex, usize> = BTreeMap::new();
        for item in order.epoch(epoch) {
            *seen.entry(item).or_default() += 1;
        }
        let (mut questions, mut shown) = (0usize, 0usize);
        for (chart, entry) in set.charts.iter().enumerate() {
            for (question, asked) in entry.questions.iter().enumerate() {
                let times = seen.get(&QuestionIndex { chart, question }).copied().unwrap_or(0);
                if asked.answer_type == Some(AnswerType::Numerical) {
                    prop_assert!(times == weight.floor() as usize || times == weight.ceil() as usize);
                    questions += 1;
                    shown += times;
                } else {
                    prop_assert_eq!(times, 1);
                }
            }
        }
        prop_assert!((shown as f64 - questions as f64 * weight).abs() <= 0.5 + 1e-9);
    }

    #[test]
    fn held_out_charts_are_in_one_part_only(
        counts in prop::collection::vec(1usize..6, 2..80), seed: u64, share in 0.01f64..0.99,
    ) {
        let whole = set(&counts);
        let parts = hold_out(whole.clone(), share, seed).unwrap();
        let (train, validation) = (chart_ids(&parts.train), chart_ids(&parts.validation));
        prop_assert!(train.is_disjoint(&validation));
        prop_assert!(!train.is_empty() && !validation.is_empty());
        prop_assert_eq!(&(&train | &validation), &chart_ids(&whole));
        prop_assert_eq!(parts.train.len() + parts.validation.len(), whole.len());
    }
}

#[test]
fn more_charts_move_none_to_the_other_part() {
    let few = hold_out(set(&[3; 400]), 0.2, 42).unwrap();
    let many = hold_out(set(&[3; 900]), 0.2, 42).unwrap();
    assert!(chart_ids(&few.validation).is_subset(&chart_ids(&many.validation)));
    assert!(chart_ids(&few.train).is_subset(&chart_ids(&many.train)));
    assert!(
        (60..100).contains(&few.validation.charts.len()),
        "{}",
        few.validation.charts.len()
    );
    assert_ne!(
        chart_ids(&few.validation),
        chart_ids(&hold_out(set(&[3; 400]), 0.2, 43).unwrap().validation)
    );
}

#[test]
fn one_chart_cannot_be_split() {
    let error = hold_out(set(&[3]), 0.2, 42).unwrap_err().to_string();
    assert_eq!(
        error,
        "the train split has 1 charts: one to train on and one to validate on are the least"
    );
}

#[test]
fn epochs_and_seeds_differ() {
    let set = set(&[4; 50]);
    let order = |seed, all| Order::new(&set, &protocol(4, seed, all, &[])).unwrap();
    for all in [false, true] {
        assert_ne!(order(1, all).epoch(0), order(1, all).epoch(1));
        assert_ne!(order(1, all).epoch(0), order(2, all).epoch(0));
        assert_eq!(order(1, all).epoch(7), order(1, all).epoch(7));
    }
    // A chart's question is drawn anew each epoch.
    let of_first = |epoch| {
        order(1, false)
            .epoch(epoch)
            .into_iter()
            .find(|item| item.chart == 0)
            .unwrap()
            .question
    };
    assert_eq!((0..40).map(of_first).collect::<BTreeSet<_>>().len(), 4);
}

#[test]
fn in_one_question_a_chart_a_weight_makes_a_kind_likelier() {
    // Three questions a chart, one of each kind.
    let set = set(&[3; 60]);
    let order = Order::new(
        &set,
        &protocol(
            4,
            42,
            false,
            &[(AnswerType::Numerical, 8.0), (AnswerType::Binary, 0.0)],
        ),
    );
    let order = order.unwrap();
    let mut shown: HashMap<Option<AnswerType>, usize> = HashMap::new();
    for item in (0..50).flat_map(|epoch| order.epoch(epoch)) {
        *shown
            .entry(set.charts[item.chart].questions[item.question].answer_type)
            .or_default() += 1;
    }
    assert_eq!(shown.get(&Some(AnswerType::Binary)), None);
    let (numerical, other) = (
        shown[&Some(AnswerType::Numerical)] as f64,
        shown[&None] as f64,
    );
    // Eight to one; 3,000 draws are within a tenth of it but once in a million seeds.
    assert!(
        (7.0..9.3).contains(&(numerical / other)),
        "{numerical} to {other}"
    );
    let nothing = Order::new(&set, &protocol(4, 42, false, &[]))
        .map(|order| order.epoch_len())
        .unwrap();
    assert_eq!(nothing, 60);
    let empty = QuestionSet {
        benchmark: String::new(),
        charts: Vec::new(),
    };
    assert!(Order::new(&empty, &protocol(4, 42, true, &[])).is_err());
}

#[test]
fn a_validation_asks_what_it_is_limited_to() {
    let mut validation = Preset::Chartbench.protocol().validation;
    (validation.questions_per_chart, validation.questions) = (Some(2), Some(30));
    let few = validation_questions(set(&[5; 40]), &validation, 42);
    assert_eq!(few.len(), 30);
    assert!(
        few.charts
            .iter()
            .all(|entry| (1..=2).contains(&entry.questions.len()))
    );
    // Drawn, not the first.
    assert!(few.charts.len() > 20, "{}", few.charts.len());
    validation.questions = None;
    assert_eq!(
        validation_questions(set(&[5; 40]), &validation, 42).len(),
        80
    );
}

fn state(step: u64) -> TrainingState {
    let metrics = BTreeMap::from([
        ("exact_match".to_owned(), 0.1 + 0.2),
        ("loss".to_owned(), f64::NAN),
    ]);
    TrainingState {
        step,
        generator: u64::MAX - step,
        settings: vec![("lr".to_owned(), "0.0001".to_owned())],
        history: History(vec![ValidationPoint { step, metrics }]),
        kept: vec![FileChecksum {
            name: "model.safetensors".to_owned(),
            bytes: step,
            crc32c: 7,
        }],
    }
}

fn tensors(step: u64) -> Vec<(String, Tensor)> {
    let values = Tensor::full(step as f32, (40, 30), &Device::Cpu).unwrap();
    vec![
        ("exp_avg.a".to_owned(), values),
        (
            "step.a".to_owned(),
            Tensor::new(step as u32, &Device::Cpu).unwrap(),
        ),
    ]
}

fn save(folder: &StateDir, step: u64) -> PathBuf {
    let weights = |folder: &Path| {
        Ok(std::fs::write(
            folder.join("model.safetensors"),
            format!("weights {step}"),
        )?)
    };
    folder.save(&state(step), &tensors(step), weights).unwrap()
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn step_of_latest(folder: &StateDir) -> Option<u64> {
    let saved = folder.latest().unwrap()?;
    let tensors = saved.tensors(&Device::Cpu).unwrap();
    let step = saved.state.step;
    assert_eq!(tensors["step.a"].to_scalar::<u32>().unwrap(), step as u32);
    let golden = Tensor::full(step as f32, (40, 30), &Device::Cpu).unwrap();
    assert_close(&tensors["exp_avg.a"], &golden, Tolerance::Absolute(0.0));
    assert_eq!(
        std::fs::read_to_string(saved.path.join("model.safetensors")).unwrap(),
        format!("weights {step}")
    );
    Some(step)
}

#[test]
fn a_saved_state_comes_back_whole_and_old_ones_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("adapter/state");
    let folder = StateDir::new(&path, 2);
    assert!(folder.latest().unwrap().is_none());
    for step in [100, 200, 300] {
        save(&folder, step);
    }
    assert_eq!(names(&path), ["step-000000200", "step-000000300"]);
    let saved = folder.latest().unwrap().unwrap();
    // NaN is not equal to itself: compared as text.
    assert_eq!(format!("{:?}", saved.state), format!("{:?}", state(300)));
    assert_eq!(step_of_latest(&folder), Some(300));
    // A training that went back to step 200 saves that step anew, and what came later is of another
    // past.
    save(&folder, 200);
    assert_eq!(names(&path), ["step-000000200"]);
    assert_eq!(step_of_latest(&folder), Some(200));
}

/// Every file of the newest state, cut at several lengths, changed, or removed: the one before is
/// used and the fault told.
#[test]
fn a_torn_state_gives_way_to_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let folder = StateDir::new(dir.path(), 2);
    save(&folder, 100);
    let newest = save(&folder, 200);
    for name in names(&newest) {
        let path = newest.join(&name);
        let whole = std::fs::read(&path).unwrap();
        let mut torn: Vec<Option<Vec<u8>>> = vec![None];
        torn.extend(
            [0, 1, whole.len() / 2, whole.len() - 1].map(|length| Some(whole[..length].to_vec())),
        );
        if name != "state.json" {
            let mut changed = whole.clone();
            *changed.last_mut().unwrap() ^= 1;
            torn.push(Some(changed));
        }
        for content in torn {
            match &content {
                None => std::fs::remove_file(&path).unwrap(),
                Some(content) => std::fs::write(&path, content).unwrap(),
            }
            assert_eq!(
                step_of_latest(&folder),
                Some(100),
                "{name}: {:?}",
                content.map(|content| content.len())
            );
            assert!(folder.latest().unwrap().unwrap().passed_over[0].contains(&name));
        }
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(step_of_latest(&folder), Some(200));
    }
    for step in ["step-000000100", "step-000000200"] {
        std::fs::remove_file(dir.path().join(step).join("optimizer.safetensors")).unwrap();
    }
    let error = format!("{:#}", folder.latest().unwrap_err());
    assert!(
        error.contains("no saved state is whole") && error.contains("to start anew"),
        "{error}"
    );
}

#[test]
fn a_save_that_fails_or_is_killed_leaves_the_last_state() {
    let dir = tempfile::tempdir().unwrap();
    let folder = StateDir::new(dir.path(), 1);
    save(&folder, 100);
    let full = folder.save(&state(200), &tensors(200), |folder| {
        std::fs::write(folder.join("model.safetensors"), "half")?;
        anyhow::bail!("no space left on device")
    });
    let error = format!("{:#}", full.unwrap_err());
    assert!(
        error.starts_with("cannot save the training at step 200 in ")
            && error.ends_with("no space left on device")
    );
    assert_eq!(names(dir.path()), ["step-000000100"]);
    assert_eq!(step_of_latest(&folder), Some(100));
    // Killed while writing, and between the two renames of a step that is saved once more.
    std::fs::create_dir(dir.path().join(".writing-x")).unwrap();
    std::fs::write(dir.path().join(".writing-x/optimizer.safetensors"), "half").unwrap();
    std::fs::rename(
        dir.path().join("step-000000100"),
        dir.path().join(".replaced-000000100"),
    )
    .unwrap();
    assert_eq!(step_of_latest(&folder), Some(100));
    save(&folder, 100);
    assert_eq!(names(dir.path()), ["step-000000100"]);
}

#[test]
fn another_format_and_other_settings_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = StateDir::new(dir.path(), 1);
    let path = save(&folder, 100).join("state.json");
    let text =
        std::fs::read_to_string(&path)
            .unwrap()
            .replacen("\"format\": 1", "\"format\": 9", 1);
    std::fs::write(&path, text).unwrap();
    assert!(
        format!("{:#}", folder.latest().unwrap_err())
            .contains("has format 9, this program reads 1")
    );
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert!(state(5).check_settings(&[pair("lr", "0.0001")]).is_ok());
    let error = state(5)
        .check_settings(&[pair("lr", "0.1"), pair("batch", "4")])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("lr was `0.0001`, is `0.1`; batch was nothing, is `4`"),
        "{error}"
    );
}

/// An adapter file that pins the commit that was `main` goes on with its training.
#[test]
fn the_same_weights_under_another_revision_are_no_other_settings() {
    let settings = |weights: &str, hash: &str| {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        vec![pair("weights", weights), pair("weights_sha256", hash)]
    };
    let mut begun = state(5);
    begun.settings = settings("google/deplot@main", "ff");
    let now = |weights, hash| begun.check_settings(&settings(weights, hash));
    assert!(now("google/deplot@6e76d624", "ff").is_ok());
    let error = now("google/deplot@6e76d624", "ee").unwrap_err().to_string();
    assert!(
        error.contains("(weights_sha256 was `ff`, is `ee`)"),
        "{error}"
    );
    assert!(now("google/matcha-base@main", "ff").is_err());
}

#[test]
fn ties_go_to_the_lower_loss_and_then_to_the_later_step_but_for_the_study() {
    let point = |step: u64, exact_match: f64, loss: f64| ValidationPoint {
        step,
        metrics: BTreeMap::from([
            ("exact_match".to_owned(), exact_match),
            ("loss".to_owned(), loss),
        ]),
    };
    let best = |points: &[ValidationPoint], keep, ties| {
        let history = History(points.to_vec());
        (
            history.best(keep, ties).map(|point| point.step),
            history.since_best(keep, ties),
        )
    };
    let (first, lowest) = (Ties::First, Ties::LowestLoss);
    assert_eq!(
        [Preset::Study.ties(), Preset::Chartbench.ties()],
        [first, lowest]
    );

    let nan = f64::NAN;
    let points = [
        point(1, 0.2, 2.0),
        point(2, 0.5, 1.5),
        point(3, 0.5, nan),
        point(4, 0.5, 1.2),
        point(5, 0.4, 1.1),
    ];
    assert_eq!(best(&points, Keep::ExactMatch, first), (Some(2), 3));
    assert_eq!(best(&points, Keep::ExactMatch, lowest), (Some(4), 1));
    assert_eq!(best(&points, Keep::Loss, lowest), (Some(5), 0));
    assert_eq!(best(&points, Keep::Last, lowest), (Some(5), 0));
    assert_eq!(best(&points, Keep::Anls, lowest), (None, 5));
    assert_eq!(best(&[], Keep::Last, first), (None, 0));
    // Equal in both: the later one, which is no better for an early stop.
    let equal = [point(0, 0.0, 3.0), point(1, 0.0, 3.0), point(2, 0.0, 3.0)];
    assert_eq!(best(&equal, Keep::ExactMatch, lowest), (Some(2), 2));
    assert_eq!(best(&equal, Keep::ExactMatch, first), (Some(0), 2));
    // What is no finite number chooses nothing, not even among equals.
    for odd in [nan, f64::INFINITY, f64::NEG_INFINITY] {
        let points = [
            point(0, odd, odd),
            point(1, 0.1, odd),
            point(2, 0.1, 4.0),
            point(3, odd, 1.0),
        ];
        assert_eq!(best(&points, Keep::ExactMatch, lowest), (Some(2), 1));
        assert_eq!(best(&points[..2], Keep::Loss, lowest), (None, 2));
    }
}

/// An adapter that fails as it is told, and stops where it is told `None`.
struct Failing(fn(&Question) -> Option<anyhow::Result<Answer>>, Identity);

impl Adapter for Failing {
    fn identity(&self) -> &Identity {
        &self.1
    }

    fn answer(
        &mut self,
        charts: &[ChartQuestions],
        report: &mut ReportAnswer<'_>,
    ) -> anyhow::Result<()> {
        for (index, (_, question)) in questions(charts).enumerate() {
            report(
                index,
                (self.0)(question).ok_or_else(|| anyhow::anyhow!("the endpoint is gone"))?,
            );
        }
        Ok(())
    }
}

#[test]
fn a_validation_without_answers_is_an_error_that_names_the_first() {
    let set = set(&[2, 2]);
    let answer = |answer: fn(&Question) -> Option<anyhow::Result<Answer>>| {
        answer_questions(
            &mut Failing(
                answer,
                Identity {
                    id: "a".to_owned(),
                    settings: Vec::new(),
                },
            ),
            &set,
        )
    };
    let gone = answer(|question| match question.id.as_str() {
        "1/0" => None,
        _ => Some(Ok(Answer::from_text("1"))),
    });
    assert_eq!(
        format!("{:#}", gone.unwrap_err()),
        "validation: the endpoint is gone"
    );
    let unreadable =
        answer(|question| Some(Err(anyhow::anyhow!("cannot read {}.png", question.id))));
    assert_eq!(
        format!("{:#}", unreadable.unwrap_err()),
        "none of the 4 validation questions can be answered; 0/0: cannot read 0/0.png; try `chartbench data check`"
    );
    let some = answer(|question| match question.id.as_str() {
        "0/1" => Some(Err(anyhow::anyhow!("cannot read it"))),
        _ => Some(Ok(Answer::from_text("1"))),
    });
    let some = some.unwrap();
    let failed: Vec<_> = failed_questions(&set, &some)
        .into_iter()
        .map(|failure| (failure.question, failure.error))
        .collect();
    assert_eq!(failed, [("0/1".to_owned(), "cannot read it".to_owned())]);
    let summary = summarize(Convention::by_name("chartbench").unwrap(), &set, &some).unwrap();
    assert_eq!(summary.mean(Metric::Strict), Some(75.0));
}

/// The loss of a validation may be no number: the log with it is read back.
#[test]
fn a_validation_whose_loss_is_no_number_is_logged_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("training.jsonl");
    let metrics = BTreeMap::from([("anls".to_owned(), 0.5), ("loss".to_owned(), f64::INFINITY)]);
    let entry = ValidationEntry {
        step: 0,
        questions: 1,
        metrics,
        seconds: 0.0,
    };
    TrainingLog::open(&path, None, None)
        .unwrap()
        .append(&LogEntry::Validation(entry))
        .unwrap();
    let LogEntry::Validation(entry) = read_log(&path).unwrap().remove(0) else {
        panic!("no validation")
    };
    assert!(
        entry.metrics["loss"].is_nan() && entry.metrics["anls"] == 0.5,
        "{entry:?}"
    );
}

fn step_entry(step: u64) -> LogEntry {
    // Numbers that JSON gives back to the last bit.
    let loss = 4.0 - (step / 8) as f64 / 2.0 + (step % 3) as f64 / 4.0;
    LogEntry::Step(StepEntry {
        step,
        loss,
        lr: 1e-4,
        gradient_norm: 2.5,
        tokens: 31,
        seconds: 0.5,
    })
}

fn validation_entry(step: u64) -> LogEntry {
    let score = step as f64 / 64.0;
    let metrics = [
        ("exact_match", score),
        ("anls", score / 2.0 + 0.5),
        ("loss", 3.0 - 2.0 * score),
    ];
    let metrics = metrics.map(|(name, value)| (name.to_owned(), value)).into();
    LogEntry::Validation(ValidationEntry {
        step,
        questions: 500,
        metrics,
        seconds: 20.0,
    })
}

fn training() -> Vec<LogEntry> {
    (1..=60)
        .flat_map(|step| {
            [
                Some(step_entry(step)),
                (step % 20 == 0).then(|| validation_entry(step)),
            ]
        })
        .flatten()
        .collect()
}

#[test]
fn a_resumed_log_has_each_step_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("training.jsonl");
    let write = |done: Option<u64>, entries: &[LogEntry]| {
        let mut log = TrainingLog::open(&path, done, done).unwrap();
        entries.iter().for_each(|entry| log.append(entry).unwrap());
    };
    write(None, &training());
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(read_log(&path).unwrap(), training());
    // The last saved state is of step 40; the log got further, and its last line is torn at every
    // place.
    for torn in [1, 20, 200, whole.len() / 4] {
        std::fs::write(&path, &whole[..whole.len() - torn]).unwrap();
        let rest: Vec<LogEntry> = training()
            .into_iter()
            .filter(|entry| entry.step() > 40)
            .collect();
        write(Some(40), &rest);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
    // From the start: nothing of a former training is left, nor a validation before the first step
    // whose state was not saved.
    for _ in 0..2 {
        write(None, &[validation_entry(0)]);
        assert_eq!(read_log(&path).unwrap(), [validation_entry(0)]);
    }
    write(Some(0), &[step_entry(1)]);
    assert_eq!(
        read_log(&path).unwrap(),
        [validation_entry(0), step_entry(1)]
    );
}

#[test]
fn a_log_is_written_by_one_and_read_with_care() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("training.jsonl");
    let mut log = TrainingLog::open(&path, None, None).unwrap();
    assert!(
        TrainingLog::open(&path, None, None)
            .err()
            .unwrap()
            .to_string()
            .contains("in use by another")
    );
    let mut broken = StepEntry {
        step: 1,
        loss: f64::NAN,
        lr: 0.0,
        gradient_norm: f64::INFINITY,
        tokens: 0,
        seconds: 0.0,
    };
    log.append(&LogEntry::Step(broken.clone())).unwrap();
    broken.gradient_norm = f64::NAN;
    assert_eq!(
        format!("{:?}", read_log(&path).unwrap()),
        format!("{:?}", [LogEntry::Step(broken)])
    );
    drop(log);
    std::fs::write(&path, "{}\n").unwrap();
    let error = format!("{:#}", read_log(&path).unwrap_err());
    assert!(
        error.contains("training.jsonl, line 1 is not a line of a training log: remove this line"),
        "{error}"
    );
}

#[test]
fn the_studys_curves_are_drawn_in_one_figure() {
    let names = ["matcha-base", "matcha-chartqa", "matcha-plotqa"];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/study-curves");
    let read = |name: &str| {
        let entries = read_log(&folder.join(name).with_extension("jsonl")).unwrap();
        (format!("{name} <b>"), Curves::new(&entries))
    };
    let svg = overlaid("The RealCQA fine-tuning study", &names.map(read)).unwrap();
    // No training loss is known: four panels, in each the lines of those that have such a value.
    let panels = [
        "validation loss",
        "validation anls",
        "validation exact_match",
        "validation relaxed",
    ];
    assert!(panels.iter().all(|panel| svg.contains(panel)) && !svg.contains("training loss"));
    assert_eq!(svg.matches("matcha-base &lt;b&gt;").count(), 2);
    assert_eq!(svg.matches("matcha-plotqa &lt;b&gt;").count(), 3);
    assert_eq!(svg.matches("<circle").count(), 6 + 6 + 2 * 3);
    assert!(!svg.contains("<b>"));
    let drawn = resvg::usvg::Tree::from_str(&svg, &resvg::usvg::Options::default()).unwrap();
    // As wide as a paper's column needs; below each panel the legend, with every name whole.
    assert_eq!(drawn.size().width(), 450.0);
    assert!(drawn.size().height() > 4.0 * 250.0);
    assert!(overlaid("nothing", &[]).is_err());
}

#[test]
fn curves_are_drawn() {
    let mut curves = Curves::new(&training());
    curves.kept = Some(40);
    assert_eq!(
        (
            curves.loss.len(),
            curves.validation_loss.len(),
            curves.scores.len()
        ),
        (60, 3, 2)
    );
    let mean = (1..=20)
        .map(|step| curves.loss[40 + step - 1].1)
        .sum::<f64>()
        / 20.0;
    assert!((curves.smooth_loss[59].1 - mean).abs() < 1e-12);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots");
    insta::with_settings!({snapshot_path => path, prepend_module_to_snapshot => true, omit_expression => true}, {
        insta::assert_snapshot!("curves", curves.text(Keep::ExactMatch));
    });
    let svg = curves.svg("matcha-tiny <on> mini").unwrap();
    for part in [
        "matcha-tiny &lt;on&gt; mini",
        "exact_match",
        "anls",
        "mean of 20 steps",
        "validation score, %",
        "kept",
        "<polyline",
        "</svg>",
    ] {
        assert!(svg.contains(part), "{part} is missing");
    }
    let drawn = resvg::usvg::Tree::from_str(&svg, &resvg::usvg::Options::default()).unwrap();
    assert_eq!(drawn.size().width(), 450.0);
    // Scores are in the unit of the leaderboard.
    let highest = curves.panels()[1].lines[0].points[2].1;
    assert!((50.0..=100.0).contains(&highest), "{highest}");
    assert!(Curves::new(&[]).svg("x").is_err());
    assert_eq!(Curves::new(&[step_entry(1)]).text(Keep::Last), "");
    // A flat line takes one line.
    curves
        .scores
        .insert("strict".to_owned(), vec![(20, 0.5), (40, 0.5)]);
    let text = curves.text(Keep::Strict);
    assert!(
        text.ends_with("strict: 0.5000 from step 20 to step 40\n"),
        "{text}"
    );
    assert!(Curves::new(&[step_entry(1)]).svg("x").is_ok());
}
