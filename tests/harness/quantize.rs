//! Checkpoints in 8 and 4 bits: stored and read back, damaged, asked for by name, and chosen by
//! `chartbench quantize`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use chartbench::finetune::quantize::{self, Choice, Damage, Measurement, Study};
use chartbench_nn::loading::write_gguf;
use chartbench_nn::training::Variables;
use chartbench_nn::{
    Checkpoint, CheckpointSource, EncoderDecoder, LayerQuantizer, TensorSource, WeightFormat,
    donut, pix2struct,
};
use serde_json::Value;

const DEVICE: Device = Device::Cpu;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

fn bits(x: &Tensor) -> Result<Vec<u32>> {
    Ok(x.flatten_all()?
        .to_vec1::<f32>()?
        .into_iter()
        .map(f32::to_bits)
        .collect())
}

/// Quantizes the checkpoint of a folder into a new one, leaving `kept` as it is: the folder, the
/// model before it was stored, and how its matrices are stored.
fn stored<M>(
    name: &str,
    architecture: &str,
    (to, kept): (WeightFormat, &[&str]),
    model: &dyn Fn(&dyn TensorSource) -> Result<M>,
) -> Result<(tempfile::TempDir, M, BTreeMap<String, usize>)> {
    let from = fixture(name);
    let checkpoint = Checkpoint::open(&from)?;
    let variables = Variables::load(
        &CheckpointSource {
            checkpoint: &checkpoint,
            device: &DEVICE,
        },
        model,
    )?;
    let fixed = variables.frozen();
    let mut quantized = LayerQuantizer::new(&fixed, to);
    quantized.keep(kept.iter().map(|&layer| layer.to_owned()));
    let before = model(&quantized)?;
    let weights: Vec<(String, Tensor)> = variables
        .merged()
        .map(|weight| weight.map(|(name, x)| (name.to_owned(), x)))
        .collect::<Result<_>>()?;
    let dir = tempfile::tempdir()?;
    fs::copy(from.join("config.json"), dir.path().join("config.json"))?;
    let mut file = fs::File::create(dir.path().join("model.gguf"))?;
    write_gguf(&mut file, architecture, &weights, &quantized)?;
    Ok((dir, before, quantized.count_by_format()))
}

fn kinds(kinds: &[(&str, usize)]) -> BTreeMap<String, usize> {
    kinds
        .iter()
        .map(|&(kind, count)| (kind.to_owned(), count))
        .collect()
}

/// Some patches for the small Pix2Struct: ids of row and column, then 12 pixels.
fn patches() -> Result<Tensor> {
    let rows = (0..6).flat_map(|place| {
        let pixels = (0..12).map(move |pixel| ((place * 12 + pixel) as f32 * 0.7).sin());
        [(place / 3 + 1) as f32, (place % 3 + 1) as f32]
            .into_iter()
            .chain(pixels)
    });
    Ok(Tensor::from_vec(
        rows.collect::<Vec<f32>>(),
        (6, 14),
        &DEVICE,
    )?)
}

/// Matrices with rows of 12, 36, 40 and 56 values fill no blocks.
#[test]
fn a_pix2struct_is_read_back_as_it_was_measured() -> Result<()> {
    let config = pix2struct::Config::read(&fixture("pix2struct/safetensors"))?;
    let model = |source: &dyn TensorSource| pix2struct::Model::for_inference(&config, source);
    let kept = ["encoder.encoder.layer.1.attention"];
    let what = (WeightFormat::Q8_0, kept.as_slice());
    let (dir, before, kinds_stored) = stored("pix2struct/safetensors", "pix2struct", what, &model)?;
    assert_eq!(
        kinds_stored["Q8_0"] + kinds_stored["full"] + kinds_stored["full, of no fitting size"],
        37
    );
    assert_eq!(kinds_stored["full"], 3);
    let checkpoint = Checkpoint::open(dir.path())?;
    let said = checkpoint
        .quantized()
        .context("it does not say that it is quantized")?;
    assert_eq!(
        (said.format, said.kept.as_slice()),
        (WeightFormat::Q8_0, kept.map(str::to_owned).as_slice())
    );
    let after = pix2struct::Model::load(&config, &checkpoint, &DEVICE)?;
    let full = model(&CheckpointSource {
        checkpoint: &Checkpoint::open(&fixture("pix2struct/safetensors"))?,
        device: &DEVICE,
    })?;
    let [before, after, full] = [&before, &after, &full].map(|model| model.encode(&patches()?));
    assert_eq!(
        bits(before.as_ref().unwrap())?,
        bits(after.as_ref().unwrap())?
    );
    assert_ne!(
        bits(after.as_ref().unwrap())?,
        bits(full.as_ref().unwrap())?
    );
    Ok(())
}

#[test]
fn a_donut_is_read_back_as_it_was_measured() -> Result<()> {
    let config = donut::Config::read(&fixture("donut/safetensors"))?;
    let model = |source: &dyn TensorSource| donut::Model::for_inference(&config, source);
    for to in WeightFormat::QUANTIZED {
        let (dir, before, stored) = stored("donut/safetensors", "donut", (to, &[]), &model)?;
        // No row has 256 values: q4 is Q8_0 where that fits.
        assert!(
            stored["Q8_0"] > 0 && stored["full, of no fitting size"] > 0 && stored.len() == 2,
            "{stored:?}"
        );
        let after = donut::Model::load(&config, &Checkpoint::open(dir.path())?, &DEVICE)?;
        let pixels: Vec<f32> = (0..3 * 64 * 64)
            .map(|place| (place as f32 * 0.37).sin())
            .collect();
        let pixels = Tensor::from_vec(pixels, (3, 64, 64), &DEVICE)?;
        let logits = |model: &donut::Model| -> Result<Vec<u32>> {
            let mut state = model.image(&model.encode(&pixels)?)?.start();
            bits(&model.logits(&mut [(&mut state, &[3, 7, 9])])?)
        };
        assert_eq!(logits(&before)?, logits(&after)?, "{to}");
    }
    Ok(())
}

/// A folder whose `model.gguf` `damage` has changed: the line said about it, with the folder's path
/// left out.
fn failure(damage: impl FnOnce(&mut Vec<u8>)) -> Result<String> {
    let config = pix2struct::Config::read(&fixture("pix2struct/safetensors"))?;
    let model = |source: &dyn TensorSource| pix2struct::Model::for_inference(&config, source);
    let (dir, ..) = stored(
        "pix2struct/safetensors",
        "pix2struct",
        (WeightFormat::Q8_0, &[]),
        &model,
    )?;
    let path = dir.path().join("model.gguf");
    let mut bytes = fs::read(&path)?;
    damage(&mut bytes);
    fs::write(&path, bytes)?;
    let load = || pix2struct::Model::load(&config, &Checkpoint::open(dir.path())?, &DEVICE);
    let line = format!("{:#}", load().err().context("it must not load")?);
    assert!(!line.contains('\n'), "{line}");
    Ok(line.replace(&format!("{}/", dir.path().display()), ""))
}

/// Puts `new` in the place of the first `old`, of the same length.
fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let at = bytes
        .windows(old.len())
        .position(|window| window == old)
        .unwrap();
    bytes[at..at + new.len()].copy_from_slice(new);
}

#[test]
fn damaged_files_are_refused_in_one_line() -> Result<()> {
    assert_eq!(
        failure(|bytes| bytes.truncate(3))?,
        "model.gguf: no GGUF file, or truncated: failed to fill whole buffer"
    );
    let line = failure(|bytes| bytes.truncate(60))?;
    assert!(
        line.starts_with("model.gguf: its metadata is damaged, or the file truncated"),
        "{line}"
    );
    let line = failure(|bytes| bytes.truncate(1000))?;
    assert!(
        line.starts_with("model.gguf: its list of tensors is damaged, or the file truncated"),
        "{line}"
    );
    let line = failure(|bytes| bytes.truncate(bytes.len() - 4000))?;
    assert!(line.starts_with("model.gguf: truncated: tensor "), "{line}");
    let line = failure(|bytes| bytes[4] = 9)?;
    assert_eq!(
        line,
        "model.gguf: no GGUF file, or truncated: version 9 is not read here (2 and 3 are)"
    );
    let line = failure(|bytes| replace(bytes, b"pix2struct", b"llamallama"))?;
    assert_eq!(
        line,
        "model.gguf: general.architecture is \"llamallama\": no model of pix2struct or donut"
    );
    let line = failure(|bytes| {
        replace(
            bytes,
            b"chartbench.quantization",
            b"somebody.s quantization",
        )
    })?;
    assert_eq!(
        line,
        "model.gguf: no chartbench.quantization in it: `chartbench quantize` did not write it"
    );
    // The list of what was kept becomes an alignment that is no number.
    let line = failure(|bytes| {
        let (old, new) = (
            b"chartbench.kept".as_slice(),
            b"general.alignment".as_slice(),
        );
        let at = bytes
            .windows(old.len())
            .position(|window| window == old)
            .unwrap();
        bytes[at - 8] = new.len() as u8;
        bytes.splice(at..at + old.len(), new.iter().copied());
    })?;
    assert_eq!(line, "model.gguf: general.alignment is no power of two");
    Ok(())
}

/// A matrix of the right name with other sizes, and one of a type that is not read.
#[test]
fn tensors_that_do_not_fit_are_refused_in_one_line() -> Result<()> {
    let name = b"decoder.lm_head.weight";
    let header = |bytes: &[u8]| {
        bytes
            .windows(name.len())
            .position(|window| window == name)
            .unwrap()
            + name.len()
    };
    let shape = failure(|bytes| {
        let at = header(bytes) + 4 + 8;
        bytes[at] = 47;
    })?;
    assert_eq!(
        shape,
        "model.gguf: tensor decoder.lm_head.weight has shape [47, 32], config.json asks for [48, 32]"
    );
    let kind = failure(|bytes| {
        let at = header(bytes) + 4 + 16;
        bytes[at] = 13;
    })?;
    assert_eq!(
        kind,
        "model.gguf: tensor decoder.lm_head.weight is stored as GGML type 13, which is not read here"
    );
    let huge = failure(|bytes| {
        let at = header(bytes) + 4 + 8;
        bytes[at..at + 8].fill(0xff);
    })?;
    let start = "model.gguf: its list of tensors is damaged, or the file truncated: tensor decoder.lm_head.weight of shape ";
    assert!(huge.starts_with(start), "{huge}");
    Ok(())
}

fn chartbench(arguments: &[&str], results: &Path) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chartbench"));
    let (flag, folder) = match arguments.first() {
        Some(&"quantize") => ("--out", results.join("quantized")),
        _ => ("--results", results.to_owned()),
    };
    Ok(command.args(arguments).arg(flag).arg(folder).output()?)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn names_with_a_precision_are_rows_of_their_own() -> Result<()> {
    let results = tempfile::tempdir()?;
    let names =
        "matcha-tiny@q8,matcha-tiny@bf16,blank+unichart-tiny@q4,unichart-tiny@bf16,deplot-tiny@q8";
    let output = chartbench(
        &["run", "--no-blind", "--adapters", names, "--limit", "2"],
        results.path(),
    )?;
    // DePlot reads tables and answers no questions: failures of its own, not of its name.
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let manifest = fs::read_to_string(results.path().join("mini/run.toml"))?;
    for line in [
        "id = \"matcha-tiny@q8\"",
        "id = \"matcha-tiny@bf16\"",
        "id = \"blank+unichart-tiny@q4\"",
        "dtype = \"q8\"",
        "dtype = \"q4\"",
        "dtype = \"bf16\"",
    ] {
        assert!(manifest.contains(line), "{line}: {manifest}");
    }
    for (names, line) in [
        (
            "matcha-tiny@q5",
            "error: adapter `matcha-tiny@q5`: no precision `q5`: there are bf16, q8 and q4",
        ),
        (
            "majority@q8",
            "error: adapter `majority@q8`: majority has no weights that this program can round (Pix2Struct and UniChart \
             checkpoints do)",
        ),
    ] {
        let output = chartbench(&["run", "--adapters", names], results.path())?;
        assert_eq!(
            (output.status.code(), stderr(&output).trim()),
            (Some(2), line)
        );
    }
    let output = chartbench(
        &["finetune", "--adapters", "matcha-tiny@q8"],
        results.path(),
    )?;
    assert!(
        stderr(&output)
            .contains("matcha-tiny@q8 is quantized: it is matcha-tiny that can be trained")
    );
    Ok(())
}

/// With so wide a tolerance everything is quantized, whatever the model answers; a tolerance that
/// none can keep writes the table and nothing else.
#[test]
fn a_quantized_checkpoint_is_chosen_written_and_asked() -> Result<()> {
    let results = tempfile::tempdir()?;
    let arguments = [
        "quantize",
        "--adapters",
        "matcha-tiny",
        "--validation-questions",
        "3",
        "--to",
        "q8",
    ];
    let output = chartbench(
        &[&arguments[..], &["--tolerance", "100"]].concat(),
        results.path(),
    )?;
    assert!(output.status.success(), "{}", stderr(&output));
    let folder = results.path().join("quantized/matcha-tiny@q8/checkpoint");
    let decision: Value = serde_json::from_slice(&fs::read(folder.join("quantize.json"))?)?;
    let chosen = &decision["chosen"];
    assert_eq!(chosen["kept"].as_array().map(Vec::len), Some(0));
    let bytes = fs::metadata(folder.join("model.gguf"))?.len();
    assert_eq!(chosen["bytes"].as_u64(), Some(bytes));
    assert!(
        bytes
            < decision["baseline"]["bytes"]
                .as_u64()
                .context("no baseline")?,
        "not smaller"
    );
    let damages = decision["damages"].as_array().context("no damages")?;
    let rises: Vec<f64> = damages
        .iter()
        .filter_map(|damage| damage["loss_rise"].as_f64())
        .collect();
    assert!(
        rises.len() > 8 && rises.is_sorted_by(|a, b| a >= b),
        "{rises:?}"
    );
    assert!(fs::read_to_string(folder.join("README.md"))?.contains("# matcha-tiny@q8"));
    assert!(
        fs::read_to_string(results.path().join("quantized/quantize.md"))?
            .contains("| matcha-tiny@q8 |")
    );

    let weights = format!("matcha-tiny@q8={}", folder.display());
    let run = [
        "run",
        "--no-blind",
        "--adapters",
        "matcha-tiny@q8,matcha-tiny",
        "--limit",
        "6",
        "--weights",
        &weights,
    ];
    let output = chartbench(&run, results.path())?;
    assert!(output.status.success(), "{}", stderr(&output));
    let predictions = |run: &str| {
        fs::read_to_string(
            results
                .path()
                .join(run)
                .join("matcha-tiny@q8/predictions.jsonl"),
        )
    };
    let ids = |text: String| -> Result<Vec<Value>> {
        text.lines()
            .map(|line| Ok(serde_json::from_str::<Value>(line)?["token_ids"].clone()))
            .collect()
    };
    // Everything is quantized: quantized while it is loaded, the checkpoint answers the same.
    let output = chartbench(
        &[
            "run",
            "--no-blind",
            "--adapters",
            "matcha-tiny@q8",
            "--limit",
            "6",
            "--name",
            "loaded",
        ],
        results.path(),
    )?;
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(ids(predictions("mini")?)?, ids(predictions("loaded")?)?);
    let other = format!("matcha-tiny={}", folder.display());
    let output = chartbench(
        &[
            "run",
            "--adapters",
            "matcha-tiny@q4",
            "--weights",
            &other,
            "--name",
            "x",
        ],
        results.path(),
    )?;
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("the weights are q8, not q4"),
        "{}",
        stderr(&output)
    );

    let output = chartbench(
        &[&arguments[..], &["--tolerance=-101"]].concat(),
        &results.path().join("none"),
    )?;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let written: Vec<_> = fs::read_dir(results.path().join("none/quantized"))?
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(written, ["quantize.md"]);
    Ok(())
}

#[test]
fn the_table_marks_what_was_chosen() -> Result<()> {
    let measured = |bytes, exact_match| Measurement {
        bytes,
        questions_per_second: 12.5,
        loss: 0.75,
        exact_match,
        relaxed: exact_match + 5.0,
    };
    let choice = |kept: &[&str], bytes, exact_match| Choice {
        kept: kept.iter().map(|&layer| layer.to_owned()).collect(),
        matrices: kinds(&[("Q8_0", 40), ("full", 3 * kept.len())]),
        measured: measured(bytes, exact_match),
    };
    let damage = |layer: &str, loss_rise| Damage {
        layer: layer.to_owned(),
        loss_rise,
    };
    let study = Study {
        to: WeightFormat::Q8_0,
        damages: vec![
            damage("decoder.lm_head", 0.0125),
            damage("encoder.encoder.layer.0.mlp", -0.00001),
        ],
        choices: vec![
            choice(&[], 1_234_567, 41.0),
            choice(&["decoder.lm_head"], 1_300_000, 42.0),
        ],
        chosen: Some(1),
    };
    let none = Study {
        to: WeightFormat::Q4K,
        chosen: None,
        ..study.clone()
    };
    let (baseline, studies) = (measured(2_345_678, 42.0), [study, none]);
    let choices = quantize::choices([("model", &baseline, studies.as_slice())]);
    let damages = quantize::damages([("model", studies.as_slice())]);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots");
    insta::with_settings!({snapshot_path => path, prepend_module_to_snapshot => true, omit_expression => true}, {
        insta::assert_snapshot!("tables", format!("{}\n{}", choices.to_markdown(), damages.to_markdown()));
    });
    Ok(())
}
