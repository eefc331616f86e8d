//! Training steps of a Pix2Struct checkpoint over patches of no meaning: seconds of forward pass,
//! backward pass and optimiser, peak memory.
//!
//!     cargo run --release --example training_step -- CHECKPOINT BATCH PATCHES LABELS STEPS [--dropout] [--bf16] [--adamw] [--checkpointing] [--dump FILE]
//!
//! Each example has PATCHES patches and LABELS labels. With `--dropout` values are dropped at the
//! checkpoint's rates, with `--bf16` operands of large products are rounded to it, with `--adamw`
//! the weights take a step of AdamW, with `--checkpointing` the encoder's layers are computed again
//! in the backward pass. With `--dump` the first step's batch (`image.N`, `labels.N`), `loss`
//! (summed over the labels) and `gradient.NAME` go to a safetensors file that
//! `benchmarks/parity/training.py` compares with PyTorch's.

#![expect(clippy::print_stdout, reason = "what the Python side reads")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor};
use chartbench::config::{AdamWSpec, OptimizerSpec};
use chartbench::finetune::optimizer;
use chartbench_nn::pix2struct::{Config, Model};
use chartbench_nn::training::{DropoutRng, Example, Loss, LossOptions, Variables};
use chartbench_nn::{
    Bf16Source, Checkpoint, CheckpointSource, EncoderDecoder, ModelConfig, TensorSource,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SEED: u64 = 42;

fn main() -> Result<()> {
    // On a thread of the pool, as `finetune` works.
    rayon::scope(|_| steps())
}

fn steps() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let dropout = take_flag(&mut arguments, "--dropout").is_some();
    let bf16 = take_flag(&mut arguments, "--bf16").is_some();
    let checkpointing = take_flag(&mut arguments, "--checkpointing").is_some();
    let mut adamw = take_flag(&mut arguments, "--adamw")
        .map(|_| optimizer::build(&OptimizerSpec::AdamW(AdamWSpec::default())));
    let dump = match take_flag(&mut arguments, "--dump") {
        Some(at) if at < arguments.len() => Some(PathBuf::from(arguments.remove(at))),
        Some(_) => bail!("--dump needs a file"),
        None => None,
    };
    let [checkpoint, sizes @ ..] = arguments.as_slice() else {
        bail!(USAGE)
    };
    let sizes: Vec<usize> = sizes
        .iter()
        .map(|size| size.parse())
        .collect::<Result<_, _>>()?;
    let [count, patches, labels, steps] = sizes.as_slice() else {
        bail!(USAGE)
    };
    let dir = Path::new(checkpoint);
    let config = Config::read(dir)?;
    let stored = Checkpoint::open(dir)?;
    let source = CheckpointSource {
        checkpoint: &stored,
        device: &Device::Cpu,
    };
    let variables = Variables::load(&source, |source| Model::from_source(&config, source))?;
    let mut generator = ChaCha8Rng::seed_from_u64(SEED);
    let batch: Vec<Example> = (0..*count)
        .map(|_| example(&config, &mut generator, *patches, *labels))
        .collect::<Result<_>>()?;
    let mut noise = DropoutRng::new(SEED);
    let trained = variables
        .trained()
        .map(|(name, variable)| (name.to_owned(), variable.clone()))
        .collect();
    for step in 0..*steps {
        let start = Instant::now();
        let noise = dropout.then_some(&mut noise);
        let source: &dyn TensorSource = if bf16 {
            &Bf16Source(&variables)
        } else {
            &variables
        };
        let loss = Model::from_source(&config, source)?.loss(
            &batch,
            LossOptions {
                dropout: noise,
                activation_checkpointing: checkpointing,
                ..LossOptions::default()
            },
        )?;
        let mean = loss.sum.to_scalar::<f32>()? / loss.labels as f32;
        let forward = start.elapsed().as_secs_f64();
        let gradients = loss.backward()?;
        let backward = start.elapsed().as_secs_f64() - forward;
        if let Some(adamw) = &mut adamw {
            adamw.step(&trained, &gradients, 1e-4, 1.0 / loss.labels as f32)?;
        }
        let optimizer = start.elapsed().as_secs_f64() - forward - backward;
        let seconds =
            format!("forward {forward:.2} s, backward {backward:.2} s, optimizer {optimizer:.2} s");
        println!("step {step}: loss {mean:.6}, {seconds}, {}", peak());
        if let Some(file) = dump.as_ref().filter(|_| step == 0) {
            write(file, &batch, &loss, &gradients, &variables)?;
        }
    }
    Ok(())
}

const USAGE: &str = "usage: training_step CHECKPOINT BATCH PATCHES LABELS STEPS [--dropout] [--bf16] [--adamw] [--checkpointing] [--dump FILE]";

/// Removes a flag and says where it stood.
fn take_flag(arguments: &mut Vec<String>, flag: &str) -> Option<usize> {
    let at = arguments.iter().position(|argument| argument == flag)?;
    arguments.remove(at);
    Some(at)
}

/// Random pixels in a square of patches, random labels.
fn example(
    config: &Config,
    generator: &mut ChaCha8Rng,
    patches: usize,
    labels: usize,
) -> Result<Example> {
    let pixels = config.vision_config.patch_embed_hidden_size;
    let side = (patches as f64).sqrt().ceil() as usize;
    let mut values = Vec::with_capacity(patches * (2 + pixels));
    for patch in 0..patches {
        values.extend([(patch / side + 1) as f32, (patch % side + 1) as f32]);
        values.extend((0..pixels).map(|_| generator.random_range(-1.7f32..1.7)));
    }
    let image = Tensor::from_vec(values, (patches, 2 + pixels), &Device::Cpu)?;
    let vocabulary = config.text_config.vocab_size as u32;
    let labels: Vec<Option<u32>> = (0..labels)
        .map(|_| Some(generator.random_range(2..vocabulary)))
        .collect();
    let start = [config.generation.start];
    Ok(Example::teacher_forced(
        image,
        &start,
        &labels,
        config.pad_token_id(),
    ))
}

/// The process's greatest memory so far, where the system tells.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    format!("peak memory {}", line.map_or("unknown", str::trim))
}

fn write(
    file: &Path,
    batch: &[Example],
    loss: &Loss,
    gradients: &GradStore,
    variables: &Variables,
) -> Result<()> {
    let mut tensors = HashMap::from([("loss".to_owned(), loss.sum.reshape(1)?)]);
    for (at, example) in batch.iter().enumerate() {
        let labels: Vec<i64> = example
            .labels
            .iter()
            .map(|label| label.map_or(-100, i64::from))
            .collect();
        tensors.insert(format!("image.{at}"), example.image.clone());
        tensors.insert(format!("labels.{at}"), Tensor::new(labels, &Device::Cpu)?);
    }
    for (name, variable) in variables.all() {
        if let Some(gradient) = gradients.get(variable) {
            tensors.insert(format!("gradient.{name}"), gradient.clone());
        }
    }
    Ok(candle_core::safetensors::save(&tensors, file)?)
}
