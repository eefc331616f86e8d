//! Models in a program of their own: the protocol, and programs that break it.
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A program that says hello and then runs `TURN` for each question; `answer` writes one line.
const PROGRAM: &str = r#"
import json, os, sys, time
from pathlib import Path
here = Path(__file__).parent
def say(message):
    print(json.dumps(message), flush=True)
def answer(question, text=None):
    say({"id": question["id"], "prediction": text if text is not None else question["question"]})
def asked():
    # How many questions came in over all starts.
    with open(here / "asked", "a") as file:
        file.write(question["id"] + "\n")
    return len((here / "asked").read_text().splitlines())
HELLO
for line in sys.stdin:
    question = json.loads(line)
    number = asked()
    TURN
(here / "ended").write_text("yes")
"#;

const HELLO: &str = r#"say({"protocol": 1, "settings": {"weights": "abc", "beams": 4}})"#;

/// A folder with a program and its adapter file.
struct Scratch(TempDir);

impl Scratch {
    fn new(hello: &str, turn: &str, keys: &str) -> Self {
        let scratch = Self(tempfile::tempdir().unwrap());
        scratch.program(hello, turn);
        let toml = format!(
            "family = \"process\"\ntitle = \"T\"\nsource = \"here\"\n[process]\ncommand = [\"python3\", \"program.py\"]\n\
             grace = 0.3\n{keys}"
        );
        std::fs::write(scratch.path("mine.toml"), toml).unwrap();
        scratch
    }

    fn program(&self, hello: &str, turn: &str) {
        let turn = turn.replace('\n', "\n    ");
        std::fs::write(
            self.path("program.py"),
            PROGRAM.replace("HELLO", hello).replace("TURN", &turn),
        )
        .unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, limit: usize) -> (Option<i32>, String) {
        let output = self.command(limit).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    fn command(&self, limit: usize) -> Command {
        command("mine", self.0.path(), limit, &self.path("results"))
    }

    fn rows(&self) -> Vec<Value> {
        rows(&self.path("results/r/mine/predictions.jsonl"))
    }

    fn asked(&self) -> usize {
        std::fs::read_to_string(self.path("asked")).map_or(0, |text| text.lines().count())
    }

    /// Why a run of 8 questions that this turn breaks stopped, and how many rows it has.
    fn stopped(turn: &str, keys: &str) -> (String, usize) {
        let scratch = Self::new(HELLO, turn, keys);
        let (code, stderr) = scratch.run(8);
        assert_eq!(code, Some(1), "{stderr}");
        let line = stderr.lines().last().unwrap();
        let why = line
            .strip_prefix("error: mine: `python3 program.py`: ")
            .unwrap_or_else(|| panic!("{stderr}"));
        let why = why
            .strip_suffix("; start the run again to go on")
            .unwrap_or_else(|| panic!("{stderr}"));
        (why.to_owned(), scratch.rows().len())
    }
}

fn command(adapter: &str, adapters_dir: &Path, limit: usize, results: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chartbench"));
    command
        .args([
            "run",
            "--no-blind",
            "--adapters",
            adapter,
            "--limit",
            &limit.to_string(),
            "--name",
            "r",
            "--adapters-dir",
        ])
        .arg(adapters_dir)
        .arg("--results")
        .arg(results);
    command
}

fn rows(log: &Path) -> Vec<Value> {
    std::fs::read_to_string(log)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn the_example_answers_every_question() {
    let results = tempfile::tempdir().unwrap();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/process");
    let output = command("echo", &examples, 10, results.path())
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let rows = rows(&results.path().join("r/echo/predictions.jsonl"));
    assert_eq!(rows.len(), 10);
    for row in rows {
        assert_eq!(
            row["prediction"].as_str().unwrap(),
            row["question"].as_str().unwrap().to_uppercase()
        );
    }
}

#[test]
fn what_the_program_says_of_itself_is_in_the_manifest() {
    let turn = "assert set(question) == {'id', 'chart', 'image', 'question', 'answer_type'}, question\nanswer(question)";
    let scratch = Scratch::new(HELLO, turn, "");
    let (code, stderr) = scratch.run(2);
    assert_eq!(code, Some(0), "{stderr}");
    let manifest: toml::Table = std::fs::read_to_string(scratch.path("results/r/run.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let settings = manifest["adapters"][0]["settings"].as_table().unwrap();
    let keys: Vec<&str> = settings.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "beams",
            "command",
            "family",
            "sha256 of program.py",
            "weights"
        ]
    );
    assert_eq!(
        (settings["beams"].as_str(), settings["weights"].as_str()),
        (Some("4"), Some("abc"))
    );
    assert_eq!(
        settings["command"].as_str(),
        Some("[\"python3\",\"program.py\"]")
    );
    // Another program under the same name is another model.
    scratch.program(HELLO, "answer(question, '5')");
    let (code, stderr) = scratch.run(2);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        stderr.contains("fingerprint") && stderr.contains("sha256 of program.py was"),
        "{stderr}"
    );
}

#[test]
fn drawn_pictures_are_files_while_they_are_asked_about_and_then_gone() {
    let turn = "data = Path(question['image']).read_bytes()\n\
                assert question['image'].endswith('.png') and data.startswith(b'\\x89PNG')\n\
                answer(question, question['image'])";
    let scratch = Scratch::new(HELLO, turn, "");
    let (code, stderr) = scratch.run(6);
    assert_eq!(code, Some(0), "{stderr}");
    let rows = scratch.rows();
    let paths: Vec<&Path> = rows
        .iter()
        .map(|row| Path::new(row["prediction"].as_str().unwrap()))
        .collect();
    assert!(
        paths.len() == 6
            && paths
                .iter()
                .all(|path| path.is_absolute() && !path.exists()),
        "{paths:?}"
    );
}

#[test]
fn errors_are_rows_and_messages_are_passed_on() {
    let turn = "print('thinking', file=sys.stderr)\n\
                if number == 2: say({'id': question['id'], 'error': 'no\\n idea'})\nelse: answer(question)";
    let scratch = Scratch::new(HELLO, turn, "");
    let (code, stderr) = scratch.run(4);
    assert_eq!(code, Some(1), "{stderr}");
    let errors: Vec<_> = scratch
        .rows()
        .iter()
        .map(|row| row["error"].clone())
        .collect();
    assert_eq!(
        errors,
        [Value::Null, "no idea".into(), Value::Null, Value::Null]
    );
    assert_eq!(
        stderr
            .lines()
            .filter(|line| *line == "mine: thinking")
            .count(),
        4,
        "{stderr}"
    );
    assert!(
        scratch.path("ended").exists(),
        "the program was killed instead of let go"
    );
}

#[test]
fn answers_may_come_in_any_order_among_those_in_flight() {
    let turn = "held = globals().setdefault('held', [])\nheld.append(question)\n\
                if len(held) == 4 or number == 8:\n    for one in reversed(held): answer(one)\n    held.clear()";
    let scratch = Scratch::new(HELLO, turn, "in_flight = 4\n");
    let (code, stderr) = scratch.run(8);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        scratch
            .rows()
            .iter()
            .all(|row| row["prediction"] == row["question"])
    );
}

#[test]
fn large_lines_both_ways_do_not_block() {
    // Far more than a pipe holds, written before a line is read and while many questions wait.
    let turn = "say({'id': question['id'], 'prediction': 'x' * 300000})\nprint('y' * 300000, file=sys.stderr)";
    let scratch = Scratch::new(HELLO, turn, "in_flight = 64\nanswer_timeout = 60\n");
    let (code, stderr) = scratch.run(64);
    assert_eq!(code, Some(0), "{:.300}", stderr);
    assert!(
        scratch
            .rows()
            .iter()
            .all(|row| row["prediction"].as_str().unwrap().len() == 300_000)
    );
}

#[test]
fn a_program_that_dies_is_told_and_the_run_resumes() {
    let turn = "if number == 6: sys.exit(3)\nanswer(question)";
    let scratch = Scratch::new(HELLO, turn, "");
    let (code, stderr) = scratch.run(12);
    assert_eq!(code, Some(1), "{stderr}");
    let kept = scratch.rows();
    let line = format!(
        "error: mine: `python3 program.py`: waiting for the answer to `{}`: it ended (exit status: 3); start the run \
         again to go on",
        rows_in_order(&scratch)[5]
    );
    assert_eq!(stderr.lines().last(), Some(line.as_str()));
    assert_eq!((kept.len(), scratch.asked()), (5, 6));

    let (code, stderr) = scratch.run(12);
    assert_eq!(code, Some(0), "{stderr}");
    let rows = scratch.rows();
    let ids: std::collections::BTreeSet<_> =
        rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(
        (rows.len(), ids.len(), scratch.asked()),
        (12, 12, 13),
        "only the open question is asked again"
    );
    assert_eq!(rows[..5], kept);
}

/// The ids that were asked, in order.
fn rows_in_order(scratch: &Scratch) -> Vec<String> {
    std::fs::read_to_string(scratch.path("asked"))
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn breaches_of_the_protocol_stop_the_adapter_and_keep_what_is_answered() {
    let cases = [
        (
            "print('Loading...', flush=True)",
            "it wrote a line that is no answer (expected value at line 1 column 1): \"Loading...\\n\"",
        ),
        (
            "say({'id': 'other', 'prediction': ''})",
            "it answered `other`, which it was not asked",
        ),
        (
            "answer(question); answer(question)",
            "which it was not asked",
        ),
        (
            "say({'id': question['id']})",
            "must have either `prediction` or `error`",
        ),
        (
            "say({'id': question['id'], 'prediction': '', 'error': ''})",
            "must have either `prediction` or `error`",
        ),
        (
            "say({'id': question['id'], 'prediction': 5})",
            "invalid type: integer `5`, expected a string",
        ),
        (
            "say({'id': question['id'], 'predicted': ''})",
            "unknown field `predicted`",
        ),
        (
            "sys.stdout.buffer.write(b'\\xff\\n'); sys.stdout.flush()",
            "it wrote a line that is not UTF-8",
        ),
        (
            "print('half a li', end='', flush=True); sys.exit()",
            "it wrote a line that is no answer",
        ),
        ("os.close(1); time.sleep(30)", "it closed its output"),
        ("os.kill(os.getpid(), 9)", "it ended (signal: 9 (SIGKILL))"),
    ];
    for (fault, told) in cases {
        let (why, rows) = Scratch::stopped(
            &format!("if number == 3: {fault}\nelse: answer(question)"),
            "",
        );
        assert!(why.contains(told), "{fault}: {why}");
        assert!((2..=3).contains(&rows), "{fault}: {rows}");
    }
}

#[test]
fn a_program_that_hangs_is_ended() {
    let begun = Instant::now();
    let turn = "if number == 3: time.sleep(600)\nanswer(question)";
    let (why, rows) = Scratch::stopped(turn, "answer_timeout = 4\n");
    assert!(why.ends_with("it wrote nothing for 4 s"), "{why}");
    assert_eq!(rows, 2);
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "it was waited for"
    );
}

#[test]
fn a_program_that_does_not_start_is_told_before_anything_is_written() {
    let cases = [
        (
            "print('hello')",
            "",
            "its first line is not {\"protocol\":1,\"settings\":{...}} but \"hello\\n\"",
        ),
        (
            "say({'protocol': 2, 'settings': {}})",
            "",
            "it speaks protocol 2, this program 1",
        ),
        ("say({'protocol': 1})", "", "missing field `settings`"),
        (
            "say({'protocol': 1, 'settings': {'command': ''}})",
            "",
            "its settings must not name `command`",
        ),
        (
            "sys.exit('no weights')",
            "",
            "waiting for its first line: it ended (exit status: 1)",
        ),
        (
            "time.sleep(600)",
            "start_timeout = 0.5\n",
            "waiting for its first line: it wrote nothing for 0.5 s",
        ),
        (
            HELLO,
            "folder = \"nowhere\"\n",
            "cannot start `python3 program.py` in ",
        ),
    ];
    for (hello, keys, told) in cases {
        let scratch = Scratch::new(hello, "pass", keys);
        let (code, stderr) = scratch.run(2);
        assert_eq!(code, Some(2), "{stderr}");
        let line = stderr.lines().last().unwrap();
        assert!(
            line.starts_with("error: mine: ") && line.contains(told),
            "{line}"
        );
        assert!(!scratch.path("results").exists());
    }
}

/// Says hello and starts a program that would outlive the run, and that holds the output open.
const GRANDCHILD: &str = r#"import subprocess
(here / "pids").write_text(f"{os.getpid()} {subprocess.Popen(['sleep', '300']).pid}")
say({"protocol": 1, "settings": {}})"#;

/// The program and what it started, as far as they still run.
fn alive(scratch: &Scratch) -> Vec<String> {
    let pids = std::fs::read_to_string(scratch.path("pids")).unwrap();
    let is_alive = |pid: &&str| {
        let state = Command::new("ps")
            .args(["-o", "stat=", "-p", pid])
            .output()
            .unwrap()
            .stdout;
        !matches!(state.trim_ascii(), [] | [b'Z', ..])
    };
    pids.split(' ')
        .filter(is_alive)
        .map(str::to_owned)
        .collect()
}

/// Waits for something; whether it came within ten seconds.
fn comes(condition: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !condition() && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(50));
    }
    condition()
}

#[test]
fn what_the_program_started_ends_with_the_run() {
    let scratch = Scratch::new(GRANDCHILD, "answer(question)", "");
    let (code, stderr) = scratch.run(3);
    assert_eq!(
        (code, scratch.path("ended").exists()),
        (Some(0), true),
        "{stderr}"
    );
    assert!(
        comes(|| alive(&scratch).is_empty()),
        "{:?} outlive the run",
        alive(&scratch)
    );
}

#[test]
fn a_program_that_dies_is_noticed_though_what_it_started_holds_its_output() {
    let scratch = Scratch::new(GRANDCHILD, "sys.exit(3)", "answer_timeout = 60\n");
    let begun = Instant::now();
    let (code, stderr) = scratch.run(3);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("it ended (exit status: 3)"), "{stderr}");
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "it was waited for"
    );
    assert!(
        comes(|| alive(&scratch).is_empty()),
        "{:?} outlive the run",
        alive(&scratch)
    );
}

/// The same command with Ctrl-C as a terminal sends it: a shell's background job, and so all that
/// it starts, ignores it.
fn interruptible(command: &Command) -> Command {
    let code = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])";
    let mut wrapped = Command::new("python3");
    wrapped
        .args(["-c", code])
        .arg(command.get_program())
        .args(command.get_args());
    wrapped.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    command
        .get_current_dir()
        .map(|folder| wrapped.current_dir(folder));
    wrapped
}

/// `kill -9` leaves this program no time to end anything, Ctrl-C reaches its own process group alone,
/// and the second one ends it at once.
#[test]
fn nothing_outlives_a_run_that_is_killed() {
    for signals in [&["-KILL"][..], &["-INT", "-INT"], &["-TERM"]] {
        let scratch = Scratch::new(
            GRANDCHILD,
            "if number == 2: time.sleep(300)\nanswer(question)",
            "",
        );
        let mut run = interruptible(&scratch.command(3))
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        assert!(
            comes(|| scratch.asked() == 2),
            "the second question was not asked"
        );
        assert_eq!(alive(&scratch).len(), 2);
        for signal in signals {
            std::thread::sleep(Duration::from_millis(100));
            let mut kill = Command::new("kill");
            let sent = kill.args([*signal, &run.id().to_string()]).status();
            assert!(sent.unwrap().success());
        }
        run.wait().unwrap();
        assert!(
            comes(|| alive(&scratch).is_empty()),
            "{signals:?}: {:?} outlive the run",
            alive(&scratch)
        );
    }
}

/// Keys that a program has from the environment or its adapter file.
#[test]
fn keys_of_the_environment_reach_neither_answers_nor_messages() {
    const KEY: &str = "sk-a+b/0123456789abcdef";
    let turn = "key = os.environ['SOME_API_KEY'] if number % 2 else os.environ['OTHER_TOKEN']\n\
                print('key', key, file=sys.stderr)\n\
                if number < 3: answer(question, f'it is {key}')\n\
                elif number == 3: say({'id': question['id'], 'error': 'no: ' + key.replace('+', '%2B')})\n\
                elif number == 4: answer(question, 'EMPTY')\n\
                else: print(key, flush=True)";
    let scratch = Scratch::new(
        HELLO,
        turn,
        &format!("env = {{ OTHER_TOKEN = \"{KEY}-other\" }}\n"),
    );
    let output = scratch
        .command(6)
        .env("SOME_API_KEY", KEY)
        .env("DUMMY_KEY", "EMPTY")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let log = std::fs::read_to_string(scratch.path("results/r/mine/predictions.jsonl")).unwrap();
    assert!(
        !stderr.contains("sk-a") && !log.contains("sk-a"),
        "{stderr}{log}"
    );
    assert!(stderr.contains("mine: key [the key]"), "{stderr}");
    let rows = scratch.rows();
    let errors: Vec<_> = rows
        .iter()
        .map(|row| row["error"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        errors[0],
        "the answer holds the value of SOME_API_KEY: it is not kept"
    );
    assert_eq!(errors[2], "no: [the key]");
    assert_eq!(rows[3]["prediction"], "EMPTY");

    let hello = "say({'protocol': 1, 'settings': {'key': os.environ['SOME_API_KEY']}})";
    let scratch = Scratch::new(hello, "pass", "");
    let output = scratch
        .command(2)
        .env("SOME_API_KEY", KEY)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.ends_with("\nerror: mine: its settings must not hold the value of SOME_API_KEY\n"),
        "{stderr}"
    );
    assert!(!stderr.contains(KEY), "{stderr}");
}
