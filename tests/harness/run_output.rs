//! What `run` prints when it has ended, and the blind rows it adds.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use chartbench_core::files::FileLock;
use serde_json::{Value, json};
use tempfile::TempDir;

fn chartbench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A folder of results, in which `run` asks a tiny model.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, more: &[&str]) -> Output {
        let results = self.at("results");
        let own = [
            "run",
            "--adapters",
            "matcha-tiny-mini",
            "--name",
            "r",
            "--results",
        ];
        chartbench(&[&own[..], &[results.as_str()], more].concat())
    }

    /// The adapters of the run, in the manifest's order.
    fn adapters(&self) -> Vec<String> {
        let manifest = fs::read_to_string(self.at("results/r/run.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let adapters = manifest["adapters"].as_array().unwrap();
        let id = |entry: &toml::Value| entry["id"].as_str().unwrap().to_owned();
        adapters.iter().map(id).collect()
    }

    /// Three questions of one's own about a chart, without a train split.
    fn own_questions(&self) -> String {
        let data = self.at("data");
        fs::create_dir_all(&data).unwrap();
        let image = image::RgbImage::from_pixel(60, 40, image::Rgb([250; 3]));
        image.save(Path::new(&data).join("a.png")).unwrap();
        let line = |id: usize| {
            let question =
                json!({"id": format!("q{id}"), "image": "a.png", "question": "?", "answer": "a"});
            format!("{question}\n")
        };
        let lines: String = (0..3).map(line).collect();
        fs::write(Path::new(&data).join("questions.jsonl"), lines).unwrap();
        data
    }
}

#[test]
fn a_run_ends_with_a_conclusion_and_the_next_command() {
    let scratch = Scratch::new();
    let output = scratch.run(&["--limit", "80"]);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    // Blind rows stand beside the model without being named.
    let rows = [
        "matcha-tiny-mini",
        "majority",
        "question-prior",
        "blank+matcha-tiny-mini",
    ];
    assert_eq!(scratch.adapters(), rows);
    assert!(
        rows.iter().all(|row| stdout.contains(&format!("│ {row} "))),
        "{stdout}"
    );
    // Four rows, their table, and a line each for the questions, the conclusion, and what is where.
    assert_eq!(stdout.lines().count(), 12, "{stdout}");
    assert!(
        stdout.starts_with("Mini (synthetic): 80 questions on 66 charts; in %,"),
        "{stdout}"
    );
    let dir = scratch.at("results/r");
    let last = format!(
        "page: chartbench report {dir}; what it got wrong: chartbench failures {dir}/matcha-tiny-mini"
    );
    assert_eq!(stdout.lines().last().unwrap(), last);
    // What is left out is in the stored file.
    let stored = fs::read_to_string(scratch.at("results/r/leaderboard.md")).unwrap();
    for part in ["By answer type", "max_patches", "In parentheses"] {
        assert!(!stdout.contains(part), "{stdout}");
        assert!(stored.contains(part), "{stored}");
    }
    assert_eq!(compared_sentence(&scratch, &stdout), Vec::<String>::new());
}

/// The parts of what `compare` measures between the same rows that the conclusion lacks.
fn compared_sentence(scratch: &Scratch, stdout: &str) -> Vec<String> {
    let conclusion = stdout
        .lines()
        .find(|line| line.contains(", the best blind row"))
        .unwrap();
    let blind = ["majority", "question-prior", "blank+matcha-tiny-mini"]
        .into_iter()
        .find(|row| conclusion.contains(&format!("{row}, the best blind row")))
        .unwrap();
    let output = chartbench(&[
        "compare",
        &format!("r/{blind}"),
        "r/matcha-tiny-mini",
        "--results",
        &scratch.at("results"),
        "--format",
        "json",
    ]);
    let compared: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &compared["rows"][0];
    let number = |key: &str| row[key].as_f64().unwrap();
    let wanted = [
        row["metric"].as_str().unwrap().to_owned(),
        format!("{:+.2} points", number("difference")),
        format!(
            "(95 % interval {:+.2} to {:+.2}; p ",
            number("difference low"),
            number("difference high")
        ),
        format!("{:.4})", number("p")),
    ];
    wanted
        .into_iter()
        .filter(|part| !conclusion.contains(part))
        .collect()
}

#[test]
fn flags_choose_what_is_printed() {
    let scratch = Scratch::new();
    let asked = ["--limit", "4", "--no-blind"];
    let run = |more: &[&str]| {
        let output = scratch.run(&[&asked[..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    };
    let (plain, stderr) = run(&[]);
    assert_eq!(scratch.adapters(), ["matcha-tiny-mini"]);
    assert!(!plain.contains("the best blind row"), "{plain}");
    assert!(stderr.contains("4 questions answered"), "{stderr}");
    let (quiet, stderr) = run(&["--quiet"]);
    assert_eq!(stderr, "");
    assert!(quiet.contains("│ matcha-tiny-mini "), "{quiet}");
    assert!(!quiet.contains("page: "), "{quiet}");
    let (sliced, _) = run(&["--slice-by", "template,chart type"]);
    assert!(
        sliced.contains("By template\n") && sliced.contains("By chart type\n"),
        "{sliced}"
    );
    assert!(
        !sliced.contains("By answer type") && !sliced.contains("max_patches"),
        "{sliced}"
    );
    let (settings, _) = run(&["--settings"]);
    assert!(settings.contains("max_patches"), "{settings}");
    assert!(!settings.contains("By chart type"), "{settings}");
    let (verbose, _) = run(&["-v"]);
    for part in [
        "In parentheses",
        "max_patches",
        "By answer type\n",
        "page: ",
    ] {
        assert!(verbose.contains(part), "{part}: {verbose}");
    }
    // The stored leaderboard is the same whatever was printed.
    let stored = fs::read_to_string(scratch.at("results/r/leaderboard.md")).unwrap();
    assert!(
        stored.contains("By answer type") && !stored.contains("By template"),
        "{stored}"
    );
}

#[test]
fn a_slice_that_no_question_has_is_refused_before_any_answer() {
    let scratch = Scratch::new();
    let output = scratch.run(&["--limit", "4", "--slice-by", "journal"]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let line = "error: --slice-by: no question has a `journal`; the runs have answer type, ";
    assert!(
        stderr.starts_with(line) && stderr.lines().count() == 1,
        "{stderr}"
    );
    assert!(!Path::new(&scratch.at("results")).exists());
}

#[test]
fn without_a_train_split_no_row_learns_from_it() {
    let scratch = Scratch::new();
    let data = scratch.own_questions();
    let output = scratch.run(&["--data", &data]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(
        scratch.adapters(),
        ["matcha-tiny-mini", "blank+matcha-tiny-mini"]
    );
    assert!(
        text(&output.stdout).contains("on too few questions to conclude anything (3 on 1 charts)")
    );
}

/// Several runs into one name have the same blind rows: each is left to the process that asks it.
#[test]
fn a_blind_row_that_another_process_asks_is_no_failure() {
    let scratch = Scratch::new();
    let asked = ["--limit", "4", "--blind", "text"];
    assert_eq!(scratch.run(&asked).status.code(), Some(0));
    assert_eq!(
        scratch.adapters(),
        ["matcha-tiny-mini", "majority", "question-prior"]
    );
    let log = scratch.at("results/r/majority/predictions.jsonl");
    let lock = FileLock::acquire(Path::new(&log)).unwrap();
    let output = scratch.run(&asked);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        !text(&output.stderr).contains("in use"),
        "{}",
        text(&output.stderr)
    );
    drop(lock);
}

#[test]
fn what_failed_is_the_last_thing_told() {
    let scratch = Scratch::new();
    let data = scratch.own_questions();
    fs::write(Path::new(&data).join("a.png"), "not a picture").unwrap();
    for more in [&["--no-blind"][..], &["--no-blind", "--quiet"]] {
        let output = scratch.run(&[&["--data", &data][..], more].concat());
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        let last = stderr.lines().last().unwrap();
        let told = "error: matcha-tiny-mini: 3 of 3 questions failed (run --retry-failed asks them again); the first: ";
        assert!(last.starts_with(told) && last.contains("a.png"), "{stderr}");
    }
}
