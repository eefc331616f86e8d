//! Servers that judge the made-up clone's answers, and misbehave.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::endpoint::server::{Act, Seen, Server};

/// The template that a message is about, and what was said and wanted in each pair.
pub(super) fn pairs(message: &str) -> (usize, Vec<(String, String)>) {
    let template = message
        .split("Template ")
        .nth(1)
        .unwrap()
        .split('?')
        .next()
        .unwrap();
    let pair = |line: &str| {
        let (_, rest) = line.split_once("> said '")?;
        let (said, rest) = rest.split_once("' <")?;
        let (_, wanted) = rest.split_once("> wanted '")?;
        Some((said.to_owned(), wanted.strip_suffix('\'')?.to_owned()))
    };
    (
        template.parse().unwrap(),
        message.lines().filter_map(pair).collect(),
    )
}

/// The reply of a judge that finds right what ends with the gold answer.
pub(super) fn verdicts(message: &str) -> Value {
    let mut reply = json!({});
    for (index, (said, wanted)) in pairs(message).1.into_iter().enumerate() {
        let number = index + 1;
        reply[format!("score_T{number}")] = json!(u8::from(said.ends_with(&wanted)));
        reply[format!("extract_answer_T{number}")] = json!(said);
    }
    reply
}

/// A judge whose reply to a request depends on the template and on how often the request came; it
/// dies at the request `dies_at`.
pub(super) fn faulty(address: Option<SocketAddr>, dies_at: usize) -> Server {
    let seen: Mutex<HashMap<String, usize>> = Mutex::default();
    let script = move |index: usize, request: &Seen| {
        let message = request.prompt().0;
        let before = {
            let mut seen = seen.lock().unwrap();
            let count = seen.entry(message.clone()).or_default();
            *count += 1;
            *count - 1
        };
        let good = || Act::Say(verdicts(&message).to_string());
        let tokens = request.body["max_tokens"].as_u64().unwrap();
        let cut = || Act::Say("{\"extract_answer_T1\": \"it is".to_owned());
        match (pairs(&message).0, before) {
            _ if index == dies_at => Act::Die,
            (2, 0) => Act::Say("Sure! {".to_owned()),
            (3, 0) => Act::Status(500, "X-A: b", "{}".to_owned()),
            (4, _) if tokens < 1024 => cut(),
            (5, _) => Act::Body(
                json!({"choices": [{"message": {"content": null, "refusal": "I cannot"}, "finish_reason": "stop"}]}).to_string(),
            ),
            (6, _) => Act::Say(json!({"extract_answer_T1": "a", "score_T1": "1"}).to_string()),
            (7, _) => cut(),
            (8, 0 | 1) => Act::Status(400, "X-A: b", "{\"error\": {\"message\": \"odd\"}}".to_owned()),
            (9, 0) => Act::Say("{\"score_T1\": 1}".to_owned()),
            _ => good(),
        }
    };
    match address {
        Some(address) => Server::at(address, script),
        None => Server::start(script),
    }
}

/// How often the judge is asked about a batch of a template, and how many tokens it has at last.
pub(super) fn expected_tries(template: usize) -> (u64, u64) {
    match template {
        2 | 9 => (2, 256),
        4 | 7 => (3, 1024),
        5 | 6 => (10, 256),
        8 => (3, 256),
        _ => (1, 256),
    }
}
