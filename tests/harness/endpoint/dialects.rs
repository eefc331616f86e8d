//! Addresses, streams and errors as different servers have them.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::server::{Act, Seen, Server};
use super::{chart, describe_answers, served};
use crate::asked::answers;

/// A stream of chunks, one for each piece of the text, as servers send it.
fn stream(pieces: &[&str]) -> String {
    let mut events = vec![json!({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})];
    events.extend(
        pieces
            .iter()
            .map(|piece| json!({"choices": [{"index": 0, "delta": {"content": piece}}]})),
    );
    events.push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
    events.push(json!({"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 10}}));
    let lines = events.iter().map(|event| format!("data: {event}\n\n"));
    lines.collect::<String>() + "data: [DONE]\n\n"
}

#[test]
fn a_stream_is_an_answer_whether_it_was_asked_for_or_not() {
    let server = Server::start(|_, _| Act::Body(stream(&["4", "2 %"])));
    let (_folder, work) = chart(1);
    let price = "[price]\nprompt = 2\ncompletion = 10\n";
    let asks = format!("key_env = \"NO_SUCH_KEY\"\nkey_optional = true\nstream = true\n{price}");
    for more in [price.to_owned(), asks] {
        let answer = answers(served(&server.base_url(), &more).as_mut(), &work).remove(0);
        assert_eq!(answer.prediction.0, "42 %");
        assert_eq!(answer.finish_reason.as_deref(), Some("stop"));
        let usage = answer.usage.unwrap();
        assert_eq!(
            (usage.prompt_tokens, usage.completion_tokens, usage.cost_usd),
            (1000, 10, Some(0.0021))
        );
    }
    let sent = |at: usize, key: &str| server.seen()[at].body[key].clone();
    assert_eq!(
        (sent(0, "stream"), sent(0, "stream_options")),
        (Value::Null, Value::Null)
    );
    assert_eq!(sent(1, "stream"), true);
    assert_eq!(sent(1, "stream_options"), json!({"include_usage": true}));
}

#[test]
fn a_stream_that_ends_is_not_waited_for_and_one_that_breaks_off_is_asked_for_again() {
    let server = Server::start(|index, _| match index {
        0 => Act::HeldOpen(stream(&["1"])),
        1 => Act::Body(
            stream(&["cut"])
                .split("data: {\"choices\":[{\"index\":0,\"delta\":{}")
                .next()
                .unwrap()
                .to_owned(),
        ),
        2 => Act::Body("data: {\"error\": {\"code\": 503, \"message\": \"busy\"}}\n\n".to_owned()),
        _ => Act::Body(stream(&["2"])),
    });
    let (_folder, work) = chart(2);
    let begun = Instant::now();
    let answers = describe_answers(served(&server.base_url(), "").as_mut(), &work);
    assert_eq!(
        (answers, server.seen().len()),
        (vec!["=1".to_owned(), "=2".to_owned()], 4)
    );
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn an_address_may_lack_its_version_or_have_the_whole_path() {
    let knows_v1 = |_: usize, seen: &Seen| match seen.path.as_str() {
        "/v1/chat/completions" => Act::Say("5".to_owned()),
        _ => Act::Status(404, "X-A: b", "404 page not found".to_owned()),
    };
    let (_folder, work) = chart(2);
    let server = Server::start(knows_v1);
    let root = format!("http://{}", server.address);
    assert_eq!(
        describe_answers(served(&root, "").as_mut(), &work),
        ["=5", "=5"]
    );
    let paths: Vec<String> = server.seen().into_iter().map(|seen| seen.path).collect();
    let (without, with) = ("/chat/completions", "/v1/chat/completions");
    assert_eq!(paths, [without, with, with]);

    let whole = format!("{root}/v1/chat/completions");
    assert_eq!(
        describe_answers(served(&whole, "").as_mut(), &work),
        ["=5", "=5"]
    );

    let knows_none =
        Server::start(|_, seen| Act::Status(404, "X-A: b", format!("no {}", seen.path)));
    let root = format!("http://{}", knows_none.address);
    let line = format!(
        "adapter: {root}/: status 404: no /chat/completions (with `/v1`: status 404: no /v1/chat/completions)"
    );
    assert_eq!(
        describe_answers(served(&root, "").as_mut(), &work),
        [line.clone(), line]
    );
    assert_eq!(knows_none.seen().len(), 2);
}

#[test]
fn azure_gets_its_version_and_the_key_in_its_own_header() {
    let server = Server::start(|_, _| Act::Say("5".to_owned()));
    let address = format!(
        "http://{}/openai/deployments/d/chat/completions?api-version=2024-10-21",
        server.address
    );
    let (_folder, work) = chart(1);
    let mut adapter = served(&address, "key_env = \"PATH\"\n");
    assert_eq!(describe_answers(adapter.as_mut(), &work), ["=5"]);
    let seen = &server.seen()[0];
    assert_eq!(
        seen.path,
        "/openai/deployments/d/chat/completions?api-version=2024-10-21"
    );
    assert_eq!(seen.authorization, None);
    assert_eq!(
        seen.api_key.as_deref(),
        Some(std::env::var("PATH").unwrap().trim())
    );
    let base_url = adapter
        .identity()
        .settings
        .iter()
        .find(|(key, _)| key == "base_url");
    assert_eq!(
        base_url.unwrap().1,
        address.replace("/chat/completions", "")
    );
}

#[test]
fn geminis_list_of_errors_is_read() {
    let error = |code: u16, message: &str, details: Value| {
        let error = json!([{"error": {"code": code, "message": message, "details": details}}]);
        Act::Status(code, "X-A: b", error.to_string())
    };
    let server = Server::start(move |index, _| match index {
        0 => error(429, "Quota.", json!([{"retryDelay": "0.2s"}])),
        1 => Act::Say("5".to_owned()),
        2 => error(400, "Unable to process input image.", json!([])),
        _ => error(
            400,
            "API key not valid.",
            json!([{"reason": "API_KEY_INVALID"}]),
        ),
    });
    let (_folder, work) = chart(3);
    let begun = Instant::now();
    let answers = describe_answers(served(&server.base_url(), "").as_mut(), &work);
    assert!(begun.elapsed() >= Duration::from_millis(200));
    let url = server.base_url();
    assert_eq!(
        answers,
        [
            "=5".to_owned(),
            format!("question: {url}: status 400: Unable to process input image."),
            format!(
                "adapter: {url}: status 400: it refuses requests without a key: name a variable with one as `endpoint.key_env`"
            ),
        ]
    );
}

/// The program in an environment with a proxy that nobody serves.
#[test]
fn a_proxy_that_fails_is_named_without_its_password() {
    // A port that was free a moment ago.
    let proxy = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    super::adapter_file(folder.path(), "http://models.example/v1", "");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args([
            "run",
            "--no-blind",
            "--adapters",
            "served",
            "--limit",
            "2",
            "--adapters-dir",
        ])
        .arg(folder.path())
        .arg("--results")
        .arg(folder.path().join("results"))
        .env("HTTP_PROXY", format!("http://me:hunter2@{proxy}"))
        .env("NO_PROXY", "")
        .env("no_proxy", "")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let line = format!(
        "error: served: http://models.example/v1: no connection through the proxy {proxy}, which HTTP_PROXY names ("
    );
    assert!(
        stderr.contains(&line) && !stderr.contains("hunter2"),
        "{stderr}"
    );
}
