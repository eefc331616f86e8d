//! Data sets as JSON files whose fields a benchmark names: ChartBench's pairs and numbers, DVQA's
//! validation splits.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use chartbench::config::Benchmark;
use chartbench_core::question::{Gold, ImageRef, Question, QuestionSet};
use chartbench_data::lint::DataSet;
use chartbench_data::{MissingSplit, QuestionSetSpec, Split};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/json")
        .join(name)
}

fn embedded(name: &str) -> QuestionSetSpec {
    Benchmark::find(name).unwrap().data
}

/// A benchmark that reads `q.jsonl`, with these further fields.
fn benchmark(fields: &str) -> QuestionSetSpec {
    let text = format!(
        "title = \"T\"\ndescription = \"D\"\nformat = \"json\"\n[columns]\nimage = \"image\"\nquestion = \"question\"\n\
         answer = \"answer\"\n{fields}\n[files]\ntest = [\"q.jsonl\"]\n"
    );
    Benchmark::parse(&text, "mine.toml").unwrap().data
}

fn load(spec: &QuestionSetSpec, path: &Path) -> QuestionSet {
    let (set, notes) = chartbench_data::load_with_notes(spec, Some(path), Split::Test).unwrap();
    assert_eq!(notes, [""; 0]);
    set
}

fn all(set: &QuestionSet) -> Vec<&Question> {
    set.iter().map(|(_, question)| question).collect()
}

/// The id, the text and the gold of each question.
fn asked(set: &QuestionSet) -> Vec<(&str, &str, String)> {
    let questions = all(set).into_iter();
    questions
        .map(|question| {
            let gold = question.gold.text().into_owned();
            (question.id.as_str(), question.text.as_str(), gold)
        })
        .collect()
}

#[test]
fn chartbench_pairs_are_two_questions_each() {
    let set = load(&embedded("chartbench-acc-plus"), &fixture("ChartBench"));
    assert_eq!((set.charts.len(), set.len()), (2, 6));
    let asked = asked(&set);
    assert_eq!(
        asked[..2],
        [
            (
                "0/0",
                "This is a bar chart and no line chart. Please answer yes or no.",
                "Yes".to_owned()
            ),
            (
                "0/1",
                "This is a line chart and no bar chart. Please answer yes or no.",
                "No".to_owned()
            ),
        ]
    );
    let ids: Vec<&str> = asked.iter().map(|(id, ..)| *id).collect();
    assert_eq!(ids, ["0/0", "0/1", "1/0", "1/1", "9/0", "9/1"]);
    let chart = &set.charts[0].chart;
    assert_eq!(chart.chart_type.as_deref(), Some("bar"));
    assert_eq!(chart.id, "./data/test/bar/vertical_multi/chart_0/image.png");
    let file = fixture("ChartBench/data/test/bar/vertical_multi/chart_0/image.png");
    assert_eq!(chart.image.bytes().unwrap(), fs::read(file).unwrap());
    let slices = &all(&set)[2].slices;
    assert_eq!(
        (slices["type.image"].as_str(), slices["type.task"].as_str()),
        ("vertical_multi", "VE")
    );
}

#[test]
fn chartbench_numbers_are_a_benchmark_of_their_own() {
    let spec = embedded("chartbench-nqa");
    let set = load(&spec, &fixture("ChartBench"));
    let expected = [
        (
            "4/0",
            "What is the value of the second bar?",
            "7.0".to_owned(),
        ),
        ("10/0", "What is the share of the first?", "8.2%".to_owned()),
    ];
    assert_eq!(asked(&set), expected);
    // The file itself is the test split, too.
    let file = load(&spec, &fixture("ChartBench/test.jsonl"));
    assert_eq!(file.hash().unwrap(), set.hash().unwrap());
}

#[test]
fn dvqa_validation_splits_are_two_benchmarks() {
    let easy = load(&embedded("dvqa-easy"), &fixture("DVQA"));
    assert_eq!((easy.charts.len(), easy.len()), (2, 3));
    assert_eq!(
        asked(&easy)[1],
        (
            "302",
            "What is the value of the second bar?",
            "7".to_owned()
        )
    );
    assert_eq!(all(&easy)[2].slices["template_id"], "reasoning");
    let image = &easy.charts[1].chart.image;
    assert!(
        matches!(image, ImageRef::File(file) if file.ends_with("images/bar_val_easy_00000002.png"))
    );
    assert!(image.bytes().is_ok());
    let hard = load(&embedded("dvqa-hard"), &fixture("DVQA"));
    assert_eq!(
        asked(&hard),
        [(
            "301",
            "Is the first bar larger than the last?",
            "no".to_owned()
        )]
    );

    // As the archive of questions unpacks into a folder of its name.
    let unpacked = TempDir::new().unwrap();
    for folder in ["qa", "images"] {
        fs::create_dir(unpacked.path().join(folder)).unwrap();
    }
    for (from, to) in [
        ("DVQA/val_easy_qa.json", "qa/val_easy_qa.json"),
        (
            "DVQA/images/bar_val_easy_00000001.png",
            "images/bar_val_easy_00000001.png",
        ),
    ] {
        fs::copy(fixture(from), unpacked.path().join(to)).unwrap();
    }
    let set = load(&embedded("dvqa-easy"), unpacked.path());
    assert_eq!(set.hash().unwrap(), easy.hash().unwrap());
}

#[test]
fn data_check_reads_them_by_their_benchmark() {
    for (name, folder, questions) in [
        ("chartbench-acc-plus", "ChartBench", 6),
        ("chartbench-nqa", "ChartBench", 2),
        ("dvqa-easy", "DVQA", 3),
        ("dvqa-hard", "DVQA", 1),
    ] {
        let data = DataSet::load_as(&fixture(folder), embedded(name)).unwrap();
        let report = data.check(Some(&|| ()));
        assert_eq!(report.layout, Some("json"), "{name}");
        assert!(report.usable, "{name}: {:?}", report.findings);
        assert_eq!(report.content.unwrap().questions, questions, "{name}");
    }
}

#[test]
fn what_records_lack_is_counted() {
    let folder = TempDir::new().unwrap();
    let lines = [
        r#"{"image": "a.png", "question": "A?", "answer": 1.50}"#,
        r#"{"image": "a.png", "question": "B?", "answer": NaN}"#,
        r#"{"image": "a.png", "question": " ", "answer": "x"}"#,
        r#"{"question": "D?", "answer": ["x", true], "part": "p"}"#,
    ];
    fs::write(folder.path().join("q.jsonl"), lines.join("\n")).unwrap();
    fs::write(folder.path().join("a.png"), "").unwrap();
    let spec = benchmark("source = \"part\"");
    let (set, notes) =
        chartbench_data::load_with_notes(&spec, Some(folder.path()), Split::Test).unwrap();
    assert_eq!(
        notes,
        [
            "questions without an answer (null or NaN), left out: 1, first row 1",
            "records without a question, left out: 1, first row 2",
        ]
    );
    let golds: Vec<&Gold> = all(&set).iter().map(|question| &question.gold).collect();
    assert_eq!(
        golds,
        [
            &Gold::from("1.50"),
            &Gold::List(vec!["x".into(), "True".into()])
        ]
    );
    let sources: BTreeSet<_> = all(&set)
        .iter()
        .map(|question| question.source.clone())
        .collect();
    assert_eq!(sources, [None, Some("p".to_owned())].into());
    // A record without an image fails when it is asked, and only then.
    let error = set.charts[1].chart.image.bytes().unwrap_err();
    let line = format!("{error:#}");
    assert!(line.ends_with("row 3 has no image"), "{line}");
}

#[test]
fn faults_are_one_line() {
    let folder = TempDir::new().unwrap();
    let fault = |content: &str| {
        fs::write(folder.path().join("q.jsonl"), content).unwrap();
        let spec = benchmark("");
        let error = chartbench_data::load(&spec, Some(folder.path()), Split::Test).unwrap_err();
        let line = format!("{error:#}").replace(folder.path().to_str().unwrap(), "DIR");
        assert!(!line.contains('\n'), "{line}");
        line
    };
    assert_eq!(fault(" \n"), "DIR/q.jsonl: the file is empty");
    assert_eq!(
        fault("{\"image\": \"a.png\", \"query\": \"A?\", \"answer\": 1}"),
        "DIR/q.jsonl: no record has the field `question`; fields are answer, image, query"
    );
    assert_eq!(
        fault("{\"image\": {\"bytes\": \"\"}, \"question\": \"A?\", \"answer\": 1}"),
        "DIR/q.jsonl: row 0: field `image` is no path of an image"
    );
    assert_eq!(
        fault("{\"image\": \"a.png\", \"question\": [{\"q\": \"A?\"}], \"answer\": 1}"),
        "DIR/q.jsonl: row 0: column `question`: its records have no `answer`"
    );
    assert_eq!(
        fault("{\"image\": \"a.png\", \"question\": \"A?\", \"answer\": {\"a\": 1}}"),
        "DIR/q.jsonl: row 0: column `answer`: a record is no answer; it must be a text, a number, a truth value or a list"
    );
    assert_eq!(
        fault("{\"image\": \"a.png\", \"question\": \"A?\", \"answer\": 1}"),
        "none of the chart images is there; the first should be DIR/a.png"
    );
    assert!(fault("[{\"image\": \"a.png\",").starts_with("DIR/q.jsonl: line 1 column "));
    // Records that the benchmark does not ask leave no questions.
    let (spec, data) = (
        embedded("chartbench-nqa"),
        folder.path().join("pairs.jsonl"),
    );
    let pairs = fs::read_to_string(fixture("ChartBench/test.jsonl")).unwrap();
    let first = pairs.lines().next().unwrap();
    fs::write(&data, first).unwrap();
    let error = chartbench_data::load(&spec, Some(&data), Split::Test).unwrap_err();
    assert!(error.downcast_ref::<MissingSplit>().is_some(), "{error:#}");
    // The train split has no files, and a folder without the file has no test split.
    for (path, split, what) in [
        (
            fixture("DVQA"),
            Split::Train,
            "names no files of the train split",
        ),
        (
            fixture("ChartBench"),
            Split::Test,
            "[files] of the benchmark names val_easy_qa.json, qa/val_easy_qa.json",
        ),
    ] {
        let error = chartbench_data::load(&embedded("dvqa-easy"), Some(&path), split).unwrap_err();
        assert!(error.downcast_ref::<MissingSplit>().is_some(), "{error:#}");
        assert!(format!("{error:#}").ends_with(what), "{error:#}");
    }
}

#[test]
fn images_outside_the_folder_are_not_read() {
    let folder = TempDir::new().unwrap();
    let inner = folder.path().join("data set");
    fs::create_dir(&inner).unwrap();
    fs::write(folder.path().join("secret.png"), "secret").unwrap();
    fs::write(inner.join("b.png"), "b").unwrap();
    let lines = [
        r#"{"image": "b.png", "question": "A?", "answer": 1}"#,
        r#"{"image": "../secret.png", "question": "A?", "answer": 1}"#,
    ];
    fs::write(inner.join("q.jsonl"), lines.join("\n")).unwrap();
    let mut spec = benchmark("");
    let secret = |spec: &QuestionSetSpec| load(spec, &inner).charts[1].chart.image.bytes();
    assert!(secret(&spec).is_err());
    spec.allow_outside = true;
    assert_eq!(secret(&spec).unwrap(), b"secret");
}
