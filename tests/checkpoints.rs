//! What a checkpoint's folder can have wrong, and the one line said about it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use candle_core::Device;
use chartbench::nn::pix2struct::{Config, Model};
use chartbench::nn::tokenizer::Tokenizer;
use chartbench::nn::{Checkpoint, weights_sha256};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pix2struct").join(name)
}

/// A copy of a fixture's folder that a test may damage.
fn copy(name: &str) -> Result<TempDir> {
    let dir = tempfile::tempdir()?;
    for file in fs::read_dir(fixture(name))? {
        let file = file?;
        fs::copy(file.path(), dir.path().join(file.file_name()))?;
    }
    Ok(dir)
}

/// Loads the folder, which must fail, and returns the line with the folder's path left out.
fn failure(dir: &Path) -> String {
    let load = || -> Result<Model> { Model::load(&Config::read(dir)?, &Checkpoint::open(dir)?, &Device::Cpu) };
    let line = format!("{:#}", load().expect_err("must not load"));
    assert!(!line.contains('\n'), "more than one line: {line}");
    line.replace(&format!("{}/", dir.display()), "").replace(&dir.display().to_string(), "DIR")
}

fn truncate(path: &Path, bytes: u64) -> Result<()> {
    Ok(fs::OpenOptions::new().write(true).open(path)?.set_len(bytes)?)
}

#[test]
fn truncated_safetensors() -> Result<()> {
    let dir = copy("safetensors")?;
    let path = dir.path().join("model.safetensors");
    let whole = fs::metadata(&path)?.len();
    truncate(&path, whole - 1)?;
    let line = failure(dir.path());
    assert!(line.starts_with("model.safetensors: truncated: tensor "), "{line}");
    assert!(line.ends_with(&format!("ends at byte {whole}, the file has {} bytes", whole - 1)), "{line}");
    truncate(&path, 100)?;
    let line = failure(dir.path());
    assert!(line.starts_with("model.safetensors: truncated, or not a safetensors file: the header"), "{line}");
    truncate(&path, 3)?;
    let line = failure(dir.path());
    assert!(line.starts_with("model.safetensors: truncated: 3 bytes, no header"), "{line}");
    fs::write(&path, b"\x08\0\0\0\0\0\0\0not json")?;
    let line = failure(dir.path());
    assert!(line.starts_with("model.safetensors: the safetensors header is not valid"), "{line}");
    Ok(())
}

#[test]
fn a_shard_is_missing() -> Result<()> {
    let dir = copy("shards")?;
    fs::remove_file(dir.path().join("model-00002-of-00003.safetensors"))?;
    assert_eq!(
        failure(dir.path()),
        "model.safetensors.index.json: the shard model-00002-of-00003.safetensors is not in this folder"
    );
    Ok(())
}

#[test]
fn no_weights() -> Result<()> {
    let dir = copy("safetensors")?;
    fs::remove_file(dir.path().join("model.safetensors"))?;
    assert_eq!(
        failure(dir.path()),
        "DIR: no weights here (looked for model.safetensors, model.safetensors.index.json, pytorch_model.bin, \
         model.gguf)"
    );
    Ok(())
}

#[test]
fn tensors_that_do_not_fit_the_configuration() -> Result<()> {
    let dir = copy("safetensors")?;
    let path = dir.path().join("config.json");
    let json = fs::read_to_string(&path)?;
    fs::write(&path, json.replace("\"d_ff\": 56", "\"d_ff\": 57"))?;
    assert_eq!(
        failure(dir.path()),
        "model.safetensors: tensor encoder.encoder.layer.0.mlp.wi_0.weight has shape [56, 32], config.json asks for \
         [57, 32]"
    );
    fs::write(&path, json.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"))?;
    assert_eq!(
        failure(dir.path()),
        "DIR: the checkpoint has no tensor encoder.encoder.layer.2.pre_attention_layer_norm.weight (it holds 55)"
    );
    Ok(())
}

#[test]
fn another_architecture() -> Result<()> {
    let dir = copy("safetensors")?;
    let path = dir.path().join("config.json");
    fs::write(&path, r#"{"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}"#)?;
    assert_eq!(
        failure(dir.path()),
        "config.json: is the configuration of another architecture: t5 (T5ForConditionalGeneration); a pix2struct \
         checkpoint is needed here"
    );
    fs::write(&path, "{}")?;
    assert_eq!(failure(dir.path()), "config.json: has no model_type; a pix2struct checkpoint is needed here");
    fs::write(&path, r#"{"model_type": "pix2struct", "text_config": {"hidden_size": "#)?;
    assert!(failure(dir.path()).starts_with("config.json: EOF while parsing"));
    Ok(())
}

/// A `pytorch_model.bin` with this pickle.
fn with_pickle(pickle: &[u8]) -> Result<TempDir> {
    let dir = copy("pytorch")?;
    let mut zip = ZipWriter::new(fs::File::create(dir.path().join("pytorch_model.bin"))?);
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("archive/data.pkl", stored)?;
    zip.write_all(pickle)?;
    zip.finish()?;
    Ok(dir)
}

/// `os.system("true")` as the whole pickle, as a value in it, and called with the result thrown away.
#[test]
fn pickles_that_want_to_run_code() -> Result<()> {
    const CALL: &[u8] = b"cposix\nsystem\nX\x04\0\0\0true\x85R";
    let in_a_dict = [b"\x80\x02}X\x01\0\0\0w".as_slice(), CALL, b"s."].concat();
    let under_a_dict = [b"\x80\x02".as_slice(), CALL, b"}."].concat();
    let thrown_away = [b"\x80\x02".as_slice(), CALL, b"0}."].concat();
    for pickle in [[b"\x80\x02", CALL, b"."].concat(), in_a_dict, under_a_dict, thrown_away] {
        let dir = with_pickle(&pickle)?;
        assert_eq!(
            failure(dir.path()),
            "pytorch_model.bin: archive/data.pkl: the pickle wants to run code: it names posix.system, which is not part \
             of a tensor; refused"
        );
    }
    Ok(())
}

#[test]
fn a_bin_that_is_no_zip() -> Result<()> {
    let dir = copy("pytorch")?;
    let path = dir.path().join("pytorch_model.bin");
    truncate(&path, 1000)?;
    assert!(failure(dir.path()).starts_with("pytorch_model.bin: not a zip, or truncated ("));
    fs::write(&path, b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.")?;
    assert!(failure(dir.path()).starts_with("pytorch_model.bin: not a zip, or truncated ("));
    Ok(())
}

#[test]
fn the_hash_is_that_of_sha256sum() -> Result<()> {
    let hash = weights_sha256(&fixture("shards"))?;
    let again = copy("shards")?;
    assert_eq!(weights_sha256(again.path())?, hash);
    fs::write(again.path().join("config.json"), "{}")?;
    assert_ne!(weights_sha256(again.path())?, hash);
    // cd fixtures/pix2struct/safetensors; sha256sum config.json model.safetensors | sha256sum
    assert_eq!(weights_sha256(&fixture("safetensors"))?, include_str!("../fixtures/pix2struct/sha256.txt").trim());
    Ok(())
}

#[test]
fn decoding_equals_transformers() -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Decoded {
        ids: Vec<u32>,
        text: String,
    }
    let goldens: Vec<Decoded> = serde_json::from_slice(&fs::read(fixture("tokenizer/decoded.json"))?)?;
    let tokenizer = Tokenizer::open(&fixture("tokenizer"))?;
    for golden in goldens {
        assert_eq!(tokenizer.decode(&golden.ids)?, golden.text, "{:?}", golden.ids);
    }
    Ok(())
}

/// Special ids beyond the embedding are harmless, ordinary pieces are not.
#[test]
fn a_tokenizer_with_more_ids_than_the_embedding() -> Result<()> {
    let tokenizer = Tokenizer::open(&fixture("tokenizer"))?;
    let config = Path::new("config.json");
    tokenizer.check_embedding(48, config)?;
    let line = format!("{:#}", tokenizer.check_embedding(40, config).unwrap_err());
    let line = line.replace(&format!("{}/", fixture("tokenizer").display()), "");
    assert_eq!(
        line,
        "tokenizer.json: the tokenizer has 51 ids, but the embedding has 40 rows (config.json); the first piece without a \
         row is \"▁n\", id 40: these files are of different models"
    );
    Ok(())
}

#[test]
fn a_folder_without_tokenizer_json() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().display().to_string();
    let message = || format!("{:#}", Tokenizer::open(dir.path()).unwrap_err()).replace(&path, "DIR");
    assert_eq!(message(), "DIR: no tokenizer.json here");
    fs::write(dir.path().join("spiece.model"), "")?;
    assert!(message().starts_with("DIR: there is spiece.model but no tokenizer.json; convert it with transformers: "));
    Ok(())
}
