//! `judge --batch-api`: the verdicts of a judge that is asked one by one.

use serde_json::{Value, json};

use super::server::{pairs, verdicts};
use super::{Scratch, stderr};
use crate::endpoint::batch_server::{BatchServer, Behavior, prompt};
use crate::endpoint::server::completion;

/// A judge that is malformed about one template, and cut off about another until it has more tokens.
fn judge() -> BatchServer {
    BatchServer::start(Behavior::new(|body: &Value| {
        let message = prompt(body);
        let tokens = body["max_tokens"].as_u64().unwrap();
        match pairs(&message).0 {
            2 => completion("Sure! {"),
            4 if tokens < 1024 => completion("{\"extract_answer_T1\": \"it is"),
            _ => completion(&verdicts(&message).to_string()),
        }
    }))
}

#[test]
fn verdicts_come_in_batches_as_they_come_one_by_one() {
    let sorted = |mut lines: Vec<Value>| {
        lines.sort_by_key(|line| line["request_sha256"].to_string() + &line["answers"].to_string());
        lines
    };
    let mut found = Vec::new();
    for more in [&[][..], &["--batch-api"]] {
        let (scratch, server) = (Scratch::new(), judge());
        let output = scratch.judge(&server.server, "descriptive", more);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let lines = sorted(scratch.judgements("descriptive"));
        let means = scratch.means("descriptive", "charxiv", "judged accuracy");
        let alone = server.count("POST", "/v1/chat/completions");
        let batched: usize = server.batches().iter().map(Vec::len).sum();
        let before = server.server.seen().len();
        let again = scratch.judge(&server.server, "descriptive", more);
        assert_eq!(again.stdout, output.stdout);
        // Another address is another judge, and each server has its own.
        let lines: Vec<Value> = lines
            .into_iter()
            .map(|mut line| {
                line["judge"]["settings_sha256"] = json!("");
                line
            })
            .collect();
        found.push((lines, means, alone + batched));
        assert_eq!(server.server.seen().len(), before, "asked again");
        assert_eq!(alone == 0, !more.is_empty());
        // Ten tries of what stays malformed, and three lengths of what is cut off.
        assert_eq!(server.batches().len(), if more.is_empty() { 0 } else { 12 });
    }
    assert_eq!(found[0], found[1]);
    assert!(found[0].0.len() > 30);
}
