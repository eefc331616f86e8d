//! Answers under settings of a `generation_config.json` against those of transformers
//! (`fixtures/generation/make.py`).

use std::path::{Path, PathBuf};

use anyhow::Result;
use candle_core::{Device, Tensor};
use chartbench_nn::generation::{LengthLimit, StoredGeneration};
use chartbench_nn::{Checkpoint, EncoderDecoder, ModelConfig, donut, pix2struct};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Prompts of the Donut questions, about each of two images.
const PROMPTS: [&[u32]; 4] = [&[7], &[5, 9, 30], &[41, 6, 13, 22, 8], &[50, 51]];

#[derive(Deserialize)]
struct Expected {
    pix2struct: Vec<Case>,
    donut: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    generation_config: Map<String, Value>,
    tokens: Vec<Vec<u32>>,
}

fn fixtures() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("fixtures")
}

fn expected() -> Result<Expected> {
    let path = fixtures().join("generation/expected.json");
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// The tensors of `fixtures/FAMILY/io.safetensors` whose names begin with `prefix`, in order.
fn inputs(family: &str, prefix: &str) -> Result<Vec<Tensor>> {
    let path = fixtures().join(family).join("io.safetensors");
    let io = candle_core::safetensors::load(path, &Device::Cpu)?;
    let numbered = (0..).map_while(|index| io.get(&format!("{prefix}.{index}")).cloned());
    Ok(numbered.collect())
}

/// The tokens of all questions, in one batch, under the settings of a case.
fn answers<M: EncoderDecoder>(
    model: &M,
    questions: &[(&M::Image, &[u32])],
    case: &Case,
    vocabulary: usize,
    limit: LengthLimit,
) -> Result<Vec<Vec<u32>>> {
    let dir = tempfile::tempdir()?;
    let file = Value::Object(case.generation_config.clone());
    std::fs::write(dir.path().join("generation_config.json"), file.to_string())?;
    let stored = StoredGeneration::read(dir.path(), vocabulary)?;
    assert!(stored.unsupported.is_empty(), "{:?}", stored.unsupported);
    let eos = match &case.generation_config["eos_token_id"] {
        Value::Array(ids) => serde_json::from_value(Value::Array(ids.clone()))?,
        id => vec![serde_json::from_value(id.clone())?],
    };
    let beams = stored.settings.beam_search();
    let config = stored.settings.config(eos, limit);
    let answers = model.generate(questions, beams.as_ref(), &config)?;
    Ok(answers.into_iter().collect::<Result<_, _>>()?)
}

#[test]
fn pix2struct_follows_generation_configs() -> Result<()> {
    let dir = fixtures().join("pix2struct/safetensors");
    let config = pix2struct::Config::read(&dir)?;
    let model = pix2struct::Model::load(&config, &Checkpoint::open(&dir)?, &Device::Cpu)?;
    let images: Vec<Tensor> = inputs("pix2struct", "patches")?
        .iter()
        .map(|patches| model.encode(patches))
        .collect::<Result<_>>()?;
    let questions: Vec<(&Tensor, &[u32])> = images.iter().map(|image| (image, &[0][..])).collect();
    let limit = LengthLimit {
        default_new_tokens: Some(20),
        positions: config.max_positions(),
    };
    let cases = expected()?.pix2struct;
    assert!(cases.len() > 20);
    for case in cases {
        let ours = answers(
            &model,
            &questions,
            &case,
            config.text_config.vocab_size,
            limit,
        )?;
        assert_eq!(ours, case.tokens, "{:?}", case.generation_config);
    }
    Ok(())
}

#[test]
fn donut_follows_generation_configs() -> Result<()> {
    let dir = fixtures().join("donut/safetensors");
    let config = donut::Config::read(&dir)?;
    let model = donut::Model::load(&config, &Checkpoint::open(&dir)?, &Device::Cpu)?;
    let images: Vec<donut::Image> = inputs("donut", "pixels")?
        .iter()
        .map(|pixels| model.encode_image(pixels))
        .collect::<Result<_>>()?;
    let questions: Vec<(&donut::Image, &[u32])> = images
        .iter()
        .flat_map(|image| PROMPTS.iter().map(move |prompt| (image, &prompt[..])))
        .collect();
    let limit = LengthLimit {
        default_new_tokens: None,
        positions: config.max_positions(),
    };
    let cases = expected()?.donut;
    assert!(cases.len() > 15);
    for case in cases {
        let ours = answers(&model, &questions, &case, config.decoder.vocab_size, limit)?;
        assert_eq!(ours, case.tokens, "{:?}", case.generation_config);
    }
    Ok(())
}
