//! PEFT LoRA folders: against what PEFT makes of them (`fixtures/lora/make.py`), against the formula,
//! and those that are refused.

use std::collections::HashMap;
use std::fs;

use crate::assert_close::{Tolerance, assert_close};
use crate::checkpoint_forms::{
    DONUT, PIX2STRUCT, POINTER, assert_holds, copy, fixture, line, pointer_line, save_torch,
    tensors, values, with_weights,
};
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use chartbench_nn::loading::{is_lora_folder, weights_sha256_with_lora};
use chartbench_nn::{Checkpoint, weights_sha256};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Against what PEFT makes of the same folders.
#[test]
fn lora_folders_change_their_base_as_peft_does() -> Result<()> {
    for (folder, base) in [
        ("attention", PIX2STRUCT),
        ("embedding", PIX2STRUCT),
        ("convolution", DONUT),
    ] {
        let lora = fixture("lora").join(folder);
        assert!(is_lora_folder(&lora) && !is_lora_folder(&fixture(base)));
        let checkpoint = Checkpoint::open(&fixture(base))?.with_lora(&lora)?;
        let merged = candle_core::safetensors::load(lora.join("merged.safetensors"), &Device::Cpu)?;
        let mut kept = tensors(base)?;
        for (name, expected) in &merged {
            let found = checkpoint.tensor(name, expected.dims(), &Device::Cpu)?;
            assert_close(&found, expected, Tolerance::Absolute(1e-6));
            let before = kept
                .remove(name)
                .map(|tensor| values(&tensor))
                .transpose()?;
            assert_ne!(before, Some(values(&found)?), "{name}");
        }
        assert!(merged.len() == 2 && !kept.is_empty());
        assert_holds(&checkpoint, &kept)?;
    }
    Ok(())
}

/// A LoRA folder over the tiny Pix2Struct: rank 2, alpha 5, on one weight.
fn lora_folder(
    settings: &[(&str, Value)],
    rename: impl Fn(&str) -> String,
) -> Result<(TempDir, Tensor, Tensor)> {
    let dir = tempfile::tempdir()?;
    let mut config = json!({
        "peft_type": "LORA", "base_model_name_or_path": "base", "r": 2, "lora_alpha": 5,
        "bias": "none", "target_modules": ["wi_0"], "lora_dropout": 0.1, "task_type": null,
        "init_lora_weights": true, "use_dora": false, "megatron_core": "megatron.core",
    });
    for (key, value) in settings {
        config[*key] = value.clone();
    }
    fs::write(dir.path().join("adapter_config.json"), config.to_string())?;
    let random = |shape: &[usize], seed: f32| -> Result<Tensor> {
        let count: usize = shape.iter().product();
        let numbers: Vec<f32> = (0..count)
            .map(|index| (index as f32 * seed).sin())
            .collect();
        Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?)
    };
    let (a, b) = (random(&[2, 32], 0.7)?, random(&[56, 2], 1.3)?);
    let name = "base_model.model.encoder.encoder.layer.1.mlp.wi_0";
    let factors = HashMap::from([
        (rename(&format!("{name}.lora_A.weight")), a.clone()),
        (rename(&format!("{name}.lora_B.weight")), b.clone()),
    ]);
    candle_core::safetensors::save(&factors, dir.path().join("adapter_model.safetensors"))?;
    Ok((dir, a, b))
}

const CHANGED: &str = "encoder.encoder.layer.1.mlp.wi_0.weight";

#[test]
fn lora_counts_by_alpha_and_rank() -> Result<()> {
    for (rslora, scale) in [(false, 5.0 / 2.0), (true, 5.0 / 2f32.sqrt())] {
        let (dir, a, b) = lora_folder(&[("use_rslora", json!(rslora))], str::to_owned)?;
        let (a, b) = (a.to_vec2::<f32>()?, b.to_vec2::<f32>()?);
        let weight = tensors(PIX2STRUCT)?[CHANGED].to_vec2::<f32>()?;
        let checkpoint = Checkpoint::open(&fixture(PIX2STRUCT))?.with_lora(dir.path())?;
        let found = checkpoint.tensor(CHANGED, &[56, 32], &Device::Cpu)?;
        for (row, found) in found.to_vec2::<f32>()?.iter().enumerate() {
            for (column, found) in found.iter().enumerate() {
                let change = b[row][0] * a[0][column] + b[row][1] * a[1][column];
                let expected = weight[row][column] + scale * change;
                assert!((found - expected).abs() < 1e-5, "{row} {column}");
            }
        }
    }
    Ok(())
}

/// Names as a state dict of the wrapped model has them, in the file of older versions.
#[test]
fn lora_is_read_under_its_older_names() -> Result<()> {
    let (dir, _, _) = lora_folder(&[], str::to_owned)?;
    let expected = Checkpoint::open(&fixture(PIX2STRUCT))?.with_lora(dir.path())?;
    let expected = expected.tensor(CHANGED, &[56, 32], &Device::Cpu)?;
    let (renamed, a, b) = lora_folder(&[], str::to_owned)?;
    fs::remove_file(renamed.path().join("adapter_model.safetensors"))?;
    let names = ["A", "B"].map(|factor| {
        format!("base_model.model.encoder.encoder.layer.1.mlp.wi_0.lora_{factor}.default.weight")
    });
    save_torch(
        &[(&names[0], &a), (&names[1], &b)],
        &renamed.path().join("adapter_model.bin"),
    )?;
    let found = Checkpoint::open(&fixture(PIX2STRUCT))?.with_lora(renamed.path())?;
    let found = found.tensor(CHANGED, &[56, 32], &Device::Cpu)?;
    assert_eq!(values(&found)?, values(&expected)?);
    Ok(())
}

/// The tied matrix is changed where it writes tokens and stays as it is where it reads them.
#[test]
fn lora_on_one_use_of_a_tied_weight_leaves_the_other() -> Result<()> {
    const TABLE: &str = "decoder.model.decoder.embed_tokens.weight";
    const HEAD: &str = "decoder.lm_head.weight";
    let mut weights = tensors(DONUT)?;
    let stored = weights.remove(HEAD);
    let table = weights.remove(TABLE).or(stored).unwrap();
    weights.insert(TABLE.to_owned(), table.clone());
    let base = with_weights(DONUT, &weights)?;
    let (vocabulary, width) = table.dims2()?;
    let (dir, _, _) = lora_folder(&[], str::to_owned)?;
    let factors = HashMap::from([
        (
            "base_model.model.decoder.lm_head.lora_A.weight".to_owned(),
            Tensor::ones((2, width), DType::F32, &Device::Cpu)?,
        ),
        (
            "base_model.model.decoder.lm_head.lora_B.weight".to_owned(),
            Tensor::ones((vocabulary, 2), DType::F32, &Device::Cpu)?,
        ),
    ]);
    candle_core::safetensors::save(&factors, dir.path().join("adapter_model.safetensors"))?;
    let checkpoint = Checkpoint::open(base.path())?.with_lora(dir.path())?;
    let read = |name: &str| checkpoint.tensor(name, &[vocabulary, width], &Device::Cpu);
    assert_eq!(values(&read(TABLE)?)?, values(&table)?);
    assert_close(
        &read(HEAD)?,
        &(table.to_dtype(DType::F32)? + 5.0)?,
        Tolerance::Absolute(1e-5),
    );
    Ok(())
}

#[test]
fn lora_that_is_not_plain_is_refused_by_its_key() -> Result<()> {
    let refused = |settings: &[(&str, Value)]| -> Result<String> {
        let (dir, _, _) = lora_folder(settings, str::to_owned)?;
        let result = Checkpoint::open(&fixture(PIX2STRUCT))?.with_lora(dir.path());
        Ok(line(result, dir.path()))
    };
    for (key, value, expected) in [
        ("peft_type", json!("IA3"), "peft_type is IA3: "),
        ("peft_type", Value::Null, "peft_type is missing: "),
        ("use_dora", json!(true), "use_dora is true: not supported"),
        ("bias", json!("all"), "bias is \"all\": only \"none\""),
        ("lora_bias", json!(true), "lora_bias is true: "),
        ("fan_in_fan_out", json!(true), "fan_in_fan_out is true: "),
        ("alpha_pattern", json!({"wi_0": 3}), "alpha_pattern is "),
        (
            "layer_replication",
            json!([[0, 2]]),
            "layer_replication is ",
        ),
        (
            "trainable_token_indices",
            json!([1]),
            "trainable_token_indices is ",
        ),
        (
            "an_option_of_tomorrow",
            json!("on"),
            "an_option_of_tomorrow is ",
        ),
        ("init_lora_weights", json!("pissa"), "init_lora_weights is "),
        (
            "base_model_name_or_path",
            Value::Null,
            "base_model_name_or_path is missing: ",
        ),
        ("lora_alpha", json!("5"), "lora_alpha must be a number"),
        ("lora_alpha", json!(1e300), "lora_alpha must be a number"),
        ("r", json!(0), "r must be from 1 to "),
    ] {
        let line = refused(&[(key, value)])?;
        assert!(
            line.starts_with(&format!("adapter_config.json: {expected}")),
            "{line}"
        );
    }
    let weights = [
        (
            ("r", json!(3)),
            "the factors of encoder.encoder.layer.1.mlp.wi_0.weight: their rank is 2, r in adapter_config.json is 3",
        ),
        (
            ("modules_to_save", json!(["lm_head"])),
            "no tensor of lm_head, which is in modules_to_save",
        ),
    ];
    for (setting, expected) in weights {
        assert_eq!(
            refused(&[setting])?,
            format!("adapter_model.safetensors: {expected}")
        );
    }
    Ok(())
}

#[test]
fn lora_of_another_model_is_refused() -> Result<()> {
    let refused = |rename: &dyn Fn(&str) -> String| -> Result<String> {
        let (dir, _, _) = lora_folder(&[], rename)?;
        let result = Checkpoint::open(&fixture(PIX2STRUCT))?.with_lora(dir.path());
        let base = fixture(PIX2STRUCT).display().to_string();
        Ok(line(result, dir.path()).replace(&base, "BASE"))
    };
    assert_eq!(
        refused(&|name: &str| name.replace("layer.1.", "layer.7."))?,
        "adapter_model.safetensors: its base BASE has no tensor encoder.encoder.layer.7.mlp.wi_0.weight: it was trained \
         on another model"
    );
    assert_eq!(
        refused(&|name: &str| name.replace("mlp.wi_0", "mlp.wo"))?,
        "adapter_model.safetensors: encoder.encoder.layer.1.mlp.wo.weight has shape [56, 32] there, [32, 56] in its base \
         BASE: it was trained on another model"
    );
    assert_eq!(
        refused(&|name: &str| name.replace("lora_B", "lora_magnitude_vector"))?,
        "adapter_model.safetensors: tensor \
         base_model.model.encoder.encoder.layer.1.mlp.wi_0.lora_magnitude_vector.weight is no factor of a plain LoRA: \
         merge the adapter into its base with PEFT"
    );
    assert_eq!(
        refused(&|name: &str| name.replace("wi_0.lora_B", "wi_1.lora_B"))?,
        "adapter_model.safetensors: the factors of encoder.encoder.layer.1.mlp.wi_0.weight: only one of lora_A and \
         lora_B is there"
    );
    let (dir, _, _) = lora_folder(&[], str::to_owned)?;
    fs::remove_file(dir.path().join("adapter_model.safetensors"))?;
    let result = Checkpoint::open(&fixture(PIX2STRUCT))?.with_lora(dir.path());
    assert_eq!(
        line(result, dir.path()),
        "DIR: no weights of the adapter here (looked for adapter_model.safetensors, adapter_model.bin)"
    );
    Ok(())
}

/// By its content, wherever the folders lie.
#[test]
fn the_hash_of_a_lora_covers_both_folders() -> Result<()> {
    let base = fixture(PIX2STRUCT);
    let (lora, _, _) = lora_folder(&[], str::to_owned)?;
    let hash = weights_sha256_with_lora(&base, lora.path())?;
    assert_ne!(hash, weights_sha256(&base)?);
    let copied = copy(PIX2STRUCT)?;
    assert_eq!(weights_sha256_with_lora(copied.path(), lora.path())?, hash);
    let (other, _, _) = lora_folder(&[("lora_alpha", json!(6))], str::to_owned)?;
    assert_ne!(weights_sha256_with_lora(&base, other.path())?, hash);
    fs::write(copied.path().join("config.json"), "{}")?;
    assert_ne!(weights_sha256_with_lora(copied.path(), lora.path())?, hash);
    Ok(())
}

#[test]
fn git_lfs_pointers_in_a_lora_folder_are_called_that() -> Result<()> {
    let (dir, _, _) = lora_folder(&[], str::to_owned)?;
    let apply = || Checkpoint::open(&fixture(PIX2STRUCT))?.with_lora(dir.path());
    for name in ["adapter_model.safetensors", "adapter_config.json"] {
        fs::write(dir.path().join(name), POINTER)?;
        assert_eq!(line(apply(), dir.path()), pointer_line(name));
    }
    Ok(())
}
