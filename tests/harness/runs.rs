//! Stored runs by their names: every command that takes runs, `runs`, `runs show` and `runs
//! remove`, and what `compare` concludes for CI.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use chartbench_core::files::FileLock;
use serde_json::Value;
use tempfile::TempDir;

/// A folder in which `results/r` is a run of two blind adapters.
struct Scratch(TempDir);

impl Scratch {
    fn new(limit: &str) -> Self {
        let scratch = Self(tempfile::tempdir().unwrap());
        let adapters = "majority,question-prior";
        scratch.done(&[
            "run",
            "--adapters",
            adapters,
            "--limit",
            limit,
            "--name",
            "r",
        ]);
        scratch
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn chartbench(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_chartbench"))
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Standard output of a command that succeeds.
    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.chartbench(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The one line of a command that ends with exit code 2.
    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.chartbench(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let [line] = stderr.lines().collect::<Vec<_>>()[..] else {
            panic!("{arguments:?} told more than one line: {stderr}")
        };
        line.strip_prefix("error: ").unwrap().to_owned()
    }

    /// The rows of `runs --format json` by the runs' names.
    fn listed(&self) -> Vec<(String, Value)> {
        let rows: Vec<Value> =
            serde_json::from_str(&self.done(&["runs", "--format", "json"])).unwrap();
        let named = |row: Value| (row["run"].as_str().unwrap().to_owned(), row);
        rows.into_iter().map(named).collect()
    }
}

#[test]
fn names_work_wherever_a_run_is_taken() {
    let scratch = Scratch::new("20");
    for name in ["r", "results/r", "./results/r"] {
        let board = scratch.done(&["leaderboard", name, "--format", "csv", "--no-slices"]);
        assert_eq!(board.lines().count(), 3, "{name}: {board}");
        let adapter = format!("{name}/majority");
        let board = scratch.done(&["leaderboard", &adapter, "--format", "csv", "--no-slices"]);
        assert_eq!(board.lines().count(), 2, "{adapter}: {board}");
        assert!(board.contains("majority") && !board.contains("question-prior"));
        let score = ["score", &adapter, "--convention", "study", "--format"];
        let row: Value =
            serde_json::from_str(&scratch.done(&[&score[..], &["jsonl"]].concat())).unwrap();
        assert_eq!(
            (&row["file"], &row["questions"]),
            (&"r/majority".into(), &20.into())
        );
        let other = format!("{name}/question-prior");
        let compared = scratch.done(&["compare", &adapter, &other]);
        assert!(
            compared.contains("majority -> question-prior"),
            "{compared}"
        );
    }
    assert_eq!(
        scratch
            .done(&["score", "r", "--format", "jsonl", "--convention", "study"])
            .lines()
            .count(),
        2
    );
    let moved = ["leaderboard", "r", "--results", "elsewhere"];
    fs::rename(scratch.path("results"), scratch.path("elsewhere")).unwrap();
    scratch.done(&moved);
    fs::rename(scratch.path("elsewhere"), scratch.path("results")).unwrap();
    // The page, pictures and files of one adapter alone.
    let mentions = |name: &str| {
        scratch.done(&["report", name, "--out", "page.html"]);
        let page = fs::read_to_string(scratch.path("page.html")).unwrap();
        page.matches("question-prior").count()
    };
    // The page's explanation of blind rows mentions it, too.
    assert!(mentions("r") > mentions("r/majority"));
    scratch.done(&["figures", "r/majority"]);
    let scores = fs::read_to_string(scratch.path("figures/scores.svg")).unwrap();
    assert!(scores.contains("r/majority") && !scores.contains("question-prior"));
    let export = [
        "export",
        "--format",
        "lm-eval",
        "--out",
        "out",
        "r/majority",
    ];
    scratch.done(&export);
    assert!(scratch.path("out/r/majority/results.json").exists());
    assert!(!scratch.path("out/r/question-prior").exists());
    // Two adapters of a run go into two folders; the same one twice would go into one.
    scratch.done(&[&export[..], &["r/question-prior"]].concat());
    assert!(scratch.path("out/r/question-prior/results.json").exists());
    let line = scratch.refused(&[&export[..], &["r"]].concat());
    assert!(line.contains("are both named r"), "{line}");
    // A file comes before a run of its name.
    fs::write(scratch.path("r"), "prediction,label\na,a\n").unwrap();
    let scored = scratch.done(&["score", "r", "--file-format", "csv", "--format", "jsonl"]);
    assert!(
        scored
            .lines()
            .all(|line| line.contains(r#""file":"r","questions":1"#)),
        "{scored}"
    );
}

#[test]
fn an_unknown_run_is_met_with_those_there_are_and_the_command() {
    let scratch = Scratch::new("4");
    let commands: [&[&str]; 8] = [
        &["compare", "r", "after"],
        &["compare", "after/majority", "r"],
        &["leaderboard", "r", "after"],
        &["report", "after"],
        &["figures", "results/after"],
        &["export", "after", "--format", "lm-eval", "--out", "out"],
        &["runs", "show", "after"],
        &["runs", "remove", "--yes", "after"],
    ];
    for command in commands {
        assert_eq!(
            scratch.refused(command),
            "no run `after` in results, which holds r; make it by `chartbench run --name after` or \
             `chartbench finetune --name after`",
            "{command:?}"
        );
    }
    for written in ["report.html", "figures", "out"] {
        assert!(!scratch.path(written).exists(), "{written} was written");
    }
    let line = scratch.refused(&["score", "after"]);
    assert!(
        line.starts_with("after is not a file: no run `after` in results"),
        "{line}"
    );
    let line = scratch.refused(&["score", "after.csv"]);
    assert!(
        line.starts_with("after.csv: cannot open the file"),
        "{line}"
    );
    let line = scratch.refused(&["leaderboard", "r/majorty"]);
    assert!(
        line.ends_with("r has no majorty: it has majority, question-prior"),
        "{line}"
    );
    let line = scratch.refused(&["leaderboard", "mini"]);
    assert!(
        line.ends_with("make it by `chartbench run --benchmark mini`"),
        "{line}"
    );
}

/// The three lines of the README's kind, typed where nothing was run yet.
#[test]
fn compare_in_an_empty_folder_says_how_to_begin() {
    let scratch = Scratch(tempfile::tempdir().unwrap());
    assert_eq!(
        scratch.refused(&["compare", "before", "after"]),
        "no run `before`: results holds no runs; make it by `chartbench run --name before` or \
         `chartbench finetune --name before`"
    );
    let output = scratch.chartbench(&["runs"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "results holds no runs; `chartbench run` makes one\n"
    );
    assert!(!scratch.path("results").exists());
}

#[test]
fn what_a_glob_brings_besides_runs_is_skipped_with_a_note() {
    let scratch = Scratch::new("4");
    fs::create_dir(scratch.path("results/figures")).unwrap();
    fs::write(scratch.path("results/README.md"), "# Results\n").unwrap();
    let glob = ["results/README.md", "results/figures", "results/r"];
    let commands: [&[&str]; 4] = [
        &["leaderboard"],
        &["report"],
        &["figures"],
        &["export", "--format", "lm-eval", "--out", "out"],
    ];
    for command in commands {
        let output = scratch.chartbench(&[command, &glob[..]].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{command:?}: {stderr}");
        assert_eq!(
            stderr.lines().next(),
            Some("note: skipped, not a run: results/README.md, results/figures"),
            "{command:?}"
        );
    }
    let line = scratch.refused(&["leaderboard", "results/README.md", "results/figures"]);
    assert_eq!(
        line,
        "results/README.md is not a run directory: it has no run.toml"
    );
    let line = scratch.refused(&["compare", "r", "results/figures"]);
    assert_eq!(
        line,
        "results/figures is not a run directory: it has no run.toml"
    );
}

#[test]
fn runs_are_listed_and_shown() {
    let scratch = Scratch::new("20");
    scratch.done(&[
        "run",
        "--adapters",
        "majority",
        "--limit",
        "4",
        "--name",
        "cut",
    ]);
    let log = scratch.path("results/cut/majority/predictions.jsonl");
    let lines = fs::read_to_string(&log).unwrap();
    // A torn line is no answer.
    fs::write(&log, &lines[..lines.len() - 5]).unwrap();
    fs::create_dir(scratch.path("results/figures")).unwrap();
    let listed = scratch.listed();
    let names: Vec<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["cut", "r"]);
    let run = &listed[1].1;
    for (key, value) in [
        ("benchmark", "mini"),
        ("adapters", "majority, question-prior"),
        ("complete", "yes"),
    ] {
        assert_eq!(run[key], value, "{run}");
    }
    assert_eq!(run["questions"], 20);
    let megabytes = run["MB"].as_f64().unwrap();
    assert!(megabytes > 0.001 && megabytes < 1.0, "{megabytes}");
    let date = run["last written (UTC)"].as_str().unwrap();
    assert!(
        date.starts_with("20") && date.len() == "2026-11-30 10:42".len(),
        "{date}"
    );
    assert_eq!(listed[0].1["complete"], "no (3 of 4)");
    let output = scratch.chartbench(&["runs"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, "note: no runs in results: figures\n");
    // One run, and one adapter.
    let shown = scratch.done(&["runs", "show", "cut", "--format", "json"]);
    let rows: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (
            &rows[0]["adapter"],
            &rows[0]["answered"],
            &rows[0]["failed"]
        ),
        (&"majority".into(), &3.into(), &0.into())
    );
    let shown = scratch.done(&["runs", "show", "cut"]);
    assert!(shown.starts_with("results/cut: 4 questions on "), "{shown}");
    assert!(
        shown.contains(" of Mini (synthetic), --limit 4; begun by chartbench "),
        "{shown}"
    );
    let shown = scratch.done(&["runs", "show", "r/majority", "--format", "csv"]);
    for key in ["fingerprint,", "train_hash,", "batch,"] {
        assert!(shown.lines().any(|line| line.starts_with(key)), "{shown}");
    }
    // A broken run hides no other.
    fs::write(scratch.path("results/cut/run.toml"), "format = 99\n").unwrap();
    let output = scratch.chartbench(&["runs", "--format", "csv"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("error: results/cut: ") && stderr.contains("has format 99"),
        "{stderr}"
    );
}

#[test]
fn a_run_is_removed_only_when_that_is_certain() {
    let scratch = Scratch::new("4");
    scratch.done(&[
        "run",
        "--adapters",
        "majority",
        "--limit",
        "4",
        "--name",
        "kept",
    ]);
    let run = scratch.path("results/r");
    let refused = |arguments: &[&str], told: &str| {
        let line = scratch.refused(&[&["runs", "remove"], arguments].concat());
        assert!(line.contains(told), "{arguments:?}: {line}");
        assert!(
            run.join("majority/predictions.jsonl").exists(),
            "{arguments:?}"
        );
        assert!(run.join("leaderboard.md").exists(), "{arguments:?}");
    };
    refused(&["r"], "nothing is removed without --yes");
    refused(
        &["r/majority", "--yes"],
        "only whole runs are removed: name results/r",
    );
    refused(&["results", "--yes"], "results is not a run directory");
    refused(&["r", "typo", "--yes"], "no run `typo`");
    // What is not the run's own.
    for name in ["notes.txt", "figures/scores.svg", "nested/run.toml"] {
        let foreign = run.join(name);
        fs::create_dir_all(foreign.parent().unwrap()).unwrap();
        fs::write(&foreign, "").unwrap();
        refused(
            &["r", "--yes"],
            "is not part of the run: move it away first",
        );
        assert!(foreign.exists());
        match name.split_once('/') {
            Some((folder, _)) => fs::remove_dir_all(run.join(folder)).unwrap(),
            None => fs::remove_file(foreign).unwrap(),
        }
    }
    // Whatever another process holds.
    for held in [
        "run.toml",
        "majority/predictions.jsonl",
        "majority/training.jsonl",
    ] {
        let path = run.join(held);
        if held.ends_with("training.jsonl") {
            fs::write(&path, "").unwrap();
        }
        let lock = FileLock::try_acquire(&path).unwrap().unwrap();
        refused(
            &["r", "--yes"],
            "results/r is in use by another chartbench process",
        );
        drop(lock);
    }
    let removed = scratch.chartbench(&["runs", "remove", "--yes", "r"]);
    assert_eq!(removed.status.code(), Some(0));
    assert_eq!(
        String::from_utf8(removed.stderr).unwrap(),
        "removed results/r\n"
    );
    assert!(!run.exists());
    assert_eq!(scratch.listed().len(), 1);
    // By its path, with an adapter whose entry was never written.
    fs::create_dir(scratch.path("results/kept/begun")).unwrap();
    fs::write(scratch.path("results/kept/begun/fingerprint"), "00\n").unwrap();
    scratch.done(&["runs", "remove", "results/kept/", "--yes"]);
    let left = fs::read_dir(scratch.path("results")).unwrap().count();
    assert_eq!(left, 0);
}

#[cfg(unix)]
#[test]
fn a_removal_follows_no_link() {
    use std::os::unix::fs::symlink;
    let scratch = Scratch::new("4");
    let outside = scratch.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("thesis.tex"), "").unwrap();
    symlink(scratch.path("results/r"), scratch.path("results/link")).unwrap();
    for name in ["link", "results/link/"] {
        let line = scratch.refused(&["runs", "remove", "--yes", name]);
        assert!(
            line.contains("results/link is not a folder of its own"),
            "{line}"
        );
    }
    // A link in the run is foreign; one in an adapter's folder is removed, and not what it leads to.
    symlink(&outside, scratch.path("results/r/checkpoint")).unwrap();
    let line = scratch.refused(&["runs", "remove", "--yes", "r"]);
    assert!(
        line.contains("results/r/checkpoint is not part of the run"),
        "{line}"
    );
    fs::remove_file(scratch.path("results/r/checkpoint")).unwrap();
    symlink(&outside, scratch.path("results/r/majority/checkpoint")).unwrap();
    scratch.done(&["runs", "remove", "--yes", "r"]);
    assert!(!scratch.path("results/r").exists());
    assert!(outside.join("thesis.tex").exists());
}

#[test]
fn a_comparison_that_is_worse_has_its_own_exit_code() {
    let scratch = Scratch::new("480");
    let code = |before: &str, after: &str, more: &[&str]| {
        let output = scratch.chartbench(&[&["compare", before, after], more].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.stdout.is_empty(), "{stderr}");
        (output.status.code().unwrap(), stderr)
    };
    let (prior, majority) = ("r/question-prior", "r/majority");
    assert_eq!(code(prior, majority, &[]), (0, String::new()));
    // 27.08 to 11.88.
    let told = "worse: a metric fell by 15.21 points, --max-drop allows 0\n".to_owned();
    assert_eq!(code(prior, majority, &["--fail-if-worse"]), (3, told));
    assert_eq!(
        code(prior, majority, &["--fail-if-worse", "--max-drop", "15"]).0,
        3
    );
    assert_eq!(
        code(prior, majority, &["--fail-if-worse", "--max-drop", "15.5"]).0,
        0
    );
    for other in [prior, majority] {
        assert_eq!(code(majority, other, &["--fail-if-worse"]).0, 0);
    }
    // A difference on too few questions is no verdict.
    scratch.done(&[
        "run",
        "--adapters",
        "majority,question-prior",
        "--limit",
        "8",
        "--name",
        "few",
    ]);
    assert_eq!(
        code("few/question-prior", "few/majority", &["--fail-if-worse"]).0,
        0
    );
    for (flags, told) in [
        (&["--max-drop", "1"][..], "--fail-if-worse"),
        (&["--fail-if-worse", "--max-drop", "NaN"], "from 0 to 100"),
        (&["--fail-if-worse", "--max-drop=-1"], "from 0 to 100"),
    ] {
        let output = scratch.chartbench(&[&["compare", prior, majority], flags].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(
            String::from_utf8(output.stderr).unwrap().contains(told),
            "{flags:?}"
        );
    }
    let help = scratch.done(&["compare", "--help"]);
    assert!(help.contains("3 with --fail-if-worse"), "{help}");
}

/// The example for CI: the program understands its commands, and the shell of its comparing step
/// passes the verdict on.
#[cfg(unix)]
#[test]
fn the_workflow_compares_and_passes_the_verdict_on() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci/compare.yml");
    let workflow = fs::read_to_string(file).unwrap();
    assert!(workflow.contains("gh pr comment"));
    let scratch = Scratch::new("480");
    let mut commands = 0;
    for line in workflow.lines().map(str::trim) {
        let Some(arguments) = line.strip_prefix("chartbench ") else {
            continue;
        };
        let arguments = arguments.split(" > ").next().unwrap();
        let arguments = shlex::split(arguments).unwrap();
        let arguments: Vec<&str> = arguments
            .iter()
            .map(String::as_str)
            .chain(["--help"])
            .collect();
        scratch.done(&arguments);
        commands += 1;
    }
    assert_eq!(commands, 3);
    let step = workflow.split_once("      - name: Compare\n").unwrap().1;
    let (_, script) = step.split_once("run: |\n").unwrap();
    let (script, _) = script.split_once("      - name:").unwrap();
    for (before, after, code, status) in [
        ("r/question-prior", "r/majority", 0, "status=3\n"),
        ("r/majority", "r/question-prior", 0, "status=0\n"),
        ("r/majority", "missing", 1, "status=2\n"),
    ] {
        let program = env!("CARGO_BIN_EXE_chartbench");
        let script = script.replace(
            "chartbench compare before after",
            &format!("'{program}' compare {before} {after}"),
        );
        let output = Command::new("bash")
            .args(["-e", "-c", &script])
            .env("GITHUB_OUTPUT", scratch.path("output"))
            .current_dir(scratch.0.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{before} {after}");
        assert_eq!(fs::read_to_string(scratch.path("output")).unwrap(), status);
        fs::remove_file(scratch.path("output")).unwrap();
        let verdict = fs::read_to_string(scratch.path("verdict.md")).unwrap();
        assert_eq!(
            verdict.contains("is worse than"),
            status == "status=3\n",
            "{verdict}"
        );
    }
}
