//! `chartbench finetune` against the untrained model, and how a training is stopped: asked once, compared at the
//! end, saved on Ctrl-C.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A training of two steps, and four test questions.
const TINY: &[&str] = &[
    "--adapters",
    "matcha-tiny",
    "--max-steps",
    "2",
    "--batch-size",
    "2",
    "--validation-questions",
    "2",
    "--limit",
    "4",
    "--name",
    "after",
];

fn chartbench(results: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args(arguments)
        .arg("--results")
        .arg(results)
        .output()
        .unwrap()
}

fn finetune(results: &Path, more: &[&str]) -> Output {
    chartbench(results, &[&["finetune"], TINY, more].concat())
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn runs(results: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(results)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_untrained_model_is_asked_once_and_compared() {
    let results = tempfile::tempdir().unwrap();
    let output = finetune(results.path(), &[]);
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");
    // Two steps are fewer than the warm-up of 50 of 650.
    assert!(
        told.contains("warm-up of 50 steps: it is shortened to 0"),
        "{told}"
    );
    assert!(
        told.contains("asking matcha-tiny as it was before"),
        "{told}"
    );
    assert_eq!(runs(results.path()), ["after", "after-before"]);
    let sentence = |output: &Output| stdout(output).lines().last().unwrap().to_owned();
    let last = sentence(&output);
    assert!(
        last.starts_with("matcha-tiny: ")
            && last.contains("of strict accuracy, on too few questions"),
        "{last}"
    );
    let compared = chartbench(results.path(), &["compare", "after-before", "after"]);
    assert!(
        stdout(&compared).lines().any(|line| line == last),
        "{last}\n{}",
        stdout(&compared)
    );
    // The same answers as `run` gives: only the weights differ from the trained model's settings.
    let plain = [
        "run",
        "--adapters",
        "matcha-tiny",
        "--limit",
        "4",
        "--name",
        "plain",
    ];
    assert!(chartbench(results.path(), &plain).status.success());
    let fingerprint = |run: &str| {
        let file = results.path().join(run).join("matcha-tiny/fingerprint");
        fs::read_to_string(file).unwrap()
    };
    assert_eq!(fingerprint("plain"), fingerprint("after-before"));

    // Started again, nothing is asked anew, and the end is the same.
    let again = finetune(results.path(), &[]);
    let told = stderr(&again);
    assert!(
        told.contains("answered these questions in")
            && told.contains("after-before")
            && !told.contains("asking matcha-tiny"),
        "{told}"
    );
    assert_eq!(sentence(&again), last);

    // Quietly: the leaderboard and the sentence alone; verbosely the settings and slices too.
    let quiet = finetune(results.path(), &["--quiet"]);
    assert_eq!(
        stderr(&quiet),
        "note: --max-steps is too few for the protocol's warm-up of 50 steps: it is shortened to 0; \
         --warmup-steps sets it\n"
    );
    assert_eq!(sentence(&quiet), last);
    assert!(
        !stdout(&quiet).contains("max_patches"),
        "{}",
        stdout(&quiet)
    );
    let verbose = stdout(&finetune(results.path(), &["-v"]));
    assert!(
        verbose.contains("max_patches") && verbose.contains("By answer type\n"),
        "{verbose}"
    );
}

#[test]
fn a_stored_run_takes_the_place_of_asking_and_can_be_left_out() {
    let results = tempfile::tempdir().unwrap();
    let run = ["run", "--adapters", "matcha-tiny", "--limit", "4"];
    let asked = chartbench(results.path(), &[&run[..], &["--name", "base"]].concat());
    assert!(asked.status.success(), "{}", stderr(&asked));
    let output = finetune(results.path(), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(runs(results.path()), ["after", "base"]);
    assert!(stderr(&output).contains("base"), "{}", stderr(&output));

    let results = tempfile::tempdir().unwrap();
    let output = finetune(results.path(), &["--no-before"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(runs(results.path()), ["after"]);
    assert!(
        !stdout(&output).contains("of strict accuracy, on"),
        "{}",
        stdout(&output)
    );
}

/// Hours of training must not end in a refusal that was known before.
#[test]
fn another_run_under_the_name_of_the_untrained_one_is_refused_before_training() {
    let results = tempfile::tempdir().unwrap();
    let other = [
        "run",
        "--adapters",
        "majority",
        "--limit",
        "3",
        "--seed",
        "9",
        "--name",
        "after-before",
    ];
    assert!(chartbench(results.path(), &other).status.success());
    let output = finetune(results.path(), &[]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("after-before") && !told.contains("validation"),
        "{told}"
    );
}

/// The bytes that must not depend on whether a training was stopped.
fn weights(results: &Path) -> Vec<u8> {
    fs::read(results.join("after/matcha-tiny/checkpoint/model.safetensors")).unwrap()
}

fn steps(results: &Path) -> Vec<(u64, bool)> {
    let log = fs::read_to_string(results.join("after/matcha-tiny/training.jsonl")).unwrap();
    log.lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            (line["step"].as_u64().unwrap(), line["kind"] == "validation")
        })
        .collect()
}

#[cfg(unix)]
#[test]
fn a_signal_saves_the_step_it_is_at_and_the_training_goes_on_to_the_same_bytes() {
    let long = [
        "finetune",
        "--adapters",
        "matcha-tiny",
        "--max-steps",
        "60",
        "--warmup-steps",
        "2",
        "--batch-size",
        "4",
        "--eval-steps",
        "60",
        "--validation-questions",
        "2",
        "--limit",
        "2",
        "--name",
        "after",
        "--no-before",
    ];
    let whole = tempfile::tempdir().unwrap();
    assert!(chartbench(whole.path(), &long).status.success());

    let stopped = tempfile::tempdir().unwrap();
    let folder = stopped.path().join("after/matcha-tiny");
    let mut going_on = String::new();
    for (signal, code) in [("-INT", 130), ("-TERM", 75), ("-USR1", 75)] {
        let child = Command::new(env!("CARGO_BIN_EXE_chartbench"))
            .args(long)
            .arg("--results")
            .arg(stopped.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let log = || {
            let log = fs::read_to_string(folder.join("training.jsonl")).unwrap_or_default();
            log.lines().filter(|line| line.contains("\"step\"")).count()
        };
        let lines = log();
        while log() < lines + 4 && begun.elapsed() < Duration::from_secs(300) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let pid = child.id().to_string();
        let mut kill = Command::new("kill");
        assert!(kill.args([signal, &pid]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{signal}: {told}");
        assert!(told.contains(&going_on), "{told}");
        let (last, _) = *steps(stopped.path()).last().unwrap();
        assert!(last < 60, "the training ended before the signal");
        assert!(
            told.ends_with(&format!(
                "matcha-tiny: stopped, and step {last} is saved: the same command goes on from there\n"
            )),
            "{told}"
        );
        assert!(folder.join(format!("state/step-{last:09}")).is_dir());
        going_on = format!("going on after step {last} of 60");
    }

    let output = chartbench(stopped.path(), &long);
    assert!(stderr(&output).contains(&going_on), "{}", stderr(&output));
    assert!(weights(whole.path()) == weights(stopped.path()));
    assert_eq!(steps(whole.path()), steps(stopped.path()));
}

/// A kill loses no more than the steps since the last saved state. How often is no part of the settings.
#[test]
fn states_are_saved_between_validations() {
    let results = tempfile::tempdir().unwrap();
    let long = [
        "finetune",
        "--adapters",
        "matcha-tiny",
        "--max-steps",
        "40",
        "--warmup-steps",
        "2",
        "--batch-size",
        "4",
        "--eval-steps",
        "40",
        "--validation-questions",
        "2",
        "--limit",
        "2",
        "--name",
        "after",
        "--no-before",
    ];
    let mut child = Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args(long)
        .args(["--save-every", "3", "--results"])
        .arg(results.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let states = results.path().join("after/matcha-tiny/state");
    let saved = || {
        let entries = fs::read_dir(&states).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names
            .filter_map(|name| name.strip_prefix("step-")?.parse::<u64>().ok())
            .max()
            .unwrap_or(0)
    };
    let begun = Instant::now();
    while saved() < 3 && begun.elapsed() < Duration::from_secs(300) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let last = saved();
    assert!(last >= 3 && last.is_multiple_of(3), "{last}");
    let output = chartbench(
        results.path(),
        &[&long[..], &["--save-steps", "7"]].concat(),
    );
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains(&format!("going on after step {last} of 40")),
        "{told}"
    );
}
