//! Checkpoints in the forms of other programs, asked and trained from outside: folders as
//! transformers 5 saves them, and PEFT LoRA folders.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder for checkpoints and results.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn at(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Copies an embedded checkpoint to a folder.
    fn checkpoint(&self, model: &str, name: &str) -> PathBuf {
        let folder = self.path(name);
        fs::create_dir_all(&folder).unwrap();
        for entry in fs::read_dir(crate::embedded_models::folder(model)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
            }
        }
        folder
    }

    /// The same, with the image processor nested as transformers 5 saves it.
    fn new_form(&self, model: &str, name: &str) -> PathBuf {
        let folder = self.checkpoint(model, name);
        let alone = folder.join("preprocessor_config.json");
        let mut settings = json_file(&alone);
        let class = settings["processor_class"].take();
        settings.as_object_mut().unwrap().remove("processor_class");
        let whole = json!({"image_processor": settings, "processor_class": class});
        fs::write(folder.join("processor_config.json"), whole.to_string()).unwrap();
        fs::remove_file(alone).unwrap();
        folder
    }

    fn command(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_chartbench"))
            .args(arguments)
            .args(["--results", &self.at("results")])
            .env("HF_HUB_CACHE", self.path("cache"))
            .env("HF_HUB_OFFLINE", "1")
            .output()
            .unwrap()
    }

    /// Asks the checkpoint in a folder; the answers of the run with the folder's name.
    #[track_caller]
    fn answers(&self, arguments: &[&str], name: &str) -> Vec<Value> {
        let own = ["run", "--no-blind", "--limit", "6", "--name", name];
        let weights = self.at(name);
        let output = self.command(&[&own[..], &["--weights", &weights], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let run = self.path("results").join(name);
        let logs = fs::read_dir(run).unwrap().filter_map(|entry| {
            let log = entry.unwrap().path().join("predictions.jsonl");
            log.is_file().then_some(log)
        });
        let lines = logs.flat_map(|log| {
            let text = fs::read_to_string(log).unwrap();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        });
        let answer = |line: String| {
            let mut line: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(line["error"], Value::Null);
            line["latency_ms"].take();
            line
        };
        lines.map(answer).collect()
    }

    /// The line of a run that ends with exit code 2.
    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.command(&[&["run", "--no-blind", "--limit", "2"], arguments].concat());
        let stderr = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        let line = stderr.lines().find_map(|line| line.strip_prefix("error: "));
        line.unwrap_or_else(|| panic!("{stderr}")).to_owned()
    }

    fn settings(&self, name: &str) -> toml::Table {
        let text = fs::read_to_string(self.path("results").join(name).join("run.toml")).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        manifest["adapters"][0]["settings"]
            .as_table()
            .unwrap()
            .clone()
    }

    /// A LoRA folder over `base` that changes every cross-attention's queries of the tiny MatCha.
    fn lora(&self, base: &str, name: &str) -> Vec<(String, Tensor, Tensor)> {
        let folder = self.path(name);
        fs::create_dir_all(&folder).unwrap();
        let config = json!({
            "peft_type": "LORA", "base_model_name_or_path": base, "r": 2, "lora_alpha": 4,
            "target_modules": ["query"], "bias": "none", "inference_mode": true,
        });
        fs::write(folder.join("adapter_config.json"), config.to_string()).unwrap();
        let factor = |shape: [usize; 2], seed: f32| {
            let numbers: Vec<f32> = (0..shape[0] * shape[1])
                .map(|index| 0.5 * (index as f32 * seed).sin())
                .collect();
            Tensor::from_vec(numbers, &shape, &Device::Cpu).unwrap()
        };
        let (mut stored, mut factors) = (HashMap::new(), Vec::new());
        for (layer, seed) in [(0, 0.7), (1, 1.1)] {
            let module = format!("decoder.layer.{layer}.encoder_decoder_attention.attention.query");
            let (a, b) = (factor([2, 128], seed), factor([128, 2], seed + 0.2));
            stored.insert(
                format!("base_model.model.{module}.lora_A.weight"),
                a.clone(),
            );
            stored.insert(
                format!("base_model.model.{module}.lora_B.weight"),
                b.clone(),
            );
            factors.push((format!("{module}.weight"), a, b));
        }
        candle_core::safetensors::save(&stored, folder.join("adapter_model.safetensors")).unwrap();
        factors
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_folder_of_transformers_5_answers_as_the_old_form() {
    let scratch = Scratch::new();
    for (adapter, model) in [
        ("matcha-tiny", "matcha-tiny-mini"),
        ("unichart-tiny", "unichart-tiny-mini"),
    ] {
        let (old, new) = (format!("{model}-old"), format!("{model}-new"));
        scratch.checkpoint(model, &old);
        scratch.new_form(model, &new);
        let expected = scratch.answers(&["--adapters", adapter], &old);
        assert_eq!(expected.len(), 6);
        assert_eq!(scratch.answers(&["--adapters", adapter], &new), expected);
        assert_eq!(scratch.settings(&new), scratch.settings(&old));
    }
}

/// transformers 4 reads the image processor in a file of its own alone, refuses a nested one, and
/// knows no `TokenizersBackend`.
#[test]
fn a_checkpoint_trained_from_the_new_form_loads_in_both_versions() {
    let scratch = Scratch::new();
    for (adapter, model) in [
        ("matcha-tiny", "matcha-tiny-mini"),
        ("unichart-tiny", "unichart-tiny-mini"),
    ] {
        let new = scratch.new_form(model, model);
        let old = scratch.checkpoint(model, &format!("{model}-old"));
        #[rustfmt::skip]
        let output = scratch.command(&[
            "finetune", "--adapters", adapter, "--weights", new.to_str().unwrap(), "--name", adapter, "--no-before",
            "--max-steps", "2", "--warmup-steps", "1", "--batch-size", "2", "--gradient-accumulation-steps", "1",
            "--eval-steps", "2", "--validation-questions", "2", "--limit", "2",
        ]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let written = scratch
            .path("results")
            .join(adapter)
            .join(adapter)
            .join("checkpoint");
        assert!(!written.join("processor_config.json").exists());
        assert_eq!(
            json_file(&written.join("preprocessor_config.json")),
            json_file(&old.join("preprocessor_config.json"))
        );
        let mut tokenizer = json_file(&old.join("tokenizer_config.json"));
        assert_eq!(tokenizer["tokenizer_class"], "TokenizersBackend");
        tokenizer["tokenizer_class"] = "PreTrainedTokenizerFast".into();
        assert_eq!(json_file(&written.join("tokenizer_config.json")), tokenizer);
    }
}

#[test]
fn a_lora_folder_answers_as_the_merged_weights() {
    let scratch = Scratch::new();
    let base = scratch.checkpoint("matcha-tiny-mini", "base");
    let factors = scratch.lora(base.to_str().unwrap(), "lora");
    let merged = scratch.checkpoint("matcha-tiny-mini", "merged");
    let path = merged.join("model.safetensors");
    let mut weights = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    for (name, a, b) in factors {
        let change = (b.matmul(&a).unwrap() * 2.0).unwrap();
        let weight = weights[&name].to_dtype(DType::F32).unwrap();
        weights.insert(name, (weight + change).unwrap());
    }
    candle_core::safetensors::save(&weights, &path).unwrap();
    let expected = scratch.answers(&["--adapters", "matcha-tiny"], "merged");
    let unchanged = scratch.answers(&["--adapters", "matcha-tiny"], "base");
    assert_ne!(expected, unchanged, "the change changes no answer");
    // Without --adapters: found by the base.
    assert_eq!(scratch.answers(&[], "lora"), expected);
    let settings = scratch.settings("lora");
    assert_eq!(settings["lora_base"].as_str(), Some("a folder"));
    assert_ne!(
        settings["weights_sha256"],
        scratch.settings("base")["weights_sha256"]
    );
    assert!(!scratch.settings("base").contains_key("lora_base"));
}

#[test]
fn a_lora_folder_without_its_base_is_one_line() {
    let scratch = Scratch::new();
    let lora = scratch.at("lora");
    for (base, expected) in [
        (
            scratch.at("nowhere"),
            "adapter_config.json: base_model_name_or_path: no folder ",
        ),
        (
            "someone/matcha".to_owned(),
            "adapter_config.json: base_model_name_or_path: someone/matcha@main: no copy in the cache",
        ),
        (lora.clone(), "is a LoRA folder too"),
    ] {
        scratch.lora(&base, "lora");
        let line = scratch.refused(&["--adapters", "matcha-tiny", "--weights", &lora]);
        assert!(line.contains(expected), "{line}");
    }
    let line = scratch.refused(&["--weights", &lora]);
    assert!(line.contains("name its adapter with --adapters"), "{line}");
}

#[test]
fn git_lfs_pointers_are_one_line() {
    let scratch = Scratch::new();
    for name in [
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "preprocessor_config.json",
    ] {
        let folder = scratch.checkpoint("matcha-tiny", "pointers");
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n";
        fs::write(folder.join(name), pointer).unwrap();
        let line = scratch.refused(&[
            "--adapters",
            "matcha-tiny",
            "--weights",
            folder.to_str().unwrap(),
        ]);
        assert!(
            line.contains(name)
                && line
                    .contains("it is a Git LFS pointer, not the file itself: run `git lfs pull`"),
            "{line}"
        );
    }
}
