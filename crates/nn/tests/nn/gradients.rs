//! The fused operations' gradients against those candle finds through the reference ones, at sizes that fill no block evenly;
//! losses and gradients of whole models against PyTorch's (`fixtures/training-gradients/make.py`); dropout.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::assert_close::{Tolerance, assert_close, compare};
use anyhow::Result;
use candle_core::{D, DType, Device, Shape, Tensor, Var};
use chartbench_nn::kernels::{
    self, ComputeDtype, Dropout, SequenceSpan, Weight, Windows, reference,
};
use chartbench_nn::training::{
    DropoutRng, Example, InitDistribution, InitSource, Loss, LossOptions, Variables,
};
use chartbench_nn::{Checkpoint, CheckpointSource, EncoderDecoder, ModelConfig, donut, pix2struct};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

const IGNORED: i64 = -100;
/// Gradients whose values are all smaller are compared to it.
const FLOOR: f64 = 1.0;

thread_local! {
    /// Each test has a thread of its own, and so draws the same values each time.
    static DRAWS: RefCell<ChaCha8Rng> = RefCell::new(ChaCha8Rng::seed_from_u64(7));
}

/// Normal values around 0.
fn normal(shape: impl Into<Shape>, deviation: f32) -> candle_core::Result<Tensor> {
    let shape = shape.into();
    let draw = |draws: &mut ChaCha8Rng| -> Vec<f32> {
        (0..shape.elem_count())
            .map(|_| deviation * draws.sample::<f32, _>(StandardNormal))
            .collect()
    };
    Tensor::from_vec(DRAWS.with_borrow_mut(draw), shape, &Device::Cpu)
}

fn random(rows: usize, columns: usize) -> Result<Tensor> {
    Ok(normal((rows, columns), 0.7)?)
}

fn vector(size: usize) -> Result<Tensor> {
    Ok(normal(size, 0.7)?)
}

/// The gradients of `of(inputs)`, each of its values weighted, for every input.
fn gradients(
    inputs: &[Tensor],
    weights: &Tensor,
    of: impl Fn(&[Tensor]) -> candle_core::Result<Tensor>,
) -> Result<Vec<Tensor>> {
    let variables: Vec<Var> = inputs
        .iter()
        .map(Var::from_tensor)
        .collect::<candle_core::Result<_>>()?;
    let tensors: Vec<Tensor> = variables
        .iter()
        .map(|variable| variable.as_tensor().clone())
        .collect();
    let out = of(&tensors)?;
    let store = (out.broadcast_mul(weights))?.sum_all()?.backward()?;
    Ok(variables
        .iter()
        .map(|variable| store.get(variable).expect("no gradient").clone())
        .collect())
}

/// How fast the weighted sum of `of(inputs)` grows along `directions`, by differences over a `step` both ways.
fn slope(
    inputs: &[Tensor],
    directions: &[Tensor],
    weights: &Tensor,
    step: f64,
    of: impl Fn(&[Tensor]) -> candle_core::Result<Tensor>,
) -> Result<f64> {
    let at = |step: f64| -> Result<f64> {
        let moved = inputs
            .iter()
            .zip(directions)
            .map(|(input, direction)| input + (direction * step)?);
        let out = of(&moved.collect::<candle_core::Result<Vec<_>>>()?)?;
        Ok(out
            .to_dtype(DType::F64)?
            .broadcast_mul(&weights.to_dtype(DType::F64)?)?
            .sum_all()?
            .to_scalar()?)
    };
    Ok((at(step)? - at(-step)?) / (2.0 * step))
}

/// The sum of all products of values at the same place, in f64.
fn dot(a: &[Tensor], b: &[Tensor]) -> Result<f64> {
    let products = a.iter().zip(b).map(|(a, b)| {
        let product = a.to_dtype(DType::F64)?.mul(&b.to_dtype(DType::F64)?)?;
        product.sum_all()?.to_scalar::<f64>()
    });
    Ok(products.sum::<candle_core::Result<f64>>()?)
}

/// Gradients of the fused operation are those of the reference one, agree with finite differences, and are the same bits when
/// computed again.
#[track_caller]
fn check(
    inputs: &[Tensor],
    fused: impl Fn(&[Tensor]) -> candle_core::Result<Tensor>,
    reference: impl Fn(&[Tensor]) -> candle_core::Result<Tensor>,
) {
    check_within(2e-5, inputs, fused, reference);
}

#[track_caller]
fn check_within(
    tolerance: f64,
    inputs: &[Tensor],
    fused: impl Fn(&[Tensor]) -> candle_core::Result<Tensor>,
    reference: impl Fn(&[Tensor]) -> candle_core::Result<Tensor>,
) {
    let compare = || -> Result<()> {
        let weights = normal(reference(inputs)?.shape(), 1.0)?;
        let found = gradients(inputs, &weights, &fused)?;
        let again = gradients(inputs, &weights, &fused)?;
        let golden = gradients(inputs, &weights, reference)?;
        for (at, ((found, again), golden)) in found.iter().zip(&again).zip(&golden).enumerate() {
            compare(
                found,
                golden,
                Tolerance::OfLargest {
                    factor: tolerance,
                    floor: 1e-3,
                },
            )
            .unwrap_or_else(|fault| panic!("argument {at}: {fault}"));
            assert_eq!(bits(found)?, bits(again)?, "argument {at}");
        }
        let directions = inputs
            .iter()
            .map(|input| normal(input.shape(), 1.0))
            .collect::<candle_core::Result<Vec<_>>>()?;
        // bf16 rounding moves in steps, which a longer step evens out.
        let (step, most) = if tolerance < 1e-3 {
            (0.004, 1e-2)
        } else {
            (0.05, 0.25)
        };
        let (grown, told) = (
            slope(inputs, &directions, &weights, step, &fused)?,
            dot(&found, &directions)?,
        );
        // Along a random direction the slope is about as large as the gradient is long.
        let off = (grown - told).abs() / dot(&found, &found)?.sqrt().max(1e-3);
        assert!(off < most, "{off} off finite differences");
        Ok(())
    };
    compare().unwrap();
}

fn bits(x: &Tensor) -> Result<Vec<u32>> {
    Ok(x.flatten_all()?
        .to_vec1::<f32>()?
        .into_iter()
        .map(f32::to_bits)
        .collect())
}

#[test]
fn of_products_and_gates() -> Result<()> {
    for (rows, inner, columns) in [
        (1, 1, 1),
        (3, 7, 5),
        (13, 64, 33),
        (300, 50, 130),
        (1100, 41, 215),
    ] {
        let x = random(rows, inner)?;
        let inputs = [x, random(columns, inner)?, random(columns, inner)?];
        check(
            &inputs[..2],
            |t| kernels::linear(&t[0], &Weight::from(&t[1])),
            |t| reference::linear(&t[0], &t[1]),
        );
        check(
            &inputs[..2],
            |t| kernels::decode_linear(&t[0], &Weight::from(&t[1])),
            |t| reference::linear(&t[0], &t[1]),
        );
        let golden = |t: &[Tensor]| reference::gated_gelu(&t[0], &t[1], &t[2]);
        check(
            &inputs,
            |t| kernels::gated_gelu(&t[0], &Weight::from(&t[1]), &Weight::from(&t[2])),
            golden,
        );
        let onto = [inputs[0].clone(), inputs[1].clone(), random(rows, columns)?];
        let golden_onto = |t: &[Tensor]| &t[2] + reference::linear(&t[0], &t[1])?;
        check(
            &onto,
            |t| kernels::linear_add(&t[0], &Weight::from(&t[1]), &t[2]),
            golden_onto,
        );
        check(
            &inputs,
            |t| kernels::decode_gated_gelu(&t[0], &Weight::from(&t[1]), &Weight::from(&t[2])),
            golden,
        );
    }
    Ok(())
}

/// Each operand is off by 2^-9 at most; of sums of many products little of that remains beside their largest.
#[test]
fn of_products_and_gates_in_bf16() -> Result<()> {
    for (rows, inner, columns) in [(3, 7, 5), (300, 50, 130), (1101, 41, 215)] {
        let inputs = [
            random(rows, inner)?,
            random(columns, inner)?,
            random(columns, inner)?,
        ];
        let rounded = |t: &Tensor| Weight::Rounded(t.clone());
        check_within(
            1e-2,
            &inputs[..2],
            |t| kernels::linear(&t[0], &rounded(&t[1])),
            |t| reference::linear(&t[0], &t[1]),
        );
        let golden = |t: &[Tensor]| reference::gated_gelu(&t[0], &t[1], &t[2]);
        check_within(
            1e-2,
            &inputs,
            |t| kernels::gated_gelu(&t[0], &rounded(&t[1]), &rounded(&t[2])),
            golden,
        );
        let onto = [inputs[0].clone(), inputs[1].clone(), random(rows, columns)?];
        let golden_onto = |t: &[Tensor]| &t[2] + reference::linear(&t[0], &t[1])?;
        check_within(
            1e-2,
            &onto,
            |t| kernels::linear_add(&t[0], &rounded(&t[1]), &t[2]),
            golden_onto,
        );
    }
    Ok(())
}

#[test]
fn of_attentions() -> Result<()> {
    for (queries, keys, heads, width) in [
        (1, 1, 1, 1),
        (5, 3, 2, 7),
        (33, 257, 3, 12),
        (70, 300, 2, 33),
    ] {
        let hidden = heads * width;
        let inputs = [
            random(queries, hidden)?,
            random(keys, hidden)?,
            random(keys, hidden)?,
        ];
        let golden = |t: &[Tensor]| reference::attention(&t[0], &t[1], &t[2], heads, None);
        check(
            &inputs,
            |t| kernels::attention(&t[0], &t[1], &t[2], heads, ComputeDtype::F32),
            golden,
        );
        check(
            &inputs,
            |t| kernels::decode_attention(&t[0], &t[1], &t[2], heads, None),
            golden,
        );
    }
    Ok(())
}

fn dropout() -> Dropout {
    Dropout::new(ChaCha8Rng::seed_from_u64(3), 0.3)
}

/// Rows of several examples, with dropout and without, causal with hidden keys and a table of biases, and not.
#[test]
fn of_attention_in_parts() -> Result<()> {
    let parts =
        [(5, 9), (1, 1), (40, 70), (3, 3)].map(|(queries, keys)| SequenceSpan { queries, keys });
    let (queries, keys) = (49, 83);
    let mut hidden = vec![false; keys];
    hidden[3] = true;
    hidden[50] = true;
    let inputs = [
        random(queries, 24)?,
        random(keys, 24)?,
        random(keys, 24)?,
        random(3, 17)?,
    ];
    for choice in [None, Some(dropout())] {
        let golden = |t: &[Tensor]| {
            reference::varlen_attention(
                [&t[0], &t[1], &t[2]],
                3,
                &parts,
                None,
                &[],
                choice.as_ref(),
            )
        };
        check(
            &inputs[..3],
            |t| {
                kernels::varlen_attention(
                    &t[0],
                    &t[1],
                    &t[2],
                    3,
                    &parts,
                    ComputeDtype::F32,
                    choice.clone(),
                )
            },
            golden,
        );
        for hidden in [Vec::new(), hidden.clone()] {
            let golden = |t: &[Tensor]| {
                let rows = [&t[0], &t[1], &t[2]];
                reference::varlen_attention(rows, 3, &parts, Some(&t[3]), &hidden, choice.as_ref())
            };
            let fused = |t: &[Tensor]| {
                let rows = [&t[0], &t[1], &t[2]];
                kernels::causal_attention(rows, 3, &t[3], &parts, hidden.clone(), choice.clone())
            };
            assert_close(
                &fused(&inputs)?,
                &golden(&inputs)?,
                Tolerance::Absolute(1e-5),
            );
            check(&inputs, fused, golden);
        }
    }
    let golden = |t: &[Tensor]| reference::attention(&t[0], &t[1], &t[2], 3, Some(&t[3]));
    check(
        &inputs,
        |t| kernels::decode_attention(&t[0], &t[1], &t[2], 3, Some(&t[3])),
        golden,
    );
    Ok(())
}

#[test]
fn of_attention_in_windows() -> Result<()> {
    for (grid, side, shift, heads, width) in [
        ((4, 4), 4, 0, 1, 5),
        ((8, 12), 4, 2, 3, 8),
        ((14, 7), 7, 3, 2, 32),
        ((3, 2), 1, 0, 1, 1),
    ] {
        let (tokens, hidden) = (grid.0 * grid.1, heads * width);
        let windows = Windows { grid, side, shift };
        let mut inputs = vec![
            random(tokens, hidden)?,
            random(tokens, hidden)?,
            random(tokens, hidden)?,
        ];
        inputs.push(random(heads * side * side, side * side)?);
        for choice in [None, Some(dropout())] {
            let fused = |t: &[Tensor]| {
                kernels::window_attention(
                    &t[0],
                    &t[1],
                    &t[2],
                    heads,
                    &t[3],
                    windows,
                    choice.clone(),
                )
            };
            let golden = |t: &[Tensor]| {
                reference::window_attention(
                    &t[0],
                    &t[1],
                    &t[2],
                    heads,
                    &t[3],
                    windows,
                    choice.as_ref(),
                )
            };
            assert_close(
                &fused(&inputs)?,
                &golden(&inputs)?,
                Tolerance::Absolute(1e-5),
            );
            check(&inputs, fused, golden);
        }
    }
    Ok(())
}

#[test]
fn of_biases_and_norms() -> Result<()> {
    for (rows, columns) in [(1, 5), (3, 7), (65, 33), (700, 80)] {
        let inputs = [random(rows, columns)?, vector(columns)?];
        check(
            &inputs,
            |t| kernels::biased(&t[0], &t[1]),
            |t| t[0].broadcast_add(&t[1]),
        );
        check(
            &inputs,
            |t| kernels::biased_gelu(&t[0], &t[1]),
            |t| t[0].broadcast_add(&t[1])?.gelu_erf(),
        );
        check(
            &inputs,
            |t| kernels::rms_norm(&t[0], &t[1], 1e-6),
            |t| reference::rms_norm(&t[0], &t[1], 1e-6),
        );
        let inputs = [inputs[0].clone(), inputs[1].clone(), vector(columns)?];
        let golden = |t: &[Tensor]| reference::layer_norm(&t[0], &t[1], &t[2], 1e-3);
        check(
            &inputs,
            |t| kernels::layer_norm(&t[0], &t[1], &t[2], 1e-3),
            golden,
        );
        let fast = candle_nn::ops::rms_norm(&inputs[0], &inputs[1], 1e-6)?;
        assert_eq!(
            bits(&kernels::rms_norm(&inputs[0], &inputs[1], 1e-6)?)?,
            bits(&fast)?
        );
        let fast = candle_nn::ops::layer_norm(&inputs[0], &inputs[1], &inputs[2], 1e-5)?;
        assert_eq!(
            bits(&kernels::layer_norm(
                &inputs[0], &inputs[1], &inputs[2], 1e-5
            )?)?,
            bits(&fast)?
        );
    }
    Ok(())
}

#[test]
fn of_the_cross_entropy() -> Result<()> {
    let logits = random(5, 11)?;
    let labels = [0, 10, 3, 3, 7];
    for smoothing in [0.0, 0.2] {
        let golden = |t: &[Tensor]| reference::cross_entropy(&t[0], &labels, smoothing);
        check(
            std::slice::from_ref(&logits),
            |t| kernels::cross_entropy(&t[0], &labels, smoothing),
            golden,
        );
        let (fused, golden) = (
            kernels::cross_entropy(&logits, &labels, smoothing)?,
            golden(std::slice::from_ref(&logits))?,
        );
        assert!((fused.to_scalar::<f32>()? - golden.to_scalar::<f32>()?).abs() < 1e-5);
    }
    assert!(kernels::cross_entropy(&logits, &[0, 1, 2, 3, 11], 0.0).is_err());
    Ok(())
}

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

    /// Loss to 1e-5 of its size, each gradient to 1e-4 of its largest value, and none missing on either side.
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
            // The biases of keys have none but rounding errors: they move all scores of a query alike.
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

/// Questions that share an image's tensor have it encoded once, with the loss and gradients of encoding it for each.
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

/// The loss does not depend on how examples are cut into batches, and a changed variable changes the next model.
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

/// Layers computed again give the gradients that layers kept give: with dropout, with all variables, with the encoder's lower
/// half frozen, with all of it frozen. Bit for bit where a weight takes part once; UniChart's takes part once an image, and
/// what is derived from it (the bias of pairs) is then summed in another order.
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

/// Seeds and states of the generator: the same loss bit for bit, another with another seed, none without.
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

#[test]
fn dropout_keeps_the_expected_value() -> Result<()> {
    let ones = Tensor::ones((500, 400), DType::F32, &Device::Cpu)?;
    let dropped = kernels::dropout(&ones, Dropout::new(ChaCha8Rng::seed_from_u64(1), 0.25))?;
    let mean = dropped.mean_all()?.to_scalar::<f32>()?;
    assert!((mean - 1.0).abs() < 0.01, "{mean}");
    let zeros = dropped
        .eq(0f32)?
        .to_dtype(DType::F32)?
        .mean_all()?
        .to_scalar::<f32>()?;
    assert!((zeros - 0.25).abs() < 0.01, "{zeros}");
    let columns = dropped.mean(0)?;
    assert!((columns.max(D::Minus1)? - columns.min(D::Minus1)?)?.to_scalar::<f32>()? < 0.3);
    let inputs = [random(77, 33)?];
    let choice = || Dropout::new(ChaCha8Rng::seed_from_u64(2), 0.4);
    let factors = kernels::dropout(&Tensor::ones((77, 33), DType::F32, &Device::Cpu)?, choice())?;
    check(
        &inputs,
        |t| kernels::dropout(&t[0], choice()),
        |t| &t[0] * &factors,
    );
    Ok(())
}

/// Fresh weights have every tensor a model asks for, deviations as the rule says, and the seed decides them.
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
    // A convolution's inputs are its channels and places; what is added to the residual begins at half.
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
