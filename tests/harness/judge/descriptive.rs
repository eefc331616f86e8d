//! Two hundred descriptive answers, in the official batches and one by one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;

use serde_json::{Value, json};

use super::server::{expected_tries, faulty, verdicts};
use super::{Asked, Scratch, ids, questions, stderr};
use crate::endpoint::server::{Act, Server};
use chartbench_core::answer::sha256;

#[test]
fn two_hundred_answers_are_judged_once_each_and_sum_up_as_officially() {
    let scratch = Scratch::new();
    let questions = questions();
    assert_eq!(questions.len(), 200);
    let unjudged = scratch.run(&["leaderboard", "descriptive", "--convention", "charxiv"]);
    assert_eq!(unjudged.status.code(), Some(2));
    assert_eq!(
        stderr(&unjudged),
        "error: results/descriptive: 199 of 199 answers have no verdict under charxiv: `chartbench judge results/descriptive \
         --with NAME --convention charxiv` makes them\n"
    );

    let server = faulty(None, 25);
    let address = server.address;
    let killed = scratch.judge(&server, "descriptive", &[]);
    assert_eq!(killed.status.code(), Some(2), "{}", stderr(&killed));
    assert!(
        stderr(&killed)
            .lines()
            .last()
            .unwrap()
            .starts_with("error: served: "),
        "{}",
        stderr(&killed)
    );
    let first = scratch.judgements("descriptive");
    assert!(first.len() > 5 && first.len() < 30, "{}", first.len());
    drop(server);

    let server = faulty(Some(address), usize::MAX);
    let done = scratch.judge(&server, "descriptive", &[]);
    assert_eq!(done.status.code(), Some(1), "{}", stderr(&done));
    assert!(stderr(&done).contains(": resuming, "), "{}", stderr(&done));
    let lines = scratch.judgements("descriptive");
    assert_eq!(&lines[..first.len()], first, "what was stored stays");
    let asked: HashSet<String> = server
        .seen()
        .iter()
        .map(|seen| sha256(seen.prompt().0.as_bytes()))
        .collect();
    for line in &first {
        assert!(
            !asked.contains(line["request_sha256"].as_str().unwrap()),
            "asked again: {line}"
        );
    }
    for seen in server.seen() {
        assert_eq!(seen.body["response_format"], json!({"type": "json_object"}));
        assert_eq!(
            (&seen.body["temperature"], &seen.body["seed"]),
            (&json!(0.0), &json!(42))
        );
    }

    // Each answer is in one line, and the batches are the official ones.
    let mut judged: Vec<&str> = lines.iter().flat_map(ids).collect();
    judged.sort_unstable();
    let mut answered: Vec<&str> = questions
        .iter()
        .filter(|asked| asked.is_judged())
        .map(|asked| asked.id.as_str())
        .collect();
    answered.sort_unstable();
    assert_eq!(judged, answered);
    let mut expected = HashSet::new();
    for template in 1..=19 {
        let of_template = questions
            .iter()
            .filter(|asked| asked.template == template && asked.is_judged());
        let group: Vec<&str> = of_template.map(|asked| asked.id.as_str()).collect();
        expected.extend(group.chunks(5).map(<[&str]>::to_vec));
    }
    assert_eq!(lines.iter().map(ids).collect::<HashSet<_>>(), expected);

    let by_id: HashMap<&str, &Asked> = questions
        .iter()
        .map(|asked| (asked.id.as_str(), asked))
        .collect();
    for line in &lines {
        let template = by_id[ids(line)[0]].template;
        let (tries, tokens) = expected_tries(template);
        assert_eq!(
            (&line["tries"], &line["max_tokens"]),
            (&json!(tries), &json!(tokens)),
            "{line}"
        );
        for answer in line["answers"].as_array().unwrap() {
            let asked = by_id[answer["id"].as_str().unwrap()];
            let score = if asked.is_invalid() {
                json!(-1)
            } else {
                json!(asked.score() as i64)
            };
            assert_eq!(answer["score"], score, "{line}");
        }
        assert_eq!(
            line["error"].is_null(),
            !matches!(template, 5..=7),
            "{line}"
        );
    }
    let invalid = questions
        .iter()
        .filter(|asked| asked.is_invalid() && asked.is_judged())
        .count();
    let said = format!(
        "{invalid} of 199 verdicts are invalid; as in the official code these answers score 0"
    );
    assert!(stderr(&done).contains(&said), "{}", stderr(&done));
    same_means(&scratch, &questions);

    // A third start asks nothing and changes nothing.
    let seen = server.seen().len();
    let again = scratch.judge(&server, "descriptive", &[]);
    assert_eq!((again.status.code(), server.seen().len()), (Some(1), seen));
    assert_eq!(scratch.judgements("descriptive"), lines);
    assert_eq!(again.stdout, done.stdout);
}

/// Compares every mean with the one that the official aggregation gives.
#[track_caller]
fn same_means(scratch: &Scratch, questions: &[Asked]) {
    let category = |template: usize| match template {
        1..=7 => "Information Extraction",
        8 | 9 | 13 | 14 | 15 => "Enumeration",
        11 | 16 | 18 => "Pattern Recognition",
        10 | 12 | 19 => "Counting",
        _ => "Compositionality",
    };
    let mut groups: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for asked in questions {
        let figure = asked.figure;
        let subplots = [
            "1 Subplot",
            "2-4 Subplots",
            "2-4 Subplots",
            "2-4 Subplots",
            "5+ Subplots",
            "5+ Subplots",
        ][figure % 6];
        let subject = ["Computer Science", "Economics", "Quantitative Biology"][figure % 3];
        for slice in [
            "overall ".to_owned(),
            format!("category {}", category(asked.template)),
            format!("subplots {subplots}"),
            format!("subject {subject}"),
            format!("year 202{}", figure % 4),
            format!("template {}", asked.template),
        ] {
            groups.entry(slice).or_default().push(asked.score());
        }
    }
    let means = scratch.means("descriptive", "charxiv", "judged accuracy");
    assert_eq!(
        means.keys().collect::<Vec<_>>(),
        groups.keys().collect::<Vec<_>>()
    );
    for (slice, scores) in &groups {
        let official = 100.0 * scores.iter().sum::<f64>() / scores.len() as f64;
        assert!(
            (means[slice] - official).abs() < 0.005,
            "{slice}: {} and {official}",
            means[slice]
        );
    }
    // The judge takes what ends with the gold answer, and so does the rule about closed forms.
    let agreement = scratch.means("descriptive", "charxiv", "rule agreement");
    assert_eq!(agreement["category Counting"], 100.0);
    assert!(
        !agreement.contains_key("template 16"),
        "words alone have no closed form"
    );
}

#[test]
fn one_by_one_is_a_convention_of_its_own() {
    let scratch = Scratch::new();
    let server = Server::start(|_, request| Act::Say(verdicts(&request.prompt().0).to_string()));
    for convention in ["charxiv-single", "charxiv"] {
        let output = scratch.judge(&server, "descriptive", &["--convention", convention]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let lines = scratch.judgements("descriptive");
    let (single, batched): (Vec<&Value>, Vec<&Value>) = lines
        .iter()
        .partition(|line| line["convention"] == "charxiv-single");
    assert_eq!(single.len(), 199);
    assert!(single.iter().all(|line| ids(line).len() == 1));
    assert!(batched.iter().any(|line| ids(line).len() == 5) && batched.len() < 60);
    let message = server.seen()[0].prompt().0;
    assert_eq!(
        message,
        "\nLook at 1 of: Template 1?\nFill ['extract_answer_T1', 'score_T1']\n\nMind the title: \u{7}lpha.\n\
         <1|1> said 'on c0 it is something else' <1> wanted 'Not Applicable'\n",
        "the clone's wording, as Python reads it"
    );
    let means = |convention| scratch.means("descriptive", convention, "judged accuracy");
    assert_eq!(means("charxiv"), means("charxiv-single"));

    // An answer that changes loses its verdict, and its batch is judged anew.
    let log = scratch.path("results/descriptive");
    let adapter = fs::read_dir(&log)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_dir())
        .unwrap();
    let predictions = fs::read_to_string(adapter.join("predictions.jsonl")).unwrap();
    let changed = predictions.replacen("it is something else", "it is changed", 1);
    fs::write(adapter.join("predictions.jsonl"), changed).unwrap();
    let stale = scratch.run(&["leaderboard", "descriptive", "--convention", "charxiv"]);
    assert!(
        stderr(&stale).contains("1 of 199 answers have no verdict"),
        "{}",
        stderr(&stale)
    );
    let before = server.seen().len();
    let output = scratch.judge(&server, "descriptive", &[]);
    assert_eq!(
        (output.status.code(), server.seen().len()),
        (Some(0), before + 1),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("5 stored verdicts are dropped"),
        "{}",
        stderr(&output)
    );
    assert_eq!(scratch.judgements("descriptive").len(), lines.len());
}
