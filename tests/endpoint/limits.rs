//! Concurrency and rate limits.

use std::time::Duration;

use super::server::{Act, Server};
use super::{chart, served, told};

#[test]
fn as_many_requests_are_under_way_as_the_file_says() {
    let server = Server::start(|_, _| Act::Late(Duration::from_millis(100)));
    let (_folder, work) = chart(16);
    let mut adapter = served(&server.base_url(), "[limits]\nconcurrency = 4\n");
    assert_eq!(adapter.batch(), 16);
    assert_eq!(told(adapter.answer(&work)), vec!["=late"; 16]);
    assert_eq!(server.most_under_way(), 4);
}

#[test]
fn requests_keep_their_distance() {
    let server = Server::start(|_, _| Act::Say("5".to_owned()));
    let (_folder, work) = chart(8);
    let mut adapter = served(&server.base_url(), "[limits]\nconcurrency = 8\nrequests_per_minute = 600\n");
    assert_eq!(told(adapter.answer(&work)), vec!["=5"; 8]);
    let seen = server.seen();
    for (index, request) in seen.iter().enumerate() {
        let since = (request.at - seen[0].at).as_secs_f64();
        assert!(since > 0.1 * index as f64 - 0.05, "request {index} came {since} s after the first");
    }
}

#[test]
fn tokens_are_paced() {
    // Each answer takes 1010 tokens: a tenth of a second at 606,000 a minute.
    let server = Server::start(|_, _| Act::Say("5".to_owned()));
    let (_folder, work) = chart(6);
    told(served(&server.base_url(), "[limits]\nconcurrency = 1\ntokens_per_minute = 606000\n").answer(&work));
    let seen = server.seen();
    let span = (seen[5].at - seen[0].at).as_secs_f64();
    assert!(span > 0.45, "six requests within {span} s");
}
