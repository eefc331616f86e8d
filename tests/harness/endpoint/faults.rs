//! What a misbehaving endpoint does to answers.

use std::time::{Duration, Instant};

use serde_json::json;

use super::server::{Act, Seen, Server, completion};
use super::{chart, describe_answers, served};

type Fault = fn() -> Act;

/// What comes of `questions` questions asked one by one, and how many requests that took.
fn asked(
    questions: usize,
    script: impl Fn(usize, &Seen) -> Act + Send + Sync + 'static,
) -> (Vec<String>, usize) {
    asked_within("60", questions, script)
}

/// The same with so many seconds for an answer.
fn asked_within(
    seconds: &str,
    questions: usize,
    script: impl Fn(usize, &Seen) -> Act + Send + Sync + 'static,
) -> (Vec<String>, usize) {
    let server = Server::start(script);
    let (_folder, work) = chart(questions);
    let more = format!("[limits]\nconcurrency = 1\nanswer_timeout = {seconds}\n");
    let descriptions = describe_answers(served(&server.base_url(), &more).as_mut(), &work);
    (
        descriptions
            .into_iter()
            .map(|line| line.replace(&server.base_url(), "URL"))
            .collect(),
        server.seen().len(),
    )
}

fn choice(message: serde_json::Value, finish: &str) -> Act {
    Act::Body(json!({"choices": [{"message": message, "finish_reason": finish}]}).to_string())
}

#[test]
fn what_passes_is_asked_again() {
    let faults: [(&str, Fault); 11] = [
        ("408", || Act::Status(408, "X-A: b", String::new())),
        ("409", || Act::Status(409, "X-A: b", String::new())),
        ("429", || {
            Act::Status(
                429,
                "X-A: b",
                "{\"error\":{\"message\":\"slow down\"}}".to_owned(),
            )
        }),
        ("500", || Act::Status(500, "X-A: b", String::new())),
        ("503", || Act::Status(503, "X-A: b", "<html>".to_owned())),
        ("cut body", || Act::Cut),
        ("hung up", || Act::HangUp),
        ("no JSON", || Act::Body("<html>hello</html>".to_owned())),
        ("cut JSON", || Act::Body("{\"choices\": [".to_owned())),
        ("other JSON", || Act::Body("{\"models\": []}".to_owned())),
        ("error with 200", || {
            Act::Body("{\"error\": {\"code\": 502, \"message\": \"upstream\"}}".to_owned())
        }),
    ];
    for (name, fault) in faults {
        let outcome = asked(1, move |index, _| {
            if index == 0 {
                fault()
            } else {
                Act::Say("5".to_owned())
            }
        });
        assert_eq!(outcome, (vec!["=5".to_owned()], 2), "{name}");
    }
}

#[test]
fn a_slow_answer_is_asked_for_again_and_then_fails_its_question() {
    let late = || Act::Late(Duration::from_secs(6));
    let slow_once = asked_within("2", 1, move |index, _| {
        if index == 0 {
            late()
        } else {
            Act::Say("5".to_owned())
        }
    });
    assert_eq!(slow_once, (vec!["=5".to_owned()], 2));
    let (descriptions, requests) =
        asked_within("1", 2, move |_, seen| match seen.prompt().0.as_str() {
            "Why 0?" => late(),
            _ => Act::Say("5".to_owned()),
        });
    assert_eq!(
        (descriptions[0].as_str(), requests),
        (
            "question: URL: no whole reply within 1 s (`limits.answer_timeout`)",
            4
        )
    );
}

#[test]
fn retry_after_is_waited_for() {
    let begun = Instant::now();
    let (descriptions, requests) = asked(1, |index, _| match index {
        0 => Act::Status(429, "Retry-After: 1", String::new()),
        _ => Act::Say("5".to_owned()),
    });
    assert_eq!((descriptions, requests), (vec!["=5".to_owned()], 2));
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn an_hour_is_not_waited_for() {
    let (descriptions, requests) = asked(2, |_, _| {
        Act::Status(429, "Retry-After: 3600", "quota of the day".to_owned())
    });
    let line = "adapter: URL: status 429: quota of the day; it wants to be asked again in 3600 s, and at most 600 s are \
                waited for";
    assert_eq!((descriptions, requests), (vec![line.to_owned(); 2], 1));
}

#[test]
fn what_does_not_pass_stops_the_adapter_or_fails_the_question() {
    let with_good_ones = |fault: Fault| {
        let script = move |_: usize, seen: &Seen| {
            if seen.prompt().0 == "Why 1?" {
                fault()
            } else {
                Act::Say("5".to_owned())
            }
        };
        let (descriptions, requests) = asked(3, script);
        assert_eq!(descriptions[0], "=5");
        (descriptions[1].clone(), descriptions[2].clone(), requests)
    };
    // Each fails the question after so many requests, and the others stand.
    let of_questions: [(Fault, usize, &str); 12] = [
        (
            || Act::Status(500, "X-A: b", "boom".to_owned()),
            3,
            "URL: status 500: boom",
        ),
        (
            || {
                Act::Status(
                    400,
                    "X-A: b",
                    "{\"error\":{\"message\":\"too\\nlarge\"}}".to_owned(),
                )
            },
            1,
            "URL: status 400: too large",
        ),
        (
            || Act::Body("{\"choices\": []}".to_owned()),
            1,
            "the reply has no choices",
        ),
        (
            || choice(json!({"content": ""}), "content_filter"),
            1,
            "the endpoint's content filter withheld the answer",
        ),
        (
            || choice(json!({"content": null, "refusal": "I can't."}), "stop"),
            1,
            "the model refused to answer: I can't.",
        ),
        (
            || choice(json!({"content": ""}), "length"),
            1,
            "the reply has no text: all its tokens went into reasoning; allow it more",
        ),
        (
            || Act::Body("<html>".to_owned()),
            3,
            "URL: the reply is no chat completion (expected value at line 1 column 1): <html>",
        ),
        (
            || choice(json!(null), "content_filter"),
            1,
            "the endpoint's content filter withheld the answer",
        ),
        (
            || choice(json!({"content": " \n"}), "stop"),
            1,
            "the reply has no text (finish_reason stop)",
        ),
        (
            || choice(json!({"content": "5"}), "error"),
            1,
            "the endpoint broke the answer off (finish_reason error)",
        ),
        (
            || choice(json!({"content": "5"}), "abort"),
            1,
            "the endpoint broke the answer off (finish_reason abort)",
        ),
        (
            || choice(json!({"content": null, "reasoning": "5"}), "stop"),
            1,
            "the reply has its text in `reasoning` alone (finish_reason stop): turn reasoning off, or allow it more tokens",
        ),
    ];
    for (fault, requests, line) in of_questions {
        assert_eq!(
            with_good_ones(fault),
            (format!("question: {line}"), "=5".to_owned(), requests + 2)
        );
    }
    // Each stops the adapter after so many requests: the third question is not asked.
    let of_endpoints: [(Fault, usize, &str); 5] = [
        (
            || {
                Act::Status(
                    404,
                    "X-A: b",
                    "{\"error\":{\"message\":\"no model m-1\"}}".to_owned(),
                )
            },
            1,
            "status 404: no model m-1",
        ),
        (
            || Act::Status(401, "X-A: b", "no key".to_owned()),
            1,
            "status 401: it refuses requests without a key: name a variable with one as `endpoint.key_env`",
        ),
        (
            || Act::Status(503, "X-A: b", "busy".to_owned()),
            3,
            "status 503: busy",
        ),
        (
            || Act::Status(429, "X-A: b", "insufficient_quota".to_owned()),
            1,
            "status 429: insufficient_quota",
        ),
        (
            || Act::Status(307, "Location: http://else/?k=secret", String::new()),
            1,
            "status 307: it has moved; change its address",
        ),
    ];
    for (fault, requests, line) in of_endpoints {
        let line = format!("adapter: URL: {line}");
        assert_eq!(with_good_ones(fault), (line.clone(), line, requests + 1));
    }
}

/// Whatever is around an answer, and of whichever type: where the answer is there, it is kept.
#[test]
fn an_odd_reply_with_an_answer_is_an_answer() {
    let bodies = [
        r#"{"choices": [{"message": {"content": "7"}, "finish_reason": "stop"}], "usage": null}"#,
        r#"{"choices": [{"message": {"content": "7"}}], "usage": {"prompt_tokens": null, "completion_tokens": null}}"#,
        r#"{"choices": [{"message": {"content": "7"}}], "usage": {"prompt_tokens": "1", "completion_tokens": -1}}"#,
        r#"{"choices": [{"message": {"content": "7"}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1e400}}"#,
        r#"{"choices": [{"message": {"content": [{"type": "text", "text": "7"}]}, "finish_reason": "stop"}]}"#,
        r#"{"choices": [{"message": {"content": "7"}, "finish_reason": 1, "logprobs": [1e999]}], "x": {"y": []}}"#,
        r#"{"choices": [{"message": {"content": "7", "tool_calls": null}, "finish_reason": {}}], "error": null}"#,
    ];
    let count = bodies.len();
    let (descriptions, requests) =
        asked(count, move |index, _| Act::Body(bodies[index].to_owned()));
    assert_eq!(
        (descriptions, requests),
        (vec!["=7".to_owned(); count], count)
    );
    let half = r#"{"choices": [{"message": {"content": "7 \ud83d"}, "finish_reason": "length"}]}"#;
    assert_eq!(
        asked(1, |_, _| Act::Body(half.to_owned())),
        (vec!["=7 \u{fffd}".to_owned()], 1)
    );
}

#[test]
fn a_server_that_takes_no_connection_is_told_with_the_time() {
    // Nobody answers at an address for documentation; where there is no route to it, that is told
    // instead.
    let (_folder, work) = chart(1);
    let more = "[limits]\nconcurrency = 1\nconnect_timeout = 0.3\n";
    let begun = Instant::now();
    let descriptions = describe_answers(served("http://192.0.2.1/v1", more).as_mut(), &work);
    let line =
        "adapter: http://192.0.2.1/v1: no connection within 0.3 s (`limits.connect_timeout`)";
    assert!(
        descriptions[0] == line || descriptions[0].contains("the connection failed ("),
        "{descriptions:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn connections_that_fail_for_good_stop_the_adapter() {
    for (fault, requests) in [
        ((|| Act::Cut) as Fault, 3),
        (|| Act::HangUp, 3),
        (|| Act::Die, 1),
    ] {
        let (descriptions, seen) = asked(2, move |index, _| {
            if index == 0 {
                Act::Say("5".to_owned())
            } else {
                fault()
            }
        });
        assert_eq!((descriptions[0].as_str(), seen), ("=5", requests + 1));
        assert!(
            descriptions[1].starts_with("adapter: URL: the connection failed ("),
            "{descriptions:?}"
        );
    }
}

#[test]
fn an_endpoint_that_answers_nothing_is_given_five_questions_and_then_fifty() {
    let (descriptions, requests) = asked(8, |_, _| {
        Act::Status(400, "X-A: b", "no such parameter".to_owned())
    });
    assert_eq!(requests, 5);
    assert_eq!(
        descriptions[3],
        "question: URL: status 400: no such parameter"
    );
    let line = "adapter: too many questions in a row failed, the last with URL: status 400: no such parameter";
    assert!(
        descriptions[4..]
            .iter()
            .all(|descriptions| descriptions == line),
        "{descriptions:?}"
    );
    let (descriptions, requests) = asked(60, |index, _| match index {
        0 => Act::Say("5".to_owned()),
        _ => Act::Status(400, "X-A: b", "not this picture".to_owned()),
    });
    assert_eq!(
        (
            requests,
            descriptions
                .iter()
                .filter(|descriptions| descriptions.starts_with("question: "))
                .count()
        ),
        (51, 49)
    );
}

#[test]
fn answers_before_a_stop_are_kept_and_nothing_is_sent_after() {
    let server = Server::start(|index, _| match index {
        0..6 => Act::Say(format!("{index}")),
        _ => Act::Status(401, "X-A: b", String::new()),
    });
    let (_folder, work) = chart(40);
    let mut adapter = served(&server.base_url(), "[limits]\nconcurrency = 3\n");
    let answers = describe_answers(adapter.as_mut(), &work);
    assert_eq!(
        answers
            .iter()
            .filter(|descriptions| descriptions.starts_with('='))
            .count(),
        6,
        "{answers:?}"
    );
    assert!(
        answers[9..]
            .iter()
            .all(|descriptions| descriptions.starts_with("adapter: ")),
        "{answers:?}"
    );
    let requests = server.seen().len();
    assert!(requests <= 9, "{requests}");
    assert!(
        describe_answers(adapter.as_mut(), &work)
            .iter()
            .all(|descriptions| descriptions.starts_with("adapter: "))
    );
    assert_eq!(server.seen().len(), requests, "it asked on");
}

#[test]
fn a_reply_longer_than_is_read_is_no_reply() {
    let long = completion(&"x".repeat(17 << 20)).to_string();
    let server = Server::start(move |index, _| {
        if index == 0 {
            Act::Body(long.clone())
        } else {
            Act::Say("5".to_owned())
        }
    });
    let (_folder, work) = chart(1);
    assert_eq!(
        (
            describe_answers(served(&server.base_url(), "").as_mut(), &work),
            server.seen().len()
        ),
        (vec!["=5".to_owned()], 2)
    );
    let long = completion(&"x".repeat(17 << 20)).to_string();
    let (descriptions, _) = asked(1, move |_, _| Act::Body(long.clone()));
    assert_eq!(
        descriptions,
        ["question: URL: the reply has more than 16777216 bytes"]
    );
}
