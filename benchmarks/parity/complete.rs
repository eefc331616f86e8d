//! Greedy completions of a GGUF model, token by token, for comparison with other runtimes.
//!
//!     cargo run --example complete -- MODEL.gguf PROMPTS.json TOKENS
//!
//! PROMPTS.json is a list of texts, each one user message. One JSON line a prompt: the prompt's
//! token ids under the model's chat template, the completion's token ids and its text.
//! benchmarks/parity/smollm2.py compares them.

#![expect(clippy::print_stdout, reason = "what the Python side reads")]

use std::path::Path;

use anyhow::{Context, Result};
use candle_core::Device;
use chartbench::adapter::gguf::Gguf;
use chartbench::adapter::language_model::{LanguageModel, Sampling};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, prompts, tokens] = arguments.as_slice() else {
        anyhow::bail!("usage: complete MODEL.gguf PROMPTS.json TOKENS");
    };
    let text =
        std::fs::read_to_string(prompts).with_context(|| format!("cannot read {prompts}"))?;
    let prompts: Vec<String> =
        serde_json::from_str(&text).with_context(|| format!("{prompts}: not a list of texts"))?;
    let max_new_tokens = tokens
        .parse()
        .with_context(|| format!("`{tokens}` is no number of tokens"))?;
    let sampling = Sampling {
        samples: 1,
        temperature: 0.0,
        seed: 0,
        max_new_tokens,
        stop: Vec::new(),
    };
    let mut model = Gguf::open(Path::new(model), "an argument", &Device::Cpu)?;
    let mut completed = Vec::new();
    model.complete(&prompts, &sampling, &mut |_, completions| {
        completed.push(completions);
    })?;
    for (prompt, completions) in prompts.iter().zip(completed) {
        let completions = completions?;
        let completion = completions.first().context("no completion")?;
        let line = serde_json::json!({
            "prompt_ids": model.encode(prompt)?,
            "token_ids": completion.token_ids,
            "text": completion.text,
        });
        println!("{line}");
    }
    Ok(())
}
