//! `--max-cost`: an endpoint stops before the sum is passed.

use std::path::Path;
use std::process::{Command, Output};

use chartbench::adapter::chat::Chat;
use chartbench::adapter::{Budget, Overrides};
use chartbench::config::Family;

use super::server::{Act, Server};
use super::{adapter_file, chart, describe_answers, spec};

/// What one answer of the server costs at a dollar a million tokens: 1000 and 10 of them.
const ANSWER: f64 = 0.00101;
const PRICES: &str = "[price]\nprompt = 1\ncompletion = 1\n[generation]\nmax_tokens = 10\n";

#[test]
fn the_sum_is_met_exactly_with_requests_side_by_side() {
    let server = Server::start(|_, _| Act::Say("5".to_owned()));
    let (_folder, work) = chart(20);
    let more = format!("[limits]\nconcurrency = 3\n{PRICES}");
    let Family::Chat(chat) = spec(&server.base_url(), &more).family else {
        panic!("another family");
    };
    let overrides = Overrides {
        budget: Some(Budget::new(15.0 * ANSWER)),
        ..Overrides::default()
    };
    let mut adapter = Chat::new("served", &chat, &overrides).unwrap();
    let described = describe_answers(&mut adapter, &work);
    assert_eq!(server.seen().len(), 15);
    let line = format!(
        "adapter: {}: the run has cost $0.01515 of the $0.01515 of --max-cost, and the next request may cost $0.00101: a \
         greater --max-cost goes on",
        server.base_url()
    );
    // Which questions got no money depends on the threads.
    let (answered, stopped): (Vec<&String>, Vec<&String>) =
        described.iter().partition(|described| *described == "=5");
    assert_eq!((answered.len(), stopped.len()), (15, 5));
    assert!(
        stopped.iter().all(|stopped| **stopped == line),
        "{described:?}"
    );
}

/// Requests that failed for a reason that is not paid leave their money to others.
#[test]
fn an_error_of_the_server_costs_nothing() {
    let server = Server::start(|index, _| match index % 2 {
        0 => Act::Status(503, "X-A: b", "busy".to_owned()),
        _ => Act::Say("5".to_owned()),
    });
    let (_folder, work) = chart(4);
    let Family::Chat(chat) = spec(&server.base_url(), PRICES).family else {
        panic!("another family");
    };
    let overrides = Overrides {
        budget: Some(Budget::new(4.0 * ANSWER)),
        ..Overrides::default()
    };
    let mut adapter = Chat::new("served", &chat, &overrides).unwrap();
    assert_eq!(describe_answers(&mut adapter, &work), vec!["=5"; 4]);
}

fn run(folder: &Path, max_cost: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args([
            "run",
            "--no-blind",
            "--adapters",
            "served",
            "--limit",
            "40",
            "--name",
            "r",
        ])
        .args(["--max-cost", max_cost, "--adapters-dir"])
        .arg(folder)
        .arg("--results")
        .arg(folder.join("results"))
        .output()
        .unwrap()
}

fn rows(folder: &Path) -> usize {
    let log = folder.join("results/r/served/predictions.jsonl");
    std::fs::read_to_string(log)
        .unwrap_or_default()
        .lines()
        .count()
}

#[test]
fn stored_answers_count_and_a_greater_sum_goes_on() {
    let server = Server::start(|_, _| Act::Say("5".to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let more = format!("[limits]\nconcurrency = 3\n{PRICES}");
    adapter_file(folder.path(), &server.base_url(), &more);
    for _ in 0..3 {
        let stopped = run(folder.path(), "0.01515");
        let stderr = String::from_utf8(stopped.stderr).unwrap();
        assert_eq!(stopped.status.code(), Some(1), "{stderr}");
        let line = stderr.lines().last().unwrap();
        assert!(
            line.starts_with("error: served: ")
                && line.contains(" of the $0.01515 of --max-cost, and the next request may cost $")
                && line.ends_with("a greater --max-cost goes on; start the run again to go on"),
            "{stderr}"
        );
        assert_eq!(server.seen().len(), rows(folder.path()));
        assert!(
            (5..=15).contains(&rows(folder.path())),
            "{}",
            rows(folder.path())
        );
    }
    let whole = run(folder.path(), "1");
    assert_eq!(whole.status.code(), Some(0), "{whole:?}");
    assert_eq!((server.seen().len(), rows(folder.path())), (40, 40));
}

#[test]
fn an_endpoint_without_a_price_and_a_sum_that_is_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    adapter_file(folder.path(), "http://127.0.0.1:9/v1", "");
    let stderr = |output: Output| {
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(
        stderr(run(folder.path(), "1")).trim_end(),
        "error: --max-cost: the adapter file of served has no `[price]`: add the prices of its endpoint"
    );
    for sum in ["0", "nan", "free", "1e9"] {
        let stderr = stderr(run(folder.path(), sum));
        assert!(stderr.contains("--max-cost"), "{sum}: {stderr}");
    }
    assert!(!folder.path().join("results").exists());
}

/// Prices are those of the file's own model and address.
#[test]
fn a_price_of_another_address_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let more =
        format!("key_env = \"NO_SUCH_KEY\"\nkey_optional = true\nmodel_env = \"PATH\"\n{PRICES}");
    adapter_file(folder.path(), "http://127.0.0.1:9/v1", &more);
    let output = run(folder.path(), "1");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("error: served: --max-cost: its adapter file has no `[price]` of "),
        "{stderr}"
    );
}
