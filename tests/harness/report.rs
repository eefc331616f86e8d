//! `chartbench report` from outside: the page of a small run, and of one whose data and answers try
//! to become markup. What a browser makes of the page is in tests/browser/.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Texts that must stay texts.
const HOSTILE: [&str; 4] = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    "\"'><b>\u{202e}turned\u{2066}",
    "bell \u{7}, escape \u{1b}[31m, {{ 7 * 7 }}",
];
const IMAGES: [&str; 4] = ["ok.png", "a b.png", "javascript:alert(3)", "../outside.png"];

/// A scratch folder with a small data set of one's own and a run on it.
struct Scratch(TempDir);

impl Scratch {
    fn new(questions: &[&str]) -> Self {
        let scratch = Self(tempfile::tempdir().unwrap());
        fs::create_dir(scratch.path("data")).unwrap();
        for name in ["data/ok.png", "data/a b.png", "outside.png"] {
            let image = image::RgbImage::from_pixel(30, 20, image::Rgb([250; 3]));
            image.save(scratch.path(name)).unwrap();
        }
        let line = |(index, text): (usize, &&str)| {
            json!({"id": format!("q{index}"), "image": IMAGES[index % IMAGES.len()], "question": text, "answer": text,
                "chart_type": text})
        };
        let train =
            json!({"id": "t", "image": "ok.png", "question": "?", "answer": "a", "split": "train"});
        let lines = questions
            .iter()
            .enumerate()
            .map(line)
            .chain([train])
            .map(|line| format!("{line}\n"));
        fs::write(
            scratch.path("data/questions.jsonl"),
            lines.collect::<String>(),
        )
        .unwrap();
        let (data, results) = (scratch.at("data"), scratch.at("results"));
        let ran = chartbench(&[
            "run",
            "--adapters",
            "majority",
            "--benchmark",
            "custom",
            "--data",
            &data,
            "--name",
            "r",
            "--results",
            &results,
        ]);
        // A chart without its picture is a failed question to an adapter that looks; `majority`
        // does not.
        assert_eq!(ran.status.code(), Some(0), "{}", stderr(&ran));
        scratch
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn at(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The page of the run, by more arguments.
    fn report(&self, more: &[&str]) -> String {
        let (run, page) = (self.at("results/r"), self.at("page.html"));
        let arguments = [&["report", &run, "--out", &page], more].concat();
        let output = chartbench(&arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        fs::read_to_string(page).unwrap()
    }

    /// Puts hostile answers in the place of the run's, and a hostile name and prompt into its
    /// manifest.
    fn poison(&self) {
        let log = self.path("results/r/majority/predictions.jsonl");
        let lines = fs::read_to_string(&log).unwrap();
        let poisoned = lines.lines().zip(HOSTILE).map(|(line, text)| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line["prediction"] = format!("{text}{}", "x".repeat(100_000)).into();
            format!("{line}\n")
        });
        fs::write(&log, poisoned.collect::<String>()).unwrap();
        let manifest = self.path("results/r/run.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        let text = text.replacen("name = \"r\"", "name = '<img src=x onerror=alert(4)>'", 1);
        let text = text.replace(
            "[adapters.settings]",
            "[adapters.settings]\nprompt = '</dd><script>alert(5)</script>'",
        );
        fs::write(&manifest, text).unwrap();
    }
}

fn chartbench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args(arguments)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What the page's script reads.
fn gallery(page: &str) -> Value {
    let (_, rest) = page
        .split_once(r#"<script type="application/json" id="gallery-data">"#)
        .unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn a_page_holds_the_leaderboards_numbers_and_the_answers() {
    let scratch = Scratch::new(&["a", "b", "c"]);
    let page = scratch.report(&["--data", &scratch.at("data"), "--images", "1"]);
    assert!(
        page.contains(r#"<span class="value">33.33</span>"#),
        "one of three is right"
    );
    assert!(page.contains("blind: sees no chart") && page.contains("too few to tell"));
    let gallery = gallery(&page);
    assert_eq!(gallery["questions"].as_array().unwrap().len(), 3);
    let answer = &gallery["questions"][0]["answers"][0];
    assert_eq!(
        (&answer["text"], &answer["verdict"]),
        (&json!("a"), &json!("right"))
    );
    // One picture is in the page, one beside it, one is none of the data's.
    let pictures: Vec<&Value> = gallery["charts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|chart| &chart["picture"])
        .collect();
    assert!(
        pictures[0]["data"]
            .as_str()
            .unwrap()
            .starts_with("data:image/png;base64,"),
        "{pictures:?}"
    );
    assert_eq!(pictures[1]["link"], "./data/a%20b.png");
    assert_eq!(pictures[2]["text"], "not shown: javascript:alert(3)");
}

#[test]
fn a_run_that_knows_its_data_folder_brings_the_pictures_along() {
    let scratch = Scratch::new(&["a", "b"]);
    let picture = |page: &str| gallery(page)["charts"][0]["picture"].clone();
    // A name of a benchmark or data on the command line is not needed.
    let page = scratch.report(&[]);
    let data = picture(&page)["data"].as_str().unwrap().to_owned();
    assert!(data.starts_with("data:image/png;base64,"), "{data}");
    fs::rename(scratch.path("data"), scratch.path("moved")).unwrap();
    let (run, out) = (scratch.at("results/r"), scratch.at("page.html"));
    let output = chartbench(&["report", &run, "--out", &out]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("which is not there: name them by --data"),
        "{}",
        stderr(&output)
    );
    let page = scratch.report(&["--data", &scratch.at("moved"), "--benchmark", "custom"]);
    assert!(picture(&page)["data"].is_string());
}

#[test]
fn the_page_begins_with_a_verdict_of_paired_differences() {
    let scratch = Scratch::new(&["a", "b", "c"]);
    let page = scratch.report(&[]);
    // Blind rows alone: what there is to say is that no model is here.
    let (verdict, rest) = page.split_once(r#"<h2 id="leaderboard">"#).unwrap();
    let verdict = verdict.split_once(r#"<div class="verdict">"#).unwrap().1;
    assert!(
        verdict.contains("majority") && verdict.contains("no model is here"),
        "{verdict}"
    );
    assert!(!rest.contains(r#"<h2 id="differences">"#));
}

#[test]
fn an_unfinished_run_is_marked_or_refused_everywhere() {
    let scratch = Scratch::new(&["a", "b", "c"]);
    let log = scratch.path("results/r/majority/predictions.jsonl");
    let lines = fs::read_to_string(&log).unwrap();
    fs::write(
        &log,
        lines.split_inclusive('\n').take(2).collect::<String>(),
    )
    .unwrap();
    let (run, out) = (scratch.at("results/r"), scratch.at("out"));
    let done = |arguments: &[&str]| {
        let output = chartbench(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(done(&["leaderboard", &run]).contains("majority (unfinished)"));
    assert!(
        scratch
            .report(&[])
            .contains(r#"<span class="badge alert">unfinished</span>"#)
    );
    done(&["figures", &run, "--out", &out]);
    for picture in ["scores.svg", "tolerance.svg"] {
        let svg = fs::read_to_string(scratch.path("out").join(picture)).unwrap();
        assert!(svg.contains("r/majority (unfinished)"), "{picture}");
    }
    let refused = |arguments: &[&str]| {
        let output = chartbench(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert_eq!(stderr(&output).lines().count(), 1);
        stderr(&output)
    };
    assert!(
        refused(&["compare", &run, &run])
            .contains("majority in r answered 2 of 3 questions: finish that run first")
    );
    for format in ["lm-eval", "model-index"] {
        let export = ["export", &run, "--to", format, "--out", &out];
        let line = refused(&export);
        assert!(
            line.contains("majority in r answered 2 of 3 questions")
                && line.contains("--allow-unfinished"),
            "{line}"
        );
        assert!(!scratch.path("out/r").exists(), "something was written");
        done(&[&export[..], &["--allow-unfinished"]].concat());
        let file = if format == "lm-eval" {
            "results.json"
        } else {
            "README.md"
        };
        let text = fs::read_to_string(scratch.path("out/r/majority").join(file)).unwrap();
        assert!(text.contains("majority (unfinished)"), "{text}");
        fs::remove_dir_all(scratch.path("out/r")).unwrap();
    }
}

#[test]
fn nothing_in_data_or_answers_becomes_markup() {
    let scratch = Scratch::new(&HOSTILE);
    scratch.poison();
    let page = scratch.report(&[
        "--data",
        &scratch.at("data"),
        "--title",
        "</title><script>alert(6)</script>",
    ]);
    assert!(
        !page.contains("<script>alert")
            && !page.contains("<img src=x")
            && !page.contains("\"'><b>")
    );
    // The page's own two, its data's and nothing else.
    assert_eq!(
        (
            page.matches("<script").count(),
            page.matches("</script").count()
        ),
        (2, 2)
    );
    let hidden = |c: char| {
        c.is_control() && c != '\n'
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!page.contains(hidden), "something is hidden");
    let gallery = gallery(&page);
    let texts: Vec<&str> = gallery["questions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["question"].as_str().unwrap())
        .collect();
    let bell = "bell \\u{7}, escape \\u{1b}[31m, {{ 7 * 7 }}";
    assert_eq!(
        texts,
        [
            HOSTILE[0],
            HOSTILE[1],
            "\"'><b>\\u{202e}turned\\u{2066}",
            bell
        ]
    );
    let answer = gallery["questions"][0]["answers"][0]["text"]
        .as_str()
        .unwrap();
    assert_eq!(
        answer.len(),
        HOSTILE[0].len() + 100_000,
        "an answer is not whole"
    );
    let pictures: Vec<&Value> = gallery["charts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|chart| &chart["picture"])
        .collect();
    assert_eq!(
        pictures[2],
        &json!({"text": "not shown: javascript:alert(3)"})
    );
    assert_eq!(pictures[3], &json!({"text": "not shown: ../outside.png"}));
}

#[test]
fn the_policy_lets_only_the_pages_own_script_run() {
    use base64::Engine;
    use sha2::Digest;
    let page = Scratch::new(&["a"]).report(&[]);
    let between = |open: &str, close: &str| {
        page.split_once(open)
            .unwrap()
            .1
            .split_once(close)
            .unwrap()
            .0
            .to_owned()
    };
    let policy = between("Content-Security-Policy\" content=\"", "\"")
        .replace("&#x27;", "'")
        .replace("&#x2f;", "/");
    let hash =
        |text: String| base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(text));
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(
        policy.contains(&format!(
            "script-src 'sha256-{}';",
            hash(between("<script>", "</script>"))
        )),
        "{policy}"
    );
    assert!(
        policy.contains(&format!(
            "style-src 'sha256-{}';",
            hash(between("<style>", "</style>"))
        )),
        "{policy}"
    );
    for sink in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "://",
    ] {
        assert!(
            !between("<script>", "</script>").contains(sink),
            "the script uses {sink}"
        );
    }
}

#[test]
fn mistakes_are_told_in_a_line_and_write_nothing() {
    let (scratch, other) = (Scratch::new(&["a"]), Scratch::new(&["b"]));
    let (run, page) = (scratch.at("results/r"), scratch.at("page.html"));
    let refused = |arguments: &[&str]| {
        let output = chartbench(&[&["report", "--out", &page], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(!Path::new(&page).exists(), "something was written");
        assert_eq!(stderr(&output).lines().count(), 1);
        stderr(&output)
    };
    let message = refused(&[&run, &other.at("results/r")]);
    assert!(
        message.contains("were asked different questions")
            && message.contains("run both on the same benchmark"),
        "{message}"
    );
    let message = refused(&[&run, "--data", &other.at("data")]);
    assert!(
        message.contains("has other questions than the runs") && message.contains("--data"),
        "{message}"
    );
    let message = refused(&[&scratch.at("data")]);
    assert!(message.contains("is not a run directory"), "{message}");
    let message = refused(&[&run, "--convention", "pix2strukt"]);
    assert!(message.contains("nearest: pix2struct"), "{message}");
}
