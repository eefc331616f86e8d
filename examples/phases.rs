use anyhow::Result;
use candle_core::{Device, Tensor};
use chartbench::nn::generation::{self, Limits, Prompt};
use chartbench::nn::ops::Precision;
use chartbench::nn::pix2struct::{Config, Model};
use chartbench::nn::{Checkpoint, InPanels, OnDevice, Quantization, Quantized};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    unsafe { libmimalloc_sys::mi_option_set(15, -1) };
    let dir = std::path::PathBuf::from(std::env::args().nth(1).unwrap());
    let kind = std::env::args().nth(2).unwrap();
    let batch: usize = std::env::args().nth(3).map_or(1, |n| n.parse().unwrap());
    let config = Config::read(&dir)?;
    let checkpoint = Checkpoint::open(&dir)?;
    let source = OnDevice { checkpoint: &checkpoint, device: &Device::Cpu };
    let at = Instant::now();
    let model = match kind.as_str() {
        "bf16" => Model::from_source(&config, &InPanels { source: &source, precision: Precision::Bf16 })?,
        "q8" => Model::from_source(
            &config,
            &Quantized::new(&InPanels { source: &source, precision: Precision::F32 }, Quantization::Q8),
        )?,
        _ => Model::from_source(&config, &InPanels { source: &source, precision: Precision::F32 })?,
    };
    println!("load {:.3}", at.elapsed().as_secs_f64());
    let n = 2048;
    let ids: Vec<f32> = (0..n).flat_map(|p| [(p / 64 + 1) as f32, (p % 64 + 1) as f32]).collect();
    let ids = Tensor::from_vec(ids, (n, 2), &Device::Cpu)?;
    let patches = Tensor::cat(&[ids, Tensor::randn(0f32, 1.0, (n, 768), &Device::Cpu)?], 1)?;
    for _ in 0..12 {
        let at = Instant::now();
        let encoded = model.encode(&patches)?;
        let e = at.elapsed().as_secs_f64();
        let at = Instant::now();
        let states = (0..batch)
            .map(|_| Ok(Prompt { state: model.start(&encoded)?, tokens: vec![0] }))
            .collect::<Result<Vec<_>>>()?;
        let s = at.elapsed().as_secs_f64();
        let at = Instant::now();
        let limits = Limits { eos: vec![], max_new_tokens: 20, ..Limits::default() };
        let out = generation::greedy(&model, states, &limits)?;
        println!("encode {e:.3} start {s:.3} decode {:.3} {:?}", at.elapsed().as_secs_f64(), &out[0][..4]);
    }
    Ok(())
}
