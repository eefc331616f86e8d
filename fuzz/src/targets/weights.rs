//! Checkpoints: an error or a directory of tensors, whatever the bytes claim of depths, sizes and
//! counts.

use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use chartbench::adapter::gguf::Gguf;
use chartbench_nn::pix2struct::{Config, Model};
use chartbench_nn::{Checkpoint, CheckpointSource, EncoderDecoder};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::check_error;
use crate::fixtures;

const PICKLE: &str = "fixtures/pix2struct/pytorch/pytorch_model.bin";
const SAFETENSORS: &str = "fixtures/pix2struct/safetensors/model.safetensors";
/// Bytes of tensors behind a header, at most.
const MOST_DATA: u64 = 1 << 20;

/// A folder with the tiny model's configuration.
fn folder() -> &'static Path {
    fixtures::scratch(|folder| {
        fixtures::write(
            &folder.join("config.json"),
            &fixtures::read("fixtures/pix2struct/safetensors/config.json"),
        );
    })
}

/// Opens the checkpoint of [`folder`] and reads the tiny model's tensors from it.
fn open() {
    let checkpoint = match Checkpoint::open(folder()) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return check_error(&error),
    };
    let config = Config::read(folder()).expect("the fixture's configuration");
    let source = CheckpointSource {
        checkpoint: &checkpoint,
        device: &Device::Cpu,
    };
    if let Err(error) = Model::from_source(&config, &source) {
        check_error(&error);
    }
}

/// A whole `pytorch_model.bin` where the input begins as a zip, else the pickle in one.
pub fn pickle(input: &[u8]) {
    let bytes = if input.starts_with(b"PK") {
        input.to_vec()
    } else {
        zipped(input)
    };
    fixtures::write(&folder().join("pytorch_model.bin"), &bytes);
    open();
}

fn zipped(pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let files: [(&str, &[u8]); 3] = [
        ("archive/data.pkl", pickle),
        ("archive/data/0", &[0; 256]),
        ("archive/version", b"3\n"),
    ];
    for (name, bytes) in files {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub fn pickle_seeds() -> Vec<Vec<u8>> {
    let mut zip = ZipArchive::new(File::open(fixtures::path(PICKLE)).unwrap()).unwrap();
    let name = zip
        .file_names()
        .flatten()
        .find(|name| name.ends_with("data.pkl"))
        .unwrap()
        .into_owned();
    let mut whole = Vec::new();
    zip.by_name(&name).unwrap().read_to_end(&mut whole).unwrap();
    // {'w': torch._utils._rebuild_tensor_v2(('storage', torch.FloatStorage, '0', 'cpu', 4), 0, (2,
    // 2), (2, 1), False, {})}
    let mut small =
        b"\x80\x02}q\x00X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage".to_vec();
    small.extend(b"ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQK\x00K\x02K\x02\x86K\x02K\x01\x86\x89}tRs.");
    // A long integer, a memoised tuple doubled, nested lists.
    let others: [&[u8]; 3] = [
        b"\x80\x02}X\x01\x00\x00\x00a\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01s.",
        b"\x80\x02(K\x01tq\x00h\x00h\x00\x86q\x01h\x01h\x01\x86.",
        b"\x80\x02]]]]aaa.",
    ];
    let zip = zipped(&small);
    [whole, small, zip]
        .into_iter()
        .chain(others.map(<[u8]>::to_vec))
        .collect()
}

/// A header, with as much data behind it as it claims; a whole file where the input does not begin
/// as JSON.
pub fn safetensors(input: &[u8]) {
    let path = folder().join("model.safetensors");
    if input.starts_with(b"{") {
        let bytes = [&(input.len() as u64).to_le_bytes(), input].concat();
        fixtures::write(&path, &bytes);
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(bytes.len() as u64 + claimed(input)).unwrap();
    } else {
        fixtures::write(&path, input);
    }
    open();
}

/// The largest end of a tensor in a header.
fn claimed(header: &[u8]) -> u64 {
    let Ok(serde_json::Value::Object(tensors)) = serde_json::from_slice(header) else {
        return 0;
    };
    let ends = tensors
        .values()
        .filter_map(|tensor| tensor["data_offsets"][1].as_u64());
    ends.filter(|end| *end <= MOST_DATA)
        .max()
        .unwrap_or_default()
}

pub fn safetensors_seeds() -> Vec<Vec<u8>> {
    let file = fixtures::read(SAFETENSORS);
    let length = usize::try_from(u64::from_le_bytes(file[..8].try_into().unwrap())).unwrap();
    let mut seeds = fixtures::texts(&[
        r#"{"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}"#,
        r#"{"__metadata__": {"format": "pt"}, "a": {"dtype": "BF16", "shape": [], "data_offsets": [0, 2]}, "b": {"dtype": "I64", "shape": [0], "data_offsets": [2, 2]}}"#,
    ]);
    seeds.push(file[8..8 + length].to_vec());
    seeds.push([&4u64.to_le_bytes()[..], b"{}  "].concat());
    seeds
}

/// As a quantized checkpoint, and as a language model.
pub fn gguf(input: &[u8]) {
    let path = folder().join("model.gguf");
    fixtures::write(&path, input);
    open();
    match Gguf::open(&path, "a fuzzed file", &Device::Cpu) {
        Ok(model) => drop(model.encode("x")),
        Err(error) => check_error(&error),
    }
}

pub fn gguf_seeds() -> Vec<Vec<u8>> {
    let text = |text: &str| Value::String(text.to_owned());
    let quantized = [
        ("general.architecture", text("pix2struct")),
        ("chartbench.quantization", text("q8")),
        ("chartbench.kept", Value::Array(vec![text("encoder")])),
    ];
    vec![
        written(&quantized, &[("decoder.embed_tokens.weight", &[2, 32])]),
        language_model(),
    ]
}

fn written(metadata: &[(&str, Value)], tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let tensors: Vec<(&str, QTensor)> = tensors
        .iter()
        .map(|(name, shape)| {
            let zeros = Tensor::zeros(*shape, candle_core::DType::F32, &Device::Cpu).unwrap();
            (*name, QTensor::quantize(&zeros, GgmlDType::F32).unwrap())
        })
        .collect();
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors
        .iter()
        .map(|(name, tensor)| (*name, tensor))
        .collect();
    let mut file = Cursor::new(Vec::new());
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
    file.into_inner()
}

/// A llama of one layer that is 8 wide.
fn language_model() -> Vec<u8> {
    let text = |text: &str| Value::String(text.to_owned());
    let array = |texts: &[&str]| Value::Array(texts.iter().map(|item| text(item)).collect());
    let metadata = [
        ("general.architecture", text("llama")),
        ("general.alignment", Value::U32(32)),
        ("llama.attention.head_count", Value::U32(2)),
        ("llama.attention.head_count_kv", Value::U32(1)),
        ("llama.block_count", Value::U32(1)),
        ("llama.embedding_length", Value::U32(8)),
        ("llama.feed_forward_length", Value::U32(8)),
        ("llama.rope.dimension_count", Value::U32(4)),
        ("llama.context_length", Value::U32(64)),
        ("llama.rope.freq_base", Value::F32(10_000.0)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text("smollm")),
        (
            "tokenizer.ggml.tokens",
            array(&["a", "x", "<|im_start|>", "<|im_end|>"]),
        ),
        (
            "tokenizer.ggml.token_type",
            Value::Array([1, 1, 3, 3].map(Value::I32).to_vec()),
        ),
        ("tokenizer.ggml.merges", array(&["a x"])),
        ("tokenizer.ggml.eos_token_id", Value::U32(3)),
        (
            "tokenizer.chat_template",
            text("{% for m in messages %}{{ m['content'] }}{% endfor %}"),
        ),
    ];
    let tensors: [(&str, &[usize]); 12] = [
        ("token_embd.weight", &[4, 8]),
        ("output.weight", &[4, 8]),
        ("output_norm.weight", &[8]),
        ("blk.0.attn_q.weight", &[8, 8]),
        ("blk.0.attn_k.weight", &[4, 8]),
        ("blk.0.attn_v.weight", &[4, 8]),
        ("blk.0.attn_output.weight", &[8, 8]),
        ("blk.0.ffn_up.weight", &[8, 8]),
        ("blk.0.ffn_gate.weight", &[8, 8]),
        ("blk.0.ffn_down.weight", &[8, 8]),
        ("blk.0.attn_norm.weight", &[8]),
        ("blk.0.ffn_norm.weight", &[8]),
    ];
    written(&metadata, &tensors)
}
