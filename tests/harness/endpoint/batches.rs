//! `run --batch-api`: the same answers as one by one, whatever happens between submitting and
//! collecting, and no question submitted twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::adapter_file;
use super::batch_server::{BatchServer, Behavior, Ended, answered, done, prompt};
use super::server::{Act, completion};

const KEY: &str = "sk-test-2f6b+1c0d/9e";
const QUESTIONS: usize = 20;
/// Five batches, and prices whose half is a batch's.
const MORE: &str = "key_env = \"TEST_KEY\"\nkey_optional = true\n[limits]\nconcurrency = 3\nbatch_requests = 4\n\
                    [price]\nprompt = 1\ncompletion = 1\nbatch = 0.5\n";

/// A folder for the adapter file and the results.
struct Scratch(TempDir);

impl Scratch {
    fn new(server: &BatchServer) -> Self {
        Self::with(server, MORE)
    }

    fn with(server: &BatchServer, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        adapter_file(dir.path(), &server.server.base_url(), more);
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, name: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chartbench"));
        let limit = QUESTIONS.to_string();
        command
            .args(["run", "--no-blind", "--limit", &limit, "--name", name])
            .args(["--adapters-dir", ".", "--results", "results"])
            .args(more)
            .env("TEST_KEY", KEY)
            .current_dir(self.0.path());
        if !more.contains(&"--adapters") {
            command.args(["--adapters", "served"]);
        }
        command
    }

    fn run(&self, name: &str, more: &[&str]) -> Output {
        self.command(name, more).output().unwrap()
    }

    /// Runs in batches, to the exit code.
    #[track_caller]
    fn batched(&self, name: &str, more: &[&str], code: i32) -> String {
        let output = self.run(name, &[&["--batch-api"], more].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        stderr
    }

    /// The rows by id, without what depends on the clock.
    fn rows(&self, run: &str) -> BTreeMap<String, Value> {
        let log = self.path("results").join(run).join("predictions.jsonl");
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let rows: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let count = rows.len();
        let by_id: BTreeMap<String, Value> = rows
            .into_iter()
            .map(|mut row| {
                row.as_object_mut().unwrap().remove("latency_ms");
                (row["id"].as_str().unwrap().to_owned(), row)
            })
            .collect();
        assert_eq!(by_id.len(), count, "a question has two rows");
        by_id
    }

    /// The errors of the rows by the question's id.
    fn errors(&self) -> BTreeMap<String, String> {
        let rows = self.rows("r/served").into_iter();
        let failed = rows.filter_map(|(id, row)| Some((id, row["error"].as_str()?.to_owned())));
        failed.collect()
    }

    /// The events of the log of batches.
    fn events(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.path("results/r/served/batches.jsonl")).unwrap();
        let lines = log.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The question of each request by its name in the files.
    fn owners(&self) -> BTreeMap<String, String> {
        let events = self.events();
        let requests = events
            .iter()
            .flat_map(|event| event["requests"].as_array().into_iter().flatten());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        requests
            .map(|request| (text(&request["custom_id"]), text(&request["owner"])))
            .collect()
    }

    fn keeps_the_key(&self, texts: &[&str]) {
        let log = self.path("results/r/served");
        let files = std::fs::read_dir(log).unwrap();
        let files = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        let mut texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        texts.extend(files);
        assert!(texts.len() > 3, "nothing was written");
        for text in texts {
            assert!(!text.contains(KEY), "{text}");
        }
    }
}

fn echo(body: &Value) -> Value {
    completion(&format!("{}!", prompt(body)))
}

/// Every row without its cost.
fn without_cost(mut rows: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    for row in rows.values_mut() {
        row["usage"].as_object_mut().unwrap().remove("cost_usd");
    }
    rows
}

/// The bodies of all requests, in any order.
fn bodies(server: &BatchServer) -> (Vec<String>, Vec<String>) {
    let seen = server.server.seen();
    let alone = seen
        .iter()
        .filter(|seen| seen.path == "/v1/chat/completions");
    let mut alone: Vec<String> = alone.map(|seen| seen.body.to_string()).collect();
    let batched = server.batches().into_iter().flatten();
    let mut batched: Vec<String> = batched.map(|request| request["body"].to_string()).collect();
    alone.sort();
    batched.sort();
    (alone, batched)
}

#[test]
fn batches_have_the_requests_and_the_answers_of_an_ordinary_run() {
    let server = BatchServer::start(Behavior::new(echo));
    let scratch = Scratch::new(&server);
    let ordinary = scratch.run("one-by-one", &[]);
    assert_eq!(ordinary.status.code(), Some(0), "{ordinary:?}");
    assert_eq!(server.count("POST", "/v1/files"), 0);
    let stderr = scratch.batched("r", &[], 0);
    let rows = scratch.rows("r/served");
    assert_eq!(rows.len(), QUESTIONS);
    assert_eq!(
        without_cost(rows.clone()),
        without_cost(scratch.rows("one-by-one/served"))
    );
    let cost = |row: &Value| row["usage"]["cost_usd"].as_f64().unwrap();
    assert!(rows.values().all(|row| cost(row) == 0.00101 / 2.0), "half");
    assert!(
        stderr.contains("20000 prompt and 200 completion tokens, $0.0101"),
        "{stderr}"
    );

    // The same requests, each in one batch, no batch above the limit.
    let (alone, batched) = bodies(&server);
    assert_eq!((alone.len(), &alone), (QUESTIONS, &batched));
    let sizes: Vec<usize> = server.batches().iter().map(Vec::len).collect();
    assert_eq!(sizes, [4; 5]);
    assert!(
        stderr.contains("batch batch-4 is submitted, 4 requests"),
        "{stderr}"
    );
    assert!(
        stderr.contains("of 20 requests in 5 batches are answered"),
        "{stderr}"
    );

    // A start more asks for nothing, also where the log is still open.
    let before = server.server.seen().len();
    scratch.batched("r", &[], 0);
    assert_eq!(server.server.seen().len(), before);
    assert_eq!(scratch.rows("r/served"), rows);
    let quiet = scratch.batched("quiet", &["--quiet"], 0);
    assert_eq!(quiet, "");
}

/// Answers of several requests: a conversation goes on with each batch, and a reader of tables votes.
#[test]
fn an_answer_of_several_requests_takes_several_batches() {
    let server = BatchServer::start(Behavior::new(|body| {
        let samples = body["seed"].as_u64().unwrap() % 3;
        completion(&format!(
            "so the answer is {}.",
            prompt(body).len() % 7 + samples as usize
        ))
    }));
    let more = MORE.to_owned() + "[reader]\nsamples = 2\ntemperature = 0.5\n";
    let scratch = Scratch::with(&server, &more.replace("batch_requests = 4\n", ""));
    let adapters = ["--adapters", "oracle+served"];
    let ordinary = scratch.run("one-by-one", &adapters);
    assert_eq!(ordinary.status.code(), Some(0), "{ordinary:?}");
    scratch.batched("r", &adapters, 0);
    assert_eq!(
        without_cost(scratch.rows("r/oracle+served")),
        without_cost(scratch.rows("one-by-one/oracle+served"))
    );
    // The server gives one completion where two are asked for.
    let sizes: Vec<usize> = server.batches().iter().map(Vec::len).collect();
    assert_eq!(sizes, [QUESTIONS; 2]);
    let (alone, batched) = bodies(&server);
    assert_eq!(alone, batched);
}

/// Waits for something that a server sees.
fn wait_until(is_there: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_there() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn start(scratch: &Scratch) -> Child {
    let mut command = scratch.command("r", &["--batch-api"]);
    command.stderr(Stdio::piped()).stdout(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn a_run_killed_before_it_collects_submits_nothing_again() {
    let is_done = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_done);
    let behavior = Behavior::new(echo);
    let end = behavior.end;
    let end = move |batch: usize, requests: &[Value]| {
        // The first is done, the others are not.
        let is_done = batch == 0 || flag.load(Ordering::SeqCst);
        end(batch, requests).filter(|_| is_done)
    };
    let server = BatchServer::start(Behavior {
        end: Box::new(end),
        ..behavior
    });
    let scratch = Scratch::new(&server);
    let polled = || server.count("GET", "/v1/batches/batch-4") > 2;
    let mut killed = start(&scratch);
    wait_until(polled);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(server.batches().len(), 5);
    // One by one, questions that wait in batches are paid again: a note says so.
    let copy = |from: &str, to: &str| {
        std::fs::create_dir_all(scratch.path(to)).unwrap();
        for file in std::fs::read_dir(scratch.path(from)).unwrap() {
            let file = file.unwrap();
            if file.path().is_file() {
                std::fs::copy(file.path(), scratch.path(to).join(file.file_name())).unwrap();
            }
        }
    };
    copy("results/r", "results/copy");
    copy("results/r/served", "results/copy/served");
    let manifest = scratch.path("results/copy/run.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("name = \"r\"", "name = \"copy\"")).unwrap();
    let ordinary = scratch.run("copy", &[]);
    let said = String::from_utf8(ordinary.stderr).unwrap();
    assert_eq!(ordinary.status.code(), Some(0), "{said}");
    assert!(
        said.contains("note: served: 5 batches are not collected; without --batch-api"),
        "{said}"
    );

    #[cfg(unix)]
    {
        let before = server.count("GET", "/v1/batches/batch-4");
        let stopped = start(&scratch);
        wait_until(|| server.count("GET", "/v1/batches/batch-4") > before + 1);
        let pid = stopped.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(sent.success());
        let output = stopped.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(75), "{stderr}");
        assert!(
            stderr.ends_with(
                "stopped by SIGTERM: 4 of 20 questions of served are answered; start the same command again to go on\n"
            ),
            "{stderr}"
        );
        assert_eq!(scratch.rows("r/served").len(), 4);
    }
    is_done.store(true, Ordering::SeqCst);
    let stderr = scratch.batched("r", &[], 0);
    assert!(
        stderr.contains("going on with the batches that an earlier start submitted"),
        "{stderr}"
    );
    assert_eq!(server.batches().len(), 5, "submitted again");
    assert_eq!(server.count("POST", "/v1/files"), 5);
    let rows = scratch.rows("r/served");
    assert_eq!(rows.len(), QUESTIONS);
    for row in rows.values() {
        let said = format!("{}!", row["question"].as_str().unwrap());
        assert_eq!(row["prediction"], said);
    }
}

/// The batch is made, and its name never comes: in the same process, and in the next one.
#[test]
fn a_batch_whose_name_was_lost_is_found_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let lost = Arc::clone(&calls);
    let server = BatchServer::start(Behavior {
        twist: Box::new(move |seen, _| {
            if seen.method != "POST" || seen.path != "/v1/batches" {
                return None;
            }
            match lost.fetch_add(1, Ordering::SeqCst) {
                0 => Some(Act::HangUp),
                1 => Some(Act::Status(500, "X-A: b", String::new())),
                2 => Some(Act::Body("{\"id\": 5}".to_owned())),
                3 => Some(Act::Die),
                _ => None,
            }
        }),
        ..Behavior::new(echo)
    });
    let scratch = Scratch::new(&server);
    let stderr = scratch.batched("r", &[], 1);
    assert!(
        stderr.contains("whether file file-3 was made a batch is not known: the connection failed"),
        "{stderr}"
    );
    let (address, stored) = (server.server.address, Arc::clone(&server.stored));
    drop(server);
    assert_eq!(stored.lock().unwrap().batches.len(), 4);
    let server = BatchServer::at(address, stored, Behavior::new(echo));
    scratch.batched("r", &[], 0);
    let files: BTreeSet<usize> = server
        .stored
        .lock()
        .unwrap()
        .batches
        .iter()
        .copied()
        .collect();
    assert_eq!((server.batches().len(), files.len()), (5, 5), "made twice");
    assert_eq!(scratch.rows("r/served").len(), QUESTIONS);
    assert_eq!(server.count("POST", "/v1/batches"), 1);
}

/// The batch is made, its name never comes, and the server's list does not say whether it is there.
#[test]
fn a_list_that_does_not_say_stops_the_adapter_and_nothing_is_made_twice() {
    let lists = [
        r#"{"data": [], "has_more": true}"#,
        r#"{"data": [], "has_more": "true"}"#,
        r#"{"data": [{"id": "batch-9", "input_file_id": 7}]}"#,
        r#"{"data": [{"id": "bat ch", "input_file_id": "file-0"}]}"#,
        r#"{"data": [{"id": "batch-9", "input_file_id": "file-9"}], "has_more": true}"#,
    ];
    for list in lists {
        let server = BatchServer::start(Behavior {
            twist: Box::new(move |seen, _| match seen.method.as_str() {
                "POST" if seen.path == "/v1/batches" => Some(Act::HangUp),
                "GET" if seen.path.starts_with("/v1/batches?") => Some(Act::Body(list.to_owned())),
                _ => None,
            }),
            ..Behavior::new(echo)
        });
        let scratch = Scratch::new(&server);
        for _ in 0..2 {
            let stderr = scratch.batched("r", &[], 1);
            assert!(
                stderr.contains("whether file file-0 was made a batch is not known: "),
                "{list}: {stderr}"
            );
        }
        assert_eq!(server.batches().len(), 1, "{list}");
    }
}

/// A batch fails while others are under way; the run is stopped, and the failed rows are asked
/// again.
#[test]
fn a_retry_submits_what_failed_though_its_batch_is_not_closed() {
    let is_held = Arc::new(AtomicBool::new(true));
    let held = Arc::clone(&is_held);
    let server = BatchServer::start(Behavior {
        end: Box::new(move |batch, requests| match batch {
            0 => Some(Ended {
                status: "failed".to_owned(),
                output: Vec::new(),
                errors: Vec::new(),
                message: Some("too many".to_owned()),
            }),
            _ if held.load(Ordering::SeqCst) => None,
            _ => Some(done(
                requests
                    .iter()
                    .map(|line| answered(line, &echo(&line["body"]))),
            )),
        }),
        ..Behavior::new(echo)
    });
    let scratch = Scratch::new(&server);
    let mut child = start(&scratch);
    // The first batch was looked at twice, the others at least once more.
    wait_until(|| server.count("GET", "/v1/batches/batch-4") > 3);
    let pid = child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(75));
    let failed = scratch.rows("r/served");
    assert_eq!(failed.len(), 4);
    assert!(
        failed.values().all(|row| row["prediction"].is_null()),
        "{failed:?}"
    );
    is_held.store(false, Ordering::SeqCst);
    scratch.batched("r", &["--retry-failed"], 0);
    assert_eq!(server.batches().len(), 6);
    let stderr = scratch.batched("r", &[], 0);
    assert_eq!(server.batches().len(), 6, "{stderr}");
}

#[test]
fn what_fails_is_a_failed_row_that_a_retry_asks_again() {
    let behavior = Behavior::new(echo);
    let server = BatchServer::start(Behavior {
        end: Box::new(|batch, requests| {
            let id = |index: usize| requests[index]["custom_id"].as_str().unwrap();
            let line = |index: usize| answered(&requests[index], &echo(&requests[index]["body"]));
            let error = |index: usize, code: &str| {
                json!({"custom_id": id(index), "response": null, "error": {"code": code, "message": "too late"}}).to_string()
            };
            let refused = |index: usize| {
                let body = json!({"error": {"message": format!("no picture, {KEY}")}});
                json!({"custom_id": id(index), "response": {"status_code": 400, "body": body}, "error": null}).to_string()
            };
            let leaks = |index: usize| answered(&requests[index], &completion(KEY));
            Some(match batch {
                0 => Ended {
                    status: "expired".to_owned(),
                    output: vec![line(2)],
                    errors: vec![error(0, "batch_expired"), refused(1)],
                    message: None,
                },
                1 => Ended {
                    status: "FAILED".to_owned(),
                    output: Vec::new(),
                    errors: Vec::new(),
                    message: Some(format!("token limit, {KEY}")),
                },
                // Lines that are none, that come again, and that are of no request.
                2 => Ended {
                    output: vec![
                        "{\"custom_id\": ".to_owned(),
                        String::new(),
                        line(0),
                        answered(&requests[0], &completion("another answer")),
                        line(1).replace(id(1), "r1"),
                        line(1).replace(id(1), "q-7"),
                        json!({"custom_id": id(1), "response": "none"}).to_string(),
                        "[]".to_owned(),
                        answered(&requests[2], &json!({"choices": null})),
                        leaks(3),
                    ],
                    ..done(std::iter::empty())
                },
                3 => Ended {
                    output: vec![
                        format!("{{\"custom_id\": \"{}\"}}", "x".repeat(18 << 20)),
                        line(1),
                    ],
                    errors: vec![refused(1), error(2, "odd")],
                    ..done(std::iter::empty())
                },
                _ => done(
                    requests
                        .iter()
                        .map(|line| answered(line, &echo(&line["body"]))),
                ),
            })
        }),
        ..behavior
    });
    let scratch = Scratch::with(&server, &MORE.replace("concurrency = 3", "concurrency = 1"));
    let stderr = scratch.batched("r", &[], 1);
    let (rows, errors) = (scratch.rows("r/served"), scratch.errors());
    assert_eq!(rows.len(), QUESTIONS);
    let batches = server.batches();
    let owners = scratch.owners();
    let error = |batch: usize, index: usize| {
        let id = batches[batch][index]["custom_id"].as_str().unwrap();
        let error = errors.get(&owners[id]);
        let error = error.map(|error| error.split_once("/v1: ").unwrap().1);
        error.unwrap_or("none").to_owned()
    };
    let of_batch = |batch: usize| [0, 1, 2, 3].map(|index| error(batch, index));
    assert_eq!(
        of_batch(0),
        [
            "its batch has an error: too late",
            "status 400: no picture, [the key]",
            "none",
            "batch batch-0 has expired before the request was answered",
        ]
    );
    let failed = "batch batch-1 has failed before the request was answered: token limit, [the key]";
    assert_eq!(of_batch(1), [failed; 4]);
    let [first, second, third, fourth] = of_batch(2);
    assert_eq!(
        (first.as_str(), second.as_str()),
        ("none", "the line of its batch has no reply")
    );
    assert!(
        third.starts_with("the reply is no chat completion (it has no `choices`)"),
        "{third}"
    );
    assert_eq!(
        fourth,
        "the answer repeats the key in TEST_KEY: it is not kept"
    );
    let missing = "batch batch-3 is done and has no reply to the request";
    assert_eq!(
        of_batch(3),
        [missing, "none", "its batch has an error: too late", missing]
    );
    assert_eq!(of_batch(4), ["none"; 4]);
    for note in [
        "batch batch-2: 2 lines of its replies cannot be read; 2 lines of its replies name no request of it; 1 lines of its \
         replies come again, and the first counts",
        "batch batch-3: 1 lines of its replies cannot be read; 1 lines of its replies come again, and the first counts",
    ] {
        assert!(stderr.contains(note), "{stderr}");
    }
    let answers = rows.values().filter(|row| row["error"].is_null());
    for row in answers {
        let said = format!("{}!", row["question"].as_str().unwrap());
        assert_eq!(row["prediction"], said);
    }
    scratch.keeps_the_key(&[&stderr]);

    // Failed questions stay until they are asked for, and are then asked again alone.
    let before = server.server.seen().len();
    scratch.batched("r", &[], 1);
    assert_eq!(server.server.seen().len(), before);
    scratch.batched("r", &["--retry-failed"], 0);
    let again: Vec<usize> = server.batches()[5..].iter().map(Vec::len).collect();
    assert_eq!(again.iter().sum::<usize>(), errors.len());
    assert!(scratch.errors().is_empty());
}

/// Servers keep files for some days.
#[test]
fn replies_that_the_server_has_no_more_are_failed_rows() {
    let is_kept = Arc::new(AtomicBool::new(false));
    let kept = Arc::clone(&is_kept);
    let server = BatchServer::start(Behavior {
        twist: Box::new(move |seen, _| {
            let is_lost = seen.path.ends_with("/content") && !kept.load(Ordering::SeqCst);
            is_lost.then(|| Act::Status(404, "X-A: b", "{\"error\": \"no such file\"}".into()))
        }),
        ..Behavior::new(echo)
    });
    let scratch = Scratch::new(&server);
    let stderr = scratch.batched("r", &[], 1);
    let note = "batch batch-0: the server has its replies in ";
    assert!(stderr.contains(note), "{stderr}");
    let errors = scratch.errors();
    assert_eq!(errors.len(), QUESTIONS);
    for error in errors.values() {
        let missing = "is done and has no reply to the request";
        assert!(error.ends_with(missing), "{error}");
    }
    is_kept.store(true, Ordering::SeqCst);
    scratch.batched("r", &["--retry-failed"], 0);
    assert!(scratch.errors().is_empty());
}

#[test]
fn odd_replies_of_the_server_stop_the_adapter_and_lose_nothing() {
    let answer = |path: &'static str, body: String| {
        BatchServer::start(Behavior {
            twist: Box::new(move |seen, _| {
                seen.path.starts_with(path).then(|| Act::Body(body.clone()))
            }),
            ..Behavior::new(echo)
        })
    };
    let id = |id: &str| json!({"id": id}).to_string();
    let status = |status: Value| json!({"id": "batch-0", "status": status}).to_string();
    let output = json!({"id": "batch-0", "status": "completed", "output_file_id": "../x"});
    for (path, body, said) in [
        (
            "/v1/files",
            "<html>".to_owned(),
            "cannot upload the requests: the reply is no JSON: <html>",
        ),
        (
            "/v1/files",
            id("../batches"),
            "cannot upload the requests: the reply has no `id`: {",
        ),
        (
            "/v1/files",
            id(&"x".repeat(300)),
            "cannot upload the requests: the reply has no `id`: {",
        ),
        (
            "/v1/files",
            id(KEY),
            "cannot upload the requests: the reply has no `id`: {\"id\":\"[the key]\"}",
        ),
        (
            "/v1/batches",
            "{}".to_owned(),
            "was made a batch is not known: the reply is no list of batches: {}",
        ),
        (
            "/v1/batches/",
            status(json!("done")),
            "batch batch-0: the reply has a `status` that no batch has",
        ),
        (
            "/v1/batches/",
            status(json!(7)),
            "batch batch-0: the reply has a `status` that no batch has",
        ),
        (
            "/v1/batches/",
            output.to_string(),
            "batch batch-0: the reply names a file that none can be",
        ),
        (
            "/v1/batches/",
            " ".repeat(17 << 20),
            "batch batch-0: the reply has more than 16777216 bytes",
        ),
    ] {
        let server = answer(path, body);
        let scratch = Scratch::new(&server);
        let stderr = scratch.batched("r", &["--batch-size", "4"], 1);
        let last = stderr.lines().last().unwrap();
        assert!(
            last.contains(said) && last.starts_with("error: served: http://"),
            "{said}: {stderr}"
        );
        scratch.keeps_the_key(&[&stderr]);
        assert!(server.batches().len() < 2, "{said}");
        assert!(scratch.rows("r/served").is_empty());
    }
}

#[test]
fn a_server_without_batches_is_named_in_one_line() {
    for (status, said) in [
        (404, "status 404: no such path"),
        (405, "status 405: no such path"),
    ] {
        let server = BatchServer::start(Behavior {
            twist: Box::new(move |_, _| {
                Some(Act::Status(
                    status,
                    "X-A: b",
                    "{\"error\": \"no such path\"}".into(),
                ))
            }),
            ..Behavior::new(echo)
        });
        let scratch = Scratch::new(&server);
        let stderr = scratch.batched("r", &[], 1);
        let line = format!(
            "error: served: {}: it has no batches ({said}): leave out --batch-api; start the run again to go on",
            server.server.base_url()
        );
        assert_eq!(stderr.lines().last(), Some(line.as_str()));
        assert_eq!(server.server.seen().len(), 1);
    }
}

/// A batch that the server refuses to make is not paid: its requests are submitted again.
#[test]
fn a_refused_batch_is_submitted_by_the_next_start() {
    let is_refused = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&is_refused);
    let server = BatchServer::start(Behavior {
        twist: Box::new(move |seen, _| {
            let refuses = flag.load(Ordering::SeqCst) && seen.path == "/v1/batches";
            let body = "{\"error\": {\"message\": \"no money\"}}".to_owned();
            refuses.then_some(Act::Status(400, "X-A: b", body))
        }),
        ..Behavior::new(echo)
    });
    let scratch = Scratch::new(&server);
    let stderr = scratch.batched("r", &[], 1);
    assert!(
        stderr.contains("cannot make a batch of the uploaded requests: status 400: no money"),
        "{stderr}"
    );
    is_refused.store(false, Ordering::SeqCst);
    scratch.batched("r", &[], 0);
    assert_eq!(server.count("POST", "/v1/files"), 6);
    assert_eq!(scratch.rows("r/served").len(), QUESTIONS);
}

#[test]
fn what_does_not_go_with_batches_is_refused_before_anything_is_sent() {
    let server = BatchServer::start(Behavior::new(echo));
    let scratch = Scratch::new(&server);
    let stderr = scratch.batched("r", &["--max-cost", "1"], 2);
    assert!(
        stderr.starts_with("error: --max-cost: what a batch costs is known only when it is done")
            && stderr.lines().count() == 1,
        "{stderr}"
    );
    let stderr = scratch.batched("r", &["--adapters", "majority"], 2);
    assert_eq!(
        stderr,
        "error: --batch-api: no adapter of --adapters is behind an endpoint (family = \"chat\")\n"
    );
    assert!(!scratch.path("results").exists() && server.server.seen().is_empty());
}

#[test]
fn the_log_has_each_batch_and_a_broken_one_is_named() {
    let server = BatchServer::start(Behavior::new(echo));
    let scratch = Scratch::new(&server);
    scratch.batched("r", &[], 0);
    let folder = scratch.path("results/r/served");
    let events = scratch.events();
    let count = |event: &str| events.iter().filter(|line| line["event"] == event).count();
    assert_eq!(["uploaded", "submitted", "closed"].map(count), [5; 3]);
    std::fs::write(folder.join("predictions.jsonl"), "").unwrap();
    std::fs::write(folder.join("batches.jsonl"), "{}\n").unwrap();
    let before = server.server.seen().len();
    let stderr = scratch.batched("r", &[], 1);
    assert!(
        stderr.contains("batches.jsonl, line 1 is no event of a batch: move the file away"),
        "{stderr}"
    );
    assert_eq!(server.server.seen().len(), before);
}
