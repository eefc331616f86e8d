//! Reasoning answers, ChartMuseum's, where the charts are, and what does not fit.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::clone::{self, FIGURES};
use super::server::verdicts;
use super::{Scratch, stderr};
use crate::endpoint::adapter_file;
use crate::endpoint::server::{Act, Server};

#[test]
fn reasoning_scores_are_taken_as_they_are() {
    let scratch = Scratch::new();
    let server = Server::start(|_, request| {
        let message = request.prompt().0;
        let score = match message.split(" | ").collect::<Vec<_>>()[..] {
            [kind, ..] if kind.ends_with("kind 1") => json!(0.5),
            [_, _, wanted, said] if said.trim().ends_with(wanted) => json!(true),
            _ => json!(0),
        };
        Act::Say(json!({"extracted_answer": "x", "score": score}).to_string())
    });
    let output = scratch.judge(&server, "reasoning", &[]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(
        server.seen().len(),
        FIGURES,
        "an odd score is no reason to ask again"
    );
    assert_eq!(
        server.seen()[2].prompt().0,
        "\nLook at one.\n\n    kind 3 | Reason about 2? | 12 | so it is 12\n    "
    );
    let board = scratch.run(&[
        "leaderboard",
        "reasoning",
        "--convention",
        "charxiv",
        "--slice-by",
        "inst_category,source",
        "--format",
        "json",
    ]);
    let board: Value = serde_json::from_slice(&board.stdout).unwrap();
    let mean = |value: &str| {
        let mut rows = board["rows"].as_array().unwrap().iter();
        rows.find(|row| row["value"] == value).unwrap()["judged accuracy"].as_f64()
    };
    assert_eq!(mean("Text-in-Chart"), Some(0.0));
    assert_eq!(mean("Number-in-Chart"), Some(100.0));
    assert!(mean("GPT-Sourced").is_some());
    let asked = fs::read_to_string(scratch.path("results/reasoning/run.toml")).unwrap();
    assert!(asked.contains("questions = 50"), "{asked}");
    let single = scratch.judge(&server, "reasoning", &["--convention", "charxiv-single"]);
    assert_eq!(
        stderr(&single),
        "error: --convention charxiv-single: the answers to `charxiv-reasoning` are judged under charxiv\n"
    );
}

#[test]
fn a_run_knows_the_clone_that_it_was_asked_from() {
    let scratch = Scratch::new();
    let server =
        Server::start(|_, _| Act::Say(json!({"extracted_answer": "x", "score": 1}).to_string()));
    adapter_file(scratch.0.path(), &server.base_url(), "");
    let judge = |run: &str| scratch.run(&["judge", run, "--with", "served", "--adapters-dir", "."]);
    let run = [
        "run",
        "--benchmark",
        "charxiv-reasoning",
        "--data",
        "CharXiv",
    ];
    let small = [
        "--adapters",
        "matcha-tiny",
        "--no-blind",
        "--max-patches",
        "64",
        "--limit",
        "4",
    ];
    let asked = scratch.run(&[&run[..], &small].concat());
    assert_eq!(asked.status.code(), Some(0), "{}", stderr(&asked));
    let judged = judge("charxiv-reasoning/matcha-tiny");
    assert_eq!(judged.status.code(), Some(0), "{}", stderr(&judged));
    assert_eq!(server.seen().len(), 4);
    let imported = judge("reasoning");
    assert_eq!(
        stderr(&imported),
        "error: results/reasoning does not say which clone it was asked from: name it by --clone\n"
    );
}

#[test]
fn what_does_not_fit_is_one_line() {
    let scratch = Scratch::new();
    let server = Server::start(|_, request| Act::Say(verdicts(&request.prompt().0).to_string()));
    assert_eq!(
        scratch.judge(&server, "descriptive", &[]).status.code(),
        Some(0)
    );
    let refused = |arguments: &[&str]| {
        let output = scratch.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let stderr = stderr(&output);
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        stderr
    };
    let judge = |with: &str, clone: &[&str]| {
        let judge = ["judge", "descriptive", "--with", with];
        refused(&[&judge[..], &["--adapters-dir", "."], clone].concat())
    };
    let own = ["--clone", "CharXiv"];
    let other = fs::read_to_string(scratch.path("served.toml"))
        .unwrap()
        .replace("m-1", "m-2");
    fs::write(scratch.path("other.toml"), other).unwrap();
    assert!(
        judge("other", &own)
            .contains("it holds verdicts of served (m-1), and other (m-2) is another judge")
    );
    assert!(
        judge("majority", &own)
            .contains("majority cannot judge: a judge is a model behind an endpoint")
    );
    assert!(
        judge("served", &["--clone", "results"])
            .contains("results is no clone of https://github.com/")
    );
    let constants = scratch.path("CharXiv/src/constants.py");
    let wording = fs::read_to_string(&constants).unwrap();
    fs::write(&constants, wording.replace("Mind the", "Heed the")).unwrap();
    assert!(judge("served", &own).contains("asked for in other words than the clone has"));
    fs::write(
        &constants,
        wording.replace("DESCRIPTIVE_GRADING_ICL", "OTHER"),
    )
    .unwrap();
    assert!(judge("served", &own).contains("constants.py: the text DESCRIPTIVE_GRADING_ICL["));
    let early = refused(&[
        "run",
        "--benchmark",
        "charxiv-reasoning",
        "--data",
        "CharXiv",
        "--convention",
        "charxiv",
    ]);
    assert!(early.contains("it scores by a judge's verdicts"), "{early}");
    let file = refused(&["score", "predictions.jsonl", "--convention", "charxiv"]);
    assert!(
        file.contains("chartbench leaderboard RUN --convention charxiv"),
        "{file}"
    );
    let without = refused(&["run", "--benchmark", "charxiv-reasoning", "--offline"]);
    assert!(
        without.contains("needs --data DIR, a clone of https://github.com/princeton-nlp/CharXiv"),
        "{without}"
    );
}

/// The charts of the hub's copy stand in for a clone without any.
#[test]
fn charts_come_from_the_hub_where_the_clone_has_none() {
    let folder = tempfile::tempdir().unwrap();
    clone::write(folder.path());
    fs::remove_dir_all(folder.path().join("images")).unwrap();
    let mut spec = chartbench::config::Benchmark::find("charxiv-reasoning")
        .unwrap()
        .data;
    let load = |spec: &chartbench_data::QuestionSetSpec| {
        chartbench_data::load(spec, Some(folder.path()), chartbench_data::Split::Test)
    };
    let error = format!("{:#}", load(&spec).unwrap_err());
    assert!(
        error.starts_with("none of the 50 chart images is there"),
        "{error}"
    );
    assert!(chartbench_data::needs_published(
        &spec.format,
        folder.path()
    ));
    spec.published = Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/parquet/CharXiv"));
    let set = load(&spec).unwrap();
    assert_eq!((set.charts.len(), set.len()), (FIGURES, FIGURES));
    let bytes = set.charts[2].chart.image.bytes().unwrap();
    assert!(bytes.starts_with(&[0xff, 0xd8]), "a JPEG");
    assert!(set.charts[3].chart.image.bytes().is_err());
    let texts: Vec<&str> = set
        .iter()
        .map(|(_, question)| question.text.as_str())
        .collect();
    assert_eq!(texts[0], "Reason about 0?\n    * kind 1.\n    ");
    assert_eq!(
        texts[3],
        "Reason about 3?\n    * A number with 2 digits.\n    "
    );
    spec.format = chartbench_data::Format::CharXiv(chartbench_data::CharXivPart::Descriptive);
    let set = load(&spec).unwrap();
    let asked = |chart: usize| {
        let question = &set.charts[chart].questions[0];
        (question.id.as_str(), question.text.as_str())
    };
    assert_eq!(asked(0), ("0_0", "Here, tell 1.\n    * Be \u{8}rief."));
    assert_eq!(
        asked(1).1,
        "In line 1, place 2, tell 2.\n    * Be \u{8}rief."
    );
    assert_eq!(asked(2).1, "In the inset, tell 3.\n    * Be \u{8}rief.");
    assert_eq!(
        set.charts[1].questions[3].text,
        "tell 18.\n    * Be \u{8}rief."
    );
}

#[test]
fn chartmuseum_is_a_yes_or_no() {
    let scratch = tempfile::tempdir().unwrap();
    let clone = scratch.path().join("ChartMuseum");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/parquet/ChartMuseum");
    for name in ["images", "data"] {
        fs::create_dir_all(clone.join(name)).unwrap();
        for entry in fs::read_dir(fixture.join(name)).unwrap() {
            let file = entry.unwrap();
            fs::copy(file.path(), clone.join(name).join(file.file_name())).unwrap();
        }
    }
    let prompts = "QA_PROMPT = \"\"\"Tell me.\n\nQ: [QUESTION]\n<answer> x </answer>\"\"\"\n\n\n\
        COMPARE_ANSWER_PROMPT = \"\"\"Same?\nQ: [QUESTION]\nA: [ANSWER1]\nB: [ANSWER2]\n\"\"\"";
    fs::write(clone.join("prompt.py"), prompts).unwrap();
    let said = [
        "<think>7</think><answer> 7 </answer>",
        "19",
        "<answer>8",
        "<answer>6</answer>",
        "<answer>2</answer>",
        "<answer>1</answer>",
    ];
    let rows: Vec<String> = said
        .iter()
        .enumerate()
        .map(|(place, said)| json!({"id": format!("{place:04x}"), "prediction": said}).to_string())
        .collect();
    fs::write(scratch.path().join("p.jsonl"), rows.join("\n")).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chartbench"));
        command
            .args(arguments)
            .current_dir(scratch.path())
            .output()
            .unwrap()
    };
    let imported = run(&[
        "import",
        "p.jsonl",
        "--as",
        "m",
        "--benchmark",
        "chartmuseum",
        "--data",
        "ChartMuseum",
    ]);
    assert_eq!(imported.status.code(), Some(0), "{}", stderr(&imported));
    let server = Server::start(|_, request| {
        let message = request.prompt().0;
        let line = |start: &str| {
            message
                .lines()
                .find_map(|line| line.strip_prefix(start))
                .unwrap()
                .to_owned()
        };
        Act::Say(
            if line("A: ") == line("B: ") {
                "YES."
            } else {
                "No"
            }
            .to_owned(),
        )
    });
    adapter_file(
        scratch.path(),
        &server.base_url(),
        "without = [\"seed\", \"max_tokens\"]",
    );
    let judge = ["judge", "m", "--with", "served", "--adapters-dir", "."];
    let judged = run(&[&judge[..], &["--clone", "ChartMuseum"]].concat());
    assert_eq!(judged.status.code(), Some(0), "{}", stderr(&judged));
    assert_eq!(
        server.seen()[0].prompt().0,
        "Same?\nQ: What is the value of the second bar?\nA: 7\nB: 7\n",
        "the question alone, and the answer between the marks"
    );
    assert!(server.seen()[0].body.get("seed").is_none());
    let board = run(&[
        "leaderboard",
        "m",
        "--convention",
        "chartmuseum",
        "--slice-by",
        "reasoning_type",
        "--format",
        "json",
    ]);
    let board: Value = serde_json::from_slice(&board.stdout).unwrap();
    let overall = board["rows"][0]["judged accuracy"].as_f64().unwrap();
    assert!((overall - 100.0 * 4.0 / 6.0).abs() < 0.005, "{overall}");
}
