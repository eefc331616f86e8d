//! Whole tables as people see them: the leaderboard and the comparison of two small runs made by
//! hand.

use chartbench::adapter::Identity;
use chartbench::config::Published;
use chartbench::report::table::Format;
use chartbench::report::{
    CompareOptions, Comparison, Leaderboard, LeaderboardOptions, NamedPair, Sensitivity,
};
use chartbench::run::store::{
    AdapterEntry, BenchmarkEntry, FORMAT_VERSION, Manifest, PredictionRecord, StoredRun,
};
use chartbench_core::question::{AnswerType, Gold, Prediction, Taxonomy};
use chartbench_score::metric::{Convention, Pair};

/// Gold, answer type, taxonomy and chart type of five questions.
fn questions() -> [(Gold, AnswerType, Taxonomy, &'static str); 5] {
    let list = Gold::List(vec!["a".into(), "b".into()]);
    [
        (
            "Line chart".into(),
            AnswerType::String,
            Taxonomy::Root,
            "line",
        ),
        (
            "Yes".into(),
            AnswerType::Binary,
            Taxonomy::Structural,
            "line",
        ),
        (
            "100".into(),
            AnswerType::Numerical,
            Taxonomy::Retrieval,
            "line",
        ),
        (
            "-40".into(),
            AnswerType::Numerical,
            Taxonomy::Reasoning,
            "vertical bar",
        ),
        (
            list,
            AnswerType::UnrankedList,
            Taxonomy::Structural,
            "vertical bar",
        ),
    ]
}

/// A run in which each adapter gave these answers; `None` is a failed question.
fn run(name: &str, hash: &str, adapters: &[(&str, &[Option<&str>])]) -> StoredRun {
    let records = |answers: &[Option<&str>]| {
        let pairs = questions().into_iter().zip(answers).enumerate();
        pairs
            .map(|(index, (question, answer))| record(index, question, *answer))
            .collect()
    };
    StoredRun {
        manifest: Manifest {
            format: FORMAT_VERSION,
            name: name.to_owned(),
            program: "0.1.0".to_owned(),
            order: Vec::new(),
            left_out: Vec::new(),
            partial: false,
            benchmark: BenchmarkEntry {
                name: "five".to_owned(),
                title: "Five questions made by hand".to_owned(),
                split: "test".to_owned(),
                charts: 2,
                questions: 5,
                questions_per_chart: "all".to_owned(),
                seed: 0,
                limit: 0,
                limit_rule: None,
                hash: hash.to_owned(),
            },
            adapters: Vec::<AdapterEntry>::new(),
        },
        predictions: adapters
            .iter()
            .map(|(adapter, answers)| ((*adapter).to_owned(), records(answers)))
            .collect(),
    }
}

fn record(
    index: usize,
    (gold, answer_type, taxonomy, chart_type): (Gold, AnswerType, Taxonomy, &str),
    answer: Option<&str>,
) -> PredictionRecord {
    PredictionRecord {
        id: format!("q{index}"),
        chart: chart_type.to_owned(),
        question: "?".to_owned(),
        gold,
        answer_type: Some(answer_type),
        taxonomy: Some(taxonomy),
        chart_type: Some(chart_type.to_owned()),
        source: None,
        template: None,
        slices: Default::default(),
        prediction: answer.map(|answer| Prediction(answer.to_owned())),
        token_ids: Vec::new(),
        completions: Vec::new(),
        usage: None,
        finish_reason: None,
        marker_missing: false,
        error: answer
            .is_none()
            .then(|| "cannot read the chart image".to_owned()),
        latency_ms: 250.0,
        judgements: Vec::new(),
    }
}

pub(crate) fn before() -> StoredRun {
    run(
        "before",
        "0123456789abcdef",
        &[
            (
                "careful",
                &[
                    Some("Line chart"),
                    Some("yes"),
                    Some("104"),
                    Some("40"),
                    Some("a, b"),
                ],
            ),
            (
                "constant",
                &[
                    Some("Yes"),
                    Some("Yes"),
                    Some("Yes"),
                    Some("Yes"),
                    Some("Yes"),
                ],
            ),
            (
                "broken|pipe",
                &[None, None, Some("100"), Some("-41"), Some("b, a")],
            ),
        ],
    )
}

fn snapshot(name: &str, text: &str) {
    let snapshots = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots");
    insta::with_settings!({snapshot_path => snapshots, prepend_module_to_snapshot => true, omit_expression => true}, {
        insta::assert_snapshot!(name, text);
    });
}

fn pix2struct() -> &'static Convention {
    Convention::by_name("pix2struct").unwrap()
}

pub(crate) fn leaderboard(
    runs: &[StoredRun],
    convention: &str,
    options: LeaderboardOptions,
) -> Leaderboard {
    let mut leaderboard = Leaderboard::new(Convention::by_name(convention).unwrap(), options);
    for run in runs {
        // As they would be read from a log of any length: in pieces.
        let pieces = |records: &Vec<PredictionRecord>| {
            records
                .chunks(1)
                .map(|piece| Ok(piece.to_vec()))
                .collect::<Vec<_>>()
        };
        let predictions = run
            .predictions
            .iter()
            .map(|(adapter, records)| (adapter.as_str(), pieces(records)));
        leaderboard.add(&run.manifest, predictions).unwrap();
    }
    leaderboard
}

#[test]
fn leaderboard_for_the_terminal() {
    let leaderboard = leaderboard(&[before()], "pix2struct", LeaderboardOptions::default());
    snapshot(
        "leaderboard_terminal",
        &leaderboard.render(Format::Table).unwrap(),
    );
}

#[test]
fn leaderboard_as_markdown_under_another_convention() {
    let leaderboard = leaderboard(
        &[before()],
        "study",
        LeaderboardOptions {
            speed: false,
            ..LeaderboardOptions::default()
        },
    );
    snapshot(
        "leaderboard_markdown",
        &leaderboard.render(Format::Markdown).unwrap(),
    );
}

#[test]
fn leaderboard_for_programs() {
    let leaderboard = leaderboard(&[before()], "pix2struct", LeaderboardOptions::default());
    snapshot("leaderboard_csv", &leaderboard.render(Format::Csv).unwrap());
    let json: serde_json::Value =
        serde_json::from_str(&leaderboard.render(Format::Json).unwrap()).unwrap();
    assert_eq!(
        (
            json["format"].as_u64(),
            json["rows"].as_array().unwrap().len()
        ),
        (Some(1), 33)
    );
    assert_eq!(json["rows"][0]["relaxed accuracy"].as_f64(), Some(80.0));
    let high = json["rows"][0]["relaxed accuracy high"].as_f64().unwrap();
    assert!((high - 99.963_426).abs() < 1e-6, "{high}");
}

#[test]
fn runs_on_other_questions_stand_apart_and_unfinished_ones_say_so() {
    let mut partial = run(
        "partial",
        "fedcba9876543210",
        &[("careful", &[Some("Line chart"), Some("No")])],
    );
    partial.manifest.benchmark.title = "Other questions".to_owned();
    let text = leaderboard(
        &[before(), partial],
        "pix2struct",
        LeaderboardOptions::default(),
    )
    .render(Format::Markdown)
    .unwrap();
    assert_eq!(text.matches("### ").count(), 2);
    let row = text
        .lines()
        .find(|line| line.contains("| partial |"))
        .unwrap();
    assert!(
        row.starts_with("| partial | careful (unfinished) | 2 | 0 | 50.00 |"),
        "{row}"
    );
}

/// A run of one adapter that was trained from `seed`.
fn trained(seed: &str, answers: &[Option<&str>]) -> StoredRun {
    let mut run = run(
        &format!("seed{seed}"),
        "0123456789abcdef",
        &[("careful", answers)],
    );
    let setting = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let settings = [
        ("prompt", "What, exactly? <b>"),
        ("decoding", "greedy"),
        ("finetune.seed", seed),
        ("finetune.lr", "0.001"),
        ("weights_sha256", seed),
    ];
    let identity = Identity {
        id: "careful".to_owned(),
        settings: settings.map(setting).into(),
    };
    run.manifest.adapters = vec![AdapterEntry::new(&identity, &[])];
    run
}

#[test]
fn training_seeds_published_results_and_settings_stand_below() {
    let right = [
        Some("Line chart"),
        Some("Yes"),
        Some("100"),
        Some("-40"),
        Some("a, b"),
    ];
    let runs = [
        trained("1", &right),
        trained("2", &[&right[..3], &[None, None]].concat()),
    ];
    let published = |system: &str, adapter: Option<&str>, part: Option<&str>| Published {
        system: system.to_owned(),
        adapter: adapter.map(str::to_owned),
        part: part.map(str::to_owned),
        convention: "pix2struct".to_owned(),
        metric: "relaxed".to_owned(),
        value: 75.0,
        source: "arXiv:0000.00000".to_owned(),
        questions: None,
        sampled: false,
        note: None,
    };
    let results = vec![
        published(
            "Careful, as published",
            Some("careful"),
            Some("answer type = numerical"),
        ),
        published("Someone else's", None, None),
    ];
    let options = LeaderboardOptions {
        slices: vec!["label length".parse().unwrap()],
        speed: false,
        published: vec![("five".to_owned(), results)],
    };
    snapshot(
        "leaderboard_below",
        &leaderboard(&runs, "study", options)
            .render(Format::Markdown)
            .unwrap(),
    );
}

/// The published results of `run` as Markdown; all of its numeric questions are right, and 75 %
/// were published.
fn beside_published(run: StoredRun, questions: Option<usize>) -> String {
    beside(run, questions, false)
}

fn beside(run: StoredRun, questions: Option<usize>, sampled: bool) -> String {
    let published = Published {
        system: "Careful, as published".to_owned(),
        adapter: Some("careful".to_owned()),
        part: Some("answer type = numerical".to_owned()),
        questions,
        sampled,
        convention: "pix2struct".to_owned(),
        metric: "relaxed".to_owned(),
        value: 75.0,
        source: "arXiv:0000.00000".to_owned(),
        note: None,
    };
    let options = LeaderboardOptions {
        slices: Vec::new(),
        published: vec![("five".to_owned(), vec![published])],
        ..LeaderboardOptions::default()
    };
    let text = leaderboard(&[run], "study", options)
        .render(Format::Markdown)
        .unwrap();
    text.lines()
        .find(|line| line.contains("as published"))
        .unwrap()
        .to_owned()
}

#[test]
fn published_results_are_compared_on_their_whole_question_set_alone() {
    let right = [
        Some("Line chart"),
        Some("Yes"),
        Some("100"),
        Some("-40"),
        Some("a, b"),
    ];
    let whole = || run("whole", "0123456789abcdef", &[("careful", &right)]);
    for questions in [None, Some(2)] {
        let row = beside_published(whole(), questions);
        assert!(
            row.contains("| 75.00 | 100.00 | 25.00 | whole | arXiv:0000.00000 | - |"),
            "{row}"
        );
    }
    let refused = |change: fn(&mut StoredRun), questions, reason: &str| {
        let mut run = whole();
        change(&mut run);
        let row = beside_published(run, questions);
        let expected =
            format!("| 75.00 | - | - | whole | arXiv:0000.00000 | not compared: {reason} |");
        assert!(row.contains(&expected), "{row} lacks {expected}");
    };
    refused(
        |run| run.manifest.benchmark.limit = 5,
        None,
        "only the first 5 questions are asked",
    );
    refused(
        |run| run.manifest.benchmark.questions_per_chart = "3".to_owned(),
        None,
        "only 3 questions a chart are asked",
    );
    refused(
        |run| run.manifest.benchmark.split = "train".to_owned(),
        None,
        "the questions are those of the train split",
    );
    refused(
        |run| run.manifest.benchmark.questions = 9,
        None,
        "5 of 9 questions are answered",
    );
    refused(|_| (), Some(1250), "2 questions, where 1250 were published");
    refused(
        |run| run.manifest.adapters = trained("1", &[]).manifest.adapters,
        None,
        "the checkpoint was fine-tuned further",
    );
    // Of a sample no run has the questions, however many it has.
    for questions in [None, Some(2)] {
        let row = beside(whole(), questions, true);
        assert!(
            row.contains("| answer type = numerical, sampled |"),
            "{row}"
        );
        assert!(
            row.contains(
                "| 75.00 | - | - | whole | arXiv:0000.00000 | not compared: the published one is of sampled questions |"
            ),
            "{row}"
        );
    }
}

#[test]
fn rows_that_look_answers_up_have_no_speed() {
    let speed = |latency_ms: f64| {
        let mut run = before();
        run.predictions[0]
            .1
            .iter_mut()
            .for_each(|record| record.latency_ms = latency_ms);
        let text = leaderboard(&[run], "study", LeaderboardOptions::default())
            .render(Format::Csv)
            .unwrap();
        text.lines()
            .find(|line| line.contains("careful"))
            .unwrap()
            .rsplit(',')
            .next()
            .unwrap()
            .to_owned()
    };
    // Stored in microseconds: a shorter latency is 0 or 0.001.
    assert_eq!([0.0, 0.001, 0.099].map(&speed), [""; 3]);
    assert!((speed(0.2).parse::<f64>().unwrap() - 5000.0).abs() < 1e-6);
    assert_eq!(speed(250.0), "4");
}

#[test]
fn seeds_of_two_runs_of_one_name_are_told_apart() {
    let right = [
        Some("Line chart"),
        Some("Yes"),
        Some("100"),
        Some("-40"),
        Some("a, b"),
    ];
    let mut runs = [
        trained("1", &[None; 5]),
        trained("2", &right),
        trained("3", &[]),
    ];
    runs.iter_mut()
        .for_each(|run| run.manifest.name = "tuned".to_owned());
    let text = leaderboard(&runs, "study", LeaderboardOptions::default())
        .render(Format::Markdown)
        .unwrap();
    let row = text
        .lines()
        .find(|line| line.contains("| careful | 1, 2 |"))
        .unwrap();
    // The third has no answers. Of 0 and 100 the mean is 50 and the standard deviation 70.71.
    assert!(
        row.starts_with("| careful | 1, 2 | 2 | 50.00 | 70.71 |"),
        "{row}"
    );
}

/// A run on 40 charts with three questions each: `right` says whether it answers one right.
pub(crate) fn many(name: &str, right: impl Fn(usize, usize) -> bool) -> StoredRun {
    let mut run = run(name, "0123456789abcdef", &[]);
    let records = (0..40)
        .flat_map(|chart| (0..3).map(move |question| (chart, question)))
        .map(|(chart, question)| {
            let answer = if right(chart, question) { "Yes" } else { "No" };
            let slices = [(
                "series".to_owned(),
                if chart < 5 { "12" } else { "3" }.to_owned(),
            )];
            PredictionRecord {
                id: format!("c{chart}/q{question}"),
                chart: format!("c{chart}"),
                template: Some(question.to_string()),
                slices: slices.into_iter().collect(),
                ..record(
                    0,
                    ("Yes".into(), AnswerType::Binary, Taxonomy::Root, "line"),
                    Some(answer),
                )
            }
        });
    run.manifest.benchmark.questions = 120;
    run.manifest.benchmark.charts = 40;
    run.predictions = vec![("careful".to_owned(), records.collect())];
    run
}

pub(crate) fn comparison(
    before: &StoredRun,
    after: &StoredRun,
    by: &[&str],
) -> anyhow::Result<Comparison> {
    let slices = by.iter().map(|name| name.parse().unwrap()).collect();
    let options = CompareOptions {
        slices,
        questions: !by.is_empty(),
        ..CompareOptions::default()
    };
    Comparison::new(before, after, pix2struct(), &options)
}

#[test]
fn comparison_of_two_runs() {
    let before = many("before", |chart, question| (chart + question) % 4 == 0);
    let after = many("after", |chart, question| {
        (chart + question) % 4 == 0 || chart % 5 == question
    });
    let same = many("same", |chart, question| {
        (chart + question) % 4 == 1 + chart % 2
    });
    let text = |other: &StoredRun| {
        comparison(&before, other, &[])
            .unwrap()
            .render(Format::Table)
            .unwrap()
    };
    snapshot(
        "comparison",
        &format!("{}\n{}\n{}", text(&after), text(&same), text(&before)),
    );
    let sliced = comparison(&before, &after, &["series", "template"]).unwrap();
    snapshot(
        "comparison_slices",
        &sliced.render(Format::Markdown).unwrap(),
    );
    let json: serde_json::Value =
        serde_json::from_str(&sliced.render(Format::Json).unwrap()).unwrap();
    assert_eq!(
        (
            json["format"].as_u64(),
            json["slices"].as_array().unwrap().len()
        ),
        (Some(1), 2)
    );
    assert_eq!(json["questions"].as_array().unwrap().len(), 18);
}

#[test]
fn two_adapters_of_one_run_can_be_compared() {
    let side = |adapter: &str| {
        let mut run = before();
        run.manifest.adapters = run
            .predictions
            .iter()
            .map(|(id, _)| {
                let identity = Identity {
                    id: id.clone(),
                    settings: Vec::new(),
                };
                AdapterEntry::new(&identity, &[])
            })
            .collect();
        run.with_adapter(adapter).unwrap()
    };
    let text = comparison(&side("constant"), &side("careful"), &[])
        .unwrap()
        .render(Format::Table)
        .unwrap();
    assert!(text.contains("constant -> careful"), "{text}");
    assert!(
        text.contains("on too few questions to conclude anything (5 on 2 charts)"),
        "{text}"
    );
    assert!(before().with_adapter("missing").is_err());
}

#[test]
fn the_only_models_of_two_runs_are_a_pair_beside_their_blind_rows() {
    let answers: &[Option<&str>] = &[Some("Yes"); 5];
    let hash = "0123456789abcdef";
    let rows = [
        ("majority", answers),
        ("mine", answers),
        ("blank+mine", answers),
    ];
    let mine = run("mine", hash, &rows);
    let theirs = run("theirs", hash, &[("theirs", answers)]);
    let text = comparison(&mine, &theirs, &[])
        .unwrap()
        .render(Format::Table)
        .unwrap();
    assert!(text.contains("mine -> theirs"), "{text}");
    // A row that both have is compared with itself, never with another.
    let blank = run("blank", hash, &[("blank+mine", answers)]);
    let text = comparison(&mine, &blank, &[])
        .unwrap()
        .render(Format::Table)
        .unwrap();
    assert!(
        !text.contains("->") && text.contains("blank+mine"),
        "{text}"
    );
    let two = run("two", hash, &[("one", answers), ("other", answers)]);
    let error = comparison(&mine, &two, &[]).err().unwrap().to_string();
    assert!(error.contains("no adapter in common"), "{error}");
}

#[test]
fn runs_that_cannot_be_compared_are_refused() {
    let told = |after: &StoredRun| comparison(&before(), after, &[]).err().unwrap().to_string();
    let other = run("after", "fedcba9876543210", &[("careful", &[None; 5])]);
    assert!(
        told(&other).contains("were asked different questions"),
        "{}",
        told(&other)
    );
    let stranger = run("after", "0123456789abcdef", &[("stranger", &[None; 5])]);
    assert!(
        told(&stranger).contains("no adapter in common"),
        "{}",
        told(&stranger)
    );
    let partial = run("after", "0123456789abcdef", &[("careful", &[None; 2])]);
    assert!(
        told(&partial).contains("answered 2 of 5"),
        "{}",
        told(&partial)
    );
}

#[test]
fn near_misses_are_counted_exactly() {
    // Planted: 3 wrong signs, 2 powers of ten, 1 unit; 1 other number, 1 text, 1 failed question;
    // the rest is right.
    let answers = [
        ("40", Some("-40")),
        ("-7.5", Some("7.6")),
        ("1,250", Some("-1250")),
        ("0.3", Some("30")),
        ("12", Some("1.2")),
        ("5 kg", Some("5 m")),
        ("40", Some("50")),
        ("40", Some("about forty")),
        ("40", None),
        ("40", Some("41")),
        ("50%", Some("0.5")),
        ("Line chart", Some("line chart.")),
    ];
    let golds: Vec<Gold> = answers.iter().map(|(gold, _)| Gold::from(*gold)).collect();
    let predictions: Vec<Option<Prediction>> = answers
        .iter()
        .map(|(_, answer)| answer.map(|answer| Prediction(answer.to_owned())))
        .collect();
    let nothing = Prediction::default();
    let entries = golds
        .iter()
        .zip(&predictions)
        .map(|(gold, prediction)| NamedPair {
            id: "q",
            pair: Pair {
                prediction: prediction.as_ref(),
                ..Pair::new(gold, &nothing)
            },
        });
    let sensitivity = Sensitivity::new(&[("planted".to_owned(), entries.collect())]);
    snapshot("sensitivity", &sensitivity.render(Format::Table).unwrap());
}

/// [`many`], with an answer of its own for each side.
fn answering(name: &str, answer: impl Fn(usize) -> &'static str) -> StoredRun {
    let mut run = many(name, |_, _| true);
    for (place, record) in run.predictions[0].1.iter_mut().enumerate() {
        record.prediction = Some(Prediction(answer(place).to_owned()));
    }
    run
}

#[test]
fn each_metric_with_another_verdict_has_a_sentence() {
    let sentences = |before: &StoredRun, after: &StoredRun| -> Vec<String> {
        let json = comparison(before, after, &[])
            .unwrap()
            .render(Format::Json)
            .unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        json["conclusions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line.as_str().unwrap().to_owned())
            .collect()
    };
    // Never right, but nearer: ANLS alone rises.
    let (far, near) = (
        answering("far", |_| "none"),
        answering("near", |place| if place % 3 == 0 { "Yess" } else { "none" }),
    );
    let lines = sentences(&far, &near);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].contains("no difference in exact match between far and near can be concluded"),
        "{lines:?}"
    );
    assert!(
        lines[1].contains("near is better than far in ANLS, by +25.00 points"),
        "{lines:?}"
    );
    // The other way round exact match and the others agree: one sentence is enough.
    let right = answering("right", |place| if place % 2 == 0 { "Yes" } else { "none" });
    let lines = sentences(&far, &right);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("careful: right is better than far in exact match, by +50.00 points"),
        "{lines:?}"
    );
    // The 10,000 flips show no less than 0.0001: p may be smaller.
    assert!(
        lines[0].ends_with("p <= 0.0001, corrected for 3 tests <= 0.0003)."),
        "{lines:?}"
    );
}

#[test]
fn settings_that_differ_are_named() {
    let with = |name: &str, settings: &[(&str, &str)]| {
        let mut run = many(name, |_, _| true);
        let settings = settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        run.manifest.adapters = vec![AdapterEntry::new(
            &Identity {
                id: "careful".to_owned(),
                settings,
            },
            &[],
        )];
        run
    };
    let line = |before: &StoredRun, after: &StoredRun| {
        let text = comparison(before, after, &[])
            .unwrap()
            .render(Format::Table)
            .unwrap();
        text.lines().find_map(|line| {
            line.strip_prefix("careful: settings differ: ")
                .map(str::to_owned)
        })
    };
    let before = with(
        "before",
        &[
            ("max_patches", "512"),
            ("prompt", "Q"),
            ("weights_sha256", "0123456789abcdef"),
        ],
    );
    let fewer = with(
        "fewer",
        &[
            ("max_patches", "256"),
            ("prompt", "Q"),
            ("weights_sha256", "0123456789abcdef"),
        ],
    );
    assert_eq!(
        line(&before, &fewer).as_deref(),
        Some("max_patches 512 / 256")
    );
    assert_eq!(line(&before, &before), None);
    let long = "x".repeat(100_000);
    let tuned = with(
        "tuned",
        &[
            ("prompt", &long),
            ("weights_sha256", "fedcba9876543210"),
            ("finetune.lr", "1"),
        ],
    );
    let expected = format!(
        "max_patches 512 / none, prompt Q / {}..., weights_sha256 0123456789ab / fedcba987654, fine-tuned no / yes",
        "x".repeat(80)
    );
    assert_eq!(line(&before, &tuned), Some(expected));
}

/// What a model or a data set may write to harm a reader.
const HOSTILE: &str =
    "<script>alert(1)</script>|\"'\u{202e}\u{1b}[2J\r\n=cmd()&\\input{x}$`[a](javascript:b)";

#[test]
fn hostile_text_stays_text_in_every_form() {
    let mut evil = run(
        HOSTILE,
        "0123456789abcdef",
        &[(HOSTILE, &[Some(HOSTILE); 5])],
    );
    evil.manifest.benchmark.title = HOSTILE.to_owned();
    evil.predictions[0]
        .1
        .iter_mut()
        .for_each(|record| record.chart_type = Some(format!("={HOSTILE}")));
    let long = "\u{0}".repeat(100_000);
    evil.predictions[0].1[0].prediction = Some(Prediction(long));
    let mut other = run("after", "0123456789abcdef", &[(HOSTILE, &[Some("Yes"); 5])]);
    other.manifest.benchmark.title = HOSTILE.to_owned();
    let changed = comparison(&evil, &other, &["chart type"]).unwrap();
    let forms = |format: Format| {
        let board = leaderboard(
            &[run(
                HOSTILE,
                "0123456789abcdef",
                &[(HOSTILE, &[Some(HOSTILE); 5])],
            )],
            "study",
            LeaderboardOptions::default(),
        );
        format!(
            "{}{}",
            board.render(format).unwrap(),
            changed.render(format).unwrap()
        )
    };
    for format in [Format::Table, Format::Markdown, Format::Latex] {
        let text = forms(format);
        let hidden = text
            .chars()
            .find(|c| (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c));
        assert_eq!(hidden, None, "{format:?}");
    }
    let markdown = forms(Format::Markdown);
    assert!(!markdown.contains("<script>") && markdown.contains("&lt;script&gt;"));
    assert!(!markdown.contains("[a]("));
    let latex = forms(Format::Latex);
    let commands = latex
        .lines()
        .filter(|line| !line.starts_with('%'))
        .any(|line| line.contains("\\input"));
    assert!(!commands && latex.contains("\\textbackslash{}input"));
    let evil_name = run("=cmd()", "0123456789abcdef", &[("a", &[Some("x"); 5])]);
    let header = comparison(
        &evil_name,
        &run("b", "0123456789abcdef", &[("a", &[Some("x"); 5])]),
        &[],
    )
    .unwrap();
    assert!(
        header
            .render(Format::Csv)
            .unwrap()
            .starts_with("adapter,metric,'=cmd(),b,")
    );
    for record in csv::Reader::from_reader(forms(Format::Csv).as_bytes())
        .into_records()
        .take(3)
    {
        let formula = record
            .unwrap()
            .iter()
            .any(|field| field.starts_with(['=', '+', '@', '\t', '\r']));
        assert!(!formula);
    }
}
