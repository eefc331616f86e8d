//! The Pix2Struct model against what transformers computed with the same weights
//! (`fixtures/pix2struct/make.py`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::assert_close::{Tolerance, assert_close};
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use chartbench_nn::generation::GenerationConfig;
use chartbench_nn::pix2struct::{Config, Model};
use chartbench_nn::{Checkpoint, EncoderDecoder};

const QUESTIONS: usize = 4;
const TOLERANCE: Tolerance = Tolerance::OfLargest {
    factor: 1e-4,
    floor: 1.0,
};

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .join("fixtures/pix2struct")
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

fn ids(tensor: &Tensor) -> Result<Vec<u32>> {
    Ok(tensor.to_dtype(DType::U32)?.to_vec1()?)
}

#[test]
fn embeddings_states_and_logits() -> Result<()> {
    let (model, io) = (load("safetensors")?, goldens()?);
    for row in 0..QUESTIONS {
        let golden = |name: &str| &io[&format!("{name}.{row}")];
        assert_close(
            &model.embed(golden("patches"))?,
            golden("embedded"),
            TOLERANCE,
        );
        let encoded = model.encode(golden("patches"))?;
        assert_close(&encoded, golden("encoded"), TOLERANCE);
        let mut state = model.start(&encoded)?;
        let forced = ids(golden("ids"))?;
        assert_close(
            &model.step(&mut [(&mut state, &forced)])?,
            golden("logits"),
            TOLERANCE,
        );
    }
    Ok(())
}

/// Far distances: the logarithmic and the last bucket of the position bias, whole and token by
/// token through the cache.
#[test]
fn logits_after_150_tokens() -> Result<()> {
    let (model, io) = (load("safetensors")?, goldens()?);
    let encoded = model.encode(&io["patches.1"])?;
    let tokens = ids(&io["long.ids"])?;
    let golden = &io["long.logits"];
    let last = golden.dim(0)?;
    let mut state = model.start(&encoded)?;
    let whole = model.step(&mut [(&mut state, &tokens)])?;
    assert_close(
        &whole.narrow(0, tokens.len() - last, last)?,
        golden,
        TOLERANCE,
    );
    let mut state = model.start(&encoded)?;
    let steps: Vec<Tensor> = tokens
        .chunks(1)
        .map(|token| model.step(&mut [(&mut state, token)]))
        .collect::<Result<_>>()?;
    assert_close(
        &Tensor::cat(&steps[steps.len() - last..], 0)?,
        golden,
        TOLERANCE,
    );
    Ok(())
}

#[test]
fn greedy_tokens_from_every_file_format() -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Expected {
        greedy_40: Vec<Vec<u32>>,
        greedy_default_length: Vec<Vec<u32>>,
    }
    let expected: Expected = serde_json::from_slice(&std::fs::read(fixture("expected.json"))?)?;
    let io = goldens()?;
    for kind in ["safetensors", "pytorch", "shards"] {
        let model = load(kind)?;
        let encoded: Vec<Tensor> = (0..QUESTIONS)
            .map(|row| model.encode(&io[&format!("patches.{row}")]))
            .collect::<Result<_>>()?;
        for (length, golden) in [
            (40, &expected.greedy_40),
            (20, &expected.greedy_default_length),
        ] {
            let limits = GenerationConfig {
                eos: vec![1],
                max_new_tokens: length,
                ..GenerationConfig::default()
            };
            let questions: Vec<(&Tensor, &[u32])> =
                encoded.iter().map(|image| (image, &[0][..])).collect();
            let ours: Vec<Vec<u32>> = model
                .generate(&questions, None, &limits)?
                .into_iter()
                .collect::<Result<_, _>>()?;
            assert_eq!(ours, *golden, "{kind}");
        }
    }
    Ok(())
}

/// Bit for bit: the logits of a question are the same alone and in a batch of any size.
#[test]
fn a_batch_changes_nothing() -> Result<()> {
    let (model, io) = (load("safetensors")?, goldens()?);
    let encoded: Vec<Tensor> = (0..QUESTIONS)
        .map(|row| model.encode(&io[&format!("patches.{row}")]))
        .collect::<Result<_>>()?;
    let alone: Vec<Vec<Vec<f32>>> = encoded
        .iter()
        .map(|states| {
            let mut state = model.start(states)?;
            (0..4)
                .map(|token| {
                    Ok(model
                        .step(&mut [(&mut state, &[token])])?
                        .flatten_all()?
                        .to_vec1()?)
                })
                .collect()
        })
        .collect::<Result<_>>()?;
    for size in 2..=9 {
        let mut states: Vec<_> = (0..size)
            .map(|row| model.start(&encoded[row % QUESTIONS]))
            .collect::<Result<_>>()?;
        for token in 0..4u32 {
            let tokens = [token];
            let mut batch: Vec<_> = states
                .iter_mut()
                .map(|state| (state, &tokens[..]))
                .collect();
            let logits: Vec<Vec<f32>> = model.step(&mut batch)?.to_vec2()?;
            for (row, logits) in logits.iter().enumerate() {
                let same = logits
                    .iter()
                    .zip(&alone[row % QUESTIONS][token as usize])
                    .all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "row {row} of {size}, token {token}");
            }
        }
    }
    Ok(())
}

#[test]
fn ids_outside_the_tables_are_errors() -> Result<()> {
    let model = load("safetensors")?;
    let patch = |row: f32, column: f32| {
        let mut patch = vec![0f32; 14];
        (patch[0], patch[1]) = (row, column);
        Tensor::from_vec(patch, (1, 14), &Device::Cpu)
    };
    let message = |result: Result<Tensor>| format!("{:#}", result.unwrap_err());
    assert!(model.encode(&patch(23.0, 23.0)?).is_ok());
    assert_eq!(
        message(model.encode(&patch(1.0, 24.0)?)),
        "patch column id 24 is outside the model's table of 24 positions"
    );
    assert_eq!(
        message(model.encode(&patch(f32::NAN, 1.0)?)),
        "patch row id NaN is outside the model's table of 24 positions"
    );
    let mut state = model.start(&model.encode(&patch(1.0, 1.0)?)?)?;
    assert_eq!(
        message(model.step(&mut [(&mut state, &[48])])),
        "token id 48 is outside the embedding of 48 rows"
    );
    Ok(())
}
