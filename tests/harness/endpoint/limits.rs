//! Concurrency and rate limits.

use std::time::{Duration, Instant};

use super::server::{Act, Server};
use super::{chart, describe_answers, served};

/// Seconds after which each request came in, in order.
fn arrivals(server: &Server, begun: Instant) -> Vec<f64> {
    let mut arrivals: Vec<f64> = server
        .seen()
        .iter()
        .map(|seen| (seen.at - begun).as_secs_f64())
        .collect();
    arrivals.sort_by(f64::total_cmp);
    arrivals
}

#[test]
fn as_many_requests_are_under_way_as_the_file_says() {
    let server = Server::start(|_, _| Act::Late(Duration::from_millis(300)));
    let (_folder, work) = chart(16);
    let mut adapter = served(&server.base_url(), "[limits]\nconcurrency = 4\n");
    assert_eq!(adapter.batch(), 256);
    assert_eq!(describe_answers(adapter.as_mut(), &work), vec!["=late"; 16]);
    assert_eq!(server.most_under_way(), 4);
}

#[test]
fn requests_keep_their_distance() {
    let server = Server::start(|_, _| Act::Say("5".to_owned()));
    let (_folder, work) = chart(8);
    let mut adapter = served(
        &server.base_url(),
        "[limits]\nconcurrency = 8\nrequests_per_minute = 600\n",
    );
    let begun = Instant::now();
    assert_eq!(describe_answers(adapter.as_mut(), &work), vec!["=5"; 8]);
    for (index, since) in arrivals(&server, begun).into_iter().enumerate() {
        assert!(
            since >= 0.1 * index as f64,
            "request {index} came after {since} s"
        );
    }
}

#[test]
fn tokens_are_paced() {
    // Each answer takes 1010 tokens: a tenth of a second at 606,000 a minute.
    let server = Server::start(|_, _| Act::Say("5".to_owned()));
    let (_folder, work) = chart(6);
    let mut adapter = served(
        &server.base_url(),
        "[limits]\nconcurrency = 1\ntokens_per_minute = 606000\n",
    );
    let begun = Instant::now();
    assert_eq!(describe_answers(adapter.as_mut(), &work), vec!["=5"; 6]);
    for (index, since) in arrivals(&server, begun).into_iter().enumerate() {
        assert!(
            since >= 0.1 * index as f64,
            "request {index} came after {since} s"
        );
    }
}
