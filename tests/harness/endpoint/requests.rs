//! What is sent, and what is made of a good reply.

use crate::asked::{Unanswered, answers, complete};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chartbench::adapter::chat::Chat;
use chartbench::adapter::language_model::{LanguageModel, Sampling};
use chartbench::adapter::{Adapter, Overrides, Usage};
use chartbench::config::{AdapterSpec, ChatSpec, Family};
use chartbench::run::store::fingerprint;
use chartbench_core::question::{AnswerType, ChartQuestions};
use image::ImageFormat;
use serde_json::json;

use super::server::{Act, Server};
use super::{chart, describe_answers, picture, question, served, spec};

fn chat_spec(base_url: &str, more: &str) -> ChatSpec {
    match spec(base_url, more).family {
        Family::Chat(chat) => *chat,
        other => panic!("{other:?}"),
    }
}

fn chat(base_url: &str, more: &str) -> Chat {
    Chat::new("served", &chat_spec(base_url, more), &Overrides::default()).unwrap()
}

/// The value that plays the key: that of a variable which is always set.
fn key_in_path() -> String {
    std::env::var("PATH").unwrap().trim().to_owned()
}

fn say(text: &'static str) -> Server {
    Server::start(move |_, _| Act::Say(text.to_owned()))
}

#[test]
fn a_png_or_jpeg_goes_out_as_it_is_and_another_picture_as_png() {
    let server = say("5");
    let folder = tempfile::tempdir().unwrap();
    let pixels = image::RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8 * 20, y as u8 * 30, 7]));
    let formats = [
        (ImageFormat::Png, "image/png"),
        (ImageFormat::Jpeg, "image/jpeg"),
        (ImageFormat::WebP, "image/png"),
        (ImageFormat::Gif, "image/png"),
        (ImageFormat::Bmp, "image/png"),
        (ImageFormat::Tiff, "image/png"),
    ];
    for (index, (format, mime)) in formats.into_iter().enumerate() {
        // The extension says nothing.
        let path = folder.path().join("chart.dat");
        image::DynamicImage::from(pixels.clone())
            .save_with_format(&path, format)
            .unwrap();
        let work = [ChartQuestions {
            chart: picture(path.clone()),
            questions: vec![question("q", "Why?", None)],
        }];
        assert_eq!(
            describe_answers(served(&server.base_url(), "").as_mut(), &work),
            ["=5"]
        );
        let (_, url) = server.seen()[index].prompt();
        let encoded = url
            .strip_prefix(&format!("data:{mime};base64,"))
            .unwrap_or_else(|| panic!("{format:?}: {url:.40}"));
        let sent = STANDARD.decode(encoded).unwrap();
        let file = std::fs::read(&path).unwrap();
        if matches!(format, ImageFormat::Png | ImageFormat::Jpeg) {
            assert_eq!(sent, file);
        } else {
            assert_eq!(
                image::load_from_memory_with_format(&sent, ImageFormat::Png)
                    .unwrap()
                    .into_rgb8(),
                image::load_from_memory(&file).unwrap().into_rgb8()
            );
        }
    }
}

#[test]
fn a_picture_is_scaled_where_the_file_says_so() {
    let server = say("5");
    let (folder, work) = chart(1);
    let path = folder.path().join("chart.png");
    let size_sent = |more: &str| {
        let asked = describe_answers(served(&server.base_url(), more).as_mut(), &work);
        assert_eq!(asked, ["=5"]);
        let (_, url) = server.seen().last().unwrap().prompt();
        let encoded = url.strip_prefix("data:image/png;base64,").unwrap();
        let sent = STANDARD.decode(encoded).unwrap();
        let pixels = image::load_from_memory(&sent).unwrap();
        (sent, pixels.width(), pixels.height())
    };
    let original = (std::fs::read(&path).unwrap(), 8, 6);
    assert_eq!(size_sent(""), original);
    assert_eq!(size_sent("max_image_side = 8\n"), original);
    let (_, width, height) = size_sent("max_image_side = 4\n");
    assert_eq!((width, height), (4, 3));
}

#[test]
fn a_broken_picture_fails_its_questions_alone() {
    let server = say("5");
    let (folder, mut work) = chart(1);
    let broken = folder.path().join("broken.png");
    std::fs::write(&broken, "not a picture").unwrap();
    work.insert(
        0,
        ChartQuestions {
            chart: picture(broken),
            questions: vec![question("b", "Why?", None)],
        },
    );
    work.insert(
        0,
        ChartQuestions {
            chart: picture("nowhere.png".into()),
            questions: vec![question("n", "Why?", None)],
        },
    );
    let descriptions = describe_answers(served(&server.base_url(), "").as_mut(), &work);
    assert!(
        descriptions[0].starts_with("question: cannot read the chart image nowhere.png"),
        "{descriptions:?}"
    );
    assert!(
        descriptions[1].starts_with("question: image ")
            && descriptions[1].contains("broken.png: not a PNG"),
        "{descriptions:?}"
    );
    assert_eq!((descriptions[2].as_str(), server.seen().len()), ("=5", 1));
}

#[test]
fn the_request_is_what_the_file_says() {
    let server = say("5");
    let (_folder, mut work) = chart(1);
    work[0]
        .questions
        .push(question("t", "", Some(AnswerType::Table)));
    let more = "key_env = \"PATH\"\nmax_tokens_key = \"max_completion_tokens\"\nextra = { top_p = 0.5 }\n\
                [prompt]\nsystem = \"Be brief.\"\nquestion = \"Q: {question} A:\"\ntable = \"The table?\"\n\
                [image]\ndetail = \"high\"\n[generation]\ntemperature = 0\nseed = 7\nmax_tokens = 9\n";
    assert_eq!(
        describe_answers(served(&server.base_url(), more).as_mut(), &work),
        ["=5", "=5"]
    );
    let seen = server.seen();
    assert_eq!(seen[0].path, "/v1/chat/completions");
    assert_eq!(
        seen[0].authorization,
        Some(format!("Bearer {}", key_in_path()))
    );
    let (_, url) = seen[0].prompt();
    let content = json!([{"type": "image_url", "image_url": {"url": url, "detail": "high"}},
        {"type": "text", "text": "Q: Why 0? A:"}]);
    let messages =
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}]);
    let expected = json!({"top_p": 0.5, "model": "m-1", "messages": messages, "temperature": 0.0, "seed": 7,
        "max_completion_tokens": 9});
    assert_eq!(seen[0].body, expected);
    assert_eq!(seen[1].prompt().0, "The table?");

    let more = "key_env = \"NO_SUCH_KEY\"\nkey_optional = true\nwithout = [\"temperature\", \"max_tokens\"]\n\
                [generation]\ntemperature = 0\n";
    let answers = describe_answers(served(&server.base_url(), more).as_mut(), &work);
    assert_eq!(
        answers,
        [
            "=5",
            "question: served writes no tables: its file has no `prompt.table`"
        ]
    );
    let body = &server.seen()[2].body;
    assert_eq!(server.seen()[2].authorization, None);
    assert!(
        body.get("temperature").is_none()
            && body.get("max_tokens").is_none()
            && body.get("seed").is_none(),
        "{body}"
    );
}

#[test]
fn a_reply_is_cut_priced_and_kept() {
    let server = say("I think. Answer: 5 ");
    let (_folder, work) = chart(1);
    let more = "[price]\nprompt = 2\ncompletion = 10\n[answer]\nafter = \"Answer:\"\n";
    let answer = answers(served(&server.base_url(), more).as_mut(), &work).remove(0);
    assert_eq!(answer.prediction.0, "5");
    assert_eq!(answer.completions, ["I think. Answer: 5 "]);
    let usage = Usage {
        prompt_tokens: 1000,
        completion_tokens: 10,
        cost_usd: Some(0.0021),
    };
    assert_eq!(answer.usage, Some(usage));
    assert_eq!(
        (answer.finish_reason.as_deref(), answer.marker_missing),
        (Some("stop"), false)
    );
    let answer = answers(served(&server.base_url(), "").as_mut(), &work).remove(0);
    assert_eq!(
        (answer.prediction.0.as_str(), answer.completions.len()),
        ("I think. Answer: 5 ", 0)
    );
    assert_eq!(
        answer.usage,
        Some(Usage {
            cost_usd: None,
            ..usage
        })
    );
}

/// The prices of the file are those of its model at its address.
#[test]
fn the_cost_is_unknown_where_a_count_is() {
    let body = r#"{"choices": [{"message": {"content": "5"}}], "usage": {"prompt_tokens": 7, "completion_tokens": null}}"#;
    let server = Server::start(|_, _| Act::Body(body.to_owned()));
    let (_folder, work) = chart(1);
    let more = "[price]\nprompt = 2\ncompletion = 10\n";
    let answer = answers(served(&server.base_url(), more).as_mut(), &work).remove(0);
    assert_eq!(
        answer.usage,
        Some(Usage {
            prompt_tokens: 7,
            completion_tokens: 0,
            cost_usd: None
        })
    );
    let known = Usage {
        prompt_tokens: 1,
        completion_tokens: 1,
        cost_usd: Some(0.5),
    };
    assert_eq!(known.plus(known).cost_usd, Some(1.0));
    assert_eq!(
        known
            .plus(Usage {
                cost_usd: None,
                ..known
            })
            .cost_usd,
        None
    );
}

#[test]
fn what_changes_answers_is_in_the_identity_and_limits_are_not() {
    let settings = |more: &str| {
        Adapter::identity(&chat("http://host:1/v1", more))
            .settings
            .clone()
    };
    let base = settings("");
    assert!(
        base.contains(&("base_url".to_owned(), "http://host:1/v1".to_owned())),
        "{base:?}"
    );
    for limits in [
        "[limits]\nconcurrency = 9\n",
        "[limits]\nrequests_per_minute = 2\n",
        "[limits]\nstart_timeout = 2\n",
        "[price]\nprompt = 1\ncompletion = 2\n",
        "key_env = \"K\"\nkey_optional = true\nstream = true\n",
    ] {
        assert_eq!(settings(limits), base);
    }
    let overrides = Overrides {
        max_new_tokens: Some(3),
        ..Overrides::default()
    };
    let shorter = Chat::new("served", &chat_spec("http://host:1/v1", ""), &overrides).unwrap();
    assert!(
        Adapter::identity(&shorter)
            .settings
            .contains(&("max_tokens".to_owned(), "3".to_owned()))
    );
    for more in [
        "extra = { top_p = 1.0 }\n",
        "without = [\"seed\"]\n",
        "max_image_side = 100\n",
        "max_image_bytes = 100000\n",
        "[prompt]\nquestion = \"{question}!\"\n",
        "[prompt]\ntable = \"T\"\n",
        "[prompt]\nsystem = \"S\"\n",
        "[image]\ndetail = \"low\"\n",
        "[generation]\ntemperature = 0.5\n",
        "[generation]\nseed = 1\n",
        "[generation]\nmax_tokens = 1\n",
        "[answer]\nafter = \"A\"\n",
    ] {
        let more = if more.starts_with('[') {
            more.to_owned()
        } else {
            format!("key_env = \"K\"\nkey_optional = true\n{more}")
        };
        assert_ne!(settings(&more), base, "{more}");
    }
}

/// Runs that were begun before there were streams, limits of pictures and servers go on.
#[test]
fn a_file_without_the_newer_keys_has_the_fingerprint_that_it_had() {
    let adapter = AdapterSpec::find("vllm-qwen2.5-vl-7b", None).unwrap();
    let Family::Chat(spec) = adapter.family else {
        panic!("another family");
    };
    let chat = Chat::new(&adapter.id, &spec, &Overrides::default()).unwrap();
    assert_eq!(
        fingerprint(Adapter::identity(&chat)),
        "25f949d38134b1b73755f8b9908a6295ebd16554fcc55299dd0373bbe69e319d"
    );
}

#[test]
fn neither_debug_output_nor_an_answer_shows_the_key() {
    let server = Server::start(move |_, seen| {
        Act::Say(format!(
            "your header is {}",
            seen.authorization.clone().unwrap()
        ))
    });
    let more = "key_env = \"PATH\"\n";
    let mut model = chat(&server.base_url(), more);
    let debug = format!("{model:?} {:?}", model.settings());
    assert!(
        debug.contains("m-1") && !debug.contains(&key_in_path()),
        "{debug}"
    );
    let (_folder, work) = chart(1);
    let line = format!(
        "question: {}: the answer repeats the key in PATH: it is not kept",
        server.base_url()
    );
    assert_eq!(describe_answers(&mut model, &work), [line]);
}

const SAMPLING: Sampling = Sampling {
    samples: 3,
    temperature: 0.4,
    seed: 42,
    max_new_tokens: 50,
    stop: Vec::new(),
};

fn choices(texts: &[&str]) -> Act {
    let choices: Vec<_> = texts
        .iter()
        .map(|text| json!({"message": {"content": text}, "finish_reason": "stop"}))
        .collect();
    Act::Body(
        json!({"choices": choices, "usage": {"prompt_tokens": 5, "completion_tokens": 7}})
            .to_string(),
    )
}

#[test]
fn a_prompt_is_completed_as_often_as_asked() {
    let server = Server::start(|_, seen| match seen.prompt().0.as_str() {
        "many" => choices(&["a Q: x", "b", "c"]),
        _ => choices(&["a"]),
    });
    let mut model = chat(&server.base_url(), "[price]\nprompt = 1\ncompletion = 1\n");
    let sampling = Sampling {
        stop: vec!["Q:".to_owned()],
        ..SAMPLING
    };
    let completions = complete(
        &mut model,
        &["many".to_owned(), "one".to_owned()],
        &sampling,
    );
    let texts = |at: usize| {
        let completions = completions[at].as_ref().unwrap();
        completions
            .iter()
            .map(|completion| completion.text.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (texts(0), texts(1)),
        (vec!["a ", "b", "c"], vec!["a", "a", "a"])
    );
    let tokens = |at: usize| {
        completions[at]
            .as_ref()
            .unwrap()
            .iter()
            .filter_map(|completion| completion.usage)
    };
    assert_eq!(
        tokens(0)
            .map(|usage| usage.prompt_tokens)
            .collect::<Vec<_>>(),
        [5]
    );
    assert_eq!(
        tokens(1)
            .map(|usage| usage.prompt_tokens)
            .collect::<Vec<_>>(),
        [5, 5, 5]
    );
    let seen = server.seen();
    let sent = |at: usize, key: &str| seen[at].body[key].clone();
    assert_eq!(
        (sent(0, "n"), sent(0, "seed"), sent(0, "temperature")),
        (json!(3), json!(42), json!(0.4))
    );
    assert_eq!(
        (sent(0, "stop"), sent(0, "max_tokens")),
        (json!(["Q:"]), json!(50))
    );
    // A server that gives one choice at a time is asked for the others with other seeds.
    let asked: Vec<_> = (1..4).map(|at| (sent(at, "n"), sent(at, "seed"))).collect();
    assert_eq!(
        asked,
        [
            (json!(3), json!(42)),
            (json!(2), json!(43)),
            (json!(null), json!(44))
        ]
    );
}

/// One completion of several may be empty, and then has no vote; a prompt without any completion
/// failed.
#[test]
fn completions_without_a_text_are_no_answer() {
    let server = Server::start(|_, seen| match seen.prompt().0.as_str() {
        "some" => choices(&["", "b", " "]),
        "stop" => choices(&["END a", "\n", ""]),
        _ => choices(&["", " ", ""]),
    });
    let mut model = chat(&server.base_url(), "");
    let sampling = Sampling {
        stop: vec!["END".to_owned()],
        ..SAMPLING
    };
    let prompts = ["some", "stop", "none"].map(str::to_owned);
    let mut completions = complete(&mut model, &prompts, &sampling).into_iter();
    let texts: Vec<_> = completions
        .next()
        .unwrap()
        .unwrap()
        .into_iter()
        .map(|completion| completion.text)
        .collect();
    assert_eq!(texts, ["", "b", ""]);
    for completions in completions {
        assert!(
            matches!(completions, Err(Unanswered::Failed(error)) if error.contains("has no text"))
        );
    }
    let greedy = Sampling {
        samples: 1,
        ..SAMPLING
    };
    let completions = complete(&mut model, &["none".to_owned()], &greedy).remove(0);
    assert!(matches!(completions, Err(Unanswered::Failed(error)) if error.contains("has no text")));
}

#[test]
fn a_reader_fails_prompt_by_prompt_or_altogether() {
    let server = Server::start(|_, seen| match seen.prompt().0.as_str() {
        "bad" => Act::Status(400, "X-A: b", "too long".to_owned()),
        "gone" => Act::Status(404, "X-A: b", String::new()),
        _ => choices(&["a", "b", "c"]),
    });
    let mut model = chat(&server.base_url(), "");
    let prompts = ["bad", "good", "gone", "good"].map(str::to_owned);
    let completions = complete(&mut model, &prompts, &SAMPLING);
    assert!(
        matches!(&completions[0], Err(Unanswered::Failed(error)) if error.contains("too long"))
    );
    assert_eq!(completions[1].as_ref().unwrap().len(), 3);
    assert!(
        matches!(&completions[2], Err(Unanswered::Stopped(_)))
            && matches!(&completions[3], Err(Unanswered::Stopped(_)))
    );
}
