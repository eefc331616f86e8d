//! GGUF models in this process: what is reused changes nothing, templates and tokenizers are the
//! models' own, and every fault of a file has its line.

mod faults;
mod templates;
mod tiny;

use std::path::{Path, PathBuf};

use crate::asked::{Unanswered, complete};
use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Value;
use chartbench::adapter::gguf::Gguf;
use chartbench::adapter::language_model::{Completion, LanguageModel, Sampling};
use tempfile::TempDir;

use tiny::Tiny;

const ARCHITECTURES: [&str; 4] = ["llama", "qwen3", "gemma3", "phi3"];

struct Written {
    _dir: TempDir,
    path: PathBuf,
}

fn written(tiny: &Tiny) -> Written {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiny.gguf");
    tiny.write(&path);
    Written { _dir: dir, path }
}

fn open(path: &Path) -> Gguf {
    Gguf::open(path, "a test", &Device::Cpu).unwrap()
}

fn sampling(samples: usize, temperature: f64) -> Sampling {
    Sampling {
        samples,
        temperature,
        seed: 42,
        max_new_tokens: 12,
        stop: Vec::new(),
    }
}

fn done(model: &mut Gguf, prompts: &[String], sampling: &Sampling) -> Vec<Vec<Completion>> {
    complete(model, prompts, sampling)
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

/// Prompts that share a long beginning, then a shorter one, and one that shares nothing.
fn prompts() -> Vec<String> {
    let (shot, tables) = (
        "One shot, the same for all. ".repeat(3),
        ["table A ".repeat(4), "table B ".repeat(5)],
    );
    let questions = ["x?", "why is the largest larger than the smallest?", "x?"];
    let asked = tables
        .iter()
        .flat_map(|table| questions.map(|question| format!("{shot}{table}{question}")));
    asked.chain(["else".to_owned()]).collect()
}

#[test]
fn reuse_of_prefixes_changes_no_completion() {
    for architecture in ARCHITECTURES {
        let file = written(&Tiny::new(architecture));
        let sampling = sampling(2, 1.0);
        let alone: Vec<_> = prompts()
            .iter()
            .map(|p| done(&mut open(&file.path), std::slice::from_ref(p), &sampling))
            .collect();
        let alone = alone.concat();
        let together = done(&mut open(&file.path), &prompts(), &sampling);
        assert_eq!(together, alone, "{architecture}: one call");
        let mut model = open(&file.path);
        let one_by_one: Vec<_> = prompts()
            .iter()
            .map(|p| done(&mut model, std::slice::from_ref(p), &sampling))
            .collect();
        assert_eq!(one_by_one.concat(), alone, "{architecture}: many calls");
        let backwards: Vec<String> = prompts().into_iter().rev().collect();
        let mut backwards = done(&mut model, &backwards, &sampling);
        backwards.reverse();
        assert_eq!(backwards, alone, "{architecture}: backwards");
        // The test would pass on a model that always says the same.
        let texts: std::collections::BTreeSet<_> =
            alone.iter().flatten().map(|one| &one.token_ids).collect();
        assert!(texts.len() > 5, "{architecture}: {texts:?}");
    }
}

#[test]
fn what_is_shared_is_evaluated_once() {
    let file = written(&Tiny::new("llama"));
    let mut model = open(&file.path);
    let shared = "a long table that all of them share, ".repeat(10);
    let prompts: Vec<String> = (0..20).map(|at| format!("{shared} {at}?")).collect();
    let sampling = Sampling {
        max_new_tokens: 1,
        ..sampling(1, 0.0)
    };
    done(&mut model, &prompts, &sampling);
    let all: usize = prompts
        .iter()
        .map(|prompt| model.encode(prompt).unwrap().len())
        .sum();
    let shared = model.encode(&shared).unwrap().len();
    let evaluated = model.evaluated_tokens();
    // Blocks of 32: what is shared is cut down to whole ones, and up to 31 tokens of it are
    // evaluated anew each time.
    assert!(
        evaluated <= shared + 20 * 2 * 32 && evaluated * 4 < all,
        "{evaluated} of {all}"
    );
}

#[test]
fn greedy_samples_are_one_and_sampled_ones_differ() {
    let file = written(&Tiny::new("llama"));
    let prompt = ["hello".to_owned()];
    let greedy = done(&mut open(&file.path), &prompt, &sampling(3, 0.0)).remove(0);
    assert_eq!(greedy.len(), 3);
    assert_eq!((&greedy[0], &greedy[1]), (&greedy[1], &greedy[2]));
    let sampled = done(&mut open(&file.path), &prompt, &sampling(3, 1.0)).remove(0);
    assert!(sampled[0] != sampled[1] && sampled[1] != sampled[2]);
    let other = Sampling {
        seed: 43,
        ..sampling(3, 1.0)
    };
    assert_ne!(
        done(&mut open(&file.path), &prompt, &other).remove(0),
        sampled
    );
    let fewer = done(&mut open(&file.path), &prompt, &sampling(1, 1.0)).remove(0);
    assert_eq!(
        fewer[0], sampled[0],
        "a sample depends on its number, not on how many there are"
    );
}

#[test]
fn completions_end_at_stop_texts_and_end_tokens() {
    let mut tiny = Tiny::new("llama");
    let file = written(&tiny);
    let prompt = ["hello".to_owned()];
    let whole = done(&mut open(&file.path), &prompt, &sampling(1, 0.0))
        .remove(0)
        .remove(0);
    assert_eq!(whole.token_ids.len(), 12);
    let stop: String = whole.text.chars().skip(2).take(2).collect();
    let stopped = Sampling {
        stop: vec!["never".to_owned(), stop.clone()],
        ..sampling(1, 0.0)
    };
    let stopped = done(&mut open(&file.path), &prompt, &stopped)
        .remove(0)
        .remove(0);
    assert_eq!(stopped.text, whole.text[..whole.text.find(&stop).unwrap()]);
    assert!(whole.token_ids.starts_with(&stopped.token_ids) && stopped.token_ids.len() < 12);
    // The fourth token as the one that ends a text.
    let end = whole.token_ids[3];
    tiny.set("tokenizer.ggml.eot_token_id", Value::U32(end));
    let ended = done(&mut open(&written(&tiny).path), &prompt, &sampling(1, 0.0))
        .remove(0)
        .remove(0);
    let first = whole
        .token_ids
        .iter()
        .position(|token| *token == end)
        .unwrap();
    assert_eq!(ended.token_ids, whole.token_ids[..=first]);
    assert!(whole.text.starts_with(&ended.text));
    let reasons = [&whole, &stopped, &ended].map(|completion| completion.finish_reason.as_deref());
    assert_eq!(reasons, [Some("length"), None, None]);
}

#[test]
fn a_prompt_that_is_too_long_fails_alone() {
    let file = written(&Tiny::new("llama"));
    let prompts = ["short".to_owned(), "long ".repeat(200), "short".to_owned()];
    let mut completed = complete(&mut open(&file.path), &prompts, &sampling(1, 0.0)).into_iter();
    let first = completed.next().unwrap().unwrap();
    let Err(Unanswered::Failed(line)) = completed.next().unwrap() else {
        panic!("it is too long")
    };
    assert!(
        line.contains("tokens long, the model reads at most 512"),
        "{line}"
    );
    assert_eq!(completed.next().unwrap().unwrap(), first);
    // A completion ends where the context does.
    let long = ["x".repeat(470)];
    let many = Sampling {
        max_new_tokens: 100,
        ..sampling(1, 0.0)
    };
    let mut model = open(&file.path);
    let room = 512 - model.encode(&long[0]).unwrap().len();
    assert!(room < 40 && done(&mut model, &long, &many)[0][0].token_ids.len() <= room);
}

#[test]
fn formats_without_a_fast_kernel_are_computed_in_single_precision() {
    let mut tiny = Tiny::new("llama");
    let quantised = open(&written(&tiny).path).settings();
    tiny.requantise("blk.0.attn_q.weight", GgmlDType::Q4_1);
    let mut model = open(&written(&tiny).path);
    let arithmetic = |settings: &[(String, String)]| {
        settings
            .iter()
            .find(|(key, _)| key == "arithmetic")
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(arithmetic(&quantised), "quantised, activations in 8 bits");
    assert_eq!(arithmetic(&model.settings()), "f32");
    assert!(
        !done(&mut model, &["hello".to_owned()], &sampling(1, 0.0))[0][0]
            .token_ids
            .is_empty()
    );
}

#[test]
fn sentencepiece_vocabularies_tokenise_as_sentencepiece_does() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/gguf/sentencepiece.json");
    let fixture: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(fixture).unwrap()).unwrap();
    let model = open(&written(&Tiny::with_sentencepiece("llama", &fixture)).path);
    for case in fixture["texts"].as_array().unwrap() {
        let expected: Vec<u32> = serde_json::from_value(case[1].clone()).unwrap();
        let ids = model.encode(case[0].as_str().unwrap()).unwrap();
        assert_eq!(ids, [&[1], expected.as_slice()].concat(), "{}", case[0]);
    }
}

#[test]
fn digits_are_single_tokens_and_spaces_stay() {
    let model = open(&written(&Tiny::new("llama")).path);
    let ids = model.encode("a  1").unwrap();
    let text = "<|im_start|>user\na  1<|im_end|>\n<|im_start|>assistant\n";
    // Every control token is one token, every other byte another.
    assert_eq!(
        ids.len(),
        text.len() - 2 * ("<|im_start|>".len() - 1) - ("<|im_end|>".len() - 1)
    );
    assert_eq!(
        (ids[0], ids.iter().filter(|id| **id >= 256).count()),
        (256, 3)
    );
}
