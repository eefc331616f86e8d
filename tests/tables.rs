//! Whole tables as people see them: the leaderboard and the comparison of two small runs made by hand.

use chartbench::metric::Convention;
use chartbench::record::{AdapterEntry, BenchmarkEntry, FORMAT_VERSION, Manifest, PredictionRecord, StoredRun};
use chartbench::report::table::Format;
use chartbench::report::{Leaderboard, compare};
use chartbench::sample::{AnswerType, Gold, Prediction, Taxonomy};

/// Gold, answer type, taxonomy and chart type of five questions.
fn questions() -> [(Gold, AnswerType, Taxonomy, &'static str); 5] {
    let list = Gold::List(vec!["a".into(), "b".into()]);
    [
        ("Line chart".into(), AnswerType::String, Taxonomy::Root, "line"),
        ("Yes".into(), AnswerType::Binary, Taxonomy::Structural, "line"),
        ("100".into(), AnswerType::Numerical, Taxonomy::Retrieval, "line"),
        ("-40".into(), AnswerType::Numerical, Taxonomy::Reasoning, "vertical bar"),
        (list, AnswerType::UnrankedList, Taxonomy::Structural, "vertical bar"),
    ]
}

/// A run in which each adapter gave these answers; `None` is a failed question.
fn run(name: &str, hash: &str, adapters: &[(&str, &[Option<&str>])]) -> StoredRun {
    let records = |answers: &[Option<&str>]| {
        let pairs = questions().into_iter().zip(answers).enumerate();
        pairs.map(|(index, (question, answer))| record(index, question, *answer)).collect()
    };
    StoredRun {
        manifest: Manifest {
            format: FORMAT_VERSION,
            name: name.to_owned(),
            program: "0.1.0".to_owned(),
            benchmark: BenchmarkEntry {
                name: "five".to_owned(),
                title: "Five questions made by hand".to_owned(),
                split: "test".to_owned(),
                charts: 2,
                questions: 5,
                questions_per_chart: "all".to_owned(),
                seed: 0,
                limit: 0,
                hash: hash.to_owned(),
            },
            adapters: Vec::<AdapterEntry>::new(),
        },
        predictions: adapters.iter().map(|(adapter, answers)| ((*adapter).to_owned(), records(answers))).collect(),
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
        prediction: answer.map(|answer| Prediction(answer.to_owned())),
        token_ids: Vec::new(),
        completions: Vec::new(),
        usage: None,
        error: answer.is_none().then(|| "cannot read the chart image".to_owned()),
        latency_ms: 250.0,
    }
}

fn before() -> StoredRun {
    run(
        "before",
        "0123456789abcdef",
        &[
            ("careful", &[Some("Line chart"), Some("yes"), Some("104"), Some("40"), Some("a, b")]),
            ("constant", &[Some("Yes"), Some("Yes"), Some("Yes"), Some("Yes"), Some("Yes")]),
            ("broken|pipe", &[None, None, Some("100"), Some("-41"), Some("b, a")]),
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
    Convention::named("pix2struct").unwrap()
}

#[test]
fn leaderboard_for_the_terminal() {
    snapshot("leaderboard_terminal", &Leaderboard::new(&[before()], pix2struct()).render(Format::Table).unwrap());
}

#[test]
fn leaderboard_as_markdown_under_another_convention() {
    let study = Convention::named("study").unwrap();
    let leaderboard = Leaderboard::new(&[before()], study).without_speed();
    snapshot("leaderboard_markdown", &leaderboard.render(Format::Markdown).unwrap());
}

#[test]
fn leaderboard_as_csv() {
    snapshot("leaderboard_csv", &Leaderboard::new(&[before()], pix2struct()).render(Format::Csv).unwrap());
}

#[test]
fn runs_on_other_questions_stand_apart_and_unfinished_ones_say_so() {
    let mut partial = run("partial", "fedcba9876543210", &[("careful", &[Some("Line chart"), Some("No")])]);
    partial.manifest.benchmark.title = "Other questions".to_owned();
    let text = Leaderboard::new(&[before(), partial], pix2struct()).render(Format::Markdown).unwrap();
    assert_eq!(text.matches("### ").count(), 2);
    let row = text.lines().find(|line| line.contains("| partial |")).unwrap();
    assert!(row.starts_with("| partial | careful (unfinished) | 2 | 0 | 50.00 |"), "{row}");
}

#[test]
fn comparison_of_two_runs() {
    let after = run(
        "after",
        "0123456789abcdef",
        &[
            ("careful", &[Some("Line chart"), Some("Yes"), Some("104"), Some("-40"), Some("a")]),
            ("broken|pipe", &[Some("Line chart"), None, Some("100"), Some("-41"), Some("a, b")]),
        ],
    );
    snapshot("comparison", &compare(&before(), &after, pix2struct()).unwrap().render(Format::Table).unwrap());
}

#[test]
fn runs_that_cannot_be_compared_are_refused() {
    let told = |after: &StoredRun| compare(&before(), after, pix2struct()).unwrap_err().to_string();
    let other = run("after", "fedcba9876543210", &[("careful", &[None; 5])]);
    assert!(told(&other).contains("were asked different questions"), "{}", told(&other));
    let stranger = run("after", "0123456789abcdef", &[("stranger", &[None; 5])]);
    assert!(told(&stranger).contains("no adapter in common"), "{}", told(&stranger));
    let partial = run("after", "0123456789abcdef", &[("careful", &[None; 2])]);
    assert!(told(&partial).contains("answered 2 of 5"), "{}", told(&partial));
}
