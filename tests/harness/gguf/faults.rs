//! Files that are no models, each with its one line.

use std::fs;

use candle_core::Device;
use candle_core::quantized::gguf_file::Value;
use chartbench::adapter::gguf::Gguf;

use super::tiny::Tiny;

fn line(tiny: &Tiny) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    tiny.write(&path);
    error_line(&path)
}

fn error_line(path: &std::path::Path) -> String {
    let Err(error) = Gguf::open(path, "a test", &Device::Cpu) else {
        panic!("{} was opened", path.display())
    };
    let line = format!("{error:#}");
    assert!(
        line.contains("model.gguf: ") && !line.contains('\n'),
        "{line}"
    );
    line.split_once("model.gguf: ").unwrap().1.to_owned()
}

fn without(key: &str) -> Tiny {
    let mut tiny = Tiny::new("llama");
    tiny.remove(key);
    tiny
}

fn with(key: &str, value: Value) -> Tiny {
    let mut tiny = Tiny::new("llama");
    tiny.set(key, value);
    tiny
}

#[test]
fn every_fault_has_its_line() {
    let text = |text: &str| Value::String(text.to_owned());
    let cases = [
        (
            without("general.architecture"),
            "no `general.architecture` in it",
        ),
        (
            with("general.architecture", text("mamba")),
            "architecture `mamba` is none of llama, qwen3, gemma3, phi3",
        ),
        (
            without("llama.context_length"),
            "no `llama.context_length` in it",
        ),
        (without("llama.block_count"), "no `llama.block_count` in it"),
        (
            with("llama.block_count", Value::U32(1)),
            "`llama.block_count` is 1, but there are layers beyond that (tensor blk.1.",
        ),
        (
            with("llama.block_count", Value::U32(u32::MAX)),
            "`llama.block_count` is 4294967295: must be from 1 to 1024",
        ),
        (
            with(
                "llama.attention.layer_norm_rms_epsilon",
                Value::F32(f32::NAN),
            ),
            "epsilon` is NaN: must be above 0",
        ),
        (
            with("llama.attention.layer_norm_rms_epsilon", Value::F32(-1e-5)),
            "must be above 0 and below 1",
        ),
        (
            with("llama.attention.head_count", Value::U32(0)),
            "0 heads, 2 key-value heads",
        ),
        (
            with("llama.attention.head_count_kv", Value::U32(3)),
            "4 heads, 3 key-value heads",
        ),
        (
            with("llama.rope.scaling.type", text("yarn")),
            "its rotary frequencies are scaled",
        ),
        (
            with("llama.block_count", Value::U32(3)),
            "cannot find tensor info for blk.2",
        ),
        (
            without("tokenizer.ggml.model"),
            "no `tokenizer.ggml.model` in it",
        ),
        (
            with("tokenizer.ggml.model", text("bert")),
            "tokenizer `bert` is neither gpt2 nor llama",
        ),
        (
            with("tokenizer.ggml.pre", text("gpt-9")),
            "pre-tokeniser `gpt-9` is none of",
        ),
        (without("tokenizer.ggml.tokens"), "tokenizer.ggml.tokens"),
        (without("tokenizer.ggml.merges"), "tokenizer.ggml.merges"),
        (
            with("tokenizer.chat_template", text("{% for %}")),
            "its chat template does not parse",
        ),
        (
            with("tokenizer.chat_template", Value::U32(3)),
            "`tokenizer.chat_template` is no text",
        ),
    ];
    for (tiny, expected) in cases {
        let line = line(&tiny);
        assert!(line.contains(expected), "{line}\nexpected {expected}");
    }
}

#[test]
fn cut_and_foreign_files_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    Tiny::new("llama").write(&path);
    let bytes = fs::read(&path).unwrap();
    for length in [0, 3, 20, 400, 8000, bytes.len() / 2, bytes.len() - 40] {
        fs::write(&path, &bytes[..length]).unwrap();
        error_line(&path);
    }
    fs::write(
        &path,
        "not a model at all, but text that is long enough to be read as one",
    )
    .unwrap();
    assert!(error_line(&path).contains("no GGUF file"));
    fs::remove_file(&path).unwrap();
    assert!(error_line(&path).contains("cannot read it"));
}
