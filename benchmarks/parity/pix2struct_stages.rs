//! Runs a Pix2Struct checkpoint on charts and writes what each stage computes, for comparison with
//! another implementation (`benchmarks/parity/compare.py` and `precision.py` call it).
//!
//!     cargo run --release --example pix2struct_stages -- CHECKPOINT ROWS.json OUT_DIR MAX_PATCHES [bf16|q8|q4]
//!
//! ROWS.json is a list of `{"image": path, "question": text or null, "decoder_ids": [..]?}`. For
//! row `i`, `OUT_DIR/i.safetensors` gets `patches` [N, 2 + P] and, with decoder ids, `encoder` [N,
//! H] and `logits` [T, V].

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use candle_core::{Device, Tensor};
use chartbench_nn::kernels::ComputeDtype;
use chartbench_nn::pix2struct::{Config, Model};
use chartbench_nn::preprocess::Pix2StructProcessor;
use chartbench_nn::{
    Checkpoint, CheckpointSource, EncoderDecoder, PackedSource, QuantizingSource, WeightFormat,
};
use chartbench_pixels::decode;
use serde::Deserialize;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Deserialize)]
struct Row {
    image: String,
    question: Option<String>,
    #[serde(default)]
    decoder_ids: Vec<u32>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [checkpoint, rows, out, max_patches, precision @ ..] = arguments.as_slice() else {
        bail!("usage: pix2struct_stages CHECKPOINT ROWS.json OUT_DIR MAX_PATCHES [bf16|q8|q4]");
    };
    let dir = Path::new(checkpoint);
    let config = Config::read(dir)?;
    let checkpoint = Checkpoint::open(dir)?;
    let stored = CheckpointSource {
        checkpoint: &checkpoint,
        device: &Device::Cpu,
    };
    let packed = |dtype| PackedSource {
        source: &stored,
        dtype,
    };
    let model = match precision
        .first()
        .map(|name| WeightFormat::reduced_by_name(name))
        .transpose()?
    {
        None => Model::for_inference(&config, &stored)?,
        Some(WeightFormat::Bf16) => Model::from_source(&config, &packed(ComputeDtype::Bf16))?,
        Some(format) => Model::from_source(
            &config,
            &QuantizingSource {
                source: &packed(ComputeDtype::F32),
                format,
            },
        )?,
    };
    let max_patches = max_patches.parse()?;
    let mut settings: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.join("preprocessor_config.json"))?)?;
    let [vqa, plain] = [true, false].map(|is_vqa| {
        settings["is_vqa"] = is_vqa.into();
        Pix2StructProcessor::from_json(settings.to_string().as_bytes(), "preprocessor_config.json")?
            .with_max_patches(max_patches)
    });
    let (vqa, plain) = (vqa?, plain?);
    let rows: Vec<Row> = serde_json::from_slice(&std::fs::read(rows)?).context("ROWS.json")?;
    for (index, row) in rows.iter().enumerate() {
        let image = decode(&std::fs::read(&row.image)?, &row.image)?;
        let patches = match &row.question {
            Some(question) => vqa.patches(&image, Some(question))?,
            None => plain.patches(&image, None)?,
        };
        let count = patches.rows * patches.cols;
        let width = patches.data.len() / count;
        let patches = Tensor::from_vec(patches.data, (count, width), &Device::Cpu)?;
        let mut tensors = HashMap::new();
        if !row.decoder_ids.is_empty() {
            let encoded = model.encode(&patches)?;
            let logits = model.step(&mut [(&mut model.start(&encoded)?, &row.decoder_ids)])?;
            tensors.insert("encoder", encoded);
            tensors.insert("logits", logits);
        }
        tensors.insert("patches", patches);
        candle_core::safetensors::save(
            &tensors,
            Path::new(out).join(format!("{index}.safetensors")),
        )?;
    }
    Ok(())
}
