//! GGUF files of a few random weights, made here so that no test needs a download.

use std::fs::File;
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(super) const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + \
                          '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

const WIDTH: usize = 64;
const HEADS: usize = 4;
const INNER: usize = 96;
const LAYERS: usize = 2;

/// What a file is made of; tests leave out or replace what they want.
pub(super) struct Tiny {
    pub metadata: Vec<(String, Value)>,
    tensors: Vec<(String, QTensor)>,
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn texts(texts: impl IntoIterator<Item = String>) -> Value {
    Value::Array(texts.into_iter().map(Value::String).collect())
}

/// GPT-2's letters for bytes, and the control tokens of ChatML.
fn byte_level_vocabulary() -> Vec<String> {
    let plain = |byte: &u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut other = 256..;
    let bytes = (0..256).map(|byte| {
        if plain(&byte) {
            byte
        } else {
            other.next().unwrap()
        }
    });
    let letters = bytes.map(|letter| char::from_u32(letter).unwrap().to_string());
    letters
        .chain(["<|im_start|>", "<|im_end|>"].map(str::to_owned))
        .collect()
}

impl Tiny {
    /// A model of `architecture` (llama, qwen3, gemma3, phi3) that speaks bytes in ChatML.
    pub(super) fn new(architecture: &str) -> Self {
        let tokens = byte_level_vocabulary();
        let types = (0..tokens.len())
            .map(|id| Value::I32(if id < 256 { 1 } else { 3 }))
            .collect();
        let mut tiny = Self {
            metadata: Vec::new(),
            tensors: Vec::new(),
        };
        tiny.describe(architecture);
        tiny.set("tokenizer.ggml.model", text("gpt2"));
        tiny.set("tokenizer.ggml.pre", text("smollm"));
        tiny.set("tokenizer.ggml.token_type", Value::Array(types));
        tiny.set("tokenizer.ggml.merges", texts([]));
        tiny.set("tokenizer.ggml.eos_token_id", Value::U32(257));
        tiny.set("tokenizer.chat_template", text(CHATML));
        tiny.fill(architecture, tokens.len());
        tiny.set("tokenizer.ggml.tokens", texts(tokens));
        tiny
    }

    /// The vocabulary of `fixtures/gguf/sentencepiece.json` in the place of the bytes, and no chat
    /// template.
    pub(super) fn with_sentencepiece(architecture: &str, fixture: &serde_json::Value) -> Self {
        let list = |key: &str| fixture[key].as_array().unwrap().clone();
        let mut tiny = Self {
            metadata: Vec::new(),
            tensors: Vec::new(),
        };
        tiny.describe(architecture);
        tiny.set("tokenizer.ggml.model", text("llama"));
        let scores = list("scores")
            .iter()
            .map(|score| Value::F32(score.as_f64().unwrap() as f32))
            .collect();
        let types = list("types")
            .iter()
            .map(|kind| Value::I32(kind.as_i64().unwrap() as i32))
            .collect();
        let tokens: Vec<String> = list("tokens")
            .iter()
            .map(|token| token.as_str().unwrap().to_owned())
            .collect();
        tiny.set("tokenizer.ggml.scores", Value::Array(scores));
        tiny.set("tokenizer.ggml.token_type", Value::Array(types));
        tiny.set("tokenizer.ggml.bos_token_id", Value::U32(1));
        tiny.set("tokenizer.ggml.eos_token_id", Value::U32(2));
        tiny.fill(architecture, tokens.len());
        tiny.set("tokenizer.ggml.tokens", texts(tokens));
        tiny
    }

    /// Sets or replaces a value of the metadata.
    pub(super) fn set(&mut self, key: &str, value: Value) {
        self.metadata.retain(|(other, _)| other != key);
        self.metadata.push((key.to_owned(), value));
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.metadata.retain(|(other, _)| other != key);
    }

    pub(super) fn write(&self, path: &Path) {
        let metadata: Vec<(&str, &Value)> = self
            .metadata
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .collect();
        let tensors: Vec<(&str, &QTensor)> = self
            .tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
            .collect();
        gguf_file::write(&mut File::create(path).unwrap(), &metadata, &tensors).unwrap();
    }

    fn describe(&mut self, architecture: &str) {
        self.set("general.architecture", text(architecture));
        let numbers = [
            ("attention.head_count", HEADS),
            ("attention.head_count_kv", HEADS / 2),
            ("attention.key_length", WIDTH / HEADS),
            ("attention.value_length", WIDTH / HEADS),
            ("block_count", LAYERS),
            ("embedding_length", WIDTH),
            ("feed_forward_length", INNER),
            ("rope.dimension_count", WIDTH / HEADS),
            ("context_length", 512),
        ];
        for (key, value) in numbers {
            self.set(
                &format!("{architecture}.{key}"),
                Value::U32(u32::try_from(value).unwrap()),
            );
        }
        self.set(
            &format!("{architecture}.rope.freq_base"),
            Value::F32(10_000.0),
        );
        self.set(
            &format!("{architecture}.attention.layer_norm_rms_epsilon"),
            Value::F32(1e-5),
        );
        if architecture == "gemma3" {
            self.set("gemma3.attention.sliding_window", Value::U32(300));
        }
    }

    /// Random weights, two quantised formats among them.
    fn fill(&mut self, architecture: &str, vocabulary: usize) {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let mut add = |name: &str, shape: &[usize], dtype: GgmlDType| {
            let count = shape.iter().product();
            let around = if shape.len() == 1 { 1.0 } else { 0.0 };
            let values: Vec<f32> = (0..count)
                .map(|_| around + random.random_range(-0.3..0.3))
                .collect();
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            self.tensors
                .push((name.to_owned(), QTensor::quantize(&tensor, dtype).unwrap()));
        };
        let (single, eight) = (GgmlDType::F32, GgmlDType::Q8_0);
        add("token_embd.weight", &[vocabulary, WIDTH], eight);
        add("output.weight", &[vocabulary, WIDTH], eight);
        add("output_norm.weight", &[WIDTH], single);
        for layer in 0..LAYERS {
            let mut add = |name: &str, shape: &[usize], dtype| {
                add(&format!("blk.{layer}.{name}.weight"), shape, dtype)
            };
            let narrow = WIDTH / 2;
            if architecture == "phi3" {
                add("attn_qkv", &[WIDTH + 2 * narrow, WIDTH], eight);
                add("ffn_up", &[2 * INNER, WIDTH], eight);
            } else {
                add("attn_q", &[WIDTH, WIDTH], eight);
                add("attn_k", &[narrow, WIDTH], eight);
                add("attn_v", &[narrow, WIDTH], eight);
                add("ffn_up", &[INNER, WIDTH], eight);
                add("ffn_gate", &[INNER, WIDTH], eight);
            }
            add("attn_output", &[WIDTH, WIDTH], eight);
            add("ffn_down", &[WIDTH, INNER], eight);
            add("attn_norm", &[WIDTH], single);
            add("ffn_norm", &[WIDTH], single);
            if ["qwen3", "gemma3"].contains(&architecture) {
                add("attn_q_norm", &[WIDTH / HEADS], single);
                add("attn_k_norm", &[WIDTH / HEADS], single);
            }
            if architecture == "gemma3" {
                add("post_attention_norm", &[WIDTH], single);
                add("post_ffw_norm", &[WIDTH], single);
            }
        }
    }

    /// Turns a tensor into one of a format without a fast kernel.
    pub(super) fn requantise(&mut self, name: &str, dtype: GgmlDType) {
        let (_, tensor) = self
            .tensors
            .iter_mut()
            .find(|(other, _)| other == name)
            .unwrap();
        *tensor = QTensor::quantize(&tensor.dequantize(&Device::Cpu).unwrap(), dtype).unwrap();
    }
}
