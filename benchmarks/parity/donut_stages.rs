//! Runs a Donut checkpoint on charts and writes what each stage computes, for comparison with
//! another implementation (`benchmarks/parity/compare_unichart.py` calls it).
//!
//!     cargo run --release --example donut_stages -- CHECKPOINT ROWS.json OUT_DIR
//!
//! ROWS.json is a list of `{"image": path, "decoder_ids": [..]}`. For row `i`,
//! `OUT_DIR/i.safetensors` gets `pixels` [3, height, width], `encoder` [N, H] and `logits` [T, V].

#![expect(clippy::print_stderr, reason = "a program of its own prints")]

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use candle_core::{Device, Tensor};
use chartbench_nn::donut::{Config, Model};
use chartbench_nn::preprocess::{DonutProcessor, processor_file};
use chartbench_nn::{Checkpoint, EncoderDecoder};
use chartbench_pixels::decode;
use serde::Deserialize;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Deserialize)]
struct Row {
    image: String,
    decoder_ids: Vec<u32>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [checkpoint, rows, out] = arguments.as_slice() else {
        bail!("usage: donut_stages CHECKPOINT ROWS.json OUT_DIR");
    };
    let dir = Path::new(checkpoint);
    let model = Model::load(&Config::read(dir)?, &Checkpoint::open(dir)?, &Device::Cpu)?;
    let processor = DonutProcessor::load(&processor_file(dir)?)?;
    let rows: Vec<Row> = serde_json::from_slice(&std::fs::read(rows)?).context("ROWS.json")?;
    for (index, row) in rows.iter().enumerate() {
        let pixels = processor.pixels(&decode(&std::fs::read(&row.image)?, &row.image)?)?;
        let pixels = Tensor::from_vec(pixels.data, (3, pixels.height, pixels.width), &Device::Cpu)?;
        let started = std::time::Instant::now();
        let encoder = model.encode(&pixels)?;
        eprintln!("{}: encoded in {:.2?}", row.image, started.elapsed());
        let logits =
            model.logits(&mut [(&mut model.image(&encoder)?.start(), &row.decoder_ids)])?;
        let tensors = HashMap::from([("pixels", pixels), ("encoder", encoder), ("logits", logits)]);
        candle_core::safetensors::save(
            &tensors,
            Path::new(out).join(format!("{index}.safetensors")),
        )?;
    }
    Ok(())
}
