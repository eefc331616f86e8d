//! The fused operations' gradients against those candle finds through the reference ones, at sizes
//! that fill no block evenly; dropout.

use std::cell::RefCell;

use crate::assert_close::{Tolerance, assert_close, compare};
use anyhow::Result;
use candle_core::{D, DType, Device, Shape, Tensor, Var};
use chartbench_nn::kernels::{
    self, ComputeDtype, Dropout, SequenceSpan, Weight, Windows, reference,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Gradients whose values are all smaller are compared to it.
pub(crate) const FLOOR: f64 = 1.0;

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

/// How fast the weighted sum of `of(inputs)` grows along `directions`, by differences over a `step`
/// both ways.
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

/// Gradients of the fused operation are those of the reference one, agree with finite differences,
/// and are the same bits when computed again.
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
        let (measured, predicted) = (
            slope(inputs, &directions, &weights, step, &fused)?,
            dot(&found, &directions)?,
        );
        // Along a random direction the slope is about as large as the gradient is long.
        let off = (measured - predicted).abs() / dot(&found, &found)?.sqrt().max(1e-3);
        assert!(off < most, "{off} off finite differences");
        Ok(())
    };
    compare().unwrap();
}

pub(crate) fn bits(x: &Tensor) -> Result<Vec<u32>> {
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

/// Each operand is off by 2^-9 at most; of sums of many products little of that remains beside
/// their largest.
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

/// Rows of several examples, with dropout and without, causal with hidden keys and a table of
/// biases, and not.
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
