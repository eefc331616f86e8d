//! The whole program against an endpoint that is killed, refuses a key, or is none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::Value;
use tempfile::TempDir;

use super::adapter_file;
use super::server::{Act, Seen, Server};

const KEY: &str = "sk-test-2f6b+1c0d/9e";
const QUESTIONS: usize = 40;

/// A folder for the adapter file and the results.
struct Scratch(TempDir);

impl Scratch {
    fn new(base_url: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        adapter_file(
            dir.path(),
            base_url,
            &format!("key_env = \"TEST_KEY\"\nbase_url_env = \"TEST_URL\"\n{more}"),
        );
        Self(dir)
    }

    fn results(&self) -> PathBuf {
        self.0.path().join("results")
    }

    /// Lets the adapter wait between tries.
    fn patient(&self, retries: usize, seconds: usize) {
        let file = self.0.path().join("served.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let patient = text
            .replace("retries = 2", &format!("retries = {retries}"))
            .replace("first_delay = 0.01", &format!("first_delay = {seconds}"))
            .replace(
                "longest_delay = 0.05",
                &format!("longest_delay = {seconds}"),
            );
        assert_ne!(text, patient);
        std::fs::write(&file, patient).unwrap();
    }

    fn run(&self, environment: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_chartbench"))
            .args([
                "run",
                "--no-blind",
                "--adapters",
                "served",
                "--limit",
                &QUESTIONS.to_string(),
                "--name",
                "r",
                "--adapters-dir",
            ])
            .arg(self.0.path())
            .arg("--results")
            .arg(self.results())
            .envs(environment.iter().copied())
            .output()
            .unwrap()
    }

    fn rows(&self) -> Vec<Value> {
        let text =
            std::fs::read_to_string(self.results().join("r/served/predictions.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
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
            assert!(
                !text.contains(KEY) && !text.to_lowercase().contains("bearer"),
                "{name}: {text}"
            );
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
    for seen in servers
        .iter()
        .flat_map(|server| server.seen())
        .filter(|seen| seen.answered)
    {
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
    let descriptions = stderr(&stopped);
    assert_eq!(stopped.status.code(), Some(1), "{descriptions}");
    let line = descriptions.lines().last().unwrap();
    let start = format!(
        "error: served: {}: the connection failed (",
        first.base_url()
    );
    assert!(
        line.starts_with(&start) && line.ends_with("start the run again to go on"),
        "{descriptions}"
    );
    let kept = scratch.rows();
    assert!(
        (10..QUESTIONS).contains(&kept.len()) && kept.iter().all(|row| row["error"].is_null()),
        "{}",
        kept.len()
    );
    assert_eq!(kept.len(), answered(&[&first]).len(), "an answer was lost");

    let second = Server::at(first.address, |_, seen| echo(seen));
    let whole = scratch.run(&[("TEST_KEY", KEY)]);
    assert_eq!(whole.status.code(), Some(0), "{}", stderr(&whole));
    let rows = scratch.rows();
    assert_eq!(rows[..kept.len()], kept);
    let ids: std::collections::BTreeSet<_> =
        rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!((rows.len(), ids.len()), (QUESTIONS, QUESTIONS));
    assert!(
        rows.iter()
            .all(|row| row["prediction"] == row["question"] && row["error"].is_null())
    );
    let counts = answered(&[&first, &second]);
    assert_eq!(counts.len(), QUESTIONS);
    assert!(
        counts.values().all(|&count| count == 1),
        "a question was answered twice"
    );

    // 40 answers of 1000 and 10 tokens.
    assert!(
        stderr(&whole).contains("served: 40000 prompt and 400 completion tokens, $0.0404"),
        "{}",
        stderr(&whole)
    );
    assert_eq!(rows[0]["usage"]["cost_usd"], 0.00101);
    let requests = [first.seen(), second.seen()].concat();
    assert!(
        requests
            .iter()
            .all(|seen| seen.authorization.as_deref() == Some(&format!("Bearer {KEY}")))
    );
    scratch.keeps_the_key(&[&stopped, &whole]);
}

#[test]
fn a_wrong_key_stops_at_the_first_answer_and_is_shown_nowhere() {
    let server = Server::start(|_, seen| {
        let header = seen.authorization.clone().unwrap();
        Act::Status(
            401,
            "WWW-Authenticate: Bearer",
            format!("{{\"error\":{{\"message\":\"wrong: {header}\"}}}}"),
        )
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

/// The key in every spelling that a server may give it: a row with it failed, and nothing holds it.
#[test]
fn a_server_that_repeats_the_key_does_not_bring_it_into_the_record() {
    let escaped: String = KEY
        .chars()
        .map(|c| format!("\\u{:04x}", u32::from(c)))
        .collect();
    let spellings = [
        KEY.to_owned(),
        escaped.clone(),
        escaped.replace('\\', "\\\\"),
        KEY.replace('+', "\\u002B").replace('/', "\\/"),
        KEY.replace('+', "%2B").replace('/', "%2f"),
        base64::engine::general_purpose::STANDARD.encode(format!("user:{KEY}")),
    ];
    let count = spellings.len();
    let server = Server::start(move |index, _| {
        let spelling = &spellings[index / 2 % spellings.len()];
        match index % 2 {
            0 => Act::Body(format!(
                "{{\"choices\": [{{\"message\": {{\"content\": \"it is {spelling}\"}}}}]}}"
            )),
            _ => Act::Status(
                400,
                "X-A: b",
                format!("{{\"error\": {{\"message\": \"no: {spelling}\"}}}}"),
            ),
        }
    });
    let scratch = Scratch::new(&server.base_url(), "[limits]\nconcurrency = 1\n");
    // Five questions a start that fail are enough of an endpoint that has not answered any.
    for start in 0..=count * 2 / 5 {
        let output = scratch.run(&[("TEST_KEY", KEY)]);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{start}: {}",
            stderr(&output)
        );
        scratch.keeps_the_key(&[&output]);
    }
    let rows = scratch.rows();
    assert!(
        rows.len() >= count && rows.iter().all(|row| row["prediction"].is_null()),
        "{rows:?}"
    );
    let errors: Vec<_> = rows
        .iter()
        .map(|row| row["error"].as_str().unwrap())
        .collect();
    assert!(
        errors
            .iter()
            .any(|error| error.ends_with("the answer repeats the key in TEST_KEY: it is not kept"))
    );
    assert!(
        errors
            .iter()
            .any(|error| error.ends_with("status 400: no: [the key]")),
        "{errors:?}"
    );
}

/// A key so short that it may be part of any answer changes none.
#[test]
fn a_dummy_key_changes_no_answer_and_no_error() {
    for key in ["5", "e", "EMPTY", "sk-none"] {
        let text = format!("the {key} of 15 EMPTY boxes is 5");
        let server = Server::start(move |index, seen| match index {
            0 => Act::Say(text.clone()),
            _ => {
                let header = seen.authorization.clone().unwrap();
                Act::Status(400, "X-A: b", format!("the error 5, EMPTY: {header}"))
            }
        });
        let scratch = Scratch::new(&server.base_url(), "[limits]\nconcurrency = 1\n");
        let output = scratch.run(&[("TEST_KEY", key)]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let rows = scratch.rows();
        assert_eq!(
            rows[0]["prediction"],
            format!("the {key} of 15 EMPTY boxes is 5")
        );
        let error = rows[1]["error"].as_str().unwrap();
        assert!(
            error.ends_with("status 400: the error 5, EMPTY: Bearer [the key]"),
            "{error}"
        );
    }
}

/// Odd replies in the middle of a run: each fails its question, the others are asked, and a restart
/// goes on past them.
#[test]
fn one_odd_reply_fails_its_question_and_cut_answers_are_counted() {
    let server = Server::start(|index, seen| {
        let reply = |message: Value, finish: &str| {
            Act::Body(
                serde_json::json!({"choices": [{"message": message, "finish_reason": finish}]})
                    .to_string(),
            )
        };
        match index {
            3 => reply(Value::Null, "content_filter"),
            4 => reply(serde_json::json!({"content": "Answer: 1"}), "length"),
            5 => reply(serde_json::json!({"content": "7"}), "stop"),
            6..=8 => Act::Body("{\"choices\": null}".to_owned()),
            12 => Act::Die,
            _ => reply(
                serde_json::json!({"content": format!("Answer: {}", seen.prompt().0)}),
                "stop",
            ),
        }
    });
    let scratch = Scratch::new(
        &server.base_url(),
        "[limits]\nconcurrency = 1\n[answer]\nafter = \"Answer:\"\n",
    );
    let stopped = scratch.run(&[("TEST_KEY", KEY)]);
    assert_eq!(stopped.status.code(), Some(1), "{}", stderr(&stopped));
    let rows = scratch.rows();
    let errors: Vec<_> = rows
        .iter()
        .map(|row| row["error"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        errors.iter().filter(|error| !error.is_empty()).count(),
        2,
        "{errors:?}"
    );
    assert!(
        errors[6].ends_with(
            "the reply is no chat completion (it has no `choices`): {\"choices\": null}"
        ),
        "{errors:?}"
    );
    assert_eq!(rows[4]["finish_reason"], "length");
    assert_eq!(
        (&rows[5]["prediction"], &rows[5]["marker_missing"]),
        (&"7".into(), &true.into())
    );
    assert_eq!(
        (&rows[3]["finish_reason"], &rows[4]["marker_missing"]),
        (&Value::Null, &Value::Null)
    );

    let second = Server::at(server.address, |_, _| Act::Say("Answer: 5".to_owned()));
    let whole = scratch.run(&[("TEST_KEY", KEY)]);
    assert_eq!(
        (whole.status.code(), scratch.rows().len()),
        (Some(1), QUESTIONS),
        "{}",
        stderr(&whole)
    );
    assert_eq!(
        second.seen().len(),
        QUESTIONS - rows.len(),
        "a failed question was asked again"
    );
    let line = "served: 1 answer cut by the limit on tokens; 1 answer without what `answer.after` or --extract looks for";
    assert!(
        stderr(&whole)
            .lines()
            .any(|descriptions| descriptions == line),
        "{}",
        stderr(&whole)
    );
}

/// The file's prices are not those of another model, or of another address.
#[test]
fn prices_are_those_of_the_files_own_model_and_address() {
    let server = Server::start(|_, seen| echo(seen));
    let other = format!("http://localhost:{}/v1", server.address.port());
    let (base_url, model) = (server.base_url(), ("TEST_MODEL", "m-1"));
    for (environment, cost) in [
        (vec![], true),
        (vec![model, ("TEST_URL", base_url.as_str())], true),
        (vec![("TEST_MODEL", "m-2")], false),
        (vec![("TEST_URL", other.as_str())], false),
    ] {
        let more = "model_env = \"TEST_MODEL\"\n[limits]\nconcurrency = 4\n[price]\nprompt = 1\ncompletion = 1\n";
        let scratch = Scratch::new(&base_url, more);
        let always = [("TEST_KEY", KEY), ("NO_PROXY", "localhost,127.0.0.1")];
        let output = scratch.run(&[&always[..], environment.as_slice()].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let tokens = "served: 40000 prompt and 400 completion tokens";
        let line = if cost {
            format!("{tokens}, $0.0404")
        } else {
            tokens.to_owned()
        };
        assert!(
            stderr(&output)
                .lines()
                .any(|descriptions| descriptions == line),
            "{environment:?}: {}",
            stderr(&output)
        );
        assert_eq!(scratch.rows()[0]["usage"].get("cost_usd").is_some(), cost);
    }
}

/// A long wait that the server asks for is reported when it begins, once.
#[test]
fn a_wait_that_the_server_asks_for_is_reported() {
    // All three are refused in one wait: none is answered before the last has come.
    let together = std::sync::Barrier::new(3);
    let server = Server::start(move |index, seen| match index {
        0..=2 => {
            together.wait();
            Act::Status(429, "Retry-After: 2", "slow down".to_owned())
        }
        _ => echo(seen),
    });
    let scratch = Scratch::new(&server.base_url(), "[limits]\nconcurrency = 3\n");
    let output = scratch.run(&[("TEST_KEY", KEY)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let line = format!(
        "note: {}: status 429: slow down; retry after 2 s (up to 600 s are waited for)",
        server.base_url()
    );
    assert_eq!(
        stderr(&output)
            .lines()
            .filter(|descriptions| *descriptions == line)
            .count(),
        1,
        "{}",
        stderr(&output)
    );
}

#[test]
fn what_is_missing_or_must_not_be_is_told_before_anything_is_written() {
    let scratch = Scratch::new("http://127.0.0.1:9/v1", "");
    for (environment, descriptions) in [
        (
            vec![],
            "set the environment variable TEST_KEY to the key of http://127.0.0.1:9/v1",
        ),
        (
            vec![("TEST_KEY", " ")],
            "set the environment variable TEST_KEY to the key of http://127.0.0.1:9/v1",
        ),
        (
            vec![("TEST_KEY", "a\u{7f}b")],
            "the environment variable TEST_KEY holds characters that no key has",
        ),
        (
            vec![
                ("TEST_KEY", KEY),
                ("TEST_URL", "https://me:hunter2@host/v1"),
            ],
            "the address in TEST_URL: must not hold a user or password: keys come from the variable that \
             `endpoint.key_env` names",
        ),
    ] {
        let output = scratch.run(&environment);
        assert_eq!(output.status.code(), Some(2));
        let printed = stderr(&output);
        let lines: Vec<&str> = printed.lines().collect();
        // Before it stands which questions would have been asked.
        assert_eq!(lines[1..], [format!("error: served: {descriptions}")]);
        assert!(!scratch.results().exists());
    }
}

#[test]
fn nobody_at_the_address_is_told_at_once() {
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let scratch = Scratch::new("http://127.0.0.1:9/v1", "");
    // Retries would take minutes.
    scratch.patient(6, 30);
    let begun = Instant::now();
    let output = scratch.run(&[
        ("TEST_KEY", KEY),
        ("TEST_URL", &format!("http://{address}/v1")),
    ]);
    assert_eq!(output.status.code(), Some(1));
    let descriptions = stderr(&output);
    assert!(
        descriptions.contains(&format!(
            "error: served: http://{address}/v1: the connection failed ("
        )),
        "{descriptions}"
    );
    assert!(descriptions.contains("refused"), "{descriptions}");
    assert!(
        descriptions.contains("start the server there"),
        "{descriptions}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    assert!(scratch.rows().is_empty());
}

/// A server that goes in the middle of a run is noticed between two tries.
#[test]
fn a_server_that_is_down_is_told_with_the_next_try() {
    let server = Server::start(|index, seen| if index == 3 { Act::Die } else { echo(seen) });
    let scratch = Scratch::new(&server.base_url(), "[limits]\nconcurrency = 1\n");
    scratch.patient(1, 4);
    let output = scratch.run(&[("TEST_KEY", KEY)]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let line = format!("note: {}: the connection failed (", server.base_url());
    let descriptions = stderr(&output);
    let notes: Vec<&str> = descriptions
        .lines()
        .filter(|text| text.starts_with(&line))
        .collect();
    assert!(
        matches!(notes[..], [note] if note.ends_with("; the next try is within 8 s, and there are 1 before the adapter stops")),
        "{descriptions}"
    );
    assert_eq!(scratch.rows().len(), 3);
}
