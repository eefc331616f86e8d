//! Text, names and paths that come from outside: a run's manifest, a data set, an adapter file, and
//! who reads what the program prints.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chartbench"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("HF_ENDPOINT");
    command
}

fn chartbench(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The one line on stderr of a command that must end with exit code 2.
#[track_caller]
fn refused(arguments: &[&str]) -> String {
    let output = chartbench(arguments);
    let line = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {line}");
    assert_eq!(line.lines().count(), 1, "{arguments:?}: {line}");
    line.trim_end().strip_prefix("error: ").unwrap().to_owned()
}

struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn at(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn picture(&self, name: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        image::RgbImage::from_fn(60, 40, |x, y| image::Rgb([x as u8, y as u8, 9]))
            .save(self.path(name))
            .unwrap();
    }

    /// `data/questions.jsonl` with one question about each image; ids are the images' numbers.
    fn ask_about(&self, images: &[&str]) {
        let question = |(id, image): (usize, &&str)| {
            json!({"image": image, "question": "How many?", "answer": "1", "id": id.to_string()})
                .to_string()
                + "\n"
        };
        self.write(
            "data/questions.jsonl",
            &images.iter().enumerate().map(question).collect::<String>(),
        );
    }

    /// A finished run of the blind adapter `majority` on the mini benchmark.
    fn run(&self, name: &str) -> String {
        let output = chartbench(&[
            "run",
            "--adapters",
            "majority",
            "--limit",
            "8",
            "--results",
            &self.at("results"),
            "--name",
            name,
        ]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        self.at(&format!("results/{name}"))
    }

    /// An adapter that sends each path it gets back as its answer.
    fn echoing_adapter(&self) {
        let program = "import json, sys\nprint(json.dumps({'protocol': 1, 'settings': {}}), flush=True)\n\
                       for line in sys.stdin:\n    asked = json.loads(line)\n    \
                       print(json.dumps({'id': asked['id'], 'prediction': asked['image']}), flush=True)\n";
        self.write("adapters/echo.py", program);
        self.write(
            "adapters/echo.toml",
            "family = \"process\"\ntitle = \"\"\nsource = \"\"\n[process]\ncommand = [\"python3\", \"echo.py\"]\n",
        );
    }

    fn rows(&self, log: &str) -> Vec<Value> {
        self.read(log)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// What a command writes and its exit code do not change with who reads its standard output and
/// standard error.
#[test]
fn files_and_exit_codes_do_not_depend_on_who_reads() {
    let scratch = Scratch::new();
    let run = |name: &str, adapters: &str, redirection: &str| {
        let program = env!("CARGO_BIN_EXE_chartbench");
        let results = scratch.at("results");
        let dir = scratch.at("adapters");
        let line = format!(
            "{program} run --no-blind --adapters {adapters} --adapters-dir {dir} --limit 8 --results {results} --name {name} \
             {redirection}\nexit ${{PIPESTATUS[0]}}"
        );
        let output = Command::new("bash")
            .args(["-c", &line])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let stored = fs::read(scratch.path(&format!("results/{name}/leaderboard.md"))).unwrap();
        let answers =
            fs::read(scratch.path(&format!("results/{name}/majority/predictions.jsonl"))).unwrap();
        (
            output.status.code(),
            String::from_utf8(stored).unwrap().replace(name, "NAME"),
            answers.len(),
        )
    };
    let dead =
        "family = \"process\"\ntitle = \"\"\nsource = \"\"\n[process]\ncommand = [\"false\"]\n";
    scratch.write("adapters/dead.toml", dead);
    let whole = run("run-a", "majority", "");
    assert_eq!(whole.0, Some(0));
    for (name, redirection, code) in [
        ("run-b", "| head -c 1", 0),
        ("run-c", "| true", 0),
        ("run-d", ">&-", 0),
        ("run-e", "2>&-", 0),
        ("run-f", ">&- 2>&- <&-", 0),
        ("run-g", "2> >(true)", 0),
        ("run-h", "2>/dev/full", 0),
        ("run-i", ">/dev/full", 2),
    ] {
        let (status, stored, answers) = run(name, "majority", redirection);
        assert_eq!((status, &stored), (Some(code), &whole.1), "{redirection}");
        // Latencies differ by some bytes.
        assert!(
            answers.abs_diff(whole.2) < 200,
            "{redirection}: {answers} bytes of answers, not {}",
            whole.2
        );
    }
    for (name, redirection) in [
        ("run-k", "| head -c 1"),
        ("run-l", ">&-"),
        ("run-m", "2> >(true)"),
    ] {
        let (status, stored, _) = run(name, "majority,dead", redirection);
        assert_eq!((status, &stored), (Some(1), &whole.1), "{redirection}");
    }
}

#[test]
fn a_full_standard_output_is_an_error_that_is_told_once() {
    for arguments in [
        &["list"][..],
        &["--help"],
        &["--version"],
        &["list", "--format", "json"],
    ] {
        let output = command(arguments)
            .stdout(File::options().write(true).open("/dev/full").unwrap())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let line = stderr(&output);
        assert!(
            line.starts_with("error: cannot write to standard output: ")
                && line.lines().count() == 1,
            "{line}"
        );
    }
}

#[test]
fn a_manifest_names_no_other_folder() {
    let scratch = Scratch::new();
    let run = scratch.run("base");
    scratch.run("other");
    let manifest = scratch.read("results/base/run.toml");
    let outside = scratch.at("outside");
    let edits = [
        (
            "name = \"base\"",
            "name = \"../../outside\"".to_owned(),
            "`name`",
        ),
        ("name = \"base\"", format!("name = {outside:?}"), "`name`"),
        ("name = \"base\"", "name = \"\"".to_owned(), "`name`"),
        (
            "name = \"base\"",
            "name = \"a\\u0000b\"".to_owned(),
            "`name`",
        ),
        ("name = \"base\"", "name = \"..\"".to_owned(), "`name`"),
        (
            "id = \"majority\"",
            "id = \"../other/majority\"".to_owned(),
            "`adapters.id`",
        ),
        (
            "id = \"majority\"",
            format!("id = {:?}", scratch.at("results/other/majority")),
            "`adapters.id`",
        ),
        (
            "id = \"majority\"",
            "id = \"..\"".to_owned(),
            "`adapters.id`",
        ),
        ("id = \"majority\"", "id = \"\"".to_owned(), "`adapters.id`"),
    ];
    for (key, value, told) in edits {
        assert!(manifest.contains(key));
        scratch.write("results/base/run.toml", &manifest.replace(key, &value));
        let out = scratch.at("exported");
        for arguments in [
            vec!["export", &run, "--to", "lm-eval", "--out", &out],
            vec!["leaderboard", &run],
            vec!["figures", &run, "--out", &out],
            vec!["report", &run, "--out", &out],
            vec!["compare", &run, &run],
            vec!["score", &run],
        ] {
            let line = refused(&arguments);
            assert!(
                line.contains("run.toml") && line.contains(told),
                "{arguments:?}: {line}"
            );
        }
        assert!(
            !scratch.path("exported").exists() && !scratch.path("outside").exists(),
            "{value}"
        );
    }
}

#[test]
fn unusual_but_plain_names_stay_valid() {
    let scratch = Scratch::new();
    let run = scratch.run("été 図表 (1), v1.2..");
    scratch.echoing_adapter();
    let text = scratch.read("adapters/echo.toml");
    scratch.write("adapters/a b.c..toml", &text);
    let arguments = [
        "--adapters-dir",
        &scratch.at("adapters"),
        "--limit",
        "2",
        "--results",
        &scratch.at("more"),
    ];
    let output = chartbench(
        &[
            &["run", "--no-blind", "--adapters", "a b.c."][..],
            &arguments,
        ]
        .concat(),
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let out = scratch.at("out");
    for run in [run, scratch.at("more/mini")] {
        assert_eq!(
            chartbench(&["export", &run, "--to", "lm-eval", "--out", &out])
                .status
                .code(),
            Some(0)
        );
    }
    assert!(
        scratch
            .path("out/été 図表 (1), v1.2../majority/results.json")
            .exists()
    );
    assert!(scratch.path("out/mini/a b.c./results.json").exists());
}

#[test]
fn an_adapter_file_and_a_run_have_plain_names() {
    let scratch = Scratch::new();
    scratch.echoing_adapter();
    let text = scratch.read("adapters/echo.toml");
    for name in ["...toml", "..x.toml", "a\\b.toml", "a\nb.toml"] {
        scratch.write(&format!("adapters/{name}"), &text);
        let line = refused(&[
            "run",
            "--adapters-dir",
            &scratch.at("adapters"),
            "--results",
            &scratch.at("results"),
        ]);
        assert!(line.contains("an adapter's name `"), "{name}: {line}");
        fs::remove_file(scratch.path("adapters").join(name)).unwrap();
    }
    for command in ["run", "finetune"] {
        for name in ["../x", "/x", "", "..", "x/y", "a\nb"] {
            let line = refused(&[
                command,
                &format!("--name={name}"),
                "--results",
                &scratch.at("results"),
            ]);
            assert!(line.starts_with("--name `"), "{name}: {line}");
        }
    }
    scratch.write(
        "...toml",
        "title = \"x\"\ndescription = \"x\"\nformat = \"generic\"\nquestions = \"all\"\n",
    );
    scratch.picture("data/a.png");
    scratch.ask_about(&["a.png"]);
    let results = scratch.at("results/deep");
    refused(&[
        "run",
        "--benchmark",
        &scratch.at("...toml"),
        "--data",
        &scratch.at("data"),
        "--results",
        &results,
    ]);
    assert!(!scratch.path("results").exists());
}

#[test]
fn a_manifest_reads_no_benchmark_file() {
    let scratch = Scratch::new();
    let run = scratch.run("base");
    let published = "[[published]]\nsystem = \"Secret\"\nconvention = \"none\"\nmetric = \"x\"\nvalue = 1\nsource = \"\"\n";
    let text = format!(
        "title = \"x\"\ndescription = \"x\"\nformat = \"generic\"\nquestions = \"all\"\n{published}"
    );
    scratch.write("secret.toml", &text);
    let manifest = scratch.read("results/base/run.toml");
    let named = manifest.replace(
        "name = \"mini\"",
        &format!("name = {:?}", scratch.at("secret.toml")),
    );
    assert_ne!(named, manifest);
    scratch.write("results/base/run.toml", &named);
    let output = chartbench(&["leaderboard", &run]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

/// Characters that a terminal obeys, in every place of a data set and a run that the program
/// repeats.
#[test]
fn nothing_from_outside_reaches_the_terminal_as_a_command() {
    let scratch = Scratch::new();
    let hostile = "\u{1b}]0;pwn\u{7}\u{1b}[2J\u{9b}31m\u{202e}";
    scratch.picture("data/a.png");
    let question = |image: &str, id: &str| {
        json!({"image": image, "question": hostile, "answer": hostile, "id": id, "chart_type": hostile,
               "source": hostile, "template": hostile, "slices": {hostile: hostile}})
    };
    let lines = [
        question("a.png", "x"),
        question(&format!("{hostile}.png"), &format!("y{hostile}\nz")),
    ];
    scratch.write(
        "data/questions.jsonl",
        &lines.map(|line| line.to_string() + "\n").concat(),
    );
    let program = "import json, sys\nbad = '\\x1b[2J\\x9b31m\\u202e'\n\
                   sys.stderr.buffer.write(('said' + bad + '\\n').encode()); sys.stderr.flush()\n\
                   print(json.dumps({'protocol': 1, 'settings': {'k' + bad: bad}}), flush=True)\n\
                   for line in sys.stdin:\n    asked = json.loads(line)\n    \
                   print(json.dumps({'id': asked['id'], 'prediction': 'TITLE | ' + bad + ' <0x0A> ' + bad + ' | b <0x0A> 1 | ' \
                   + bad}), flush=True)\n";
    scratch.write("adapters/loud.py", program);
    scratch.write(
        "adapters/loud.toml",
        "family = \"process\"\ntitle = \"\\u001b[2J\"\nsource = \"\"\n[process]\ncommand = [\"python3\", \"loud.py\", \"\\u001b[2J\"]\n",
    );
    let (data, results, adapters) = (
        scratch.at("data"),
        scratch.at("results"),
        scratch.at("adapters"),
    );
    let (run, image) = (scratch.at("results/r"), scratch.at("data/a.png"));
    let (page, figures, exported) = (
        scratch.at("p.html"),
        scratch.at("figures"),
        scratch.at("exported"),
    );
    let loud = ["--adapters", "loud", "--adapters-dir", &adapters];
    let explained = format!("y{hostile}\nz");
    for arguments in [
        [
            &["run", "--data", &data, "--results", &results, "--name", "r"][..],
            &loud,
        ]
        .concat(),
        [&["ask", &image, "x"][..], &loud].concat(),
        [&["table", &image][..], &loud].concat(),
        [&["ask", &format!("/{hostile}"), "x"][..], &loud].concat(),
        vec!["data", "check", &data],
        vec!["leaderboard", &run],
        vec!["leaderboard", &run, "--format", "markdown"],
        vec!["leaderboard", &run, "--format", "latex"],
        vec!["compare", &run, &run, "--questions", "--by", "source"],
        vec!["score", &run, "--per-question"],
        vec!["score", &run, "--matrix"],
        vec!["score", &run, "--explain", &explained],
        vec!["score", &run, "--explain", hostile],
        vec!["score", hostile],
        vec!["list", "--adapters-dir", &adapters],
        vec!["report", &run, "--out", &page],
        vec!["figures", &run, "--out", &figures],
        vec!["export", &run, "--to", "lm-eval", "--out", &exported],
        vec!["run", hostile],
        vec!["run", "--adapters", hostile],
        vec!["leaderboard", &run, "--by", hostile],
        vec!["run", "--limit", hostile],
        vec![hostile],
    ] {
        let output = chartbench(&arguments);
        assert!(
            output.status.code().is_some_and(|code| code <= 2),
            "{arguments:?}: {output:?}"
        );
        for (stream, text) in [("stdout", stdout(&output)), ("stderr", stderr(&output))] {
            let hidden = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
            assert!(
                !text.contains(hidden),
                "{arguments:?}: {stream}: {:?}",
                text
            );
        }
    }
    for figure in ["scores", "tolerance"] {
        let svg = scratch.read(&format!("figures/{figure}.svg"));
        assert!(
            !svg.contains(|c: char| c != '\n' && c.is_control()),
            "{svg}"
        );
    }
}

/// Data for programs stay as they are where a program reads them.
#[test]
fn data_stay_data_in_a_pipe() {
    let scratch = Scratch::new();
    scratch.write(
        "p.jsonl",
        "{\"id\": \"\\u001b\\u202e\", \"gold\": \"a\", \"prediction\": \"\\u009b\"}\n",
    );
    let output = chartbench(&[
        "score",
        &scratch.at("p.jsonl"),
        "--per-question",
        "--format",
        "jsonl",
    ]);
    let row: Value = serde_json::from_str(stdout(&output).trim()).unwrap();
    assert_eq!(
        (&row["id"], &row["prediction"]),
        (&json!("\u{1b}\u{202e}"), &json!("\u{9b}"))
    );
}

/// Images that are no file of the data set: each is a failed row with a clear line, and nothing of
/// it leaves.
#[test]
fn images_outside_the_data_folder_are_failed_rows() {
    let scratch = Scratch::new();
    for name in ["data/a.png", "data/sub/b.png", "secret.png", "data-2/c.png"] {
        scratch.picture(name);
    }
    symlink(scratch.path("secret.png"), scratch.path("data/link.png")).unwrap();
    symlink("sub/b.png", scratch.path("data/inside.png")).unwrap();
    symlink(scratch.path("data-2"), scratch.path("data/folder")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(scratch.path("data/fifo.png"))
            .status()
            .unwrap()
            .success()
    );
    let _socket = std::os::unix::net::UnixListener::bind(scratch.path("data/socket.png")).unwrap();
    File::create(scratch.path("data/large.png"))
        .unwrap()
        .set_len((64 << 20) + 1)
        .unwrap();
    let secret = scratch.at("secret.png");
    let images = [
        ("a.png", ""),
        ("sub/b.png", ""),
        ("sub/../a.png", ""),
        ("inside.png", ""),
        ("/dev/zero", "outside the data set's folder"),
        ("/dev/stdin", "outside the data set's folder"),
        ("/etc/passwd", "outside the data set's folder"),
        ("/proc/self/environ", "outside the data set's folder"),
        (&secret, "outside the data set's folder"),
        ("../secret.png", "outside the data set's folder"),
        ("link.png", "outside the data set's folder"),
        ("folder/c.png", "outside the data set's folder"),
        ("fifo.png", "not a regular file"),
        ("socket.png", "cannot read the chart image"),
        ("sub", "directory"),
        ("large.png", "more than 64 MiB"),
        ("missing.png", "No such file"),
        ("a.png/x.png", "cannot read the chart image"),
        ("a.png\0.txt", "cannot read the chart image"),
        ("x\0y/a.png", "cannot read the chart image"),
        ("http://127.0.0.1:1/x.png", "No such file"),
    ];
    scratch.ask_about(&images.map(|(image, _)| image));
    scratch.echoing_adapter();
    let (data, results, adapters) = (
        scratch.at("data"),
        scratch.at("results"),
        scratch.at("adapters"),
    );
    let run = |name: &str, more: &[&str]| {
        let own = [
            "run",
            "--no-blind",
            "--data",
            &data,
            "--results",
            &results,
            "--adapters-dir",
            &adapters,
            "--name",
            name,
        ];
        chartbench(&[&own[..], more].concat())
    };
    for (name, adapter) in [("paths", "echo"), ("pixels", "matcha-tiny")] {
        let output = run(name, &["--adapters", adapter]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let rows = scratch.rows(&format!("results/{name}/{adapter}/predictions.jsonl"));
        assert_eq!(rows.len(), images.len());
        for row in rows {
            let (image, told) = images[row["id"].as_str().unwrap().parse::<usize>().unwrap()];
            let error = row["error"].as_str().unwrap_or_default();
            assert_eq!(error.is_empty(), told.is_empty(), "{image:?}: {row}");
            assert!(error.contains(told), "{image:?}: {error}");
        }
    }
    let output = run("allowed", &["--adapters", "echo", "--allow-outside"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    for row in scratch.rows("results/allowed/echo/predictions.jsonl") {
        let (image, told) = images[row["id"].as_str().unwrap().parse::<usize>().unwrap()];
        let readable = [
            "/etc/passwd",
            "/proc/self/environ",
            &secret,
            "../secret.png",
            "link.png",
            "folder/c.png",
        ];
        let answered = told.is_empty() || readable.contains(&image);
        assert_eq!(row["error"].is_null(), answered, "{row}");
    }
    let output = chartbench(&["data", "check", &data, "--format", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let broken = findings.iter().filter(|finding| {
        ["broken_image", "missing_image"]
            .iter()
            .any(|kind| finding["kind"] == *kind)
    });
    assert_eq!(
        broken.count(),
        images.iter().filter(|(_, told)| !told.is_empty()).count()
    );
}

#[test]
fn a_data_set_whose_images_all_lie_outside_is_told_what_to_do() {
    let scratch = Scratch::new();
    scratch.picture("images/a.png");
    scratch.ask_about(&["../images/a.png"]);
    let (data, results) = (scratch.at("data"), scratch.at("results"));
    let line = refused(&[
        "run",
        "--no-blind",
        "--adapters",
        "matcha-tiny",
        "--data",
        &data,
        "--results",
        &results,
    ]);
    assert!(line.contains("--allow-outside"), "{line}");
    let output = chartbench(&[
        "run",
        "--no-blind",
        "--adapters",
        "matcha-tiny",
        "--data",
        &data,
        "--results",
        &results,
        "--allow-outside",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

/// Tables and annotations that a data set names are files of the data set as well.
#[test]
fn annotations_outside_the_data_folder_are_refused() {
    let scratch = Scratch::new();
    scratch.picture("data/images/a.png");
    scratch.write(
        "json/secret.json",
        "{\"task1\": {\"output\": {\"chart_type\": \"line\"}}}",
    );
    fs::create_dir(scratch.path("data/json")).unwrap();
    symlink(
        scratch.path("json/secret.json"),
        scratch.path("data/json/linked.json"),
    )
    .unwrap();
    let (data, results) = (scratch.at("data"), scratch.at("results"));
    let arguments = [
        "run",
        "--no-blind",
        "--adapters",
        "matcha-tiny",
        "--benchmark",
        "realcqa",
        "--data",
        &data,
        "--results",
        &results,
    ];
    for chart in ["linked", "../../json/secret"] {
        let record = |chart: &str| {
            json!([{"taxonomy id": "1", "QID": "1", "question": "Type?", "answer": "Line", "answer_type": "String",
                    "qa_id": "1", "PMC_ID": chart}])
        };
        scratch.write(
            "data/merged_qa.json",
            &json!({"a": record("a"), chart: record(chart)}).to_string(),
        );
        scratch.write("data/test_filenames.txt", &format!("a\n{chart}\n"));
        let line = refused(&arguments);
        assert!(
            line.contains(chart) && line.contains("outside the data set's folder"),
            "{line}"
        );
        assert!(!scratch.path("results").exists());
    }
    let output = chartbench(&[&arguments[..], &["--allow-outside"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

#[test]
fn settings_are_regular_files_of_a_bounded_size() {
    let scratch = Scratch::new();
    let run = scratch.run("base");
    fs::create_dir(scratch.path("adapters")).unwrap();
    for name in ["adapters/x.toml", "b.toml", "q.jsonl"] {
        assert!(
            Command::new("mkfifo")
                .arg(scratch.path(name))
                .status()
                .unwrap()
                .success()
        );
    }
    fs::remove_file(scratch.path("results/base/run.toml")).unwrap();
    symlink("/dev/zero", scratch.path("results/base/run.toml")).unwrap();
    File::create(scratch.path("large.toml"))
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    for arguments in [
        vec!["leaderboard", &run],
        vec!["list", "--adapters-dir", &scratch.at("adapters")],
        vec!["run", "--benchmark", &scratch.at("b.toml")],
        vec!["run", "--benchmark", &scratch.at("large.toml")],
        vec!["run", "--data", &scratch.at("q.jsonl")],
        vec!["score", "/dev/zero"],
        vec!["score", "/dev/zero", "--verify"],
        vec!["ask", "/dev/zero", "x"],
    ] {
        let line = refused(&arguments);
        assert!(
            line.contains("not a regular file") || line.contains("more than 16 MiB"),
            "{arguments:?}: {line}"
        );
    }
}

#[test]
fn what_a_pipe_holds_can_be_scored_and_asked_about() {
    let scratch = Scratch::new();
    scratch.picture("a.png");
    scratch.write(
        "p.jsonl",
        "{\"id\": \"1\", \"gold\": \"a\", \"prediction\": \"a\"}\n",
    );
    let program = env!("CARGO_BIN_EXE_chartbench");
    for line in [
        format!(
            "cat {} | {program} score /dev/stdin --layout jsonl",
            scratch.at("p.jsonl")
        ),
        format!(
            "{program} score <(cat {}) --layout jsonl",
            scratch.at("p.jsonl")
        ),
        format!(
            "cat {} | {program} ask /dev/stdin 'How many?' --adapters matcha-tiny,unichart-tiny",
            scratch.at("a.png")
        ),
    ] {
        let output = Command::new("bash").args(["-c", &line]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{line}: {}", stderr(&output));
    }
}

#[test]
fn data_without_a_benchmark_are_asked_about() {
    let scratch = Scratch::new();
    scratch.picture("data/a.png");
    scratch.ask_about(&["a.png", "a.png", "a.png"]);
    let (data, results) = (scratch.at("data"), scratch.at("results"));
    let output = chartbench(&[
        "run",
        "--no-blind",
        "--adapters",
        "matcha-tiny",
        "--data",
        &data,
        "--results",
        &results,
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let first = stderr(&output).lines().next().unwrap().to_owned();
    assert_eq!(
        first,
        format!("3 questions on 1 charts of Custom in {data}")
    );
    assert_eq!(
        scratch
            .rows("results/custom/matcha-tiny/predictions.jsonl")
            .len(),
        3
    );
    let output = chartbench(&[
        "run",
        "--adapters",
        "majority",
        "--limit",
        "4",
        "--results",
        &results,
    ]);
    let first = stderr(&output).lines().next().unwrap().to_owned();
    assert!(
        first.starts_with("4 questions on ")
            && first.ends_with(
                " charts of Mini (synthetic), drawn by this program and no real charts; RealCQA's: --benchmark realcqa \
                 --data RealCQA/"
            ),
        "{first}"
    );
    let line = refused(&[
        "run",
        "--benchmark",
        "mini",
        "--data",
        &data,
        "--results",
        &results,
    ]);
    assert!(line.contains("draws its own charts"), "{line}");
    fs::create_dir(scratch.path("realcqa")).unwrap();
    scratch.write("realcqa/test_filenames.txt", "a\n");
    for command in ["run", "finetune", "quantize"] {
        let line = refused(&[command, "--data", &scratch.at("realcqa")]);
        assert!(line.contains("--benchmark realcqa"), "{line}");
        let line = refused(&[command, "--data", &scratch.at("nothing")]);
        assert!(line.contains("cannot open"), "{line}");
    }
}

mod input {
    use std::fs;
    use std::io::{self, ErrorKind};
    use std::path::Path;

    use chartbench_core::input::{Boundary, open, open_stream, read};

    fn message<T>(result: io::Result<T>) -> String {
        result.map(drop).unwrap_err().to_string()
    }

    #[test]
    fn a_file_is_read_up_to_a_size() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, [b'x'; 1 << 20]).unwrap();
        assert_eq!(read(&file, 1 << 20).unwrap().len(), 1 << 20);
        fs::write(&file, [b'x'; (1 << 20) + 1]).unwrap();
        assert_eq!(message(read(&file, 1 << 20)), "it has more than 1 MiB");
        assert_eq!(message(read(folder.path(), 9)), "it is a directory");
        assert_eq!(
            open(&folder.path().join("missing")).unwrap_err().kind(),
            ErrorKind::NotFound
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [
            fifo.as_path(),
            Path::new("/dev/zero"),
            Path::new("/dev/null"),
        ] {
            assert!(
                message(read(path, 9)).starts_with("it is not a regular file"),
                "{}",
                path.display()
            );
        }
        assert!(read(&socket, 9).is_err());
        // The kernel states a size of 0.
        assert_eq!(
            message(read(Path::new("/proc/self/environ"), 0)),
            "it has more than 0 MiB"
        );
        assert!(
            message(open_stream(Path::new("/dev/zero"))).starts_with("it is not a regular file")
        );
    }

    #[cfg(unix)]
    #[test]
    fn nothing_outside_a_boundary_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("data/sub")).unwrap();
        fs::create_dir(at("data-2")).unwrap();
        for name in ["data/a", "data/sub/b", "secret", "data-2/c"] {
            fs::write(at(name), name).unwrap();
        }
        std::os::unix::fs::symlink("a", at("data/inside")).unwrap();
        std::os::unix::fs::symlink("../secret", at("data/outside")).unwrap();
        std::os::unix::fs::symlink(at("data-2"), at("data/folder")).unwrap();
        std::os::unix::fs::symlink("data", at("link")).unwrap();
        for root in ["data", "link", "data/sub/.."] {
            let boundary = Boundary::new(&at(root), false);
            for name in ["a", "sub/b", "sub/../a", "inside"] {
                assert!(
                    boundary.open(&at("data").join(name)).is_ok(),
                    "{name} in {root}"
                );
            }
            for name in [
                "../secret",
                "outside",
                "folder/c",
                "../data-2/c",
                "sub/../../secret",
            ] {
                let error = message(boundary.open(&at("data").join(name)));
                assert!(
                    error.starts_with("it lies outside the data set's folder"),
                    "{name} in {root}: {error}"
                );
            }
        }
        assert!(Boundary::new(&at("data"), true).open(&at("secret")).is_ok());
        assert!(Boundary::default().open(&at("secret")).is_ok());
    }
}

mod names {
    use chartbench_core::names::check_folder_name;

    #[test]
    fn a_folder_name_leads_nowhere_else() {
        let long = "/".repeat(1000);
        for name in [
            "",
            ".",
            "..",
            "../x",
            "x/..",
            "/x",
            "x/",
            "x/y",
            "./x",
            ".x",
            "x\\y",
            "x\0",
            "x\ny",
            "x\u{1b}[2J",
            &long,
        ] {
            let error = check_folder_name("the run's name", name)
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("the run's name `")
                    && error.len() < 300
                    && !error.contains('\u{1b}'),
                "{error}"
            );
        }
        for name in [
            "deplot+smollm2",
            "blank+matcha-tiny",
            "NAME@q8",
            "a b",
            "x..",
            "a:b",
            "été-図表",
            "-x",
            "~",
            "%2e%2e",
        ] {
            check_folder_name("the run's name", name).unwrap();
        }
    }
}

mod figures {
    use chartbench::report::plot::{Bar, Line, Panel, draw_bars, draw_panels};

    #[test]
    fn no_title_or_name_makes_an_svg_that_is_no_xml() {
        let hostile: String = ('\0'..='\u{a0}')
            .chain("\u{202e}\u{fffe}\u{ffff}</svg>]]>".chars())
            .collect();
        let bar = Bar {
            name: hostile.chars().skip(8).collect(),
            value: 50.0,
            ..Bar::default()
        };
        let panel = Panel {
            x: hostile.clone(),
            y: hostile.clone(),
            lines: vec![Line::new(&hostile, vec![(0.0, 0.0), (1.0, 1.0)])],
            marker: Some((0.5, hostile.clone())),
            ..Panel::default()
        };
        for svg in [
            draw_bars(&hostile, &hostile, 100.0, &[bar]).unwrap(),
            draw_panels(&hostile, &[panel]).unwrap(),
        ] {
            resvg::usvg::roxmltree::Document::parse(&svg).unwrap();
            let hidden = |c: char| {
                !matches!(c, '\n' | '\t') && c.is_control()
                    || ('\u{fffe}'..='\u{ffff}').contains(&c)
            };
            assert!(!svg.contains(hidden), "{svg}");
        }
    }
}
