//! `chartbench export` in the formats of hubs: `.eval_results` and Every Eval Ever. Files of these forms are read by
//! `huggingface_hub` 2.4, and pass the validator of `every-eval-ever` 0.3.0.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn chartbench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args(arguments)
        .output()
        .unwrap()
}

fn stored() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stored/results/stored");
    path.display().to_string()
}

fn export(out: &Path, more: &[&str]) -> Vec<PathBuf> {
    let (run, out) = (stored(), out.display().to_string());
    let arguments = ["export", &run, "--out", &out];
    let output = chartbench(&[&arguments[..], more].concat());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    stderr.lines().map(PathBuf::from).collect()
}

fn refused(more: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (run, out) = (stored(), folder.path().join("out"));
    let arguments = ["export", &run, "--out", out.to_str().unwrap()];
    let output = chartbench(&[&arguments[..], more].concat());
    assert_eq!(output.status.code(), Some(2), "{more:?}");
    assert!(!out.exists());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn eval_results_are_an_entry_of_a_model_repository() {
    let folder = tempfile::tempdir().unwrap();
    let task = ["--dataset-id", "org/charts", "--task-id", "test: all"];
    let written = export(
        folder.path(),
        &[&["--format", "eval-results"], &task[..]].concat(),
    );
    assert_eq!(written.len(), 5);
    let path = folder
        .path()
        .join("stored/question-prior/.eval_results/stored.yaml");
    assert!(written.contains(&path));
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "- dataset:",
            "    id: \"org/charts\"",
            "    task_id: \"test: all\"",
        ]
    );
    // The leaderboard's value.
    let board = chartbench(&["leaderboard", &stored(), "--no-slices", "--format", "csv"]);
    let board = String::from_utf8(board.stdout).unwrap();
    let header: Vec<&str> = board.lines().next().unwrap().split(',').collect();
    let place = header
        .iter()
        .position(|name| *name == "strict accuracy")
        .unwrap();
    let row = board
        .lines()
        .find(|line| line.contains(",question-prior,"))
        .unwrap();
    let expected: f64 = row.split(',').nth(place).unwrap().parse().unwrap();
    assert_eq!(lines[3], format!("  value: {expected:.2}"));
    assert!(
        lines[4].starts_with("  notes: \"strict accuracy in % by convention chartbench")
            && lines[4].contains("24 of 24 questions"),
        "{}",
        lines[4]
    );
    assert_eq!(lines.len(), 5);
}

#[test]
fn an_entry_needs_a_dataset_of_the_hub() {
    let message = refused(&["--format", "eval-results"]);
    assert!(message.contains("--dataset-id"), "{message}");
    let message = refused(&["--format", "eval-results", "--dataset-id", "../x/y"]);
    assert!(message.contains("OWNER/NAME"), "{message}");
    let message = refused(&["--format", "lm-eval", "--organization", "us"]);
    assert!(
        message.contains("--organization belongs to --format every-eval-ever only"),
        "{message}"
    );
}

#[test]
fn a_record_of_every_eval_ever_and_its_samples_belong_together() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--format", "every-eval-ever", "--organization", "Us"];
    let written = export(folder.path(), &arguments);
    assert_eq!(written.len(), 10);
    for aggregate in written
        .iter()
        .filter(|path| path.extension().unwrap() == "json")
    {
        let record: Value = serde_json::from_slice(&fs::read(aggregate).unwrap()).unwrap();
        let relative = aggregate.strip_prefix(folder.path()).unwrap();
        let model = record["model_info"]["id"].as_str().unwrap();
        assert!(
            relative.starts_with(format!("data/chartbench_mini/{model}")),
            "{}",
            relative.display()
        );
        let uuid = aggregate.file_stem().unwrap().to_str().unwrap();
        assert_eq!((uuid.len(), &uuid[14..15], &uuid[19..20]), (36, "4", "8"));
        assert_eq!(record["source_metadata"]["source_organization_name"], "Us");

        let details = &record["detailed_evaluation_results"];
        let samples = folder.path().join(details["file_path"].as_str().unwrap());
        assert_eq!(
            samples,
            aggregate.with_file_name(format!("{uuid}_samples.jsonl"))
        );
        let lines: Vec<Value> = fs::read_to_string(samples)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(details["total_rows"], lines.len());
        for line in &lines {
            for (key, own) in [
                ("evaluation_id", &record["evaluation_id"]),
                ("model_id", &record["model_info"]["id"]),
            ] {
                assert_eq!(&line[key], own);
            }
        }
        for result in record["evaluation_results"].as_array().unwrap() {
            let id = &result["evaluation_result_id"];
            let scores: Vec<f64> = lines
                .iter()
                .filter(|line| &line["evaluation_result_id"] == id)
                .map(|line| line["evaluation"]["score"].as_f64().unwrap())
                .collect();
            let mean = scores.iter().sum::<f64>() / scores.len() as f64;
            let score = result["score_details"]["score"].as_f64().unwrap();
            assert!(
                scores.len() == 24 && (mean - score).abs() < 1e-9,
                "{id}: {mean} and {score}"
            );
        }
    }
    // The same run has the same names again.
    let again = tempfile::tempdir().unwrap();
    let names = |paths: &[PathBuf]| -> Vec<_> {
        paths
            .iter()
            .map(|path| path.file_name().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&export(again.path(), &arguments)), names(&written));
}
