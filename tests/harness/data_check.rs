//! `data check` finds planted faults of every kind, each once, and nothing else.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use crate::planting::{ChartQa, Expected, Planted, RealCqa, chart, save};
use chartbench::config::Benchmark;
use chartbench_core::question::{ChartQuestions, Split};
use chartbench_data::Format;
use chartbench_data::content::PixelDigest;
use chartbench_data::lint::{DataSet, FindingKind, LintReport};
use chartbench_data::synth::Synth;
use rayon::prelude::*;
use serde_json::Value;

/// Kind and place of every finding, sorted.
fn found(report: &LintReport) -> Expected {
    let place = |finding: &chartbench_data::lint::Finding| {
        let id = finding
            .question
            .clone()
            .or(finding.chart.clone())
            .unwrap_or_default();
        (finding.kind, id, finding.other.clone())
    };
    let mut found: Expected = report.findings.iter().map(place).collect();
    found.sort();
    found
}

fn checked(path: &Path) -> LintReport {
    DataSet::load(path, None, false)
        .unwrap()
        .check(Some(&|| {}))
}

fn assert_exactly(report: &LintReport, planted: Planted) {
    let mut expected = planted.expected;
    expected.sort();
    let found = found(report);
    let only = |a: &Expected, b: &Expected| {
        a.iter()
            .filter(|one| !b.contains(one))
            .cloned()
            .collect::<Vec<_>>()
    };
    let (extra, lacking) = (only(&found, &expected), only(&expected, &found));
    let messages: Vec<_> = report
        .findings
        .iter()
        .map(|f| format!("{:?} {:?} {}", f.kind, f.chart, f.message))
        .collect();
    assert!(
        extra.is_empty() && lacking.is_empty(),
        "extra {extra:#?}\nlacking {lacking:#?}\nall {messages:#?}"
    );
    assert_eq!(
        found.len(),
        expected.len(),
        "a finding stands twice: {found:#?}"
    );
}

/// Draws, checks, plants, checks again; tells how long each took.
fn synthetic(train: usize, test: usize) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("set");
    let started = Instant::now();
    Synth {
        seed: 11,
        train,
        test,
        questions_per_chart: 4,
    }
    .write(&dir, &|| {})
    .unwrap();
    let drawn = started.elapsed();
    let report = checked(&dir);
    let checked_in = started.elapsed() - drawn;
    assert_eq!(found(&report), [], "a clean set has no findings");
    assert!(report.usable && report.images_checked);

    let planted = RealCqa::new(&dir).plant();
    let report = checked(&dir);
    let mut kinds: BTreeMap<FindingKind, usize> = BTreeMap::new();
    report
        .findings
        .iter()
        .for_each(|finding| *kinds.entry(finding.kind).or_default() += 1);
    assert_exactly(&report, planted);
    assert_eq!(kinds.len(), 11, "every kind is planted: {kinds:?}");
    assert!(!report.usable);
    format!(
        "{} charts drawn in {drawn:.1?}, checked in {checked_in:.1?}; planted and found {kinds:?}",
        train + test
    )
}

#[test]
fn faults_planted_in_synthetic_charts_are_found() {
    println!("{}", synthetic(90, 210));
}

/// `cargo test --release --test data_check -- --ignored --nocapture ten_thousand`
#[test]
#[ignore = "draws ten thousand charts"]
fn faults_planted_in_ten_thousand_charts_are_found() {
    println!("{}", synthetic(2000, 8000));
}

#[test]
#[ignore = "needs a sample of ChartQA: CHARTBENCH_TEST_DATA/chartqa-sample"]
fn outside_data_faults_planted_in_real_charts_are_found() {
    let sample = crate::outside_data::path("chartqa-sample");
    // The baseline: nothing is wrong with the 120 charts and 149 questions.
    let report = checked(&sample);
    assert_eq!(found(&report), []);
    assert_eq!(
        (report.counts[0].charts, report.counts[0].questions),
        (120, 149)
    );

    let scratch = tempfile::tempdir().unwrap();
    let planted = ChartQa::copy(&sample, scratch.path()).plant();
    let report = checked(scratch.path());
    assert_exactly(&report, planted);
}

#[test]
fn charts_of_one_style_with_other_data_are_no_copies() {
    let scratch = tempfile::tempdir().unwrap();
    let mut rows = "image,question,answer\n".to_owned();
    for (number, shift) in [0, 6, 12, 30].into_iter().enumerate() {
        for kind in ["bars", "line", "points", "pale"] {
            let name = format!("{kind}{number}.png");
            save(&chart(kind, 1, shift), &scratch.path().join(&name));
            rows += &format!("{name},How much?,{number}\n");
        }
    }
    std::fs::write(scratch.path().join("questions.csv"), rows).unwrap();
    assert_eq!(found(&checked(scratch.path())), []);
}

/// Two splits of a small set of one's own, with a fault of most kinds.
fn small(dir: &Path) {
    for (name, kind, seed) in [
        ("a", "bars", 1),
        ("b", "line", 2),
        ("c", "points", 3),
        ("d", "bars", 4),
    ] {
        save(&chart(kind, seed, 0), &dir.join(format!("{name}.png")));
    }
    std::fs::copy(dir.join("a.png"), dir.join("e.png")).unwrap();
    std::fs::write(dir.join("broken.png"), b"\x89PNG\r\n\x1a\nnothing").unwrap();
    let rows = [
        r#"{"image": "d.png", "question": "Is it?", "answer": "yes", "answer_type": "binary", "split": "train"}"#,
        r#"{"image": "a.png", "question": "Is it?", "answer": "yes", "answer_type": "binary", "chart_type": "bar"}"#,
        r#"{"image": "a.png", "question": " is  IT?", "answer": "Yes", "answer_type": "binary", "chart_type": "bar"}"#,
        r#"{"image": "b.png", "question": "Which?", "answer": ["x", ""], "answer_type": "unranked_list", "taxonomy": "2"}"#,
        r#"{"image": "b.png", "question": "What?", "answer": "nan", "answer_type": "numerical", "taxonomy": "3"}"#,
        r#"{"image": "c.png", "question": "Why?", "answer": "it says \"because\n", "answer_type": "string"}"#,
        r#"{"image": "c.png", "question": "Why?", "answer": "(so", "answer_type": "string"}"#,
        r#"{"image": "d.png", "question": "How much?", "answer": "-3"}"#,
        r#"{"image": "e.png", "question": "How much?", "answer": "4"}"#,
        r#"{"image": "broken.png", "question": "How much?", "answer": "5"}"#,
        r#"{"image": "missing.png", "question": "How much?", "answer": "6"}"#,
    ];
    std::fs::write(dir.join("questions.jsonl"), rows.join("\n")).unwrap();
}

fn chartbench(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args(args)
        .output()
        .unwrap()
}

/// Standard output with `dir` called DIR.
fn out(output: &Output, dir: &Path) -> String {
    String::from_utf8(output.stdout.clone())
        .unwrap()
        .replace(dir.to_str().unwrap(), "DIR")
}

#[test]
fn the_report_in_both_forms() {
    let scratch = tempfile::tempdir().unwrap();
    small(scratch.path());
    let dir = scratch.path().to_str().unwrap();
    let table = chartbench(&["data", "check", dir]);
    let json = chartbench(&["data", "check", dir, "--format", "json"]);
    assert_eq!(
        (table.status.code(), json.status.code()),
        (Some(1), Some(1))
    );
    insta::with_settings!({
        snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => true,
        omit_expression => true,
    }, {
        insta::assert_snapshot!("report_table", out(&table, scratch.path()));
        insta::assert_snapshot!("report_json", out(&json, scratch.path()));
    });
    let value: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value["format"], 1);

    let one = out(
        &chartbench(&["data", "check", dir, "--show", "1"]),
        scratch.path(),
    );
    assert!(
        one.contains("truncated golds (2)") && one.contains("and 1 more"),
        "{one}"
    );
    let none = out(
        &chartbench(&["data", "check", dir, "--show", "0"]),
        scratch.path(),
    );
    assert!(
        none.contains("error: truncated golds (2)\nand 2 more"),
        "{none}"
    );
}

#[test]
fn without_images_nothing_of_them_is_told() {
    let scratch = tempfile::tempdir().unwrap();
    small(scratch.path());
    let output = chartbench(&[
        "data",
        "check",
        scratch.path().to_str().unwrap(),
        "--no-images",
        "--format",
        "json",
    ]);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let kinds: Vec<&str> = value["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["kind"].as_str().unwrap())
        .collect();
    assert_eq!(value["images_checked"], false);
    assert!(
        kinds.contains(&"chart_in_train_and_test"),
        "told by its id: {kinds:?}"
    );
    assert!(
        !kinds.iter().any(|kind| kind.contains("image")),
        "{kinds:?}"
    );
}

#[test]
fn exit_codes_and_layouts() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let code = |args: &[&str]| chartbench(args).status.code();
    let fault = |args: &[&str]| {
        let output = chartbench(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let line = String::from_utf8(output.stderr)
            .unwrap()
            .replace(dir.to_str().unwrap(), "DIR");
        assert_eq!(line.trim_end().lines().count(), 1, "{line}");
        line
    };
    let path = dir.to_str().unwrap();
    assert!(fault(&["data", "check", path]).contains("no data set of a known layout"));
    assert!(
        fault(&["data", "check", &format!("{path}/nowhere")]).contains("cannot open DIR/nowhere")
    );
    assert!(fault(&["data", "check", path, "--layout", "realcqa"]).contains("test_filenames.txt"));

    save(&chart("bars", 1, 0), &dir.join("a.png"));
    std::fs::write(
        dir.join("questions.csv"),
        "image,question,answer\na.png,How much?,4\n",
    )
    .unwrap();
    assert_eq!(code(&["data", "check", path]), Some(0), "clean");
    assert_eq!(
        code(&["data", "check", &format!("{path}/questions.csv")]),
        Some(0)
    );
    std::fs::write(dir.join("qa_pairs.json"), "[]").unwrap();
    assert!(
        fault(&["data", "check", path]).contains("plotqa, generic; name one with --dataset-format")
    );
    assert_eq!(
        code(&["data", "check", path, "--layout", "generic"]),
        Some(0)
    );

    std::fs::write(
        dir.join("questions.csv"),
        "image,question,answer\na.png,How much?,nan\n",
    )
    .unwrap();
    assert_eq!(
        code(&["data", "check", path, "--layout", "generic"]),
        Some(0),
        "a warning alone"
    );
    std::fs::write(
        dir.join("questions.csv"),
        "image,question,answer\na.png,How much?\n",
    )
    .unwrap();
    assert!(fault(&["data", "check", path, "--layout", "generic"]).contains("line 2"));
}

/// `cargo test --release --test data_check -- --ignored --nocapture four_hundred_thousand`
#[test]
#[ignore = "a timing"]
fn four_hundred_thousand_questions_take_seconds() {
    let scratch = tempfile::tempdir().unwrap();
    crate::planting::many_questions(scratch.path(), 10_000, 40);
    let started = Instant::now();
    let data = DataSet::load(scratch.path(), None, false).unwrap();
    let loaded = started.elapsed();
    let report = data.check(None);
    let total = started.elapsed();
    let questions: usize = report
        .counts
        .iter()
        .filter(|count| count.group == "all")
        .map(|count| count.questions)
        .sum();
    println!(
        "{questions} questions loaded in {loaded:.1?}, with all checks but the images' {total:.1?}"
    );
    assert_eq!(
        (questions, report.findings.len()),
        (400_000, 0),
        "{:?}",
        report.findings.first()
    );
    assert!(total.as_secs() < 10);
}

/// The numbers that a benchmark draws its charts from.
fn drawn(benchmark: &str) -> Synth {
    let Format::Synth {
        seed,
        train,
        test,
        questions_per_chart,
    } = Benchmark::find(benchmark).unwrap().data.format
    else {
        panic!("{benchmark} draws no charts")
    };
    Synth {
        seed,
        train,
        test,
        questions_per_chart,
    }
}

fn tables(charts: &[ChartQuestions]) -> HashSet<String> {
    let table = |entry: &ChartQuestions| {
        let source = entry.chart.table.as_ref().unwrap();
        source.0.table().unwrap().linearized()
    };
    charts.par_iter().map(table).collect()
}

fn pictures(charts: &[ChartQuestions]) -> HashSet<PixelDigest> {
    let digest = |entry: &ChartQuestions| PixelDigest::from_chart(&entry.chart).unwrap();
    charts.par_iter().map(digest).collect()
}

/// What the embedded models are trained on and what they are asked about are different charts: by
/// seed, by data table and by pixels.
#[test]
fn no_test_chart_of_mini_is_among_train_charts() {
    let mini = drawn("mini");
    let test = mini.question_set(Split::Test).charts;
    let (test_tables, test_pictures) = (tables(&test), pictures(&test));
    assert_eq!((test_tables.len(), test_pictures.len()), (120, 120));
    let pretraining = drawn("pretraining");
    let answers = drawn("pretraining-answers");
    assert_eq!(
        (pretraining.seed, pretraining.train),
        (answers.seed, answers.train),
        "both are pre-trained on the same charts"
    );
    assert_ne!(pretraining.seed, mini.seed);
    for (benchmark, with_table, with_picture) in [(mini, 2_500, 400), (pretraining, 5_000, 2_000)] {
        let train = Synth {
            train: with_table,
            ..benchmark
        };
        let train = train.question_set(Split::Train).charts;
        let train_tables = tables(&train);
        assert!(train_tables.len() > with_table * 99 / 100);
        assert!(train_tables.is_disjoint(&test_tables), "{benchmark:?}");
        let train_pictures = pictures(&train[..with_picture]);
        assert_eq!(train_pictures.len(), with_picture);
        assert!(train_pictures.is_disjoint(&test_pictures), "{benchmark:?}");
    }
    // The test charts of `mini-tables` are the same, and found to be.
    let same = drawn("mini-tables").question_set(Split::Test).charts;
    assert_eq!(tables(&same), test_tables);
    assert_eq!(pictures(&same), test_pictures);
}

#[test]
fn a_benchmark_that_draws_its_charts_is_checked_and_said_to_be_apart() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("small.toml");
    let toml = "title = \"t\"\ndescription = \"d\"\nformat = \"synth\"\nseed = 5\ntrain = 12\ntest = 6\nquestions_per_chart = 4\n";
    std::fs::write(&file, toml).unwrap();
    let check = |arguments: &[&str]| -> Output {
        Command::new(env!("CARGO_BIN_EXE_chartbench"))
            .args(["data", "check"])
            .args(arguments)
            .output()
            .unwrap()
    };
    let output = check(&[file.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "train and test charts are apart: by id, image and data table",
        "apart from mini, mini-tables: by seed 42, here 5, and by data table",
        "apart from pretraining, pretraining-answers: by seed 7, here 5, and by data table",
        "usable: errors: 0, warnings: 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(output.status.success());
    let output = check(&["mini", "--no-images", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        report["separation"],
        serde_json::json!([
            {"benchmarks": ["mini"], "seed": 42, "shared": 0, "compared": ["id", "data table"]},
            {"benchmarks": ["pretraining", "pretraining-answers"], "seed": 7, "shared": 0, "compared": ["data table"]},
        ])
    );
    let output = check(&["elsewhere", "--benchmark", "mini"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        error.contains("`mini` draws its own charts: leave out the path"),
        "{error}"
    );
}
