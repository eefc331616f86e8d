//! The Donut model against what transformers computed with the same weights
//! (`fixtures/donut/make.py`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::assert_close::{Tolerance, assert_close};
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use chartbench_nn::donut::{Config, Image, Model};
use chartbench_nn::generation::{BeamSearch, EarlyStopping, GenerationConfig};
use chartbench_nn::{Checkpoint, EncoderDecoder};

const IMAGES: usize = 2;
const PROMPTS: [&[u32]; 4] = [&[7], &[5, 9, 30], &[41, 6, 13, 22, 8], &[50, 51]];
const POSITIONS: usize = 32;
const TOLERANCE: Tolerance = Tolerance::OfLargest {
    factor: 1e-4,
    floor: 1.0,
};

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .join("fixtures/donut")
        .join(name)
}

fn load(kind: &str) -> Result<Model> {
    let dir = fixture(kind);
    Model::load(&Config::read(&dir)?, &Checkpoint::open(&dir)?, &Device::Cpu)
}

fn goldens() -> Result<HashMap<String, Tensor>> {
    Ok(candle_core::safetensors::load(
        fixture("io.safetensors"),
        &Device::Cpu,
    )?)
}

fn images(model: &Model) -> Result<Vec<Image>> {
    let io = goldens()?;
    (0..IMAGES)
        .map(|image| model.image(&model.encode(&io[&format!("pixels.{image}")])?))
        .collect()
}

/// Also of an image whose grids are odd and padded to whole windows, and token by token through the
/// cache.
#[test]
fn states_and_logits() -> Result<()> {
    let (model, io) = (load("safetensors")?, goldens()?);
    for image in 0..IMAGES {
        let golden = |name: &str| &io[&format!("{name}.{image}")];
        let encoded = model.encode(golden("pixels"))?;
        assert_close(&encoded, golden("encoded"), TOLERANCE);
        let image = model.image(&encoded)?;
        let ids: Vec<u32> = golden("ids").to_dtype(DType::U32)?.to_vec1()?;
        assert_close(
            &model.logits(&mut [(&mut image.start(), &ids)])?,
            golden("logits"),
            TOLERANCE,
        );
        let mut state = image.start();
        let steps: Vec<Tensor> = ids
            .chunks(1)
            .map(|token| model.logits(&mut [(&mut state, token)]))
            .collect::<Result<_>>()?;
        assert_close(&Tensor::cat(&steps, 0)?, golden("logits"), TOLERANCE);
    }
    Ok(())
}

fn search(beams: usize, early_stopping: EarlyStopping, length_penalty: f64) -> Option<BeamSearch> {
    Some(BeamSearch {
        beams,
        early_stopping,
        length_penalty,
    })
}

/// Token ids of greedy decoding and of every kind of beam search, all questions about all images in
/// one batch.
#[test]
fn answers_from_every_file_format() -> Result<()> {
    let expected: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fixture("expected.json"))?)?;
    let limits = GenerationConfig {
        eos: vec![2],
        max_new_tokens: usize::MAX,
        max_length: Some(POSITIONS),
        forced_eos: vec![2],
        ..GenerationConfig::default()
    };
    let bad_words = GenerationConfig {
        bad_words: vec![vec![3], vec![29], vec![33, 54]],
        ..limits.clone()
    };
    let ends = GenerationConfig {
        eos: vec![2, 17, 33, 45],
        ..limits.clone()
    };
    let short = GenerationConfig {
        max_length: Some(12),
        ..limits.clone()
    };
    let cases = [
        ("greedy", None, &limits),
        ("greedy_bad_words", None, &bad_words),
        ("beam_early", search(4, EarlyStopping::Yes, 1.0), &limits),
        ("beam", search(4, EarlyStopping::No, 1.0), &limits),
        ("beam_never", search(4, EarlyStopping::Never, 1.0), &limits),
        ("beam_penalty", search(3, EarlyStopping::No, 2.0), &limits),
        (
            "beam_bad_words",
            search(4, EarlyStopping::Yes, 1.0),
            &bad_words,
        ),
        ("beam_ends", search(4, EarlyStopping::Yes, 1.0), &ends),
        ("beam_short", search(2, EarlyStopping::Yes, 1.0), &short),
    ];
    for kind in ["safetensors", "pytorch"] {
        let model = load(kind)?;
        let images = images(&model)?;
        let questions: Vec<(&Image, &[u32])> = images
            .iter()
            .flat_map(|image| PROMPTS.iter().map(move |prompt| (image, &prompt[..])))
            .collect();
        for (name, beams, limits) in &cases {
            let golden: Vec<Vec<Vec<u32>>> = serde_json::from_value(expected[name].clone())?;
            let ours = model.generate(&questions, beams.as_ref(), limits)?;
            let ours: Vec<Vec<u32>> = ours.into_iter().collect::<Result<_, _>>()?;
            assert_eq!(ours, golden.concat(), "{name} from {kind}");
        }
    }
    Ok(())
}

/// Bit for bit: the logits of a question are the same alone and beside others.
#[test]
fn a_batch_changes_nothing() -> Result<()> {
    let model = load("safetensors")?;
    let images = images(&model)?;
    let alone: Vec<Vec<Vec<f32>>> = PROMPTS
        .iter()
        .map(|tokens| {
            Ok(model
                .logits(&mut [(&mut images[0].start(), tokens)])?
                .to_vec2()?)
        })
        .collect::<Result<_>>()?;
    for copies in 1..=5 {
        let mut states: Vec<_> = (0..copies * PROMPTS.len())
            .map(|_| images[0].start())
            .collect();
        let mut batch: Vec<_> = states
            .iter_mut()
            .enumerate()
            .map(|(row, state)| (state, PROMPTS[row % PROMPTS.len()]))
            .collect();
        let together: Vec<Vec<f32>> = model.logits(&mut batch)?.to_vec2()?;
        let bits = |rows: &[Vec<f32>]| {
            rows.iter()
                .flatten()
                .map(|value| value.to_bits())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            bits(&together),
            bits(&alone.concat()).repeat(copies),
            "{copies} copies"
        );
    }
    Ok(())
}

#[test]
fn what_does_not_fit_is_an_error() -> Result<()> {
    let model = load("safetensors")?;
    let message = |result: Result<Tensor>| format!("{:#}", result.unwrap_err());
    let image = images(&model)?.remove(0);
    let step = |tokens: &[u32]| model.logits(&mut [(&mut image.start(), tokens)]);
    assert_eq!(
        message(step(&[60])),
        "token id 60 is outside the embedding of 60 rows"
    );
    assert_eq!(
        message(step(&[7; 33])),
        "33 tokens are more than the decoder's 32 positions"
    );
    assert_eq!(
        message(step(&[])),
        "a decoding step needs tokens of every question"
    );
    let small = Tensor::zeros((3, 32, 96), DType::F32, &Device::Cpu)?;
    assert_eq!(
        message(model.encode(&small)),
        "a grid of 2x6 places is smaller than the model's window of 4: enlarge the image"
    );
    let grey = Tensor::zeros((1, 64, 96), DType::F32, &Device::Cpu)?;
    assert_eq!(
        message(model.encode(&grey)),
        "an image of shape 1x64x96 does not fit the model's patches of 48 values"
    );
    Ok(())
}

/// Answers of fewer layers would be those of another model.
#[test]
fn a_configuration_of_fewer_layers_than_the_weights() -> Result<()> {
    let text = std::fs::read_to_string(fixture("safetensors/config.json"))?;
    let faults = [
        (
            "\"decoder_layers\": 2",
            "\"decoder_layers\": 1",
            "decoder.decoder_layers is 1, but",
            "decoder.model.decoder.layers.1.",
        ),
        (
            "\"depths\": [\n      2,\n      2,",
            "\"depths\": [\n      2,\n      1,",
            "encoder.depths[1] is 1, but",
            "encoder.encoder.layers.1.blocks.1.",
        ),
    ];
    for (from, to, expected, tensor) in faults {
        assert!(text.contains(from), "{from}");
        let dir = tempfile::tempdir()?;
        std::fs::copy(
            fixture("safetensors/model.safetensors"),
            dir.path().join("model.safetensors"),
        )?;
        std::fs::write(dir.path().join("config.json"), text.replace(from, to))?;
        let config = Config::read(dir.path())?;
        let message = Model::load(&config, &Checkpoint::open(dir.path())?, &Device::Cpu)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains(&format!("config.json: {expected}")) && message.contains(tensor),
            "{message}"
        );
    }
    Ok(())
}

/// Valid and invalid values in `config.json`.
#[test]
fn configurations() -> Result<()> {
    let config = Config::read(&fixture("safetensors"))?;
    assert_eq!(
        (config.generation.eos, config.generation.forced_eos),
        (vec![2], vec![2])
    );
    let text = std::fs::read_to_string(fixture("safetensors/config.json"))?;
    let faults = [
        (
            "\"model_type\": \"mbart\"",
            "\"model_type\": \"gpt2\"",
            "decoder.model_type \"gpt2\" is not supported (mbart is)",
        ),
        (
            "\"decoder_attention_heads\": 4",
            "\"decoder_attention_heads\": 5",
            "heads 5 do not divide d_model 48",
        ),
        (
            "\"embed_dim\": 12",
            "\"embed_dim\": 13",
            "encoder: 2 heads do not divide 13",
        ),
        (
            "vision-encoder-decoder",
            "pix2struct",
            "of another architecture: pix2struct",
        ),
        (
            "\"window_size\": 4",
            "\"window_size\": 0",
            "encoder.window_size is 0: must be from 1 to 64",
        ),
    ];
    for (from, to, error) in faults {
        assert!(text.contains(from), "{from}");
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("config.json"), text.replace(from, to))?;
        let message = format!("{:#}", Config::read(dir.path()).unwrap_err());
        assert!(
            message.contains(error) && message.contains("config.json"),
            "{message}"
        );
    }
    Ok(())
}
