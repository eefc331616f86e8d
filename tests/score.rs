//! `chartbench score` as its users see it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs `score` in `folder`.
fn score(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chartbench"));
    command.arg("score").args(args).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn snapshot(name: &str, content: &str) {
    insta::with_settings!({snapshot_path => root("snapshots"), prepend_module_to_snapshot => true}, {
        insta::assert_snapshot!(name, content);
    });
}

/// Answers that tell the conventions apart.
const PAIRS: &str = "id,question,prediction,label\n\
    year,In which year was it highest?,2008,2010\n\
    percent,,50,50%\n\
    negative,,-10,-10\n\
    case,,line chart,Line chart\n\
    zero,,0.0,0\n\
    comma,,\"1,234\",1234\n\
    half,,21,20\n\
    empty,,,\n";

#[test]
fn the_studys_published_predictions_give_its_scores() {
    let path = root("../shared/data/seed-results/matcha-base-after.csv");
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
        return;
    }
    let output = score(Path::new("."), &[path.to_str().unwrap(), "--matrix", "--format", "json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let matrix: Value = serde_json::from_slice(&output.stdout).unwrap();
    let value = |name: &str| {
        let row = matrix["values"].as_array().unwrap().iter().find(|row| row["score"] == name).unwrap();
        format!("{:.2}", row[path.to_str().unwrap()].as_f64().unwrap())
    };
    let published = [
        ("study.exact_match", "80.19"),
        ("study.relaxed", "80.26"),
        ("pix2struct.relaxed", "80.24"),
        ("study.anls", "81.89"),
        ("lmms-eval.anls", "82.39"),
    ];
    for (name, expected) in published {
        assert_eq!(value(name), expected, "{name}");
    }
    // Every difference is explained to the last question: the points of the rules add up to it.
    for (name, against) in [("study.relaxed", "pix2struct.relaxed"), ("lmms-eval.anls", "pix2struct.anls")] {
        let full = |name: &str| {
            let row = matrix["values"].as_array().unwrap().iter().find(|row| row["score"] == name).unwrap();
            row[path.to_str().unwrap()].as_f64().unwrap()
        };
        let rows = matrix["differences"].as_array().unwrap().iter().filter(|row| row["score"] == name);
        let points: f64 = rows.map(|row| row["points"].as_f64().unwrap()).sum();
        assert!((points - (full(name) - full(against))).abs() < 1e-9, "{name}: {points}");
    }
}

#[test]
fn scores_are_those_of_the_original_implementations() {
    let path = root("../shared/data/metric-goldens/pairs.jsonl");
    if !path.exists() {
        println!("skipped: {} is not here (scores made by running the originals)", path.display());
        return;
    }
    let output = score(Path::new("."), &[path.to_str().unwrap(), "--verify"]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stderr).ends_with("70 pairs, 1260 recorded scores, 0 differ\n"), "{}", text(&output.stderr));
}

#[test]
fn every_convention_has_a_row() {
    let folder = folder(&[("a.csv", PAIRS)]);
    let output = score(folder.path(), &["a.csv"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    snapshot("a_row_for_each_convention", &text(&output.stdout));
}

#[test]
fn a_matrix_shows_flips_and_causes() {
    let other = PAIRS.replace(",0.0,", ",0,").replace("\"1,234\",1234", "9,1234");
    let folder = folder(&[("a.csv", PAIRS), ("b.csv", &other)]);
    let output = score(folder.path(), &["a.csv", "b.csv", "--matrix"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    snapshot("matrix_of_two_files", &text(&output.stdout));
}

#[test]
fn every_question_is_a_line_of_json() {
    let folder = folder(&[("a.csv", PAIRS)]);
    let output = score(folder.path(), &["a.csv", "--per-question", "--format", "jsonl"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    let line: Value = serde_json::from_str(lines.lines().next_back().unwrap()).unwrap();
    assert_eq!((&line["id"], &line["gold"], &line["prediction"]), (&"empty".into(), &"".into(), &"".into()));
    assert_eq!(line["scores"]["pix2struct.anls"], "ERR:ZeroDivisionError");
    assert_eq!(line["scores"]["realcqa.accuracy"], Value::Null);
    assert_eq!(line["scores"]["chartbench.strict"], 1.0);
    snapshot("per_question", &lines);
    // What one command writes the other reads.
    std::fs::write(folder.path().join("scores.jsonl"), &output.stdout).unwrap();
    let verified = score(folder.path(), &["scores.jsonl", "--verify"]);
    assert!(verified.status.code() == Some(1), "the year depends on a question that the lines do not hold");
    assert_eq!(text(&verified.stderr), "scores.jsonl: 8 pairs, 168 recorded scores, 2 differ\n");
}

#[test]
fn an_answer_is_explained_step_by_step() {
    let folder = folder(&[("a.csv", PAIRS)]);
    let output = score(folder.path(), &["a.csv", "--explain", "year", "--explain", "percent"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    snapshot("explanations", &text(&output.stdout));
}

#[test]
fn golds_are_joined_by_id_and_what_does_not_fit_is_told() {
    let golds = "id,gold\na,1\nb,2\nc,3\n";
    let predictions = "{\"id\":\"a\",\"prediction\":\"1\"}\n{\"id\":\"b\",\"prediction\":\"2\"}\n{\"id\":\"b\",\"prediction\":\"9\"}\n\
                       {\"id\":\"x\",\"prediction\":\"5\"}\n";
    let folder = folder(&[("golds.csv", golds), ("p.jsonl", predictions)]);
    let args = ["p.jsonl", "--golds", "golds.csv", "--convention", "chartbench", "--format", "csv"];
    let output = score(folder.path(), &args);
    assert_eq!(output.status.code(), Some(1), "finished, with problems");
    snapshot("golds_by_id", &format!("{}{}", text(&output.stderr), text(&output.stdout)));
}

#[test]
fn mistakes_are_told_in_one_line() {
    let folder = folder(&[
        ("a.csv", PAIRS),
        ("pairs.jsonl", "{\"gold\":\"1\",\"prediction\":\"1\",\"scores\":{\"study.f1\":1}}\n"),
    ]);
    let cases: [&[&str]; 8] = [
        &["a.csv", "--convention", "studdy"],
        &["a.csv", "--explain", "nobody"],
        &["nowhere.csv"],
        &["a.csv", "--gold-column", "truth"],
        &["a.csv", "--golds", "nowhere.csv"],
        &["a.csv", "--benchmark", "chartqa"],
        &["a.csv", "--verify"],
        &["pairs.jsonl", "--verify"],
    ];
    let errors: Vec<String> = cases
        .iter()
        .map(|args| {
            let output = score(folder.path(), args);
            assert_eq!(output.status.code(), Some(2), "{args:?}");
            assert!(output.stdout.is_empty(), "{args:?}");
            text(&output.stderr)
        })
        .collect();
    assert!(errors.iter().all(|error| error.lines().count() == 1));
    snapshot("mistakes", &errors.concat());
}

#[test]
fn recorded_scores_are_verified() {
    let line = |x: f64| {
        format!("{{\"target\":\"100\",\"prediction\":\"105\",\"scores\":{{\"p2s\":{x},\"study.anls\":0.6667}}}}\n")
    };
    let folder = folder(&[("good.jsonl", &line(1.0)), ("bad.jsonl", &line(0.0))]);
    let good = score(folder.path(), &["good.jsonl", "--verify"]);
    assert!(good.status.success(), "{}", text(&good.stderr));
    let bad = score(folder.path(), &["bad.jsonl", "--verify", "--format", "csv"]);
    assert_eq!(bad.status.code(), Some(1));
    assert_eq!(text(&bad.stdout), "line,score,gold,prediction,recorded,here\n1,p2s,100,105,0,1\n");
}
