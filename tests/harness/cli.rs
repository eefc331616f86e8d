//! The program from outside: what it prints, its exit codes, and how it meets bad input (one clear
//! line, exit code 2, nothing half-written).

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output};

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

/// The error line of a command that must end with exit code 2; before it stands at most the line
/// that names the questions.
#[track_caller]
fn refused(arguments: &[&str]) -> String {
    let output = chartbench(arguments);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    let announced = |line: &&str| line.contains(" questions on ") && line.contains(" charts of ");
    let lines: Vec<&str> = stderr
        .lines()
        .enumerate()
        .filter(|(at, line)| *at > 0 || !announced(line))
        .map(|(_, line)| line)
        .collect();
    let [line] = lines.as_slice() else {
        panic!("{arguments:?} told more than one line: {stderr}")
    };
    line.strip_prefix("error: ").unwrap().to_owned()
}

/// A scratch folder with a small RealCQA tree (`data`), a copy of the tiny model (`model`), and no
/// results yet.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("model")).unwrap();
        for entry in fs::read_dir(crate::embedded_models::folder("matcha-tiny")).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(
                    entry.path(),
                    dir.path().join("model").join(entry.file_name()),
                )
                .unwrap();
            }
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn at(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Two charts with two questions each, one in the test split.
    fn with_data(self) -> Self {
        for folder in ["data/images", "data/qa", "data/json"] {
            fs::create_dir_all(self.path(folder)).unwrap();
        }
        for chart in ["a", "b"] {
            let image = image::RgbImage::from_pixel(60, 40, image::Rgb([250, 250, 250]));
            image
                .save(self.path(&format!("data/images/{chart}.png")))
                .unwrap();
            let question = |id: usize| {
                serde_json::json!({"taxonomy id": "1", "QID": "1", "question": "Chart type?", "answer": "Line chart",
                    "answer_type": "String", "qa_id": format!("{chart}{id}"), "PMC_ID": chart})
            };
            let qa = serde_json::json!([question(1), question(2)]);
            fs::write(self.path(&format!("data/qa/{chart}.json")), qa.to_string()).unwrap();
        }
        fs::write(self.path("data/test_filenames.txt"), "b\n").unwrap();
        self
    }

    /// `run` of the tiny model with this scratch's weights and results, plus more arguments.
    fn run_arguments<'a>(&self, kept: &'a mut Vec<String>, more: &[&str]) -> Vec<&'a str> {
        let results = self.at("results");
        let weights = self.at("model");
        let own = [
            "run",
            "--adapters",
            "matcha-tiny",
            "--weights",
            &weights,
            "--results",
            &results,
            "--limit",
            "2",
            "--no-blind",
        ];
        kept.extend(own.iter().chain(more).map(|&argument| argument.to_owned()));
        kept.iter().map(String::as_str).collect()
    }

    #[track_caller]
    fn run_refused(&self, more: &[&str]) -> String {
        let mut kept = Vec::new();
        let message = refused(&self.run_arguments(&mut kept, more));
        assert!(!self.path("results").exists(), "something was written");
        message
    }
}

#[test]
fn an_unknown_adapter_is_met_with_the_nearest_names() {
    let scratch = Scratch::new();
    let message = refused(&[
        "run",
        "--adapters",
        "matcha-bas",
        "--results",
        &scratch.at("results"),
    ]);
    assert!(
        message.contains("unknown adapter `matcha-bas`") && message.contains("matcha-base"),
        "{message}"
    );
    assert!(!scratch.path("results").exists());
}

#[test]
fn missing_weights_are_told() {
    let scratch = Scratch::new();
    fs::remove_file(scratch.path("model/model.safetensors")).unwrap();
    let message = scratch.run_refused(&[]);
    assert!(
        message.contains("model.safetensors") && message.contains("pytorch_model.bin"),
        "{message}"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args([
            "run",
            "--adapters",
            "matcha-base",
            "--offline",
            "--results",
            &scratch.at("results"),
        ])
        .env("HF_HOME", scratch.path("empty"))
        .env_remove("HF_HUB_CACHE")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("google/matcha-base"),
        "{}",
        text(&output.stderr)
    );
    assert!(!scratch.path("results").exists());
}

#[test]
fn truncated_safetensors_are_told() {
    let scratch = Scratch::new();
    let weights = scratch.path("model/model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    for length in [0, 5, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&weights, &bytes[..length]).unwrap();
        let message = scratch.run_refused(&[]);
        assert!(message.contains("model.safetensors"), "{length}: {message}");
    }
}

#[test]
fn a_pickle_that_wants_to_run_code_is_refused() {
    let scratch = Scratch::new();
    fs::remove_file(scratch.path("model/model.safetensors")).unwrap();
    let ran = scratch.path("ran");
    let file = fs::File::create(scratch.path("model/pytorch_model.bin")).unwrap();
    let mut archive = zip::ZipWriter::new(file);
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    archive.start_file("archive/data.pkl", options).unwrap();
    let command = format!("touch {}", ran.display());
    let length = u32::try_from(command.len()).unwrap().to_le_bytes();
    let pickle = [
        b"\x80\x02cposix\nsystem\nX",
        length.as_slice(),
        command.as_bytes(),
        b"\x85R.",
    ]
    .concat();
    archive.write_all(&pickle).unwrap();
    archive.finish().unwrap();
    let message = scratch.run_refused(&[]);
    assert!(
        message.contains("pytorch_model.bin") && message.contains("posix"),
        "{message}"
    );
    assert!(!ran.exists());
}

#[test]
fn the_config_of_another_architecture_is_refused() {
    let scratch = Scratch::new();
    fs::write(
        scratch.path("model/config.json"),
        r#"{"model_type": "t5", "architectures": ["T5Model"]}"#,
    )
    .unwrap();
    let message = scratch.run_refused(&[]);
    assert!(
        message.contains("config.json") && message.contains("t5"),
        "{message}"
    );
}

#[test]
fn a_tokenizer_with_more_ids_than_the_embedding_has_rows_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.path("model/config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["text_config"]["vocab_size"] = 10.into();
    fs::write(&path, config.to_string()).unwrap();
    let message = scratch.run_refused(&[]);
    assert!(
        message.contains("tokenizer.json") && message.contains("10"),
        "{message}"
    );
}

#[test]
fn an_image_that_is_text_is_refused_by_ask_and_a_row_of_a_run() {
    let scratch = Scratch::new().with_data();
    fs::write(scratch.path("data/images/b.png"), "not a picture").unwrap();
    let message = refused(&["ask", &scratch.at("data/images/b.png"), "Chart type?"]);
    assert!(message.contains("b.png"), "{message}");
    let mut kept = Vec::new();
    let output = chartbench(&scratch.run_arguments(
        &mut kept,
        &["--benchmark", "realcqa", "--data", &scratch.at("data")],
    ));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let rows =
        fs::read_to_string(scratch.path("results/realcqa/matcha-tiny/predictions.jsonl")).unwrap();
    assert_eq!(rows.lines().count(), 2);
    assert!(
        rows.lines()
            .all(|row| row.contains("\"prediction\":null") && row.contains("b.png")),
        "{rows}"
    );
}

#[test]
fn a_picture_one_pixel_high_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.at("thin.png");
    image::RgbImage::new(300, 1).save(&path).unwrap();
    let message = refused(&["ask", &path, "Chart type?"]);
    assert!(message.contains("thin.png is 300 x 1 pixels"), "{message}");
}

#[test]
fn question_files_that_are_cut_or_doubled_are_told() {
    let scratch = Scratch::new().with_data();
    let data = scratch.at("data");
    let qa = scratch.path("data/qa/b.json");
    let whole = fs::read_to_string(&qa).unwrap();
    fs::write(&qa, &whole[..whole.len() / 2]).unwrap();
    let message = scratch.run_refused(&["--benchmark", "realcqa", "--data", &data]);
    assert!(
        message.contains("qa/b.json") && message.contains("line 1"),
        "{message}"
    );
    fs::write(&qa, whole.replace("b2", "b1")).unwrap();
    let message = scratch.run_refused(&["--benchmark", "realcqa", "--data", &data]);
    assert!(
        message.contains("b1") && message.contains("qa/b.json"),
        "{message}"
    );
}

#[test]
fn a_results_folder_with_another_fingerprint_is_refused() {
    let scratch = Scratch::new().with_data();
    let data = scratch.at("data");
    let mut kept = Vec::new();
    let arguments = scratch.run_arguments(&mut kept, &["--benchmark", "realcqa", "--data", &data]);
    assert_eq!(chartbench(&arguments).status.code(), Some(0));
    let log = scratch.path("results/realcqa/matcha-tiny/predictions.jsonl");
    let before = fs::read(&log).unwrap();
    let with = |more: &[&'static str]| refused(&[arguments.as_slice(), more].concat());
    let message = with(&["--max-new-tokens", "3"]);
    assert!(
        message.contains("fingerprint") && message.contains("max_new_tokens was \"48\", is \"3\""),
        "{message}"
    );
    let message = refused(&[&arguments[..7], &["--limit", "1"], &arguments[9..]].concat());
    assert!(
        message.contains("other questions") && message.contains("limit was 2, is 1"),
        "{message}"
    );
    assert_eq!(fs::read(&log).unwrap(), before);
}

/// A file-size limit stands in for a full disk: the write fails in the same place.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_whole_lines_and_the_run_goes_on_later() {
    let scratch = Scratch::new();
    let results = scratch.at("results");
    let run = |limit: &str| {
        let script = format!(
            "trap '' XFSZ; ulimit -f {limit}; exec '{}' run --adapters majority,question-prior --batch 7 --results '{results}'",
            env!("CARGO_BIN_EXE_chartbench")
        );
        Command::new("bash").args(["-c", &script]).output().unwrap()
    };
    // Without room for anything the error is reported once, not for each adapter.
    let output = run("0");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let errors: Vec<&str> = stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert!(
        matches!(errors[..], [error] if error.contains("run.toml")),
        "{stderr}"
    );
    let output = run("20");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let error = stderr.lines().last().unwrap();
    assert!(
        error.starts_with("error: cannot append to") && error.contains("predictions.jsonl"),
        "{stderr}"
    );
    let log = scratch.path("results/mini/majority/predictions.jsonl");
    let cut = fs::read_to_string(&log).unwrap();
    assert!(
        cut.ends_with('\n') && cut.lines().count().is_multiple_of(7),
        "a half-written batch is left"
    );
    assert_eq!(run("unlimited").status.code(), Some(0));
    assert!(fs::read_to_string(&log).unwrap().starts_with(&cut));
}

#[test]
fn one_failed_adapter_does_not_stop_the_others() {
    let scratch = Scratch::new();
    let results = scratch.at("results");
    let output = chartbench(&[
        "run",
        "--no-blind",
        "--adapters",
        "majority,matcha-base",
        "--weights",
        "no-such-folder",
        "--results",
        &results,
        "--limit",
        "5",
    ]);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stdout.contains("majority"), "{stdout}");
    assert!(
        stderr.contains("error: matcha-base: ") && stderr.contains("no-such-folder"),
        "{stderr}"
    );
}

#[test]
fn a_checkpoint_more_is_one_file_more() {
    let scratch = Scratch::new();
    let adapters = scratch.at("adapters");
    fs::create_dir(&adapters).unwrap();
    let toml = "family = \"pix2struct\"\ntitle = \"Mine\"\nsource = \"here\"\n[weights]\nrepo = \"me/mine\"\n\
                [preprocess]\nheader_font = \"embedded\"\n[generation]\nmax_new_tokens = 8\n";
    fs::write(scratch.path("adapters/mine.toml"), toml).unwrap();
    let output = chartbench(&[
        "run",
        "--no-blind",
        "--adapters",
        "mine",
        "--adapters-dir",
        &adapters,
        "--weights",
        &scratch.at("model"),
        "--results",
        &scratch.at("results"),
        "--limit",
        "2",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("mine"));
    fs::write(
        scratch.path("adapters/mine.toml"),
        toml.replace("title", "titel"),
    )
    .unwrap();
    let message = refused(&["list", "--adapters-dir", &adapters]);
    assert!(
        message.contains("mine.toml") && message.contains("titel"),
        "{message}"
    );
}

#[test]
fn wrong_flags_and_names_are_told() {
    let scratch = Scratch::new();
    for (arguments, told) in [
        (
            vec!["run", "--adapters", "majority,majority"],
            "named twice",
        ),
        (
            vec!["run", "--adapters", "blank+majority"],
            "would change nothing",
        ),
        (vec!["run", "--name", "../x"], "plain folder name"),
        (
            vec!["run", "--benchmark", "minni"],
            "unknown benchmark `minni`",
        ),
        (vec!["run", "--benchmark", "realcqa"], "--data"),
        (vec!["leaderboard", "no-such-run"], "no run `no-such-run`"),
        (
            vec!["compare", "no-such-run", "neither"],
            "no run `no-such-run`",
        ),
    ] {
        let results = scratch.at("results");
        let more: &[&str] = if arguments[0] == "run" {
            &["--results", &results]
        } else {
            &[]
        };
        let message = refused(&[arguments.as_slice(), more].concat());
        assert!(message.contains(told), "{arguments:?}: {message}");
    }
    assert!(!scratch.path("results").exists());
}

#[test]
fn stored_runs_are_published_checked_drawn_and_exported() {
    let scratch = Scratch::new();
    let (results, run) = (scratch.at("results"), scratch.at("results/r"));
    let asked = [
        "run",
        "--adapters",
        "majority,question-prior",
        "--limit",
        "20",
        "--name",
        "r",
        "--results",
        &results,
    ];
    assert_eq!(chartbench(&asked).status.code(), Some(0));
    // A leaderboard in files is up to date until something changes it.
    let out = scratch.at("out");
    let write = [
        "leaderboard",
        &run,
        "--no-speed",
        "--by",
        "template,series",
        "--write",
        &out,
    ];
    assert_eq!(chartbench(&write).status.code(), Some(0));
    let check = || chartbench(&[&write[..], &["--check"]].concat());
    assert_eq!(
        (check().status.code(), text(&check().stdout)),
        (Some(0), String::new())
    );
    let markdown = scratch.path("out/leaderboard.md");
    let text_before = fs::read_to_string(&markdown).unwrap();
    fs::write(&markdown, text_before.replace("By series", "By heart")).unwrap();
    let stale = check();
    assert_eq!(stale.status.code(), Some(1));
    assert!(
        text(&stale.stderr).contains("leaderboard.md: stale from line"),
        "{}",
        text(&stale.stderr)
    );
    for file in ["leaderboard.csv", "leaderboard.json", "leaderboard.tex"] {
        assert!(scratch.path("out").join(file).exists());
    }
    // Two adapters of one run.
    let compared = chartbench(&[
        "compare",
        "r/majority",
        "r/question-prior",
        "--results",
        &results,
    ]);
    assert_eq!(
        compared.status.code(),
        Some(0),
        "{}",
        text(&compared.stderr)
    );
    assert!(text(&compared.stdout).contains("majority -> question-prior"));
    // Pictures; nothing was trained.
    assert_eq!(
        chartbench(&["figures", &run, "--out", &out]).status.code(),
        Some(0)
    );
    for file in ["scores.svg", "tolerance.svg"] {
        let svg = fs::read_to_string(scratch.path("out").join(file)).unwrap();
        assert!(
            svg.contains("r/question-prior") && svg.ends_with("</svg>\n"),
            "{file}"
        );
    }
    assert!(!scratch.path("out/training.svg").exists());
    // Exported samples score as the run does.
    for format in ["lm-eval", "model-index"] {
        assert_eq!(
            chartbench(&["export", &run, "--to", format, "--out", &out])
                .status
                .code(),
            Some(0)
        );
    }
    let scores = |file: &str| {
        let output = chartbench(&[
            "score",
            file,
            "--convention",
            "realcqa",
            "--intervals",
            "--format",
            "jsonl",
        ]);
        let line: serde_json::Value =
            serde_json::from_slice(output.stdout.split(|byte| *byte == b'\n').next().unwrap())
                .unwrap();
        ["questions", "accuracy", "accuracy low", "accuracy high"].map(|key| line[key].clone())
    };
    assert_eq!(
        scores(&run),
        scores(&scratch.at("out/r/majority/samples.jsonl"))
    );
    let card = fs::read_to_string(scratch.path("out/r/majority/README.md")).unwrap();
    let index: serde_json::Value = serde_json::from_str(
        card.trim_matches(['-', '\n'])
            .strip_prefix("model-index: ")
            .unwrap(),
    )
    .unwrap();
    assert_eq!(
        index[0]["results"][0]["dataset"]["name"],
        "Mini (synthetic)"
    );
}

#[test]
fn what_no_question_has_cannot_be_asked_for() {
    let scratch = Scratch::new();
    let (results, run) = (scratch.at("results"), scratch.at("results/r"));
    let asked = [
        "run",
        "--adapters",
        "majority",
        "--limit",
        "4",
        "--name",
        "r",
        "--results",
        &results,
    ];
    assert_eq!(chartbench(&asked).status.code(), Some(0));
    let line = refused(&["leaderboard", &run, "--by", "journal"]);
    assert!(
        line.contains("no question has a `journal`; the runs have answer type, "),
        "{line}"
    );
    let line = refused(&["compare", "r/oracle", "r/majority", "--results", &results]);
    assert!(line.contains("r has no oracle: it has majority"), "{line}");
    assert!(refused(&["leaderboard", &run, "--check"]).contains("nothing to check"));
}
