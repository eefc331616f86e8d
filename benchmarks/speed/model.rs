//! Times of the Pix2Struct model on a small configuration with weights of no meaning: encoder,
//! start and decoding.
//!
//!     cargo bench --bench model

#![expect(clippy::print_stderr, reason = "a benchmark prints")]

use std::collections::HashMap;
use std::hint::black_box;

use anyhow::Result;
use candle_core::{Device, Tensor};
use chartbench_nn::generation::GenerationConfig;
use chartbench_nn::pix2struct::{Config, Model};
use chartbench_nn::{Checkpoint, EncoderDecoder};
use criterion::{Criterion, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HIDDEN: usize = 256;
const HEADS: usize = 4;
const FF: usize = 512;
const LAYERS: usize = 2;
const VOCABULARY: usize = 4096;
const PIXELS: usize = 768;
const POSITIONS: usize = 64;
const PATCHES: usize = 512;

/// Writes a checkpoint of that shape.
fn checkpoint(dir: &std::path::Path) -> Result<()> {
    let width = HIDDEN / HEADS;
    let config = format!(
        r#"{{"model_type": "pix2struct",
            "text_config": {{"vocab_size": {VOCABULARY}, "hidden_size": {HIDDEN}, "d_kv": {width}, "d_ff": {FF},
                "num_layers": {LAYERS}, "num_heads": {HEADS}, "eos_token_id": {VOCABULARY}}},
            "vision_config": {{"hidden_size": {HIDDEN}, "d_kv": {width}, "d_ff": {FF}, "num_hidden_layers": {LAYERS},
                "num_attention_heads": {HEADS}, "patch_embed_hidden_size": {PIXELS}, "seq_len": {POSITIONS}}}}}"#
    );
    std::fs::write(dir.join("config.json"), config)?;
    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        (
            "encoder.embeddings.patch_projection.weight".into(),
            vec![HIDDEN, PIXELS],
        ),
        (
            "encoder.embeddings.patch_projection.bias".into(),
            vec![HIDDEN],
        ),
        (
            "encoder.embeddings.row_embedder.weight".into(),
            vec![POSITIONS, HIDDEN],
        ),
        (
            "encoder.embeddings.column_embedder.weight".into(),
            vec![POSITIONS, HIDDEN],
        ),
        ("encoder.layernorm.weight".into(), vec![HIDDEN]),
        (
            "decoder.embed_tokens.weight".into(),
            vec![VOCABULARY, HIDDEN],
        ),
        ("decoder.lm_head.weight".into(), vec![VOCABULARY, HIDDEN]),
        ("decoder.final_layer_norm.weight".into(), vec![HIDDEN]),
        (
            "decoder.layer.0.self_attention.attention.relative_attention_bias.weight".into(),
            vec![32, HEADS],
        ),
    ];
    for layer in 0..LAYERS {
        for part in ["query", "key", "value", "output"] {
            shapes.push((
                format!("encoder.encoder.layer.{layer}.attention.{part}.weight"),
                vec![HIDDEN, HIDDEN],
            ));
            for kind in ["self_attention", "encoder_decoder_attention"] {
                shapes.push((
                    format!("decoder.layer.{layer}.{kind}.attention.{part}.weight"),
                    vec![HIDDEN, HIDDEN],
                ));
            }
        }
        for mlp in [
            format!("encoder.encoder.layer.{layer}.mlp"),
            format!("decoder.layer.{layer}.mlp.DenseReluDense"),
        ] {
            shapes.push((format!("{mlp}.wi_0.weight"), vec![FF, HIDDEN]));
            shapes.push((format!("{mlp}.wi_1.weight"), vec![FF, HIDDEN]));
            shapes.push((format!("{mlp}.wo.weight"), vec![HIDDEN, FF]));
        }
        for norm in [
            "encoder.encoder.layer.N.pre_attention_layer_norm",
            "encoder.encoder.layer.N.pre_mlp_layer_norm",
        ] {
            shapes.push((
                format!("{}.weight", norm.replace('N', &layer.to_string())),
                vec![HIDDEN],
            ));
        }
        for norm in [
            "self_attention.layer_norm",
            "encoder_decoder_attention.layer_norm",
            "mlp.layer_norm",
        ] {
            shapes.push((format!("decoder.layer.{layer}.{norm}.weight"), vec![HIDDEN]));
        }
    }
    let tensors: HashMap<String, Tensor> = shapes
        .into_iter()
        .map(|(name, shape)| Ok((name, Tensor::randn(0f32, 0.05, shape, &Device::Cpu)?)))
        .collect::<Result<_>>()?;
    Ok(candle_core::safetensors::save(
        &tensors,
        dir.join("model.safetensors"),
    )?)
}

fn patches() -> Result<Tensor> {
    let ids: Vec<f32> = (0..PATCHES)
        .flat_map(|patch| [(patch / 32 + 1) as f32, (patch % 32 + 1) as f32])
        .collect();
    let ids = Tensor::from_vec(ids, (PATCHES, 2), &Device::Cpu)?;
    Ok(Tensor::cat(
        &[
            ids,
            Tensor::randn(0f32, 1.0, (PATCHES, PIXELS), &Device::Cpu)?,
        ],
        1,
    )?)
}

fn model(criterion: &mut Criterion) -> Result<()> {
    eprintln!("instruction set: {}", chartbench_core::isa::current().name);
    let dir = tempfile::tempdir()?;
    checkpoint(dir.path())?;
    let config = Config::read(dir.path())?;
    let model = Model::load(&config, &Checkpoint::open(dir.path())?, &Device::Cpu)?;
    let patches = patches()?;
    let encoded = model.encode(&patches)?;
    let start: &[u32] = &[config.generation.start];
    let batch = vec![(&encoded, start); 8];
    let limits = GenerationConfig {
        eos: config.generation.eos.clone(),
        max_new_tokens: 20,
        ..GenerationConfig::default()
    };
    criterion.bench_function("encode 512 patches", |bencher| {
        bencher.iter(|| model.encode(black_box(&patches)))
    });
    criterion.bench_function("greedy, 20 tokens of 1 question", |bencher| {
        bencher.iter(|| model.generate(black_box(&batch[..1]), None, &limits));
    });
    criterion.bench_function("greedy, 20 tokens of 8 questions", |bencher| {
        bencher.iter(|| model.generate(black_box(&batch), None, &limits));
    });
    Ok(())
}

fn all(criterion: &mut Criterion) {
    if let Err(error) = model(criterion) {
        eprintln!("model bench: {error:#}");
        std::process::exit(1);
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
