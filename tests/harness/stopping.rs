//! Signals stop a run, a training and what follows it: what is answered is stored, the exit code says
//! how it goes on, and started again it ends as one that was never stopped.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::endpoint::adapter_file;
use super::endpoint::server::{Act, Server};

/// A program that echoes questions. The file `after`, where there is one, says at which answer it
/// stays away, and for how many seconds.
const PROGRAM: &str = r#"
import json, os, sys, time
from pathlib import Path
here = Path(__file__).parent
def say(message):
    print(json.dumps(message), flush=True)
after = [float(word) for word in (here / "after").read_text().split()] if (here / "after").exists() else []
def wait(number):
    if after and number >= after[0]:
        (here / "waits").write_text(str(os.getpid()))
        time.sleep(after[1])
wait(0)
say({"protocol": 1, "settings": {}})
for number, line in enumerate(sys.stdin):
    question = json.loads(line)
    with open(here / "asked", "a") as file:
        file.write(question["id"] + "\n")
    wait(number + 1)
    say({"id": question["id"], "prediction": question["question"]})
"#;

/// A folder with adapter files and results.
struct Scratch(TempDir);

impl Scratch {
    /// The program, with so many questions in flight.
    fn program(in_flight: usize) -> Self {
        let scratch = Self(tempfile::tempdir().unwrap());
        std::fs::write(scratch.path("program.py"), PROGRAM).unwrap();
        let toml = format!(
            "family = \"process\"\ntitle = \"T\"\nsource = \"here\"\n[process]\ncommand = [\"python3\", \"program.py\"]\n\
             grace = 0.3\nin_flight = {in_flight}\n"
        );
        std::fs::write(scratch.path("mine.toml"), toml).unwrap();
        scratch
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// From the program's answer of this number on, each takes so long.
    fn wait_at(&self, answer: usize, seconds: f64) {
        std::fs::write(self.path("after"), format!("{answer} {seconds}")).unwrap();
    }

    fn run(&self, adapter: &str, results: &str, more: &[&str]) -> Command {
        let mut command = chartbench();
        command
            .args(["run", "--no-blind", "--name", "r", "--adapters", adapter])
            .args(more)
            .arg("--adapters-dir")
            .arg(self.0.path())
            .arg("--results")
            .arg(self.path(results));
        command
    }

    fn asked(&self) -> Vec<String> {
        let asked = std::fs::read_to_string(self.path("asked")).unwrap_or_default();
        asked.lines().map(str::to_owned).collect()
    }
}

fn chartbench() -> Command {
    Command::new(env!("CARGO_BIN_EXE_chartbench"))
}

/// The rows of a log without their latencies; each line is whole.
fn rows(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    let row = |line: &str| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        row.as_object_mut().unwrap().remove("latency_ms").unwrap();
        row
    };
    text.lines().map(row).collect()
}

fn by_id(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_key(|row| row["id"].as_str().unwrap().to_owned());
    rows
}

fn start(mut command: Command) -> Child {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(300), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send(signal: &str, pid: &str) -> bool {
    let mut kill = Command::new("kill");
    let output = kill.args([signal, pid]).output().unwrap();
    output.status.success()
}

/// Whether a process still runs; one that nobody waits for does not.
fn is_alive(pid: &str) -> bool {
    let output = Command::new("ps").args(["-o", "stat=", "-p", pid]).output();
    !matches!(output.unwrap().stdout.trim_ascii(), [] | [b'Z', ..])
}

/// How a process ended that was sent a signal: within so many seconds.
#[track_caller]
fn stop(child: Child, signal: &str, within: u64) -> (Output, String) {
    assert!(send(signal, &child.id().to_string()));
    let begun = Instant::now();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(within),
        "{:?}\n{stderr}",
        begun.elapsed()
    );
    (output, stderr)
}

fn success(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// 70 answers of a call of 80 are reported when the program hangs, and the one thread of the pool waits
/// for it.
#[test]
fn what_a_call_that_hangs_has_answered_is_stored() {
    let scratch = Scratch::program(20);
    let run = |results| scratch.run("mine", results, &["--limit", "100", "--threads", "1"]);
    let log = |results: &str| scratch.path(results).join("r/mine/predictions.jsonl");
    success(run("whole"));
    scratch.wait_at(71, 600.0);
    let child = start(run("stopped"));
    wait_until("the program does not hang", || {
        scratch.path("waits").exists()
    });
    // The program has written its answers: they are on their way through a pipe.
    std::thread::sleep(Duration::from_millis(500));
    let (output, stderr) = stop(child, "-TERM", 20);
    assert_eq!(output.status.code(), Some(75), "{stderr}");
    assert!(
        stderr.ends_with(
            "\nstopped by SIGTERM: 70 of 100 questions of mine are answered; start the same command again to go on\n"
        ),
        "{stderr}"
    );
    assert_eq!(rows(&log("stopped")).len(), 70);
    assert!(!scratch.path("stopped/r/leaderboard.md").exists());
    let program = std::fs::read_to_string(scratch.path("waits")).unwrap();
    wait_until("the program outlives the run", || !is_alive(&program));

    std::fs::remove_file(scratch.path("after")).unwrap();
    let before = scratch.asked().len();
    success(run("stopped"));
    assert_eq!(scratch.asked().len() - before, 30);
    let whole = rows(&log("whole"));
    assert_eq!(by_id(rows(&log("stopped"))), by_id(whole));
    let leaderboard =
        |results: &str| std::fs::read(scratch.path(results).join("r/leaderboard.md")).unwrap();
    assert_eq!(leaderboard("stopped"), leaderboard("whole"));
}

/// Calls are of four questions, of which the program has one at a time.
#[test]
fn the_question_in_flight_is_the_last() {
    let scratch = Scratch::program(1);
    let run = |results| scratch.run("mine", results, &["--limit", "12"]);
    let log = |results: &str| scratch.path(results).join("r/mine/predictions.jsonl");
    success(run("whole"));
    for (results, signal, code, name) in [
        ("usr1", "-USR1", 75, "SIGUSR1"),
        ("int", "-INT", 130, "Ctrl-C"),
    ] {
        scratch.wait_at(2, 1.5);
        let _ = std::fs::remove_file(scratch.path("waits"));
        let child = start(run(results));
        wait_until("the program does not wait", || {
            scratch.path("waits").exists()
        });
        let (output, stderr) = stop(child, signal, 10);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        let line = format!(
            "stopped by {name}: 2 of 12 questions of mine are answered; start the same command again to go on\n"
        );
        assert!(stderr.ends_with(&line), "{stderr}");
        assert_eq!(rows(&log(results)).len(), 2);

        std::fs::remove_file(scratch.path("after")).unwrap();
        success(run(results));
        assert_eq!(rows(&log(results)), rows(&log("whole")));
    }
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let scratch = Scratch::program(1);
    scratch.wait_at(1, 600.0);
    let child = start(scratch.run("mine", "results", &["--limit", "3"]));
    wait_until("the program does not hang", || {
        scratch.path("waits").exists()
    });
    assert!(send("-INT", &child.id().to_string()));
    std::thread::sleep(Duration::from_secs(1));
    let (output, stderr) = stop(child, "-INT", 10);
    assert_eq!(output.status.signal(), Some(2), "{stderr}");
    let program = std::fs::read_to_string(scratch.path("waits")).unwrap();
    wait_until("the program outlives the run", || !is_alive(&program));
}

/// Where nothing is being answered, there is nothing to wait for.
#[test]
fn what_loads_is_ended_at_once() {
    let scratch = Scratch::program(1);
    scratch.wait_at(0, 600.0);
    let child = start(scratch.run("mine", "results", &["--limit", "3"]));
    wait_until("the program does not load", || {
        scratch.path("waits").exists()
    });
    let (output, stderr) = stop(child, "-TERM", 10);
    assert_eq!(output.status.code(), Some(75), "{stderr}");
    assert!(
        stderr.ends_with("\nstopped by SIGTERM; start the same command again to go on\n"),
        "{stderr}"
    );
}

/// A batch system may send a signal right after the start, when the arguments are being read.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_is_handled_before_anything_else() {
    let results = tempfile::tempdir().unwrap();
    for (command, signal, number, code) in [
        ("run", "-TERM", 15, 75),
        ("finetune", "-USR1", 10, 75),
        ("run", "-INT", 2, 130),
    ] {
        let mut job = chartbench();
        job.args([command, "--adapters", "matcha-tiny", "--threads", "64"]);
        job.arg("--results").arg(results.path());
        let child = start(job);
        let status = format!("/proc/{}/status", child.id());
        let field = |name: &str, base: u32| {
            let status = std::fs::read_to_string(&status).unwrap();
            let line = status.lines().find(|line| line.starts_with(name));
            let value = line.map(|line| line.trim_start_matches(name).trim());
            let value = value.and_then(|value| u64::from_str_radix(value, base).ok());
            value.unwrap_or_default()
        };
        let mask = 1 << (number - 1);
        // The threads that compute are started after the arguments are read.
        wait_until("no handler is registered", || {
            let threads = field("Threads:", 10);
            let is_caught = field("SigCgt:", 16) & mask != 0;
            assert!(is_caught || threads == 1, "{command} has {threads} threads");
            is_caught
        });
        let (output, stderr) = stop(child, signal, 10);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains("stopped by "), "{stderr}");
    }
}

/// Each prompt is answered once over both starts: what was on its way is awaited, the rest is not asked.
#[test]
fn replies_on_their_way_are_kept() {
    let server = Server::start(|index, seen| {
        if (6..14).contains(&index) {
            Act::Late(Duration::from_secs(2))
        } else {
            Act::Say(seen.prompt().0)
        }
    });
    let scratch = Scratch(tempfile::tempdir().unwrap());
    adapter_file(
        scratch.0.path(),
        &server.base_url(),
        "[limits]\nconcurrency = 8\n",
    );
    let run = || scratch.run("served", "results", &["--limit", "40"]);
    let log = scratch.path("results/r/served/predictions.jsonl");
    let child = start(run());
    wait_until("no request is late", || server.seen().len() >= 14);
    let (output, stderr) = stop(child, "-TERM", 10);
    assert_eq!(output.status.code(), Some(75), "{stderr}");
    let stored = rows(&log).len();
    let answered = || server.seen().iter().filter(|seen| seen.answered).count();
    assert_eq!((stored, answered()), (14, 14), "{stderr}");

    success(run());
    assert_eq!((rows(&log).len(), answered()), (40, 40));
}

#[test]
fn a_wait_that_the_server_asks_for_is_given_up() {
    let server = Server::start(|index, seen| match index {
        5.. => Act::Status(429, "Retry-After: 300", "{}".to_owned()),
        _ => Act::Say(seen.prompt().0),
    });
    let scratch = Scratch(tempfile::tempdir().unwrap());
    adapter_file(scratch.0.path(), &server.base_url(), "");
    let child = start(scratch.run("served", "results", &["--limit", "12"]));
    wait_until("the server is not asked", || server.seen().len() >= 6);
    let (output, stderr) = stop(child, "-TERM", 10);
    assert_eq!(output.status.code(), Some(75), "{stderr}");
    assert_eq!(
        rows(&scratch.path("results/r/served/predictions.jsonl")).len(),
        5
    );
}

#[test]
fn a_model_that_is_stopped_goes_on_to_the_same_bytes() {
    let scratch = Scratch::program(1);
    let more = ["--limit", "240", "--batch-size", "24"];
    let run = |results| scratch.run("matcha-tiny,blank+matcha-tiny", results, &more);
    let log = |results: &str, row: &str| {
        scratch
            .path(results)
            .join("r")
            .join(row)
            .join("predictions.jsonl")
    };
    success(run("whole"));
    let child = start(run("stopped"));
    let first = log("stopped", "matcha-tiny");
    wait_until("nothing is answered", || {
        std::fs::read(&first).is_ok_and(|bytes| !bytes.is_empty())
    });
    let (output, stderr) = stop(child, "-TERM", 20);
    assert_eq!(output.status.code(), Some(75), "{stderr}");
    let answered = rows(&first).len();
    assert!((24..240).contains(&answered), "{answered}: {stderr}");
    let line = format!(
        "stopped by SIGTERM: {answered} of 240 questions of matcha-tiny are answered; start the same command again to go on\n"
    );
    assert!(stderr.ends_with(&line), "{stderr}");

    success(run("stopped"));
    for row in ["matcha-tiny", "blank+matcha-tiny"] {
        assert_eq!(rows(&log("stopped", row)), rows(&log("whole", row)));
    }
}

/// A training of two steps.
const TINY: &[&str] = &[
    "finetune",
    "--adapters",
    "matcha-tiny",
    "--max-steps",
    "2",
    "--batch-size",
    "2",
    "--validation-questions",
    "2",
    "--name",
    "after",
];

fn finetune(results: &Path, more: &[&str]) -> Command {
    let mut command = chartbench();
    command.args(TINY).args(more).arg("--results").arg(results);
    command
}

/// After a training, its checkpoint and the untrained model are asked as `run` asks.
#[test]
fn questions_after_a_training_stop_as_those_of_a_run() {
    for run in ["after", "after-before"] {
        let results = tempfile::tempdir().unwrap();
        let command = || finetune(results.path(), &["--limit", "160"]);
        let log = results
            .path()
            .join(run)
            .join("matcha-tiny/predictions.jsonl");
        let child = start(command());
        wait_until("nothing is answered", || {
            std::fs::read(&log).is_ok_and(|bytes| !bytes.is_empty())
        });
        let (output, stderr) = stop(child, "-USR1", 20);
        assert_eq!(output.status.code(), Some(75), "{stderr}");
        let answered = rows(&log).len();
        assert!(answered < 160, "{stderr}");
        let line = format!(
            "stopped by SIGUSR1: {answered} of 160 questions of matcha-tiny are answered; start the same command again to go on\n"
        );
        assert!(stderr.ends_with(&line), "{stderr}");
        success(command());
        assert_eq!(rows(&log).len(), 160);
    }
}

#[test]
fn a_training_alone_says_how_its_checkpoint_is_asked() {
    let results = tempfile::tempdir().unwrap();
    let output = success(finetune(results.path(), &["--no-evaluation"]));
    assert!(output.stdout.is_empty());
    let stderr = String::from_utf8(output.stderr).unwrap();
    let folder = results.path().join("after");
    let checkpoint = folder.join("matcha-tiny/checkpoint");
    assert!(stderr.contains(&format!("are in {}", checkpoint.display())));
    let asks = stderr.lines().last().unwrap();
    let asks = asks.strip_prefix("ask them: chartbench ").unwrap();
    let card = std::fs::read_to_string(checkpoint.join("README.md")).unwrap();
    assert!(
        card.contains("## Protocol") && !card.contains("## Scores"),
        "{card}"
    );
    assert!(!folder.join("run.toml").exists() && !results.path().join("after-before").exists());

    let mut run = chartbench();
    run.args(shlex::split(asks).unwrap()).args(["--limit", "4"]);
    success(run);
    let log = folder.join("matcha-tiny/predictions.jsonl");
    assert_eq!(rows(&log).len(), 4);
    // The answers are those that `finetune` would have asked for.
    let output = success(finetune(results.path(), &["--limit", "4", "--no-before"]));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("matcha-tiny: resuming, 4 of 4 questions are answered already"),
        "{stderr}"
    );
    for refused in [["--limit", "4"], ["--convention", "relaxed"]] {
        let more = [&["--no-evaluation"][..], &refused].concat();
        let output = finetune(results.path(), &more).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn a_training_alone_needs_no_test_questions() {
    let dir = tempfile::tempdir().unwrap();
    let mut questions = "image,question,answer,split\n".to_owned();
    for chart in 0..20u8 {
        image::RgbImage::from_pixel(40, 30, image::Rgb([chart * 12, 90, 200]))
            .save(dir.path().join(format!("{chart}.png")))
            .unwrap();
        questions += &format!("{chart}.png,How many bars has chart {chart}?,{chart},train\n");
    }
    let data = dir.path().join("questions.csv");
    std::fs::write(&data, questions).unwrap();
    let results = dir.path().join("results");
    let run = |more: &[&str]| {
        let mut command = finetune(&results, more);
        command.arg("--data").arg(&data).output().unwrap()
    };
    let refused = run(&[]);
    assert_eq!(refused.status.code(), Some(2));
    let output = run(&["--no-evaluation", "--max-patches", "64"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert!(
        results
            .join("after/matcha-tiny/checkpoint/model.safetensors")
            .exists()
    );
}
