//! `chartbench failures` from outside: which questions of a stored run are listed, in which words,
//! and the page of them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

const MANIFEST: &str = r#"format = 1
name = "r"
program = "0.1.0"

[benchmark]
name = "hand"
title = "Five questions made by hand"
split = "test"
charts = 2
questions = 5
questions_per_chart = "all"
seed = 0
limit = 0
hash = "00"
"#;

/// A run in `results/r`: `model` answered four of five questions, `half` one, nobody the fifth.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        let scratch = Self(tempfile::tempdir().unwrap());
        let answers = [
            Some("100"),
            Some("50"),
            Some("Valley \u{1b}[31m\nand more"),
            None,
        ];
        scratch.store(&[("model", &answers), ("half", &[Some("7")])]);
        scratch
    }

    fn store(&self, adapters: &[(&str, &[Option<&str>])]) {
        let mut manifest = MANIFEST.to_owned();
        for (adapter, answers) in adapters {
            manifest += &format!(
                "\n[[adapters]]\nid = \"{adapter}\"\nfingerprint = \"f\"\n\n[adapters.execution]\n\n[adapters.settings]\n"
            );
            let folder = self.path("results/r").join(adapter);
            fs::create_dir_all(&folder).unwrap();
            let lines = answers.iter().enumerate().map(|(index, answer)| {
                let (chart, chart_type, question, gold) = [
                    ("c1", "line", "How many?", json!("100")),
                    ("c1", "line", "What share?", json!("50%")),
                    ("c2", "bar", "Where is the <b>peak</b>?", json!("Summit")),
                    ("c2", "bar", "Which are there?", json!(["a", "b"])),
                ][index % 4]
                    .clone();
                let error = answer.is_none().then_some("cannot read the chart image");
                let record = json!({
                    "id": format!("q{index}"), "chart": chart, "question": question, "gold": gold,
                    "chart_type": chart_type, "prediction": answer, "error": error, "latency_ms": 1.0,
                });
                format!("{record}\n")
            });
            fs::write(folder.join("predictions.jsonl"), lines.collect::<String>()).unwrap();
        }
        fs::write(self.path("results/r/run.toml"), manifest).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn failures(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_chartbench"))
            .arg("failures")
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    /// The listed questions, and what standard error says of them.
    fn listed(&self, arguments: &[&str]) -> (Vec<Value>, String) {
        let output = self.failures(&[arguments, &["--format", "json"]].concat());
        let (lines, notes) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{notes}");
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        (lines.collect(), notes)
    }

    fn ids(&self, arguments: &[&str]) -> String {
        let ids = self.listed(arguments).0;
        let ids: Vec<&str> = ids
            .iter()
            .map(|line| line["id"].as_str().unwrap())
            .collect();
        ids.join(" ")
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.failures(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "");
        text(&output.stderr)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn each_wrong_answer_comes_with_the_rule_that_decided() {
    let (lines, notes) = Scratch::new().listed(&["r/model"]);
    assert_eq!(
        lines[0],
        json!({
            "run": "r", "adapter": "model", "id": "q1", "chart": "c1", "question": "What share?", "gold": "50%",
            "prediction": "50", "error": null, "verdict": "wrong",
            "scores": {"chartbench.strict": 0.0, "chartbench.lenient": 1.0},
            "rule": "not the same text, nor two plain numbers",
            "detail": "gold \"50%\", prediction \"50\": false",
            "lenient_rule": "numbers within 5 % of the gold one", "slices": {"chart type": "line"},
        })
    );
    assert_eq!(lines[1]["prediction"], "Valley \u{1b}[31m\nand more");
    assert_eq!(lines[1]["lenient_rule"], Value::Null);
    let failed = ["verdict", "prediction", "error", "rule", "gold"].map(|key| &lines[2][key]);
    assert_eq!(
        failed,
        [
            &json!("failed"),
            &Value::Null,
            &json!("cannot read the chart image"),
            &Value::Null,
            &json!(["a", "b"])
        ]
    );
    assert_eq!(lines.len(), 3);
    assert_eq!(
        notes,
        "r/model: 3 of 4 questions are wrong under chartbench.strict, of these 1 failed, 1 right but for notation; \
         1 more have no answer in the run yet\n"
    );
}

#[test]
fn the_terminal_gets_a_few_lines_a_question_with_nothing_that_it_obeys() {
    let output = Scratch::new().failures(&["results/r/model"]);
    let expected = r"r/model

q1
  chart       c1
  question    What share?
  gold        50%
  answer      50
  wrong       by the rule: not the same text, nor two plain numbers; right but for notation: numbers within 5 % of the gold one

q2
  chart       c2
  question    Where is the <b>peak</b>?
  gold        Summit
  answer      Valley \u{1b}[31m\nand more
  wrong       by the rule: not the same text, nor two plain numbers

q3
  chart       c2
  question    Which are there?
  gold        a, b
  failed      cannot read the chart image

";
    assert_eq!(text(&output.stdout), expected);
    let markdown = Scratch::new().failures(&["r/half", "--format", "markdown", "--limit", "2"]);
    let expected = r"| adapter | id | chart | question | gold | answer | result | rule |
| :-- | :-- | :-- | :-- | :-- | :-- | :-- | :-- |
| r/half | q0 | c1 | How many? | 100 | 7 | wrong | numbers within 5 % of the gold one |
| r/half | q1 | c1 | What share? | 50% | - | unanswered | - |
";
    assert_eq!(text(&markdown.stdout), expected);
}

#[test]
fn questions_without_an_answer_yet_are_listed_as_such() {
    let (lines, notes) = Scratch::new().listed(&["r"]);
    let rows = lines.iter().map(|line| {
        ["adapter", "id", "verdict"]
            .map(|key| line[key].as_str().unwrap())
            .join(" ")
    });
    assert_eq!(
        rows.collect::<Vec<_>>(),
        [
            "model q1 wrong",
            "model q2 wrong",
            "model q3 failed",
            "half q0 wrong",
            "half q1 unanswered",
            "half q2 unanswered",
            "half q3 unanswered"
        ]
    );
    assert_eq!(
        (&lines[4]["prediction"], &lines[4]["scores"]),
        (&Value::Null, &json!({}))
    );
    let half = "r/half: 4 of 4 questions are wrong under chartbench.strict, of these 3 not answered yet; 1 more";
    assert!(notes.contains(half), "{notes}");
}

#[test]
fn questions_are_chosen_by_result_slice_and_text() {
    let scratch = Scratch::new();
    for (arguments, ids) in [
        (&["r/model", "--wrong"][..], "q1 q2 q3"),
        (&["r/model", "--right"], "q0"),
        (&["r/model", "--lenient-only"], "q1"),
        (
            &["r/model", "--lenient-only", "--convention", "study"],
            "q1",
        ),
        (&["r/model", "--where", "chart type=BAR"], "q2 q3"),
        (
            &[
                "r/model",
                "--where",
                "chart type=bar",
                "--where",
                "label length=0-4 characters",
            ],
            "q3",
        ),
        (&["r/model", "--grep", "PEAK"], "q2"),
        (&["r/model", "--grep", "summit"], "q2"),
        (&["r/model", "--grep", "valley"], "q2"),
        (&["r/half", "--grep", "valley"], ""),
        (&["r/model", "--limit", "1"], "q1"),
        (&["r/model", "--limit", "0"], "q1 q2 q3"),
    ] {
        assert_eq!(scratch.ids(arguments), ids, "{arguments:?}");
    }
    let (_, notes) = scratch.listed(&["r/model", "--where", "chart type=bar", "--limit", "1"]);
    assert!(
        notes.starts_with("r/model: 2 of 2 questions (chart type = bar) are wrong under")
            && notes.ends_with("; the first 1 are listed, --limit 0 lists all\n"),
        "{notes}"
    );
}

#[test]
fn the_terminal_gets_twenty_questions_and_a_program_all() {
    let scratch = Scratch::new();
    scratch.store(&[("model", &[Some("no"); 25])]);
    let output = scratch.failures(&["r"]);
    assert_eq!(text(&output.stdout).matches("\n  answer ").count(), 20);
    assert!(text(&output.stderr).contains("the first 20 are listed, --limit 0 lists all"));
    assert_eq!(scratch.listed(&["r"]).0.len(), 25);
}

#[test]
fn the_page_has_these_questions_and_the_scores_of_all() {
    let scratch = Scratch::new();
    let output = scratch.failures(&["r/model", "--open", "--out", "page.html"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "page.html\n");
    assert!(text(&output.stderr).contains("the page has no pictures of the charts"));
    let page = fs::read_to_string(scratch.path("page.html")).unwrap();
    let shown = ["q0", "q1", "q2", "q3"].map(|id| page.contains(&format!(r#""id":"{id}""#)));
    assert_eq!(shown, [false, true, true, true]);
    assert!(
        page.contains(r#"<span class="value">25.00</span>"#),
        "one of four is right"
    );
    assert!(page.contains("model: 3 of 4 questions are wrong under chartbench.strict"));
    assert!(!page.contains("<b>peak"), "a question is markup");
    let output = scratch.failures(&["r/half", "--right", "--open", "--out", "none.html"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).ends_with("no such question: no page was written\n"));
    assert!(!scratch.path("none.html").exists());
}

#[test]
fn mistakes_are_told_in_a_line() {
    let scratch = Scratch::new();
    for (arguments, message) in [
        (&["r/nobody"][..], "r has no nobody: it has model, half"),
        (
            &["elsewhere"],
            "no run `elsewhere` in results, which holds r",
        ),
        (
            &["r", "--where", "journal=Nature"],
            "--where: no question has a `journal`; the run has chart type, label length",
        ),
        (
            &["r", "--where", "chart type=pie"],
            "--where: no question has the chart type `pie`; the run has bar, line",
        ),
        (&["r", "--convention", "pix2strukt"], "nearest: pix2struct"),
    ] {
        let line = scratch.refused(arguments);
        assert!(line.contains(message), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
    for arguments in [
        &["r", "--where", "chart type"][..],
        &["r", "--right", "--wrong"],
        &["r", "--out", "page.html"],
        &["r", "--open", "--format", "csv"],
    ] {
        scratch.refused(arguments);
    }
    fs::remove_dir_all(scratch.path("results/r/model")).unwrap();
    fs::remove_dir_all(scratch.path("results/r/half")).unwrap();
    assert!(
        scratch
            .refused(&["r"])
            .contains("no answers in r: finish the run first")
    );
}
