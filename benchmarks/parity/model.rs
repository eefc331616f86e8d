//! The model's half of the parity check `compare_model.py`: loads a checkpoint, runs the questions of a safetensors file,
//! writes what came out, and prints times.
//!
//!     cargo run --release --example parity_model -- CHECKPOINT_DIR questions.safetensors MAX_NEW_TOKENS out.safetensors
//!
//! In: `patches.N` [rows, 2 + P] and `ids.N` (i64, teacher-forced decoder input) of questions N = 0, 1, ...
//! Out: `encoded.N`, `logits.N`, and `greedy.N` (u32), decoded in one batch.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use chartbench::nn::pix2struct::{Config, Model};
use chartbench::nn::{Checkpoint, generation};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, questions, max_new_tokens, out] = arguments.as_slice() else {
        anyhow::bail!("usage: parity_model CHECKPOINT_DIR QUESTIONS MAX_NEW_TOKENS OUT");
    };
    let dir = Path::new(dir);
    let device = Device::Cpu;
    let start = Instant::now();
    let model = Model::load(&Config::read(dir)?, &Checkpoint::open(dir)?, &device)?;
    println!("load {:.2} s", start.elapsed().as_secs_f64());

    let questions = candle_core::safetensors::load(questions, &device)?;
    let mut results = HashMap::new();
    let mut encoded = Vec::new();
    for question in 0.. {
        let Some(patches) = questions.get(&format!("patches.{question}")) else { break };
        let start = Instant::now();
        let states = model.encode(patches)?;
        println!("question {question}: {} patches, encoder {:.2} s", patches.dim(0)?, start.elapsed().as_secs_f64());
        if let Some(ids) = questions.get(&format!("ids.{question}")) {
            let ids: Vec<u32> = ids.to_dtype(DType::U32)?.to_vec1()?;
            let mut state = model.start(&states)?;
            results.insert(format!("logits.{question}"), model.step(&mut [(&mut state, &ids)])?);
        }
        results.insert(format!("encoded.{question}"), states.clone());
        encoded.push(states);
    }
    let start = Instant::now();
    let answers = generation::greedy(&model, &encoded, max_new_tokens.parse().context("MAX_NEW_TOKENS")?)?;
    println!("greedy, {} questions: {:.2} s", answers.len(), start.elapsed().as_secs_f64());
    for (question, ids) in answers.into_iter().enumerate() {
        results.insert(format!("greedy.{question}"), Tensor::new(ids, &device)?);
    }
    candle_core::safetensors::save(&results, out)?;
    Ok(())
}
