//! Damaged or wrong checkpoint folders, and the one-line error of each.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use chartbench_nn::pix2struct::{Config, Model};
use chartbench_nn::tokenizer::Tokenizer;
use chartbench_nn::{Checkpoint, EncoderDecoder, weights_sha256};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .join("fixtures/pix2struct")
        .join(name)
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
    let load = || -> Result<Model> {
        Model::load(&Config::read(dir)?, &Checkpoint::open(dir)?, &Device::Cpu)
    };
    let line = format!("{:#}", load().expect_err("must not load"));
    assert!(!line.contains('\n'), "more than one line: {line}");
    line.replace(&format!("{}/", dir.display()), "")
        .replace(&dir.display().to_string(), "DIR")
}

fn truncate(path: &Path, bytes: u64) -> Result<()> {
    Ok(fs::OpenOptions::new()
        .write(true)
        .open(path)?
        .set_len(bytes)?)
}

#[test]
fn truncated_safetensors() -> Result<()> {
    let dir = copy("safetensors")?;
    let path = dir.path().join("model.safetensors");
    let whole = fs::metadata(&path)?.len();
    truncate(&path, whole - 1)?;
    let line = failure(dir.path());
    assert!(
        line.starts_with("model.safetensors: truncated: tensor "),
        "{line}"
    );
    assert!(
        line.ends_with(&format!(
            "ends at byte {whole}, the file has {} bytes",
            whole - 1
        )),
        "{line}"
    );
    truncate(&path, 100)?;
    let line = failure(dir.path());
    assert!(
        line.starts_with("model.safetensors: truncated, or not a safetensors file: the header"),
        "{line}"
    );
    truncate(&path, 3)?;
    let line = failure(dir.path());
    assert!(
        line.starts_with("model.safetensors: truncated: 3 bytes, no header"),
        "{line}"
    );
    fs::write(&path, b"\x08\0\0\0\0\0\0\0not json")?;
    let line = failure(dir.path());
    assert!(
        line.starts_with("model.safetensors: the safetensors header is not valid"),
        "{line}"
    );
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
         pytorch_model.bin.index.json, model.gguf)"
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
    fs::write(
        &path,
        json.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"),
    )?;
    assert_eq!(
        failure(dir.path()),
        "DIR: the checkpoint has no tensor encoder.encoder.layer.2.pre_attention_layer_norm.weight (it holds 55)"
    );
    Ok(())
}

/// Weights of one tensor replaced by what `change` makes of them.
fn with_changed_weight(
    name: &str,
    change: impl FnOnce(&Tensor) -> candle_core::Result<Tensor>,
) -> Result<TempDir> {
    let dir = copy("safetensors")?;
    let path = dir.path().join("model.safetensors");
    let mut weights = candle_core::safetensors::load(&path, &Device::Cpu)?;
    let weight = weights.get_mut(name).expect("a weight of this name");
    *weight = change(&weight.to_dtype(DType::F32)?)?;
    candle_core::safetensors::save(&weights, &path)?;
    Ok(dir)
}

/// Whatever the tensor is stored as; and of those that the model needs only.
#[test]
fn weights_that_are_no_finite_numbers() -> Result<()> {
    const NAME: &str = "decoder.layer.1.mlp.DenseReluDense.wo.weight";
    for (value, dtypes) in [
        (
            f32::NAN,
            &[DType::F32, DType::F16, DType::BF16, DType::F64][..],
        ),
        (f32::INFINITY, &[DType::F32]),
        (f32::NEG_INFINITY, &[DType::F16]),
    ] {
        for &dtype in dtypes {
            let dir = with_changed_weight(NAME, |weight| {
                let (shape, mut values) = (
                    weight.dims().to_vec(),
                    weight.flatten_all()?.to_vec1::<f32>()?,
                );
                values[37] = value;
                Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)
            })?;
            assert_eq!(
                failure(dir.path()),
                format!(
                    "model.safetensors: tensor {NAME}: value 37 is {value}: no answer can come of it; the file is damaged, \
                     or its training ran away"
                )
            );
        }
    }
    Ok(())
}

/// Invalid values in config.json and their errors.
#[test]
fn configurations_that_cannot_be_meant() -> Result<()> {
    let text = fs::read_to_string(fixture("safetensors").join("config.json"))?;
    let faults = [
        (
            "\"layer_norm_epsilon\": 1e-06",
            "-1e-6",
            "text_config.layer_norm_epsilon is -0.000001: must be above 0",
        ),
        (
            "\"layer_norm_epsilon\": 1e-06",
            "0",
            "text_config.layer_norm_epsilon is 0: must be above 0",
        ),
        (
            "\"layer_norm_eps\": 1e-06",
            "1",
            "vision_config.layer_norm_eps is 1: must be above 0 and below 1",
        ),
        (
            "\"num_layers\": 2",
            "0",
            "text_config.num_layers is 0: must be from 1 to 1024",
        ),
        (
            "\"num_layers\": 2",
            "18446744073709551615",
            "text_config.num_layers is 18446744073709551615",
        ),
        (
            "\"vocab_size\": 48",
            "0",
            "text_config.vocab_size is 0: must be from 1 to 16777216",
        ),
        (
            "\"seq_len\": 24",
            "1000000000000",
            "vision_config.seq_len is 1000000000000: must be from 1 to",
        ),
        (
            "\"initializer_range\": 0.02",
            "-1",
            "initializer_range is -1: must be from 0 to 1000",
        ),
        (
            "\"pad_token_id\": 0",
            "48",
            "text_config.pad_token_id is 48: the vocabulary has 48 tokens, from 0 on",
        ),
    ];
    for (from, value, expected) in faults {
        let dir = copy("safetensors")?;
        let key = from.split(':').next().unwrap_or_default();
        assert!(text.contains(from), "{from}");
        fs::write(
            dir.path().join("config.json"),
            text.replace(from, &format!("{key}: {value}")),
        )?;
        let line = failure(dir.path());
        assert!(
            line.starts_with(&format!("config.json: {expected}")),
            "{line}"
        );
    }
    Ok(())
}

/// Answers of fewer layers would be those of another model.
#[test]
fn a_configuration_of_fewer_layers_than_the_weights() -> Result<()> {
    for (key, prefix) in [
        (
            "text_config.num_layers",
            "decoder.layer.1.encoder_decoder_attention.attention.key.weight",
        ),
        (
            "vision_config.num_hidden_layers",
            "encoder.encoder.layer.1.attention.key.weight",
        ),
    ] {
        let dir = copy("safetensors")?;
        let path = dir.path().join("config.json");
        let (_, name) = key.split_once('.').unwrap_or_default();
        let json = fs::read_to_string(&path)?;
        fs::write(
            &path,
            json.replace(&format!("\"{name}\": 2"), &format!("\"{name}\": 1")),
        )?;
        assert_eq!(
            failure(dir.path()),
            format!(
                "config.json: {key} is 1, but the weights have layers beyond that (tensor {prefix}): is it the \
                 configuration of another checkpoint?"
            )
        );
    }
    Ok(())
}

#[test]
fn another_architecture() -> Result<()> {
    let dir = copy("safetensors")?;
    let path = dir.path().join("config.json");
    fs::write(
        &path,
        r#"{"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}"#,
    )?;
    assert_eq!(
        failure(dir.path()),
        "config.json: is the configuration of another architecture: t5 (T5ForConditionalGeneration); a pix2struct \
         checkpoint is needed here"
    );
    fs::write(&path, "{}")?;
    assert_eq!(
        failure(dir.path()),
        "config.json: has no model_type; a pix2struct checkpoint is needed here"
    );
    fs::write(
        &path,
        r#"{"model_type": "pix2struct", "text_config": {"hidden_size": "#,
    )?;
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

/// `os.system("true")` as the whole pickle, as a value in it, and called with the result thrown
/// away.
#[test]
fn pickles_that_want_to_run_code() -> Result<()> {
    const CALL: &[u8] = b"cposix\nsystem\nX\x04\0\0\0true\x85R";
    let in_a_dict = [b"\x80\x02}X\x01\0\0\0w".as_slice(), CALL, b"s."].concat();
    let under_a_dict = [b"\x80\x02".as_slice(), CALL, b"}."].concat();
    let thrown_away = [b"\x80\x02".as_slice(), CALL, b"0}."].concat();
    for pickle in [
        [b"\x80\x02", CALL, b"."].concat(),
        in_a_dict,
        under_a_dict,
        thrown_away,
    ] {
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
    assert_eq!(
        weights_sha256(&fixture("safetensors"))?,
        include_str!("../../../../fixtures/pix2struct/sha256.txt").trim()
    );
    Ok(())
}

#[test]
fn decoding_equals_transformers() -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Decoded {
        ids: Vec<u32>,
        text: String,
    }
    let goldens: Vec<Decoded> =
        serde_json::from_slice(&fs::read(fixture("tokenizer/decoded.json"))?)?;
    let tokenizer = Tokenizer::open(&fixture("tokenizer"))?;
    for golden in goldens {
        assert_eq!(
            tokenizer.decode(&golden.ids)?,
            golden.text,
            "{:?}",
            golden.ids
        );
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
    let message =
        || format!("{:#}", Tokenizer::open(dir.path()).unwrap_err()).replace(&path, "DIR");
    assert_eq!(message(), "DIR: no tokenizer.json here");
    fs::write(dir.path().join("spiece.model"), "")?;
    assert!(message().starts_with(
        "DIR: there is spiece.model but no tokenizer.json; convert it with transformers: "
    ));
    Ok(())
}
