//! Tables from outside: `chartbench table`, and benchmarks that ask for tables.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn chartbench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn root(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(path)
        .to_str()
        .unwrap()
        .to_owned()
}

/// A picture and a checkpoint that answers, but not with tables.
fn picture() -> String {
    root("fixtures/preprocess/images/chart.png")
}

#[test]
fn without_a_name_an_embedded_model_does_the_job_and_is_named() {
    let ask = ["ask", &picture(), "How many bars are there?"];
    for (arguments, model) in [
        (&ask[..], "unichart-tiny-mini"),
        (&["table", &picture(), "--format", "raw"][..], "deplot-tiny"),
    ] {
        let output = chartbench(arguments);
        let note = text(&output.stderr);
        assert!(
            note.starts_with(&format!("note: {model} answered, an embedded model")),
            "{note}"
        );
        let answer = text(&output.stdout);
        let named = chartbench(&[arguments, &["--adapters", model]].concat());
        assert_eq!(text(&named.stdout), answer);
        assert!(!answer.trim().is_empty() && !text(&named.stderr).contains("note:"));
    }
}

#[test]
fn the_oracle_reads_every_table() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().to_str().unwrap();
    let output = chartbench(&[
        "run",
        "--benchmark",
        "mini-tables",
        "--adapters",
        "oracle",
        "--results",
        results,
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let board = fs::read_to_string(folder.path().join("mini-tables/leaderboard.md")).unwrap();
    assert!(
        board.contains("120 questions on 120 charts")
            && board.contains("convention deplot-corrected"),
        "{board}"
    );
    let row = board
        .lines()
        .find(|line| line.contains("| oracle |"))
        .unwrap();
    assert_eq!(
        row,
        "| mini-tables | oracle | 120 | 0 | 100.00 (96.81 to 100.00) | 100.00 (96.81 to 100.00) | 100.00 (96.81 to 100.00) | 100.00 (96.81 to 100.00) | 100.0 |"
    );
    // The same by default where runs are read back, and another convention where one is named.
    let run = folder.path().join("mini-tables");
    let run = run.to_str().unwrap();
    let printed = |more: &[&str]| {
        let output = chartbench(
            &[
                &["leaderboard", run, "--no-speed", "--format", "markdown"],
                more,
            ]
            .concat(),
        );
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert_eq!(printed(&[]), board);
    assert!(printed(&["--convention", "chartbench"]).contains("strict accuracy"));
}

#[test]
fn a_benchmark_of_charts_without_tables_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(
        at("mine.toml"),
        "title = \"T\"\ndescription = \"D\"\nformat = \"generic\"\nask = \"tables\"\n",
    )
    .unwrap();
    fs::write(at("data.csv"), "image,question,answer\na.png,Q?,1\n").unwrap();
    fs::copy(picture(), at("a.png")).unwrap();
    let results = at("results");
    let (toml, data) = (at("mine.toml"), at("data.csv"));
    let arguments = [
        "run",
        "--benchmark",
        &toml,
        "--data",
        &data,
        "--adapters",
        "oracle",
        "--results",
        &results,
    ];
    let output = chartbench(&arguments);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        format!("error: no chart of the test split of {data} has a data table\n")
    );
}

#[test]
fn what_is_no_table_is_told_and_printed() {
    let (picture, model) = (picture(), root("crates/models-matcha/matcha-tiny"));
    let arguments = [
        "table",
        &picture,
        "--adapters",
        "deplot",
        "--weights",
        &model,
        "--offline",
    ];
    let quick = ["--max-patches", "64", "--max-new-tokens", "4"];
    let output = chartbench(&[&arguments[..], &quick].concat());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("deplot: what it wrote is not a table: "),
        "{stderr}"
    );
    assert!(!text(&output.stdout).trim().is_empty());
    let output = chartbench(&[&arguments[..], &quick, &["--form", "json"]].concat());
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&read[0]["adapter"], &read[0]["table"]),
        (&"deplot".into(), &serde_json::Value::Null)
    );
}

#[test]
fn mistakes_are_told_in_one_line() {
    let picture = picture();
    let cases: [(&[&str], &str); 3] = [
        (
            &[
                "table",
                &picture,
                "--form",
                "csv",
                "--adapters",
                "deplot,oracle",
            ],
            "name one adapter",
        ),
        (
            &["table", &picture, "--gold", "nowhere.csv"],
            "cannot read nowhere.csv",
        ),
        (
            &["table", &picture, "--adapters", "oracle"],
            "the data set has no table of this chart",
        ),
    ];
    for (arguments, expected) in cases {
        let output = chartbench(arguments);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(
            stderr.contains(expected) && stderr.lines().count() == 1,
            "{stderr}"
        );
    }
}
