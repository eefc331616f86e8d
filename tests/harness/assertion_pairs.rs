//! Pairs of assertions (ChartBench): scored together in files and in runs, and by the benchmark's
//! own convention where none is named.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use chartbench::config::Benchmark;
use serde_json::{Value, json};
use tempfile::TempDir;

fn chartbench(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn data() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("fixtures/json/ChartBench").display().to_string()
}

/// The fixture's records with a reply to each turn, in order: of three pairs one is right, one has
/// the same reply twice, one is wrong on both sides; one of two numbers is near enough.
fn results(replies: [&str; 8]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let text = fs::read_to_string(Path::new(&data()).join("test.jsonl")).unwrap();
    let mut replies = replies.into_iter();
    let mut lines = String::new();
    for line in text.lines() {
        let mut record: Value = serde_json::from_str(line).unwrap();
        for turn in record["conversation"].as_array_mut().unwrap() {
            turn["answer"] = json!(replies.next().unwrap());
        }
        lines += &format!("{record}\n");
    }
    fs::write(folder.path().join("results.jsonl"), lines).unwrap();
    folder
}

const REPLIES: [&str; 8] = ["Yes.", "no", "yes", "Yes", "7.2", "No", "Yes", "12%"];

fn json(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"))
}

/// The values of a row that begin with these names, each rounded to two decimals.
fn values(row: &Value, names: [&str; 5]) -> [Option<f64>; 5] {
    names.map(|name| {
        row[name]
            .as_f64()
            .map(|value| (100.0 * value).round() / 100.0)
    })
}

const NAMES: [&str; 5] = ["overall", "Acc+", "accuracy", "CoR", "relaxed accuracy"];

#[test]
fn a_file_of_results_is_scored_by_pairs() {
    let folder = results(REPLIES);
    let arguments = [
        "score",
        "results.jsonl",
        "--convention",
        "idea-finai-chartbench",
        "--format",
        "json",
    ];
    let output = chartbench(folder.path(), &arguments);
    assert!(output.status.success());
    let table = json(&output);
    let row = table.get(0).or(table["rows"].get(0)).unwrap();
    let expected = [40.0, 33.33, 50.0, 33.33, 50.0].map(Some);
    assert_eq!(values(row, NAMES), expected, "{row}");

    // Every question's scores say enough to be made again.
    let arguments = [
        "score",
        "results.jsonl",
        "--show",
        "questions",
        "--format",
        "jsonl",
    ];
    let output = chartbench(folder.path(), &arguments);
    assert!(output.status.success());
    fs::write(folder.path().join("scores.jsonl"), &output.stdout).unwrap();
    let first: Value =
        serde_json::from_slice(output.stdout.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(first["Question Type"], "Acc+");
    assert_eq!(first["scores"]["idea-finai-chartbench.acc_plus"], 1.0);
    let output = chartbench(
        folder.path(),
        &["score", "scores.jsonl", "--show", "verify"],
    );
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && stderr.contains("8 pairs"),
        "{stderr}"
    );
}

#[test]
fn a_run_has_the_benchmarks_convention() {
    let folder = results(REPLIES);
    let path = folder.path();
    let data = data();
    let import = |name: &str, benchmark: &str| {
        let own = [
            "import",
            "results.jsonl",
            "--benchmark",
            benchmark,
            "--data",
            &data,
            "--as",
            name,
        ];
        // The file has the other benchmark's questions too, which is told.
        assert_eq!(chartbench(path, &own).status.code(), Some(1));
    };
    import("pairs", "chartbench-acc-plus");
    import("numbers", "chartbench-nqa");
    let board = |name: &str, more: &[&str]| {
        let output = chartbench(
            path,
            &[&["leaderboard", name, "--format", "json"], more].concat(),
        );
        json(&output)["rows"][0].clone()
    };
    let row = board("pairs", &[]);
    assert_eq!(
        (&row["convention"], &row["questions"]),
        (&json!("idea-finai-chartbench"), &json!(6))
    );
    let third = Some(33.33);
    assert_eq!(
        values(&row, NAMES),
        [third, third, Some(50.0), third, None],
        "{row}"
    );
    let row = board("numbers", &[]);
    assert_eq!(
        values(&row, NAMES),
        [Some(50.0), None, None, None, Some(50.0)],
        "{row}"
    );
    let row = board("pairs", &["--convention", "chartbench"]);
    assert_eq!(row["convention"], "chartbench");

    // A pair is listed at its right assertion.
    let output = chartbench(path, &["failures", "pairs", "--format", "jsonl"]);
    let ids: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone())
        .collect();
    assert_eq!(ids, ["1/0", "9/0"]);
}

/// More of CoR is worse.
#[test]
fn a_comparison_knows_which_way_is_better() {
    let folder = results(REPLIES);
    let path = folder.path();
    let data = data();
    let import = |name: &str| {
        let arguments = [
            "import",
            "results.jsonl",
            "--benchmark",
            "chartbench-acc-plus",
            "--data",
            &data,
            "--as",
            name,
        ];
        assert_eq!(chartbench(path, &arguments).status.code(), Some(1));
    };
    import("before");
    let better = results(["Yes.", "no", "yes", "No", "7.2", "No", "Yes", "12%"]);
    fs::copy(
        better.path().join("results.jsonl"),
        path.join("results.jsonl"),
    )
    .unwrap();
    import("after");
    let output = chartbench(
        path,
        &[
            "compare",
            "before/before",
            "after/after",
            "--format",
            "json",
        ],
    );
    let rows = json(&output)["rows"].clone();
    let of = |name: &str| {
        let row = rows
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["metric"] == name);
        row.unwrap_or_else(|| panic!("{rows}")).clone()
    };
    for (metric, fixed, broken) in [("Acc+", 1, 0), ("accuracy", 1, 0), ("CoR", 1, 0)] {
        let row = of(metric);
        assert_eq!(
            (&row["fixed"], &row["broken"]),
            (&json!(fixed), &json!(broken)),
            "{metric}"
        );
    }
    assert!(of("CoR")["difference"].as_f64().unwrap() < 0.0);
}

#[test]
fn a_benchmark_names_a_convention_that_there_is() {
    let text = |convention: &str| {
        format!(
            "title = \"T\"\ndescription = \"D\"\nconvention = \"{convention}\"\nformat = \"generic\"\n"
        )
    };
    let own = Benchmark::parse(&text("dvqa"), "mine.toml").unwrap();
    assert_eq!(own.convention.as_deref(), Some("dvqa"));
    let error = Benchmark::parse(&text("dvqb"), "mine.toml")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("mine.toml: line 3: convention: ") && error.contains("dvqa"),
        "{error}"
    );
    let named: Vec<(&str, String)> = Benchmark::embedded_names()
        .filter_map(|name| Some((name, Benchmark::find(name).unwrap().convention?)))
        .collect();
    let expected = [
        ("chartbench-acc-plus", "idea-finai-chartbench"),
        ("chartbench-nqa", "idea-finai-chartbench"),
        ("chartbench-vlmevalkit", "idea-finai-chartbench"),
        ("chartqapro", "chartqapro"),
        ("dvqa", "dvqa"),
        ("dvqa-easy", "dvqa"),
        ("dvqa-hard", "dvqa"),
        ("evochart-qa", "evochart-qa"),
        ("figureqa", "figureqa"),
    ];
    assert_eq!(
        named,
        expected.map(|(name, convention)| (name, convention.to_owned()))
    );
}
