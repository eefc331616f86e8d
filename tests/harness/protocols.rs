//! Prompts, extractions and protocols: requests are those of the published harnesses, as
//! `benchmarks/parity/harness_requests.py` pinned them.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use crate::asked::answers;
use crate::endpoint::adapter_file;
use crate::endpoint::server::{Act, Seen, Server};
use chartbench::adapter::{Adapter, Usage};
use chartbench::config::Extraction;
use chartbench::jobs::run::RunRequest;
use chartbench::jobs::{AdapterNames, Asking, BenchmarkSelection, ModelOptions};
use chartbench_core::question::{
    Chart, ChartQuestions, ImageRef, QUESTION_TYPE, Question, QuestionContext, Turn,
};
use serde_json::Value;
use tempfile::TempDir;

/// The sampling of the adapter file, which protocols replace.
const SAMPLED: &str = "[generation]\ntemperature = 0.5\nseed = 42\n";

/// A run of the adapters `names`, among them `served` at a server, about a benchmark.
fn request(server: &Server, more: &str, names: &str, benchmark: &str) -> (TempDir, RunRequest) {
    let folder = tempfile::tempdir().unwrap();
    adapter_file(folder.path(), &server.base_url(), more);
    let names = AdapterNames {
        names: names.split(',').map(str::to_owned).collect(),
        adapters_dir: Some(folder.path().to_owned()),
        ..AdapterNames::default()
    };
    let request = RunRequest {
        benchmark: BenchmarkSelection {
            benchmark: Some(benchmark.to_owned()),
            data: None,
            allow_outside: false,
        },
        ..RunRequest::new(names.select().unwrap())
    };
    (folder, request)
}

/// The adapter of a server that asks so, and the leaderboard's convention.
fn served(
    server: &Server,
    more: &str,
    benchmark: &str,
    asking: &Asking,
) -> (Box<dyn Adapter>, Option<String>) {
    let (_folder, mut request) = request(server, more, "served", benchmark);
    asking.apply(&mut request).unwrap();
    let adapter = request.adapters[0].build(&ModelOptions::default(), None);
    (adapter.unwrap(), request.convention)
}

fn protocol(name: &str) -> Asking {
    Asking {
        protocol: Some(name.to_owned()),
        ..Asking::default()
    }
}

fn prompt(name: &str) -> Asking {
    Asking {
        prompt: Some(name.to_owned()),
        ..Asking::default()
    }
}

/// A question of ChartQAPro about a small picture in `folder`.
fn work(
    folder: &Path,
    text: &str,
    kind: Option<&str>,
    paragraph: &str,
    history: Vec<Turn>,
) -> [ChartQuestions; 1] {
    let path = folder.join("chart.png");
    let pixels = image::RgbImage::from_pixel(8, 6, image::Rgb([1, 2, 3]));
    pixels.save(&path).unwrap();
    let context = (!paragraph.is_empty() || !history.is_empty()).then(|| {
        Arc::new(QuestionContext {
            paragraph: paragraph.to_owned(),
            history,
        })
    });
    let kind = kind.map(|kind| (QUESTION_TYPE.to_owned(), kind.to_owned()));
    let question = Question {
        id: "q".to_owned(),
        text: text.to_owned(),
        gold: "gold".into(),
        answer_type: None,
        taxonomy: None,
        template: None,
        source: None,
        slices: kind.into_iter().collect(),
        context,
    };
    let chart = Chart {
        id: "c".to_owned(),
        image: ImageRef::File(path.into()),
        chart_type: None,
        table: None,
    };
    [ChartQuestions {
        chart,
        questions: vec![question],
    }]
}

fn turn(question: &str, answer: &str) -> Turn {
    Turn {
        question: question.to_owned(),
        answer: Some(answer.into()),
    }
}

/// Replies `R1`, `R2` and so on in each conversation.
fn replies() -> Server {
    Server::start(|_, seen: &Seen| {
        let messages = seen.body["messages"].as_array().unwrap();
        let is_reply = |message: &&Value| message["role"] == "assistant";
        Act::Say(format!("R{}", 1 + messages.iter().filter(is_reply).count()))
    })
}

/// A request's body with `IMAGE` in the place of the picture, and numbers as fractions.
fn comparable(body: &Value) -> Value {
    let mut body = body.clone();
    for message in body["messages"].as_array_mut().unwrap() {
        for part in message["content"].as_array_mut().into_iter().flatten() {
            if let Some(url) = part.pointer_mut("/image_url/url") {
                *url = "IMAGE".into();
            }
        }
    }
    if let Some(temperature) = body.get_mut("temperature") {
        *temperature = temperature.as_f64().into();
    }
    body
}

#[test]
fn requests_are_those_of_the_harnesses() {
    let server = replies();
    let folder = tempfile::tempdir().unwrap();
    let pinned = include_str!("../../fixtures/protocols/requests.jsonl");
    let (mut adapters, mut sent) = (Vec::<((String, String), Box<dyn Adapter>)>::new(), 0);
    for line in pinned.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| line[key].as_str().map(str::to_owned);
        let name = (text("protocol").unwrap(), text("benchmark").unwrap());
        if adapters.iter().all(|(own, _)| *own != name) {
            // openbench leaves the limit to the server.
            let more = match name.0.as_str() {
                "openbench" => format!("without = [\"max_tokens\"]\n{SAMPLED}"),
                _ => SAMPLED.to_owned(),
            };
            let (adapter, _) = served(&server, &more, &name.1, &protocol(&name.0));
            adapters.push((name.clone(), adapter));
        }
        let adapter = adapters.iter_mut().find(|(own, _)| *own == name).unwrap();
        let history = line["history"].as_array().unwrap().iter();
        let history =
            history.map(|pair| turn(pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
        let work = work(
            folder.path(),
            &text("question").unwrap(),
            text("question_type").as_deref(),
            &text("paragraph").unwrap(),
            history.collect(),
        );
        answers(adapter.1.as_mut(), &work);
        let seen = server.seen();
        assert!(seen.len() > sent, "{name:?}");
        sent = seen.len();
        assert_eq!(
            comparable(&seen.last().unwrap().body),
            comparable(&line["body"]),
            "{name:?}"
        );
    }
    assert_eq!(adapters.len(), 8);
}

#[test]
fn a_model_answers_the_earlier_turns_itself() {
    let server = replies();
    let folder = tempfile::tempdir().unwrap();
    let history = || vec![turn("A?", "1"), turn("B?", "2")];
    let work = work(folder.path(), "C?", Some("Conversational"), "", history());

    let (mut adapter, convention) = served(&server, "", "chartqapro", &protocol("chartqapro-own"));
    assert_eq!(convention.as_deref(), Some("chartqapro"));
    let answer = answers(adapter.as_mut(), &work).remove(0);
    // The conversation is a text, so that each request has one message.
    let asked: Vec<String> = server.seen().iter().map(|seen| seen.prompt().0).collect();
    let told = [
        "[] Question: A?",
        "['A?', 'R1'] Question: B?",
        "['A?', 'R1', 'B?', 'R1'] Question: C?",
    ];
    for (asked, told) in asked.iter().zip(told) {
        assert!(
            asked.contains(&format!("Conversation: {told}\n")),
            "{asked}"
        );
    }
    assert_eq!(asked.len(), 3);
    assert_eq!(answer.prediction.0, "R1");
    assert_eq!(answer.completions, ["R1"; 3]);
    let usage = Usage {
        prompt_tokens: 3000,
        completion_tokens: 30,
        cost_usd: None,
    };
    assert_eq!(answer.usage, Some(usage));
    assert_eq!(answer.finish_reason.as_deref(), Some("stop"));

    let (mut adapter, _) = served(&server, "", "chartqapro", &protocol("openbench"));
    let answer = answers(adapter.as_mut(), &work).remove(0);
    assert_eq!(answer.prediction.0, "R3");
    assert_eq!(answer.completions, ["R1", "R2", "R3"]);
    // With the right answers, one request is enough.
    let before = server.seen().len();
    let (mut adapter, _) = served(&server, "", "chartqapro", &protocol("chartqapro-turns"));
    assert_eq!(
        answers(adapter.as_mut(), &work).remove(0).prediction.0,
        "R3"
    );
    let seen = server.seen();
    assert_eq!(seen.len(), before + 1);
    let messages = seen[before].body["messages"].as_array().unwrap();
    let said: Vec<&str> = messages[2..]
        .iter()
        .map(|message| message["content"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["1", "Question: B?", "2", "Question: C?"]);
}

#[test]
fn rules_cut_the_answer_out_of_the_reply() {
    let reply = "<think>Final Answer: 4</think>I see.\n**Final Answer:** 5 ";
    let server = Server::start(move |_, _| Act::Say(reply.to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let work = work(folder.path(), "Why?", None, "", Vec::new());
    let cut = |asking: Asking| {
        let more = "[answer]\nafter = \"see.\"\n";
        let (mut adapter, _) = served(&server, more, "chartqa", &asking);
        let answer = answers(adapter.as_mut(), &work).remove(0);
        (
            answer.prediction.0,
            answer.completions.len(),
            answer.marker_missing,
        )
    };
    let by = |extract: &[Extraction]| {
        cut(Asking {
            extract: extract.to_vec(),
            ..Asking::default()
        })
    };
    let after_think = &[Extraction::AfterThink, Extraction::LastLine];
    assert_eq!(
        by(after_think),
        ("**Final Answer:** 5".to_owned(), 1, false)
    );
    assert_eq!(by(&[Extraction::Boxed]), (String::new(), 1, true));
    assert_eq!(by(&[Extraction::Whole]), (reply.to_owned(), 0, false));
    assert_eq!(cut(protocol("mistral-evals")), ("5".to_owned(), 1, false));
    // A prompt alone leaves the adapter file's way to answers.
    assert_eq!(
        cut(prompt("plain")),
        ("**Final Answer:** 5".to_owned(), 1, false)
    );
}

#[test]
fn the_words_are_part_of_the_row_and_rows_without_flags_stay_as_they_were() {
    let server = replies();
    let keys = |asking: &Asking| {
        let more = "[prompt]\nsystem = \"Be brief.\"\nquestion = \"{question}!\"\n[answer]\nafter = \"So:\"\n";
        let (adapter, _) = served(&server, more, "chartqa", asking);
        adapter.identity().settings.clone()
    };
    let of_file = keys(&Asking::default());
    let names: Vec<&str> = of_file.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(
        names,
        [
            "family",
            "base_url",
            "model",
            "request_without",
            "request_extra",
            "prompt",
            "table_prompt",
            "system_prompt",
            "image",
            "image_detail",
            "temperature",
            "seed",
            "max_tokens",
            "answer"
        ]
    );
    let value = |settings: &[(String, String)], key: &str| {
        let found = settings.iter().find(|(own, _)| own == key);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    assert_eq!(value(&of_file, "prompt"), "{question}!");
    assert_eq!(value(&of_file, "answer"), "after \"So:\"");

    let settings = keys(&protocol("mistral-evals"));
    assert_eq!(value(&settings, "prompt_name"), "mistral-evals");
    let words = value(&settings, "prompt");
    assert!(
        words.contains("IMPORTANT: Remember, to end your answer"),
        "{words}"
    );
    assert_eq!(value(&settings, "system_prompt"), "none");
    assert_eq!(value(&settings, "answer"), "extracted: final-answer");
    assert_eq!(value(&settings, "temperature"), "0");
    assert_eq!(value(&settings, "seed"), "not sent");
    assert_eq!(value(&settings, "max_tokens"), "2048");
    let other = keys(&prompt("qwen"));
    assert_ne!(value(&other, "prompt"), words);
    assert_eq!(value(&other, "answer"), "after \"So:\"");
}

/// `chartbench run` with these arguments; its folder holds `served.toml`.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args(["run", "--no-blind", "--name", "r", "--adapters-dir", "."])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

#[test]
fn what_cannot_be_asked_so_is_refused_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    adapter_file(folder.path(), "http://127.0.0.1:9/v1", "");
    let own = "title = \"t\"\nsource = \"s\"\n[[ask]]\ntext = \"Why?\"\n";
    std::fs::create_dir(folder.path().join("prompts")).unwrap();
    std::fs::write(folder.path().join("prompts/own.toml"), own).unwrap();
    let takes_none = "takes no prompt but its own, which it was trained on or its program makes; endpoints (family = \
                      \"chat\") and readers of tables (TABLES+READER) take one";
    for (arguments, message) in [
        (
            "--adapters matcha-tiny --prompt lmms-eval",
            format!("--prompt lmms-eval: matcha-tiny {takes_none}"),
        ),
        (
            "--adapters served,unichart-tiny --protocol lmms-eval --benchmark chartqa",
            format!("--protocol lmms-eval: unichart-tiny {takes_none}"),
        ),
        (
            "--adapters majority --extract boxed,last-line",
            "--extract boxed, last-line: no adapter of --adapters takes a prompt; endpoints (family = \"chat\") do".to_owned(),
        ),
        (
            "--adapters served --protocol mistral-evals --benchmark mini",
            "--protocol: the protocol mistral-evals has no benchmark mini; it has chartqa, chartqa-lmms-lab, chartqa-m4".to_owned(),
        ),
        (
            "--adapters served --prompt openbench --benchmark mini",
            "--prompt: the prompt openbench has no words for the benchmark mini; it has some for chartqapro".to_owned(),
        ),
        (
            "--adapters served --prompt plian",
            "unknown prompt `plian`; nearest: plain".to_owned(),
        ),
        (
            "--adapters served --protocol lmmseval",
            "unknown protocol `lmmseval`; nearest: lmms-eval".to_owned(),
        ),
        (
            "--adapters oracle+served --prompt lmms-eval",
            "--prompt lmms-eval: oracle+served answers from tables, and the prompt lmms-eval has no words for them (key `table`)".to_owned(),
        ),
        (
            "--adapters served --prompt prompts/own.toml",
            "prompts/own.toml: [[ask]] 1: `text` must hold {question}".to_owned(),
        ),
        (
            "--adapters served --prompt prompts/none.toml",
            "cannot read the prompt prompts/none.toml: ".to_owned(),
        ),
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let output = run(folder.path(), &arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with(&format!("error: {message}")), "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    assert!(!folder.path().join("results").exists());
    let both = [
        "--adapters",
        "served",
        "--protocol",
        "lmms-eval",
        "--prompt",
        "plain",
    ];
    assert_eq!(run(folder.path(), &both).status.code(), Some(2));
}

#[test]
fn a_reader_of_tables_takes_a_prompt_with_a_table() {
    let server = Server::start(|_, _| Act::Say("I add.\n\nANSWER: 7\n".to_owned()));
    let folder = tempfile::tempdir().unwrap();
    adapter_file(folder.path(), &server.base_url(), "");
    let arguments = [
        "--adapters",
        "oracle+served",
        "--limit",
        "2",
        "--prompt",
        "plain",
        "--extract",
        "answer-line",
    ];
    let output = run(folder.path(), &arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let log = std::fs::read_to_string(
        folder
            .path()
            .join("results/r/oracle+served/predictions.jsonl"),
    )
    .unwrap();
    let rows: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 2);
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    for (row, seen) in rows.iter().zip(&seen) {
        assert_eq!(row["prediction"], "7");
        let (prompt, _) = seen.prompt();
        let question = row["question"].as_str().unwrap();
        assert!(
            prompt.starts_with("TITLE |") && prompt.ends_with(&format!("\n\n{question}")),
            "{prompt}"
        );
        // DePlot's stop texts would have cut the answer off.
        assert!(seen.body.get("stop").is_none(), "{}", seen.body);
    }
    let manifest = std::fs::read_to_string(folder.path().join("results/r/run.toml")).unwrap();
    assert!(manifest.contains("prompt_name = \"plain\""), "{manifest}");
}

#[test]
fn the_protocol_sets_the_convention_and_everything_is_listed() {
    let server = replies();
    let convention = |asking: &Asking, own: Option<&str>| {
        let (_folder, mut request) = request(&server, "", "served", "chartqa");
        request.convention = own.map(str::to_owned);
        asking.apply(&mut request).unwrap();
        request.convention
    };
    assert_eq!(
        convention(&protocol("lmms-eval"), None).as_deref(),
        Some("lmms-eval")
    );
    let own = convention(&protocol("lmms-eval"), Some("chartbench"));
    assert_eq!(own.as_deref(), Some("chartbench"));
    assert_eq!(convention(&prompt("lmms-eval"), None), None);
    for (kind, name) in [
        ("prompts", "mistral-evals"),
        ("protocols", "vlmevalkit-cot"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_chartbench"))
            .args(["list", kind, "--format", "json"])
            .output()
            .unwrap();
        assert!(
            String::from_utf8(output.stdout).unwrap().contains(name),
            "{kind}"
        );
    }
}
