//! The forms that checkpoints of other programs come in, each against the plain folder of the same
//! model: sharded pickles, names behind wrappers' prefixes, a tied weight under either name, nulls;
//! and Git LFS pointers in the place of files.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use chartbench_nn::tokenizer::Tokenizer;
use chartbench_nn::{Checkpoint, EncoderDecoder, donut, files_sha256, pix2struct, weights_sha256};
use serde_json::{Value, json};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

pub(crate) const PIX2STRUCT: &str = "pix2struct/safetensors";
pub(crate) const DONUT: &str = "donut/safetensors";

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .join("fixtures")
        .join(name)
}

/// A copy of a fixture's folder that a test may change.
pub(crate) fn copy(name: &str) -> Result<TempDir> {
    let dir = tempfile::tempdir()?;
    for file in fs::read_dir(fixture(name))? {
        let file = file?;
        fs::copy(file.path(), dir.path().join(file.file_name()))?;
    }
    Ok(dir)
}

/// The tensors of a fixture, as they are stored.
pub(crate) fn tensors(name: &str) -> Result<BTreeMap<String, Tensor>> {
    let path = fixture(name).join("model.safetensors");
    Ok(candle_core::safetensors::load(path, &Device::Cpu)?
        .into_iter()
        .collect())
}

/// Replaces the weights of a copy of a fixture.
pub(crate) fn with_weights(name: &str, weights: &BTreeMap<String, Tensor>) -> Result<TempDir> {
    let dir = copy(name)?;
    let weights: HashMap<_, _> = weights.clone().into_iter().collect();
    candle_core::safetensors::save(&weights, dir.path().join("model.safetensors"))?;
    Ok(dir)
}

pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

#[track_caller]
pub(crate) fn assert_holds(
    checkpoint: &Checkpoint,
    expected: &BTreeMap<String, Tensor>,
) -> Result<()> {
    for (name, tensor) in expected {
        let found = checkpoint.tensor(name, tensor.dims(), &Device::Cpu)?;
        assert_eq!(values(&found)?, values(tensor)?, "{name}");
    }
    Ok(())
}

/// The line of an error, with the folder's path left out.
#[track_caller]
pub(crate) fn line<T>(result: Result<T>, dir: &Path) -> String {
    let line = format!("{:#}", result.err().expect("must be an error"));
    assert!(!line.contains('\n'), "more than one line: {line}");
    line.replace(&format!("{}/", dir.display()), "")
        .replace(&dir.display().to_string(), "DIR")
}

fn text(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap().to_le_bytes();
    [b"X", length.as_slice(), text.as_bytes()].concat()
}

fn tuple(numbers: &[usize]) -> Vec<u8> {
    let mut bytes = b"(".to_vec();
    for &number in numbers {
        bytes.push(b'J');
        bytes.extend(i32::try_from(number).unwrap().to_le_bytes());
    }
    bytes.push(b't');
    bytes
}

/// Writes tensors in f32 as `torch.save` writes a state dict.
pub(crate) fn save_torch(weights: &[(&String, &Tensor)], path: &Path) -> Result<()> {
    let mut pickle = b"\x80\x02}".to_vec();
    let mut storages = Vec::new();
    for (index, (name, tensor)) in weights.iter().enumerate() {
        let (shape, numbers) = (tensor.dims(), values(tensor)?);
        let mut stride = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            stride[axis - 1] = stride[axis] * shape[axis];
        }
        let key = index.to_string();
        let count = i32::try_from(numbers.len())?.to_le_bytes();
        for part in [
            text(name),
            b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
            text("storage"),
            b"ctorch\nFloatStorage\n".to_vec(),
            text(&key),
            text("cpu"),
            [b"J", count.as_slice(), b"tQK\0"].concat(),
            tuple(shape),
            tuple(&stride),
            b"\x89ccollections\nOrderedDict\n)RtRs".to_vec(),
        ] {
            pickle.extend(part);
        }
        let bytes: Vec<u8> = numbers
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        storages.push((key, bytes));
    }
    pickle.push(b'.');
    let mut zip = ZipWriter::new(fs::File::create(path)?);
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("archive/data.pkl", stored)?;
    zip.write_all(&pickle)?;
    for (key, bytes) in storages {
        zip.start_file(format!("archive/data/{key}"), stored)?;
        zip.write_all(&bytes)?;
    }
    zip.finish()?;
    Ok(())
}

/// A fixture as shards of `pytorch_model.bin`.
fn sharded_pickles(name: &str) -> Result<TempDir> {
    let (dir, weights) = (copy(name)?, tensors(name)?);
    fs::remove_file(dir.path().join("model.safetensors"))?;
    let all: Vec<_> = weights.iter().collect();
    let mut map = serde_json::Map::new();
    let shards: Vec<_> = all.chunks(all.len().div_ceil(2)).collect();
    for (index, shard) in shards.iter().enumerate() {
        let file = format!("pytorch_model-{:05}-of-{:05}.bin", index + 1, shards.len());
        save_torch(shard, &dir.path().join(&file))?;
        map.extend(shard.iter().map(|(name, _)| ((*name).clone(), json!(file))));
    }
    assert_eq!(shards.len(), 2);
    let index = json!({"metadata": {"total_size": 1}, "weight_map": map});
    fs::write(
        dir.path().join("pytorch_model.bin.index.json"),
        index.to_string(),
    )?;
    Ok(dir)
}

#[test]
fn sharded_pickles_are_the_weights_of_the_plain_file() -> Result<()> {
    for name in [PIX2STRUCT, DONUT] {
        let dir = sharded_pickles(name)?;
        let checkpoint = Checkpoint::open(dir.path())?;
        assert_holds(&checkpoint, &tensors(name)?)?;
        assert_eq!(checkpoint.note(), None);
        let shards = ["00001-of-00002.bin", "00002-of-00002.bin"];
        let mut files = shards
            .map(|shard| dir.path().join(format!("pytorch_model-{shard}")))
            .to_vec();
        files.push(dir.path().join("config.json"));
        assert_eq!(weights_sha256(dir.path())?, files_sha256(files)?);
    }
    let dir = sharded_pickles(PIX2STRUCT)?;
    fs::remove_file(dir.path().join("pytorch_model-00002-of-00002.bin"))?;
    assert_eq!(
        line(Checkpoint::open(dir.path()), dir.path()),
        "pytorch_model.bin.index.json: the shard pytorch_model-00002-of-00002.bin is not in this folder"
    );
    Ok(())
}

#[test]
fn prefixes_of_wrappers_are_taken_off_with_a_note() -> Result<()> {
    for name in [PIX2STRUCT, DONUT] {
        let plain = tensors(name)?;
        for prefix in [
            "module.",
            "model.",
            "_orig_mod.",
            "base_model.model.",
            "module._orig_mod.",
        ] {
            let wrapped = plain
                .iter()
                .map(|(name, tensor)| (format!("{prefix}{name}"), tensor.clone()))
                .collect();
            let dir = with_weights(name, &wrapped)?;
            let checkpoint = Checkpoint::open(dir.path())?;
            assert_holds(&checkpoint, &plain)?;
            let note = format!(
                "the prefix `{prefix}` is taken off the names of {} tensors",
                plain.len()
            );
            assert_eq!(checkpoint.note(), Some(note.as_str()));
        }
        assert_eq!(Checkpoint::open(&fixture(name))?.note(), None);
    }
    let mut twice = tensors(PIX2STRUCT)?;
    let tensor = twice["encoder.layernorm.weight"].clone();
    twice.insert("module.encoder.layernorm.weight".to_owned(), tensor);
    let dir = with_weights(PIX2STRUCT, &twice)?;
    assert_eq!(
        line(Checkpoint::open(dir.path()), dir.path()),
        "DIR: tensor module.encoder.layernorm.weight is in the weights under another prefix too"
    );
    Ok(())
}

fn pix2struct_logits(dir: &Path) -> Result<Tensor> {
    let config = pix2struct::Config::read(dir)?;
    let model = pix2struct::Model::load(&config, &Checkpoint::open(dir)?, &Device::Cpu)?;
    let io = candle_core::safetensors::load(fixture("pix2struct/io.safetensors"), &Device::Cpu)?;
    let mut state = model.start(&model.encode(&io["patches.0"])?)?;
    model.step(&mut [(&mut state, &[0, 7, 11])])
}

fn donut_logits(dir: &Path) -> Result<Tensor> {
    let config = donut::Config::read(dir)?;
    let model = donut::Model::load(&config, &Checkpoint::open(dir)?, &Device::Cpu)?;
    let io = candle_core::safetensors::load(fixture("donut/io.safetensors"), &Device::Cpu)?;
    let image = model.image(&model.encode(&io["pixels.0"])?)?;
    model.logits(&mut [(&mut image.start(), &[5, 9, 30])])
}

/// As safetensors stores a tensor of two names: under one of them.
#[test]
fn a_tied_weight_is_found_under_either_name() -> Result<()> {
    const HEAD: &str = "decoder.lm_head.weight";
    type Logits = fn(&Path) -> Result<Tensor>;
    let families: [(&str, &str, Logits); 2] = [
        (PIX2STRUCT, "decoder.embed_tokens.weight", pix2struct_logits),
        (
            DONUT,
            "decoder.model.decoder.embed_tokens.weight",
            donut_logits,
        ),
    ];
    for (name, table, logits) in families {
        let mut weights = tensors(name)?;
        weights.remove(HEAD);
        let tie = |dir: &Path| -> Result<()> {
            let path = dir.join("config.json");
            let config = fs::read_to_string(&path)?;
            let tied = config.replace(
                "\"tie_word_embeddings\": false",
                "\"tie_word_embeddings\": true",
            );
            Ok(fs::write(path, tied)?)
        };
        let under_table = with_weights(name, &weights)?;
        tie(under_table.path())?;
        let tensor = weights.remove(table).unwrap();
        weights.insert(HEAD.to_owned(), tensor);
        let under_head = with_weights(name, &weights)?;
        tie(under_head.path())?;
        let expected = values(&logits(under_table.path())?)?;
        assert_eq!(values(&logits(under_head.path())?)?, expected, "{name}");
        weights.remove(HEAD);
        let neither = with_weights(name, &weights)?;
        tie(neither.path())?;
        let line = line(logits(neither.path()), neither.path());
        assert!(line.contains(&format!("has no tensor {table}")), "{line}");
    }
    // Weights that are not tied are both needed.
    let mut weights = tensors(PIX2STRUCT)?;
    weights.remove("decoder.embed_tokens.weight");
    let dir = with_weights(PIX2STRUCT, &weights)?;
    let line = line(pix2struct_logits(dir.path()), dir.path());
    assert!(
        line.contains("has no tensor decoder.embed_tokens.weight"),
        "{line}"
    );
    Ok(())
}

#[test]
fn nulls_of_a_configuration_are_absent_keys() -> Result<()> {
    let edited = |name: &str, edits: &[(&str, &str)]| -> Result<TempDir> {
        let dir = copy(name)?;
        let path = dir.path().join("config.json");
        let mut json: Value = serde_json::from_slice(&fs::read(&path)?)?;
        for (key, value) in edits {
            *json.pointer_mut(key).expect("a key of the fixture") = serde_json::from_str(value)?;
        }
        fs::write(&path, json.to_string())?;
        Ok(dir)
    };
    let nulls = [
        ("/text_config/layer_norm_epsilon", "null"),
        ("/text_config/dense_act_fn", "null"),
        ("/text_config/eos_token_id", "null"),
        ("/vision_config/dropout_rate", "null"),
        ("/tie_word_embeddings", "null"),
        ("/initializer_range", "null"),
    ];
    let dir = edited(PIX2STRUCT, &nulls)?;
    let (with, without) = (
        pix2struct::Config::read(dir.path())?,
        pix2struct::Config::read(&fixture(PIX2STRUCT))?,
    );
    assert_eq!(format!("{with:?}"), format!("{without:?}"));

    // A null that is no default: an answer that reaches the greatest length ends as it is.
    let dir = edited(DONUT, &[("/decoder/forced_eos_token_id", "null")])?;
    fs::remove_file(dir.path().join("generation_config.json"))?;
    let config = donut::Config::read(dir.path())?;
    assert_eq!(config.generation.forced_eos, Vec::<u32>::new());

    let fault = |name: &str, key: &str, value: &str| -> Result<String> {
        let dir = edited(name, &[(key, value)])?;
        Ok(match name {
            DONUT => line(donut::Config::read(dir.path()), dir.path()),
            _ => line(pix2struct::Config::read(dir.path()), dir.path()),
        })
    };
    for (name, key, value, expected) in [
        (
            PIX2STRUCT,
            "/text_config/num_layers",
            "\"two\"",
            "config.json: text_config.num_layers: invalid type: string \"two\"",
        ),
        (
            PIX2STRUCT,
            "/vision_config/layer_norm_eps",
            "[1e-6]",
            "config.json: vision_config.layer_norm_eps: invalid type: sequence",
        ),
        (
            DONUT,
            "/encoder/depths",
            "[2, true]",
            "config.json: encoder.depths[1]: invalid type: boolean `true`",
        ),
        (
            DONUT,
            "/decoder/d_model",
            "-1",
            "config.json: decoder.d_model: invalid value: integer `-1`",
        ),
    ] {
        let line = fault(name, key, value)?;
        assert!(line.starts_with(expected), "{line}");
    }
    Ok(())
}

/// What a clone without Git LFS has in the place of a large file.
pub(crate) const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
    oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 1130000\n";

pub(crate) fn pointer_line(name: &str) -> String {
    format!(
        "{name}: it is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder"
    )
}

#[test]
fn git_lfs_pointers_are_called_that() -> Result<()> {
    for name in [
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "model.gguf",
    ] {
        let dir = copy(PIX2STRUCT)?;
        fs::remove_file(dir.path().join("model.safetensors"))?;
        fs::write(dir.path().join(name), POINTER)?;
        assert_eq!(
            line(Checkpoint::open(dir.path()), dir.path()),
            pointer_line(name)
        );
    }
    let dir = copy(PIX2STRUCT)?;
    for name in ["config.json", "tokenizer.json"] {
        fs::write(dir.path().join(name), POINTER)?;
    }
    assert_eq!(
        line(pix2struct::Config::read(dir.path()), dir.path()),
        pointer_line("config.json")
    );
    assert_eq!(
        line(Tokenizer::open(dir.path()), dir.path()),
        pointer_line("tokenizer.json")
    );
    Ok(())
}
