//! Data sets: questions and annotations of one chart in RealCQA's and PlotQA's folders, and JSON
//! records whose fields a benchmark names.

use std::fs;
use std::path::Path;

use chartbench::config::Benchmark;
use chartbench_data::{Format, QuestionSetSpec, Split};

use super::check_error;
use crate::fixtures;

/// An embedded benchmark; neither of those used here pins its questions.
fn benchmark(name: &str) -> QuestionSetSpec {
    Benchmark::find(name).expect("an embedded benchmark").data
}

/// Loads the test split and every chart's table.
fn load(benchmark: &QuestionSetSpec, folder: &Path) {
    match chartbench_data::load(benchmark, Some(folder), Split::Test) {
        Ok(set) => {
            assert!(!set.is_empty());
            for chart in &set.charts {
                if let Some(Err(error)) = chart.chart.table.as_ref().map(|table| table.0.table()) {
                    check_error(&error);
                }
            }
        }
        Err(error) => check_error(&error),
    }
}

/// The part before the first NUL, and what follows it.
fn halves(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(input.len());
    (&input[..end], input.get(end + 1..).unwrap_or_default())
}

/// Questions of the chart `c`, a NUL, its annotation; the questions also in one file of all charts.
pub fn realcqa(input: &[u8]) {
    let folder = fixtures::scratch(|folder| {
        for name in [
            "apart/images",
            "apart/qa",
            "apart/json",
            "merged/images",
            "merged/json",
        ] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        for name in ["apart", "merged"] {
            fixtures::write(&folder.join(name).join("test_filenames.txt"), b"c\n");
            fixtures::write(&folder.join(name).join("images/c.jpg"), b"");
        }
    });
    let (questions, annotation) = halves(input);
    fixtures::write(&folder.join("apart/qa/c.json"), questions);
    fixtures::write(&folder.join("apart/json/c.json"), annotation);
    fixtures::write(
        &folder.join("merged/merged_qa.json"),
        &[b"{\"c\": ", questions, b"}"].concat(),
    );
    let benchmark = benchmark("realcqa");
    assert!(matches!(benchmark.format, Format::RealCqa));
    load(&benchmark, &folder.join("apart"));
    load(&benchmark, &folder.join("merged"));
}

pub fn realcqa_seeds() -> Vec<Vec<u8>> {
    let annotation = r#"{"task1": {"output": {"chart_type": "vertical bar"}}, "task6": {"output": {"data series": [{"name": "a", "data": [{"x": "p", "y": 1.5}, {"x": "q", "y": 2}]}]}}}"#;
    let questions = r#"[{"taxonomy id": "2j", "QID": "7", "question": "Is it?", "answer": "yes", "answer_type": "Binary", "qa_id": "1", "PMC_ID": "c"},
 {"taxonomy id": "1a", "QID": 8, "question": "Which?", "answer": ["a", "b"], "answer_type": "Unranked", "qa_id": 2}]"#;
    fixtures::texts(&[
        &format!("{questions}\0{annotation}"),
        questions,
        &format!("[]\0{annotation}"),
    ])
}

/// Questions of the chart 1, a NUL, the annotations.
pub fn plotqa(input: &[u8]) {
    let folder = fixtures::scratch(|folder| {
        fs::create_dir_all(folder.join("test/png")).unwrap();
        fixtures::write(&folder.join("test/png/1.png"), b"");
    });
    let (questions, annotations) = halves(input);
    fixtures::write(&folder.join("test/qa_pairs.json"), questions);
    fixtures::write(&folder.join("test/annotations.json"), annotations);
    load(&benchmark("plotqa"), folder);
}

pub fn plotqa_seeds() -> Vec<Vec<u8>> {
    let questions = r#"{"qa_pairs": [{"image_index": 1, "qid": 9, "question_string": "How many?", "answer": 12.50, "template": "compound", "type": "vbar_categorical", "question_id": 4},
 {"image_index": 1, "question_string": "Which?", "answer": "a"}]}"#;
    let annotations = r#"[{"image_index": 1, "type": "vbar_categorical", "models": [{"name": "a", "x": [1, 2], "y": [3.5, 4]}], "general_figure_info": {"x_axis": {"label": {"text": "year"}}}}]"#;
    let bare = r#"[{"image_index": 1, "question_string": "Is it?", "answer": ["x", 1, null]}]"#;
    fixtures::texts(&[&format!("{questions}\0{annotations}"), bare])
}

/// ChartBench's records.
pub fn json_records(input: &[u8]) {
    let folder = fixtures::scratch(|folder| {
        fs::create_dir_all(folder.join("data")).unwrap();
        fixtures::write(&folder.join("data/a.png"), b"");
    });
    fixtures::write(&folder.join("test.jsonl"), input);
    load(&benchmark("chartbench-acc-plus"), folder);
    load(&benchmark("chartbench-nqa"), folder);
}

pub fn json_records_seeds() -> Vec<Vec<u8>> {
    let pair = r#"{"id": 3, "image": "./data/a.png", "type": {"chart": "bar", "image": "bar", "task": "VE", "QA": "Acc+"}, "conversation": [{"label": "Yes", "query": "Is it?"}, {"label": "No", "query": "It is not."}]}"#;
    let number = r#"{"id": 4, "image": "data/a.png", "type": {"chart": "bar", "image": "bar", "task": "NQA", "QA": "GPT-acc"}, "conversation": [{"label": [8.20, "9%"], "query": "How many?"}]}"#;
    fixtures::texts(&[
        &format!("{pair}\n{number}\n"),
        &format!("[{number}, {pair}]"),
        number,
    ])
}
