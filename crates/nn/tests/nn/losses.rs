//! Losses and gradients of whole models against PyTorch's (`fixtures/training-gradients/make.py`);
//! frozen variables, activation checkpointing, dropout, fresh weights.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::assert_close::{Tolerance, assert_close, compare};
use crate::gradients::{FLOOR, bits};
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use chartbench_nn::training::{
    DropoutRng, Example, InitDistribution, InitSource, Loss, LossOptions, Variables,
};
use chartbench_nn::{Checkpoint, CheckpointSource, EncoderDecoder, ModelConfig, donut, pix2struct};

/// The label that PyTorch's cross entropy leaves out.
const IGNORED: i64 = -100;

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .join("fixtures")
        .join(name)
}

struct Golden(HashMap<String, Tensor>);

impl Golden {
    fn read(name: &str) -> Result<Self> {
        let path = fixture("training-gradients").join(name);
        Ok(Self(candle_core::safetensors::load(path, &Device::Cpu)?))
    }

    /// The examples; inputs that are not stored are those of a Pix2Struct.
    fn batch(&self, config: Option<&pix2struct::Config>) -> Result<Vec<Example>> {
        let mut batch = Vec::new();
        while let Some(image) = self.0.get(&format!("image.{}", batch.len())) {
            let labels: Vec<i64> = self.0[&format!("labels.{}", batch.len())].to_vec1()?;
            let labels: Vec<Option<u32>> = labels
                .into_iter()
                .map(|label| (label != IGNORED).then_some(label as u32))
                .collect();
            let image = image.clone();
            let example = match (self.0.get(&format!("inputs.{}", batch.len())), config) {
                (Some(stored), _) => Example {
                    image,
                    inputs: stored.to_dtype(DType::U32)?.to_vec1()?,
                    labels,
                },
                (None, Some(config)) => {
                    let start = [config.generation.start];
                    Example::teacher_forced(image, &start, &labels, config.pad_token_id())
                }
                (None, None) => panic!("no inputs are stored"),
            };
            batch.push(example);
        }
        Ok(batch)
    }

    /// Loss to 1e-5 of its size, each gradient to 1e-4 of its largest value, and none missing on
    /// either side.
    fn check(&self, loss: &Loss, variables: &Variables) -> Result<()> {
        assert_close(&loss.sum, &self.0["loss"], Tolerance::relative(1e-5));
        let store = loss.backward()?;
        assert_eq!(
            variables
                .all()
                .map(|(name, _)| name.to_owned())
                .collect::<Vec<_>>(),
            {
                let mut names: Vec<_> = self
                    .0
                    .keys()
                    .filter_map(|name| name.strip_prefix("gradient."))
                    .collect();
                names.sort_unstable();
                names
            },
            "not the same parameters have gradients"
        );
        for (name, variable) in variables.all() {
            let golden = &self.0[&format!("gradient.{name}")];
            let found = store
                .get(variable)
                .unwrap_or_else(|| panic!("{name} has no gradient"));
            // The biases of keys have none but rounding errors: they move all scores of a query
            // alike.
            compare(
                found,
                golden,
                Tolerance::OfLargest {
                    factor: 1e-4,
                    floor: FLOOR,
                },
            )
            .unwrap_or_else(|fault| panic!("gradient of {name}: {fault}"));
        }
        Ok(())
    }
}

fn pix2struct_fixture() -> Result<(pix2struct::Config, Variables)> {
    let dir = fixture("pix2struct/safetensors");
    let config = pix2struct::Config::read(&dir)?;
    let checkpoint = Checkpoint::open(&dir)?;
    let source = CheckpointSource {
        checkpoint: &checkpoint,
        device: &Device::Cpu,
    };
    let variables = Variables::load(&source, |source| {
        pix2struct::Model::from_source(&config, source)
    })?;
    Ok((config, variables))
}

fn donut_fixture() -> Result<(donut::Config, Variables)> {
    let dir = fixture("donut/safetensors");
    let config = donut::Config::read(&dir)?;
    let checkpoint = Checkpoint::open(&dir)?;
    let source = CheckpointSource {
        checkpoint: &checkpoint,
        device: &Device::Cpu,
    };
    let variables = Variables::load(&source, |source| donut::Model::from_source(&config, source))?;
    Ok((config, variables))
}

#[test]
fn pix2struct_as_pytorch() -> Result<()> {
    let (config, variables) = pix2struct_fixture()?;
    let golden = Golden::read("pix2struct.safetensors")?;
    let batch = golden.batch(Some(&config))?;
    let loss = pix2struct::Model::from_source(&config, &variables)?
        .loss(&batch, LossOptions::default())?;
    assert_eq!(loss.labels, 12);
    golden.check(&loss, &variables)
}

#[test]
fn donut_as_pytorch() -> Result<()> {
    let (config, variables) = donut_fixture()?;
    let golden = Golden::read("donut.safetensors")?;
    let batch = golden.batch(None)?;
    let loss =
        donut::Model::from_source(&config, &variables)?.loss(&batch, LossOptions::default())?;
    golden.check(&loss, &variables)
}

/// Questions that share an image's tensor have it encoded once, with the loss and gradients of
/// encoding it for each.
#[test]
fn a_shared_image_counts_for_each_of_its_questions() -> Result<()> {
    let (config, variables) = donut_fixture()?;
    let examples = Golden::read("donut.safetensors")?.batch(None)?;
    let [first, second, ..] = examples.as_slice() else {
        panic!("two examples")
    };
    let about = |image: &Tensor, other: &Example| Example {
        image: image.clone(),
        ..other.clone()
    };
    let shared = [first.clone(), about(&first.image, second), second.clone()];
    let apart = [
        first.clone(),
        about(&first.image.copy()?, second),
        second.clone(),
    ];
    let computed = |batch: &[Example]| -> Result<(f32, Vec<Tensor>)> {
        let loss =
            donut::Model::from_source(&config, &variables)?.loss(batch, LossOptions::default())?;
        let store = loss.backward()?;
        let gradients = variables
            .all()
            .filter_map(|(_, variable)| store.get(variable).cloned());
        Ok((loss.sum.to_scalar()?, gradients.collect()))
    };
    let (found, golden) = (computed(&shared)?, computed(&apart)?);
    assert!(
        (found.0 - golden.0).abs() < 1e-5 * golden.0,
        "{} {}",
        found.0,
        golden.0
    );
    assert!(!golden.1.is_empty());
    for (found, golden) in found.1.iter().zip(&golden.1) {
        assert_close(
            found,
            golden,
            Tolerance::OfLargest {
                factor: 1e-4,
                floor: FLOOR,
            },
        );
    }
    Ok(())
}

/// The loss does not depend on how examples are cut into batches, and a changed variable changes
/// the next model.
#[test]
fn losses_add_up_and_follow_the_variables() -> Result<()> {
    let (config, variables) = pix2struct_fixture()?;
    let batch = Golden::read("pix2struct.safetensors")?.batch(Some(&config))?;
    let loss = |batch: &[Example]| -> Result<(f32, usize)> {
        let loss = pix2struct::Model::from_source(&config, &variables)?
            .loss(batch, LossOptions::default())?;
        Ok((loss.sum.to_scalar()?, loss.labels))
    };
    let (whole, labels) = loss(&batch)?;
    let parts = batch.chunks(1).map(loss).collect::<Result<Vec<_>>>()?;
    let sum: f32 = parts.iter().map(|(loss, _)| loss).sum();
    assert!((whole - sum).abs() < 1e-4, "{whole} {sum}");
    assert_eq!(
        labels,
        parts.iter().map(|(_, labels)| labels).sum::<usize>()
    );
    let norm = variables.get("decoder.final_layer_norm.weight").unwrap();
    norm.set(&(norm.as_tensor().detach() * 0.5)?)?;
    assert!((loss(&batch)?.0 - whole).abs() > 0.1);
    Ok(())
}

#[test]
fn frozen_variables_get_no_gradient() -> Result<()> {
    let (config, mut variables) = pix2struct_fixture()?;
    variables.freeze(|name| name.starts_with("encoder."));
    let batch = Golden::read("pix2struct.safetensors")?.batch(Some(&config))?;
    let loss = pix2struct::Model::from_source(&config, &variables)?
        .loss(&batch, LossOptions::default())?;
    let store = loss.backward()?;
    for (name, variable) in variables.all() {
        assert_eq!(
            store.get(variable).is_some(),
            name.starts_with("decoder."),
            "{name}"
        );
    }
    assert!(
        variables
            .trained()
            .all(|(name, _)| name.starts_with("decoder."))
    );
    Ok(())
}

/// Layers computed again give the gradients that layers kept give: with dropout, with all
/// variables, with the encoder's lower half frozen, with all of it frozen. Bit for bit where a
/// weight takes part once; UniChart's takes part once an image, and what is derived from it (the
/// bias of pairs) is then summed in another order.
#[test]
fn activation_checkpointing_changes_no_gradient() -> Result<()> {
    fn compare(
        variables: &mut Variables,
        tolerance: f64,
        loss: impl Fn(&Variables, LossOptions<'_>) -> Result<Loss>,
    ) -> Result<()> {
        let computed =
            |variables: &Variables, checkpointing: bool| -> Result<(f32, Vec<(String, Tensor)>)> {
                let mut noise = DropoutRng::new(7);
                let loss = loss(
                    variables,
                    LossOptions {
                        dropout: Some(&mut noise),
                        label_smoothing: 0.1,
                        activation_checkpointing: checkpointing,
                    },
                )?;
                let store = loss.backward()?;
                let found = variables
                    .all()
                    .filter_map(|(name, variable)| Some((name, store.get(variable)?)));
                let gradients = found
                    .map(|(name, gradient)| (name.to_owned(), gradient.clone()))
                    .collect();
                Ok((loss.sum.to_scalar()?, gradients))
            };
        let lower = |name: &str| name.starts_with("encoder.") && !name.contains(".1.");
        let frozen: [&dyn Fn(&str) -> bool; 3] =
            [&|_| false, &lower, &|name| name.starts_with("encoder.")];
        let mut counts = Vec::new();
        for frozen in frozen {
            variables.freeze(frozen);
            let (kept, again) = (computed(variables, false)?, computed(variables, true)?);
            assert_eq!(again.0, kept.0);
            assert_eq!(kept.1.len(), variables.trained().count());
            assert_eq!(again.1.len(), kept.1.len());
            for ((name, kept), (same, again)) in kept.1.iter().zip(&again.1) {
                assert_eq!(name, same);
                crate::assert_close::compare(
                    again,
                    kept,
                    Tolerance::OfLargest {
                        factor: tolerance,
                        floor: FLOOR,
                    },
                )
                .unwrap_or_else(|fault| panic!("{name}: {fault}"));
            }
            counts.push(kept.1.len());
        }
        assert!(
            counts.is_sorted_by(|more, fewer| more > fewer),
            "{counts:?}"
        );
        Ok(())
    }
    let (config, mut variables) = pix2struct_fixture()?;
    let batch = Golden::read("pix2struct.safetensors")?.batch(Some(&config))?;
    let loss = |variables: &Variables, pass: LossOptions<'_>| {
        pix2struct::Model::from_source(&config, variables)?.loss(&batch, pass)
    };
    compare(&mut variables, 0.0, loss)?;
    let (config, mut variables) = donut_fixture()?;
    let batch = Golden::read("donut.safetensors")?.batch(None)?;
    let loss = |variables: &Variables, pass: LossOptions<'_>| {
        donut::Model::from_source(&config, variables)?.loss(&batch, pass)
    };
    compare(&mut variables, 1e-5, loss)
}

#[test]
fn batches_that_make_no_sense_are_errors() -> Result<()> {
    let (config, variables) = pix2struct_fixture()?;
    let model = pix2struct::Model::from_source(&config, &variables)?;
    let batch = Golden::read("pix2struct.safetensors")?.batch(Some(&config))?;
    let message = |labels: Vec<Option<u32>>, inputs: Vec<u32>| {
        let example = Example {
            image: batch[0].image.clone(),
            inputs,
            labels,
        };
        format!(
            "{:#}",
            model.loss(&[example], LossOptions::default()).unwrap_err()
        )
    };
    assert_eq!(
        message(vec![Some(3)], vec![]),
        "example 0 has 0 decoder inputs and 1 labels"
    );
    assert_eq!(
        message(vec![None], vec![0]),
        "no label of the batch counts: there is nothing to learn from it"
    );
    assert_eq!(
        message(vec![Some(48)], vec![0]),
        "example 0: token id 48 is outside the vocabulary of 48"
    );
    Ok(())
}

/// Seeds and states of the generator: the same loss bit for bit, another with another seed, none
/// without.
#[test]
fn dropout_follows_its_generator() -> Result<()> {
    let (config, variables) = pix2struct_fixture()?;
    let batch = Golden::read("pix2struct.safetensors")?.batch(Some(&config))?;
    let loss = |noise: Option<&mut DropoutRng>| -> Result<(f32, Vec<u32>)> {
        let loss = pix2struct::Model::from_source(&config, &variables)?.loss(
            &batch,
            LossOptions {
                dropout: noise,
                ..LossOptions::default()
            },
        )?;
        let store = loss.backward()?;
        let table = "decoder.layer.0.self_attention.attention.relative_attention_bias.weight";
        Ok((
            loss.sum.to_scalar()?,
            bits(store.get(variables.get(table).unwrap()).unwrap())?,
        ))
    };
    let mut noise = DropoutRng::new(7);
    let first = loss(Some(&mut noise))?;
    let state: chartbench_nn::training::DropoutRngState =
        serde_json::from_str(&serde_json::to_string(&noise.state())?)?;
    let second = loss(Some(&mut noise))?;
    assert_eq!(loss(Some(&mut DropoutRng::new(7)))?, first);
    assert_eq!(loss(Some(&mut DropoutRng::from_state(&state)))?, second);
    assert_ne!(first.0, second.0);
    assert_ne!(loss(Some(&mut DropoutRng::new(8)))?.0, first.0);
    assert_eq!(loss(None)?, loss(None)?);
    let (config, variables) = donut_fixture()?;
    let batch = Golden::read("donut.safetensors")?.batch(None)?;
    let loss = |noise: Option<&mut DropoutRng>| -> Result<f32> {
        Ok(donut::Model::from_source(&config, &variables)?
            .loss(
                &batch,
                LossOptions {
                    dropout: noise,
                    ..LossOptions::default()
                },
            )?
            .sum
            .to_scalar()?)
    };
    assert_eq!(
        loss(Some(&mut DropoutRng::new(7)))?,
        loss(Some(&mut DropoutRng::new(7)))?
    );
    assert_ne!(loss(Some(&mut DropoutRng::new(7)))?, loss(None)?);
    Ok(())
}

/// Fresh weights have every tensor a model asks for, deviations as the rule says, and the seed
/// decides them.
#[test]
fn fresh_weights() -> Result<()> {
    let (config, stored) = pix2struct_fixture()?;
    let fresh = |seed: u64| {
        let rule = |name: &str, shape: &[usize]| config.init_distribution(name, shape);
        let source = InitSource::new(&rule, seed, &Device::Cpu);
        Variables::load(&source, |source| {
            pix2struct::Model::from_source(&config, source)
        })
    };
    let variables = fresh(3)?;
    assert!(
        variables
            .all()
            .map(|(name, _)| name)
            .eq(stored.all().map(|(name, _)| name))
    );
    let table = "decoder.embed_tokens.weight";
    let values = |variables: &Variables| bits(variables.get(table).unwrap());
    assert_eq!(values(&variables)?, values(&fresh(3)?)?);
    assert_ne!(values(&variables)?, values(&fresh(4)?)?);
    assert_eq!(
        config.init_distribution(
            "decoder.layer.1.self_attention.attention.query.weight",
            &[32, 32]
        ),
        InitDistribution::Normal(1.0 / 16.0)
    );
    let (config, stored) = donut_fixture()?;
    let rule = |name: &str, shape: &[usize]| config.init_distribution(name, shape);
    let source = InitSource::new(&rule, 3, &Device::Cpu);
    let variables = Variables::load(&source, |source| donut::Model::from_source(&config, source))?;
    assert!(
        variables
            .all()
            .map(|(name, _)| name)
            .eq(stored.all().map(|(name, _)| name))
    );
    let embedding = variables
        .get("decoder.model.decoder.embed_tokens.weight")
        .unwrap();
    let padding = embedding.narrow(0, 1, 1)?;
    assert_close(&padding, &padding.zeros_like()?, Tolerance::Absolute(0.0));
    let deviation = embedding.sqr()?.mean_all()?.sqrt()?.to_scalar::<f32>()? as f64;
    let width = embedding.dim(1)? as f64;
    assert!((deviation * width.sqrt() - 1.0).abs() < 0.1, "{deviation}");
    // A convolution's inputs are its channels and places; what is added to the residual begins at
    // half.
    assert_eq!(
        config.init_distribution(
            "encoder.embeddings.patch_embeddings.projection.weight",
            &[8, 3, 2, 2]
        ),
        InitDistribution::Normal(12_f64.powf(-0.5))
    );
    assert_eq!(
        config.init_distribution("decoder.model.decoder.layers.0.fc2.weight", &[4, 16]),
        InitDistribution::Normal(0.125)
    );
    Ok(())
}
