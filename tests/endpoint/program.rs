//! The whole program against an endpoint that is killed, refuses a key, or is none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::adapter_file;
use super::server::{Act, Seen, Server};

const KEY: &str = "sk-test-2f6b1c0d9e";
const QUESTIONS: usize = 40;

/// A folder for the adapter file and the results.
struct Scratch(TempDir);

impl Scratch {
    fn new(base_url: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        adapter_file(dir.path(), base_url, &format!("key_env = \"TEST_KEY\"\nbase_url_env = \"TEST_URL\"\n{more}"));
        Self(dir)
    }

    fn results(&self) -> PathBuf {
        self.0.path().join("results")
    }

    fn run(&self, environment: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_chartbench"))
            .args(["run", "--adapters", "served", "--limit", &QUESTIONS.to_string(), "--name", "r", "--adapters-dir"])
            .arg(self.0.path())
            .arg("--results")
            .arg(self.results())
            .envs(environment.iter().copied())
            .output()
            .unwrap()
    }

    fn rows(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.results().join("r/served/predictions.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Nothing that was written or printed may hold the key.
    #[track_caller]
    fn keeps_the_key(&self, outputs: &[&Output]) {
        let mut texts: Vec<(String, Vec<u8>)> = Vec::new();
        files(&self.results(), &mut texts);
        assert!(texts.len() >= 2, "nothing was written");
        for output in outputs {
            texts.push(("stdout".to_owned(), output.stdout.clone()));
            texts.push(("stderr".to_owned(), output.stderr.clone()));
        }
        for (name, bytes) in texts {
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(KEY) && !text.to_lowercase().contains("bearer"), "{name}: {text}");
        }
    }
}

fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// How often each question was answered whole.
fn answered(servers: &[&Server]) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for seen in servers.iter().flat_map(|server| server.seen()).filter(|seen| seen.answered) {
        *counts.entry(seen.prompt()).or_default() += 1;
    }
    counts
}

fn echo(seen: &Seen) -> Act {
    Act::Say(seen.prompt().0)
}

#[test]
fn an_endpoint_killed_and_started_again_loses_and_repeats_nothing() {
    let first = Server::start(|index, seen| if index == 17 { Act::Die } else { echo(seen) });
    let more = "[limits]\nconcurrency = 3\n[price]\nprompt = 1\ncompletion = 1\n";
    let scratch = Scratch::new(&first.base_url(), more);
    let stopped = scratch.run(&[("TEST_KEY", KEY)]);
    let told = stderr(&stopped);
    assert_eq!(stopped.status.code(), Some(1), "{told}");
    let line = told.lines().last().unwrap();
    let start = format!("error: served: {}: the connection failed (", first.base_url());
    assert!(line.starts_with(&start) && line.ends_with("start the run again to go on"), "{told}");
    let kept = scratch.rows();
    assert!((10..QUESTIONS).contains(&kept.len()) && kept.iter().all(|row| row["error"].is_null()), "{}", kept.len());
    assert_eq!(kept.len(), answered(&[&first]).len(), "an answer was lost");

    let second = Server::at(first.address, |_, seen| echo(seen));
    let whole = scratch.run(&[("TEST_KEY", KEY)]);
    assert_eq!(whole.status.code(), Some(0), "{}", stderr(&whole));
    let rows = scratch.rows();
    assert_eq!(rows[..kept.len()], kept);
    let ids: std::collections::BTreeSet<_> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!((rows.len(), ids.len()), (QUESTIONS, QUESTIONS));
    assert!(rows.iter().all(|row| row["prediction"] == row["question"] && row["error"].is_null()));
    let counts = answered(&[&first, &second]);
    assert_eq!(counts.len(), QUESTIONS);
    assert!(counts.values().all(|&count| count == 1), "a question was answered twice");

    // 40 answers of 1000 and 10 tokens.
    assert!(stderr(&whole).contains("served: 40000 prompt and 400 completion tokens, $0.0404"), "{}", stderr(&whole));
    assert_eq!(rows[0]["usage"]["cost_usd"], 0.00101);
    let requests = [first.seen(), second.seen()].concat();
    assert!(requests.iter().all(|seen| seen.authorization.as_deref() == Some(&format!("Bearer {KEY}"))));
    scratch.keeps_the_key(&[&stopped, &whole]);
}

#[test]
fn a_wrong_key_stops_at_the_first_answer_and_is_shown_nowhere() {
    let server = Server::start(|_, seen| {
        let header = seen.authorization.clone().unwrap();
        Act::Status(401, "WWW-Authenticate: Bearer", format!("{{\"error\":{{\"message\":\"wrong: {header}\"}}}}"))
    });
    let scratch = Scratch::new(&server.base_url(), "");
    let output = scratch.run(&[("TEST_KEY", KEY)]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let line = format!(
        "error: served: {}: status 401: it refuses the key in TEST_KEY: check it; start the run again to go on",
        server.base_url()
    );
    assert_eq!(stderr(&output).lines().last(), Some(line.as_str()));
    assert_eq!(server.seen().len(), 1);
    assert_eq!(scratch.rows().len(), 0);
    scratch.keeps_the_key(&[&output]);
}

#[test]
fn a_server_that_repeats_the_key_does_not_bring_it_into_the_record() {
    let server = Server::start(|index, seen| {
        let header = seen.authorization.clone().unwrap();
        match index % 3 {
            0 => Act::Say(header.replace("Bearer", "")),
            1 => Act::Status(400, "X-A: b", header.replace("Bearer", "")),
            _ => Act::Body(header.replace("Bearer", "")),
        }
    });
    let scratch = Scratch::new(&server.base_url(), "");
    let output = scratch.run(&[("TEST_KEY", KEY)]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(scratch.rows().iter().any(|row| row["prediction"] == " [the key]"));
    scratch.keeps_the_key(&[&output]);
}

#[test]
fn what_is_missing_or_must_not_be_is_told_before_anything_is_written() {
    let scratch = Scratch::new("http://127.0.0.1:9/v1", "");
    for (environment, told) in [
        (vec![], "set the environment variable TEST_KEY to the key of http://127.0.0.1:9/v1"),
        (vec![("TEST_KEY", " ")], "set the environment variable TEST_KEY to the key of http://127.0.0.1:9/v1"),
        (vec![("TEST_KEY", "a\u{7f}b")], "the environment variable TEST_KEY holds characters that no key has"),
        (
            vec![("TEST_KEY", KEY), ("TEST_URL", "https://me:hunter2@host/v1")],
            "the address in TEST_URL: must not hold a user or password: keys come from the variable that \
             `endpoint.key_env` names",
        ),
    ] {
        let output = scratch.run(&environment);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(stderr(&output), format!("error: served: {told}\n"));
        assert!(!scratch.results().exists());
    }
}

#[test]
fn nobody_at_the_address_is_told() {
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let scratch = Scratch::new("http://127.0.0.1:9/v1", "");
    let output = scratch.run(&[("TEST_KEY", KEY), ("TEST_URL", &format!("http://{address}/v1"))]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains(&format!("error: served: http://{address}/v1: the connection failed (")), "{told}");
    assert!(told.contains("refused"), "{told}");
}
