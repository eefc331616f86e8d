//! ONNX exports of the tiny models (`fixtures/onnx/make.py`) against what transformers computed
//! with the same weights.
//!
//! Needs ONNX Runtime: `pip install onnxruntime`, or `ORT_DYLIB_PATH`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::Result;
use candle_core::{Device, Tensor};
use chartbench::adapter::onnx::{Encoded, Export};
use chartbench_nn::generation::{
    BeamSearch, EarlyStopping, GenerationConfig, Prompt, beam_search, greedy,
};
use chartbench_nn::preprocess::{Patches, Pixels};
use serde_json::{Value, json};
use tempfile::TempDir;

const QUESTIONS: usize = 4;
const PROMPTS: [&[u32]; 4] = [&[7], &[5, 9, 30], &[41, 6, 13, 22, 8], &[50, 51]];

fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

fn read(name: &str) -> Result<(HashMap<String, Tensor>, Value)> {
    let expected = serde_json::from_slice(&fs::read(fixtures(name).join("expected.json"))?)?;
    Ok((
        candle_core::safetensors::load(fixtures(name).join("io.safetensors"), &Device::Cpu)?,
        expected,
    ))
}

/// A folder with some of an export's graphs, under the names behind the colons.
fn export(kind: &str, graphs: &[(&str, &str)]) -> Result<TempDir> {
    let dir = tempfile::tempdir()?;
    let rest =
        ["weights.onnx_data", "config.json", "generation_config.json"].map(|name| (name, name));
    for (from, to) in graphs.iter().chain(&rest) {
        let from = fixtures("onnx").join(kind).join(from);
        let to = dir.path().join(to);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(from, to)?;
    }
    Ok(dir)
}

const ENCODER: (&str, &str) = ("encoder_model.onnx", "encoder_model.onnx");
const MERGED: (&str, &str) = ("decoder_model_merged.onnx", "decoder_model_merged.onnx");
const FIRST: (&str, &str) = ("decoder_model.onnx", "decoder_model.onnx");
const NEXT: (&str, &str) = (
    "decoder_with_past_model.onnx",
    "decoder_with_past_model.onnx",
);

/// The patches of a golden, without padding: 24, 15, 7 and 1 of them.
fn patches(io: &HashMap<String, Tensor>, row: usize) -> Result<Patches> {
    let golden = &io[&format!("patches.{row}")];
    Ok(Patches {
        rows: golden.dim(0)?,
        cols: 1,
        data: golden.flatten_all()?.to_vec1()?,
    })
}

fn pixels(io: &HashMap<String, Tensor>) -> Result<Pixels> {
    let golden = &io["pixels.0"];
    let (_, height, width) = golden.dims3()?;
    Ok(Pixels {
        height,
        width,
        data: golden.flatten_all()?.to_vec1()?,
    })
}

fn answers(
    export: &Export,
    images: &[Encoded],
    limits: &GenerationConfig,
) -> Result<Vec<Vec<u32>>> {
    let prompt = |image: &Encoded| Prompt {
        state: image.start(),
        tokens: vec![0],
    };
    Ok(greedy(export, images.iter().map(prompt).collect(), limits)?
        .into_iter()
        .collect::<Result<_, _>>()?)
}

/// Merged decoders; two of them, whose masks have the older names; one without a cache; names of
/// quantized graphs.
#[test]
#[ignore = "needs ONNX Runtime's library: CONTRIBUTING.md"]
fn pix2struct_answers_from_every_layout() -> Result<()> {
    let (io, expected) = read("pix2struct")?;
    let quantized = [
        (ENCODER.0, "encoder_model_quantized.onnx"),
        (MERGED.0, "decoder_model_merged_quantized.onnx"),
    ];
    let layouts: [&[(&str, &str)]; 4] = [
        &[ENCODER, MERGED],
        &[ENCODER, FIRST, NEXT],
        &[ENCODER, FIRST],
        &quantized,
    ];
    for (layout, precision) in layouts.into_iter().zip(["f32", "f32", "f32", "int8"]) {
        let dir = export("pix2struct", layout)?;
        let export = Export::open(dir.path(), false, None)?;
        assert_eq!(
            (export.patches(), export.precision()),
            (Some(24), precision)
        );
        let images: Vec<Encoded> = (0..QUESTIONS)
            .map(|row| export.encode(patches(&io, row)?.into()))
            .collect::<Result<_>>()?;
        for (key, max_new_tokens) in [("greedy_40", 40), ("greedy_default_length", 20)] {
            let limits = GenerationConfig {
                eos: vec![1],
                max_new_tokens,
                ..GenerationConfig::default()
            };
            assert_eq!(
                json!(answers(&export, &images, &limits)?),
                expected[key],
                "{key} from {layout:?}"
            );
        }
    }
    Ok(())
}

/// Greedy decoding and every kind of beam search, whose beams fork the caches of ONNX Runtime.
#[test]
#[ignore = "needs ONNX Runtime's library: CONTRIBUTING.md"]
fn donut_answers_with_beams() -> Result<()> {
    let (io, expected) = read("donut")?;
    let limits = GenerationConfig {
        eos: vec![2],
        max_new_tokens: usize::MAX,
        max_length: Some(32),
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
    let search = |beams, early_stopping, length_penalty| {
        Some(BeamSearch {
            beams,
            early_stopping,
            length_penalty,
        })
    };
    let cases = [
        ("greedy", None, &limits),
        ("beam_early", search(4, EarlyStopping::Yes, 1.0), &limits),
        ("beam_never", search(4, EarlyStopping::Never, 1.0), &limits),
        ("beam_penalty", search(3, EarlyStopping::No, 2.0), &limits),
        (
            "beam_bad_words",
            search(4, EarlyStopping::Yes, 1.0),
            &bad_words,
        ),
        ("beam_ends", search(4, EarlyStopping::Yes, 1.0), &ends),
    ];
    let dir = export("donut", &[ENCODER, MERGED])?;
    let export = Export::open(dir.path(), false, None)?;
    let image = export.encode(pixels(&io)?.into())?;
    for (name, beams, limits) in &cases {
        let prompts = PROMPTS
            .iter()
            .map(|tokens| Prompt {
                state: image.start(),
                tokens: tokens.to_vec(),
            })
            .collect();
        let ours = match beams {
            Some(settings) => beam_search(&export, prompts, settings, limits)?,
            None => greedy(&export, prompts, limits)?,
        };
        let ours: Vec<Vec<u32>> = ours.into_iter().collect::<Result<_, _>>()?;
        assert_eq!(json!(ours), expected[name][0], "{name}");
    }
    Ok(())
}

#[test]
#[ignore = "needs ONNX Runtime's library: CONTRIBUTING.md"]
fn the_hash_covers_graphs_weights_and_configuration() -> Result<()> {
    let dir = export("pix2struct", &[ENCODER, MERGED, FIRST])?;
    let hash = || Export::open(dir.path(), false, None)?.sha256();
    let before = hash()?;
    fs::remove_file(dir.path().join("decoder_model.onnx"))?;
    assert_eq!(hash()?, before, "a graph that is not used");
    let data = dir.path().join("weights.onnx_data");
    let mut bytes = fs::read(&data)?;
    bytes[0] ^= 1;
    fs::write(&data, bytes)?;
    let weights = hash()?;
    assert_ne!(weights, before);
    fs::write(dir.path().join("config.json"), "{}")?;
    assert_ne!(hash()?, weights);
    Ok(())
}

#[test]
#[ignore = "needs ONNX Runtime's library: CONTRIBUTING.md"]
fn what_does_not_fit_is_an_error() -> Result<()> {
    let dir = export("pix2struct", &[ENCODER, MERGED])?;
    let loaded = Export::open(dir.path(), false, None)?;
    let message = |error: anyhow::Error| {
        format!("{error:#}").replace(&dir.path().display().to_string(), "DIR")
    };
    let many = Patches {
        rows: 5,
        cols: 5,
        data: vec![1.0; 25 * 14],
    };
    assert_eq!(
        message(loaded.encode(many.into()).unwrap_err()),
        "25 patches are more than the 24 that this export takes: lower max_patches"
    );
    let image = Pixels {
        height: 2,
        width: 2,
        data: vec![0.0; 12],
    };
    assert_eq!(
        message(loaded.encode(image.into()).unwrap_err()),
        "DIR/encoder_model.onnx: do not know what to give for the encoder's input `flattened_patches`"
    );
    let patches = Patches {
        rows: 1,
        cols: 1,
        data: vec![1.0; 14],
    };
    let prompts = vec![Prompt {
        state: loaded.encode(patches.into())?.start(),
        tokens: vec![48],
    }];
    let limits = GenerationConfig {
        max_new_tokens: 2,
        ..GenerationConfig::default()
    };
    let error = message(greedy(&loaded, prompts, &limits).unwrap_err());
    assert!(
        error.starts_with("decoding step: DIR/decoder_model_merged.onnx: ")
            && error.lines().count() == 1,
        "{error}"
    );
    fs::write(dir.path().join("encoder_model.onnx"), "no graph")?;
    let error = message(Export::open(dir.path(), false, None).unwrap_err());
    assert!(
        error.starts_with("DIR/encoder_model.onnx: ") && error.lines().count() == 1,
        "{error}"
    );
    assert_eq!(
        message(Export::open(dir.path(), true, None).unwrap_err()),
        "DIR: no ONNX export here (looked for encoder_model_quantized.onnx with decoder_model_merged_quantized.onnx or \
         decoder_model_quantized.onnx)"
    );
    Ok(())
}

fn run(adapter: &str, weights: &Path, results: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chartbench"));
    command
        .args([
            "run",
            "--no-blind",
            "--offline",
            "--limit",
            "3",
            "--name",
            "x",
            "--adapters",
            adapter,
        ])
        .args(more);
    command
        .arg("--weights")
        .arg(weights)
        .arg("--results")
        .arg(results);
    command
}

/// The token ids and the texts of a run's answers.
fn predictions(adapter: &str, weights: &Path, more: &[&str]) -> Result<Vec<(Value, Value)>> {
    let results = tempfile::tempdir()?;
    let output = run(adapter, weights, results.path(), more).output()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = fs::read_to_string(
        results
            .path()
            .join("x")
            .join(adapter)
            .join("predictions.jsonl"),
    )?;
    let record = |line: &str| {
        let record: Value = serde_json::from_str(line)?;
        assert!(
            record["token_ids"]
                .as_array()
                .is_some_and(|ids| !ids.is_empty()),
            "{line}"
        );
        Ok((record["token_ids"].clone(), record["prediction"].clone()))
    };
    lines.lines().map(record).collect()
}

/// What the tiny checkpoints and their exports lack to be run: an image processor and a tokenizer.
fn complete(kind: &str, dir: &Path) -> Result<()> {
    let processor = match kind {
        "pix2struct" => {
            json!({"is_vqa": true, "max_patches": 24, "patch_size": {"height": 2, "width": 2}})
        }
        _ => json!({"size": {"height": 64, "width": 96}}),
    };
    fs::write(dir.join("preprocessor_config.json"), processor.to_string())?;
    if kind == "pix2struct" {
        fs::copy(
            fixtures("pix2struct/tokenizer/tokenizer.json"),
            dir.join("tokenizer.json"),
        )?;
        return Ok(());
    }
    let special = ["<s>", "<pad>", "</s>", "<unk>", "<chartqa>", "<s_answer>"];
    let pieces: Vec<String> = special
        .into_iter()
        .map(str::to_owned)
        .chain((6..60).map(|id| format!("t{id}")))
        .collect();
    let added = special.iter().enumerate().map(|(id, content)| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    });
    let vocabulary: serde_json::Map<String, Value> = pieces
        .iter()
        .enumerate()
        .map(|(id, piece)| (piece.clone(), json!(id)))
        .collect();
    let tokenizer = json!({"version": "1.0", "added_tokens": added.collect::<Vec<_>>(),
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}});
    fs::write(dir.join("tokenizer.json"), tokenizer.to_string())?;
    Ok(())
}

/// The whole way from the chart to the answer: an export gives what its checkpoint gives.
#[test]
#[ignore = "needs ONNX Runtime's library: CONTRIBUTING.md"]
fn exports_answer_as_their_checkpoints() -> Result<()> {
    for (kind, adapter) in [("pix2struct", "matcha-base"), ("donut", "unichart")] {
        let exported = export(kind, &[ENCODER, MERGED])?;
        let checkpoint = tempfile::tempdir()?;
        for entry in fs::read_dir(fixtures(kind).join("safetensors"))? {
            let path = entry?.path();
            fs::copy(&path, checkpoint.path().join(path.file_name().unwrap()))?;
        }
        for dir in [exported.path(), checkpoint.path()] {
            complete(kind, dir)?;
        }
        let more: &[&str] = if kind == "pix2struct" {
            &["--max-patches", "24"]
        } else {
            &[]
        };
        let theirs = predictions(adapter, checkpoint.path(), more)?;
        assert_eq!(
            predictions("onnx", exported.path(), more)?,
            theirs,
            "{kind}"
        );
    }
    Ok(())
}

/// The one error on stderr of a run that must end with exit code 2, its last line. Before it stand
/// only what is asked and notes.
#[track_caller]
fn refused(mut command: Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(2), "{stderr}");
    let mut lines: Vec<&str> = stderr.lines().collect();
    let last = lines.pop().unwrap_or_default();
    assert!(last.starts_with("error: "), "{stderr}");
    for line in lines {
        assert!(
            line.starts_with("note: ") || line.contains(" of Mini (synthetic), drawn by "),
            "more than one line: {stderr}"
        );
    }
    last.to_owned()
}

#[test]
#[ignore = "needs ONNX Runtime's library: CONTRIBUTING.md"]
fn a_missing_or_broken_library_is_told_in_one_line() -> Result<()> {
    let dir = export("pix2struct", &[ENCODER, MERGED])?;
    complete("pix2struct", dir.path())?;
    let start = |more: &[&str]| run("onnx", dir.path(), &dir.path().join("results"), more);
    let mut bare = start(&[]);
    bare.env_remove("ORT_DYLIB_PATH")
        .env_remove("VIRTUAL_ENV")
        .env("PATH", "");
    let line = refused(bare);
    assert!(
        line.contains("no ONNX Runtime: run `pip install onnxruntime`"),
        "{line}"
    );
    assert!(
        line.ends_with("there is no Python to find its package onnxruntime with"),
        "{line}"
    );
    let mut variable = start(&[]);
    variable.env("ORT_DYLIB_PATH", "nowhere.so");
    let line = refused(variable);
    assert!(
        line.contains("ORT_DYLIB_PATH nowhere.so: no such file"),
        "{line}"
    );
    let file = dir.path().join("config.json");
    let line = refused(start(&["--onnxruntime", file.to_str().unwrap()]));
    assert!(
        line.contains("cannot load ONNX Runtime: ") && line.contains("config.json"),
        "{line}"
    );
    let mut nothing = Command::new(env!("CARGO_BIN_EXE_chartbench"));
    nothing
        .args(["run", "--adapters", "onnx", "--results"])
        .arg(dir.path().join("results"));
    assert_eq!(
        refused(nothing),
        "error: onnx: no weights come with it: name a folder with --weights"
    );
    let line = refused(start(&["--max-patches", "30"]));
    assert!(
        line.ends_with("this export takes 24 patches, not 30: use --max-patches 24"),
        "{line}"
    );
    fs::write(dir.path().join("decoder_model_merged.onnx"), "no graph")?;
    let line = refused(start(&[]));
    assert!(line.contains("decoder_model_merged.onnx: "), "{line}");
    assert!(!dir.path().join("results").join("x").join("onnx").exists());
    Ok(())
}
