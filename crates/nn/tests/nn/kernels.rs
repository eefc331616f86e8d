//! The fused CPU kernels against the same operations composed of candle's, at sizes that fill no
//! block evenly.

use std::cell::RefCell;

use crate::assert_close::Tolerance;
use anyhow::Result;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use chartbench_nn::kernels::{self, ComputeDtype, CrossKv, PackedWeight, Weight, reference};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

thread_local! {
    /// Each test has a thread of its own, and so draws the same values each time.
    static DRAWS: RefCell<ChaCha8Rng> = RefCell::new(ChaCha8Rng::seed_from_u64(11));
}

fn random(rows: usize, columns: usize) -> Result<Tensor> {
    let draw = |draws: &mut ChaCha8Rng| -> Vec<f32> {
        (0..rows * columns)
            .map(|_| 0.7 * draws.sample::<f32, _>(StandardNormal))
            .collect()
    };
    Ok(Tensor::from_vec(
        DRAWS.with_borrow_mut(draw),
        (rows, columns),
        &Device::Cpu,
    )?)
}

#[track_caller]
fn assert_close(fused: &Tensor, reference: &Tensor) {
    assert_within(fused, reference, 1e-5);
}

#[track_caller]
fn assert_within(fused: &Tensor, reference: &Tensor, tolerance: f64) {
    crate::assert_close::assert_close(fused, reference, Tolerance::relative(tolerance));
}

fn bits(x: &Tensor) -> Result<Vec<u32>> {
    Ok(x.flatten_all()?
        .to_vec1::<f32>()?
        .into_iter()
        .map(f32::to_bits)
        .collect())
}

#[test]
fn products_and_gates() -> Result<()> {
    for (rows, inner, columns) in [
        (1, 1, 1),
        (3, 7, 5),
        (13, 64, 33),
        (97, 50, 130),
        (200, 129, 64),
        (101, 1300, 70),
    ] {
        let x = random(rows, inner)?;
        let (w0, w1) = (random(columns, inner)?, random(columns, inner)?);
        let linear = reference::linear(&x, &w0)?;
        assert_close(&kernels::linear(&x, &Weight::from(&w0))?, &linear);
        assert_close(&kernels::decode_linear(&x, &Weight::from(&w0))?, &linear);
        let gated = reference::gated_gelu(&x, &w0, &w1)?;
        assert_close(
            &kernels::gated_gelu(&x, &Weight::from(&w0), &Weight::from(&w1))?,
            &gated,
        );
        assert_close(
            &kernels::decode_gated_gelu(&x, &Weight::from(&w0), &Weight::from(&w1))?,
            &gated,
        );
    }
    Ok(())
}

#[test]
fn attentions() -> Result<()> {
    for (queries, keys, heads, width) in [
        (1, 1, 1, 1),
        (5, 3, 2, 7),
        (33, 257, 3, 12),
        (130, 600, 2, 64),
    ] {
        let hidden = heads * width;
        let (q, k, v) = (
            random(queries, hidden)?,
            random(keys, hidden)?,
            random(keys, hidden)?,
        );
        let golden = reference::attention(&q, &k, &v, heads, None)?;
        assert_close(
            &kernels::attention(&q, &k, &v, heads, ComputeDtype::F32)?,
            &golden,
        );
        assert_close(
            &kernels::decode_attention(&q, &k, &v, heads, None)?,
            &golden,
        );
        assert_close(
            &CrossKv::new(&k, &v, heads, ComputeDtype::F32)?.attention(&q)?,
            &golden,
        );
    }
    Ok(())
}

fn rounded(x: &Tensor) -> Result<Tensor> {
    Ok(x.to_dtype(DType::BF16)?.to_dtype(DType::F32)?)
}

fn packed(w: &Tensor) -> Result<Weight> {
    Ok(Weight::Packed(
        PackedWeight::new(w, ComputeDtype::Bf16)?.into(),
    ))
}

/// Products of bf16 are exact in f32: what they differ by from those of rounded operands is the
/// order of the sums.
#[test]
fn products_and_gates_in_bf16() -> Result<()> {
    for (rows, inner, columns) in [
        (1, 1, 1),
        (3, 7, 5),
        (13, 64, 33),
        (97, 50, 130),
        (200, 129, 64),
        (6, 2051, 150),
        (101, 1301, 70),
    ] {
        let (x, w0, w1) = (
            random(rows, inner)?,
            random(columns, inner)?,
            random(columns, inner)?,
        );
        let (p0, p1) = (packed(&w0)?, packed(&w1)?);
        assert_eq!(bits(&p0.full()?)?, bits(&rounded(&w0)?)?);
        let [golden_x, golden_0, golden_1] = [rounded(&x)?, rounded(&w0)?, rounded(&w1)?];
        let linear = reference::linear(&golden_x, &golden_0)?;
        assert_close(&kernels::linear(&x, &p0)?, &linear);
        assert_close(&kernels::decode_linear(&x, &p0)?, &linear);
        assert_eq!(
            bits(&kernels::linear(&x, &Weight::Rounded(w0))?)?,
            bits(&kernels::linear(&x, &p0)?)?
        );
        let gated = reference::gated_gelu(&golden_x, &golden_0, &golden_1)?;
        assert_close(&kernels::gated_gelu(&x, &p0, &p1)?, &gated);
        assert_close(&kernels::decode_gated_gelu(&x, &p0, &p1)?, &gated);
    }
    Ok(())
}

/// Against rounded operands; probabilities are rounded too.
#[test]
fn attentions_in_bf16() -> Result<()> {
    for (queries, keys, heads, width) in [
        (1, 1, 1, 1),
        (5, 3, 2, 7),
        (33, 257, 3, 12),
        (70, 513, 1, 9),
        (130, 600, 2, 64),
    ] {
        let hidden = heads * width;
        let [q, k, v] = [
            random(queries, hidden)?,
            random(keys, hidden)?,
            random(keys, hidden)?,
        ];
        let golden =
            reference::attention(&rounded(&q)?, &rounded(&k)?, &rounded(&v)?, heads, None)?;
        assert_within(
            &kernels::attention(&q, &k, &v, heads, ComputeDtype::Bf16)?,
            &golden,
            4e-3,
        );
        assert_within(
            &CrossKv::new(&k, &v, heads, ComputeDtype::Bf16)?.attention(&q)?,
            &golden,
            4e-3,
        );
    }
    Ok(())
}

#[test]
fn values_that_are_no_numbers_stay_so_in_bf16() -> Result<()> {
    let w = Tensor::new(
        &[[f32::NAN, 1.0], [f32::INFINITY, 1.0], [3.4e38, 0.0]],
        &Device::Cpu,
    )?;
    let full = packed(&w)?.full()?.flatten_all()?.to_vec1::<f32>()?;
    assert!(
        full[0].is_nan() && full[2] == f32::INFINITY && full[4] == f32::INFINITY,
        "{full:?}"
    );
    Ok(())
}

#[test]
fn attention_in_windows() -> Result<()> {
    for (grid, side, shift, heads, width) in [
        ((4, 4), 4, 0, 1, 5),
        ((8, 12), 4, 2, 3, 8),
        ((14, 7), 7, 3, 2, 32),
        ((10, 20), 10, 5, 2, 33),
        ((3, 2), 1, 0, 1, 1),
    ] {
        let (tokens, hidden) = (grid.0 * grid.1, heads * width);
        let (q, k, v) = (
            random(tokens, hidden)?,
            random(tokens, hidden)?,
            random(tokens, hidden)?,
        );
        let bias = random(heads * side * side, side * side)?;
        let windows = kernels::Windows { grid, side, shift };
        let golden = reference::window_attention(&q, &k, &v, heads, &bias, windows, None)?;
        assert_close(
            &kernels::window_attention(&q, &k, &v, heads, &bias, windows, None)?,
            &golden,
        );
    }
    Ok(())
}

#[test]
fn biases() -> Result<()> {
    for (rows, columns) in [(1, 1), (1, 9), (3, 7), (65, 33), (700, 800)] {
        let (mut x, mut b) = (random(rows, columns)?, random(1, columns)?.squeeze(0)?);
        if columns == 1 {
            // Below zero GELU may be next to nothing, and a single value has no larger one to be
            // measured by.
            (x, b) = (x.abs()?, b.abs()?);
        }
        let sum = x.broadcast_add(&b)?;
        assert_close(&kernels::biased(&x, &b)?, &sum);
        assert_close(&kernels::biased_gelu(&x, &b)?, &sum.gelu_erf()?);
    }
    Ok(())
}

/// Also as the last queries of a longer sequence, and with more distances than the table has.
#[test]
fn causal_attention_with_distance_bias() -> Result<()> {
    for (queries, keys) in [(1, 1), (6, 6), (2, 9), (1, 40), (20, 70)] {
        let (q, k, v) = (random(queries, 24)?, random(keys, 24)?, random(keys, 24)?);
        let bias = random(3, 17)?;
        let golden = reference::attention(&q, &k, &v, 3, Some(&bias))?;
        assert_close(
            &kernels::decode_attention(&q, &k, &v, 3, Some(&bias))?,
            &golden,
        );
    }
    Ok(())
}

/// A weight [columns, inner] in blocks of `kind`, or in full.
fn weight(columns: usize, inner: usize, kind: Option<GgmlDType>) -> Result<Weight> {
    let full = random(columns, inner)?;
    Ok(match kind {
        None => full.into(),
        Some(kind) => Weight::quantized(QTensor::quantize(&full, kind)?.into())?,
    })
}

/// Sizes that fill candle's tiles of 16 columns and 256 inner values, and sizes that do not.
const QUANTIZED: [(usize, usize, GgmlDType); 5] = [
    (37, 96, GgmlDType::Q8_0),
    (48, 512, GgmlDType::Q8_0),
    (1, 32, GgmlDType::Q8_0),
    (48, 256, GgmlDType::Q4K),
    (35, 512, GgmlDType::Q4K),
];

/// Bit for bit: a row's result does not depend on the rows it is computed with.
#[test]
fn rows_do_not_influence_each_other() -> Result<()> {
    let mut weights = vec![
        (weight(37, 70, None)?, 70),
        (packed(&random(150, 71)?)?, 71),
    ];
    for (columns, inner, kind) in QUANTIZED {
        weights.push((weight(columns, inner, Some(kind))?, inner));
    }
    for (w, inner) in weights {
        let (x, kind) = (random(110, inner)?, &w);
        let (linear, gated) = (kernels::linear(&x, &w)?, kernels::gated_gelu(&x, &w, &w)?);
        let (decode_linear, row_gated) = (
            kernels::decode_linear(&x, &w)?,
            kernels::decode_gated_gelu(&x, &w, &w)?,
        );
        for rows in [1, 2, 3, 4, 5, 8, 31, 32, 109] {
            let first = 110 - rows;
            let part = x.narrow(0, first, rows)?;
            let same = |part: Tensor, whole: &Tensor| -> Result<bool> {
                Ok(bits(&part)? == bits(&whole.narrow(0, first, rows)?)?)
            };
            assert!(
                same(kernels::linear(&part, &w)?, &linear)?,
                "linear {kind:?}, {rows} rows"
            );
            assert!(
                same(kernels::gated_gelu(&part, &w, &w)?, &gated)?,
                "gated gelu {kind:?}, {rows} rows"
            );
            assert!(
                same(kernels::decode_linear(&part, &w)?, &decode_linear)?,
                "row linear {kind:?}, {rows} rows"
            );
            assert!(
                same(kernels::decode_gated_gelu(&part, &w, &w)?, &row_gated)?,
                "row gated gelu {kind:?}, {rows} rows"
            );
        }
    }
    Ok(())
}

/// Against the same values in full. Rows are rounded to 127 steps of the largest of 32 or 256
/// values, some 3 deviations: each value is off by up to half a step, 3 / 127 / sqrt(12) = 0.7 % of
/// a deviation in the mean, and so are sums of products.
#[test]
fn quantized_products_are_close_to_those_of_the_dequantized_weights() -> Result<()> {
    let root = |x: &Tensor| -> Result<f32> { Ok(x.sqr()?.mean_all()?.to_scalar::<f32>()?.sqrt()) };
    for (columns, inner, kind) in QUANTIZED {
        let x = random(70, inner)?;
        let (w0, w1) = (
            weight(columns, inner, Some(kind))?,
            weight(columns, inner, Some(kind))?,
        );
        let linear = reference::linear(&x, &w0.full()?)?;
        let gated = reference::gated_gelu(&x, &w0.full()?, &w1.full()?)?;
        // Both factors of a gated value are off, and the slope of GELU is up to 1.13.
        for (quantized, full, most) in [
            (kernels::linear(&x, &w0)?, &linear, 0.01),
            (kernels::decode_linear(&x, &w0)?, &linear, 0.01),
            (kernels::gated_gelu(&x, &w0, &w1)?, &gated, 0.02),
            (kernels::decode_gated_gelu(&x, &w0, &w1)?, &gated, 0.02),
        ] {
            assert_eq!(quantized.dims(), full.dims());
            let apart = root(&(&quantized - full)?)? / root(full)?;
            assert!(apart < most, "{kind:?} {columns}x{inner}: {apart}");
        }
    }
    Ok(())
}

/// Close answers are told apart by what rounding leaves: over 4,096 products one long chain would
/// be 1.6e-6 off in the mean.
#[test]
fn long_sums_of_few_rows_round_little() -> Result<()> {
    for rows in [1, 4, 5] {
        let (x, w) = (random(rows, 4096)?, random(150, 4096)?);
        let exact = reference::linear(&x.to_dtype(DType::F64)?, &w.to_dtype(DType::F64)?)?;
        let found = kernels::decode_linear(
            &x,
            &Weight::Packed(PackedWeight::new(&w, ComputeDtype::F32)?.into()),
        )?;
        let root =
            |x: &Tensor| -> Result<f64> { Ok(x.sqr()?.mean_all()?.to_scalar::<f64>()?.sqrt()) };
        let apart = root(&(found.to_dtype(DType::F64)? - &exact)?)? / root(&exact)?;
        assert!(apart < 6e-7, "{rows} rows: {apart}");
    }
    Ok(())
}

/// Several weights in one pass are the same bit for bit, and a product added to something is their
/// sum.
#[test]
fn products_in_one_pass_and_onto_something() -> Result<()> {
    for rows in [1, 3, 63, 64, 200] {
        let (x, onto) = (random(rows, 96)?, random(rows, 70)?);
        let of = |kind: usize| -> Result<Weight> {
            let full = random(70, 96)?;
            Ok(match kind {
                0 => full.into(),
                1 => Weight::Packed(PackedWeight::new(&full, ComputeDtype::F32)?.into()),
                2 => packed(&full)?,
                _ => Weight::quantized(QTensor::quantize(&full, GgmlDType::Q8_0)?.into())?,
            })
        };
        for kind in 0..4 {
            let weights = [of(kind)?, of(kind)?, of(kind)?];
            let products = kernels::linears(&x, [&weights[0], &weights[1], &weights[2]])?;
            for (product, weight) in products.iter().zip(&weights) {
                assert_eq!(bits(product)?, bits(&kernels::linear(&x, weight)?)?);
            }
            assert_close(
                &kernels::linear_add(&x, &weights[0], &onto)?,
                &(&onto + &products[0])?,
            );
        }
        let [one, other] = [of(2)?, of(0)?];
        assert_eq!(
            bits(&kernels::linears(&x, [&one, &other])?[1])?,
            bits(&kernels::linear(&x, &other)?)?
        );
    }
    Ok(())
}

/// Rounded to 127 steps of the largest of 32 values.
fn in_steps(x: &Tensor) -> Result<Tensor> {
    let mut values = x.flatten_all()?.to_vec1::<f32>()?;
    for block in values.chunks_exact_mut(32) {
        let scale = block
            .iter()
            .fold(0f32, |largest, value| largest.max(value.abs()))
            / 127.0;
        block
            .iter_mut()
            .for_each(|value| *value = (*value * (1.0 / scale)).round_ties_even() * scale);
    }
    Ok(Tensor::from_vec(values, x.shape(), &Device::Cpu)?)
}

/// Sums of whole numbers are exact: what is left is the order of the blocks. Where this processor
/// has no such kernel, it is candle that multiplies, which rounds scales and ties in another way.
#[test]
fn products_of_blocks_are_those_of_the_rounded_values() -> Result<()> {
    for (rows, columns, inner) in [(1, 1, 32), (7, 33, 96), (70, 48, 512), (9, 150, 2048)] {
        let (x, full) = (random(rows, inner)?, random(columns, inner)?);
        let quantized = std::sync::Arc::new(QTensor::quantize(&full, GgmlDType::Q8_0)?);
        let (plain, packed) = (
            Weight::Quantized(quantized.clone()),
            Weight::quantized(quantized)?,
        );
        assert_eq!(bits(&plain.full()?)?, bits(&packed.full()?)?);
        let golden = reference::linear(&in_steps(&x)?, &packed.full()?)?;
        let tolerance = if matches!(packed, Weight::Q8(_)) {
            1e-5
        } else {
            0.03
        };
        assert_within(&kernels::linear(&x, &packed)?, &golden, tolerance);
    }
    let x = Tensor::new(&[[f32::NAN; 32], [f32::INFINITY; 32]], &Device::Cpu)?;
    let w = Weight::quantized(QTensor::quantize(&random(3, 32)?, GgmlDType::Q8_0)?.into())?;
    let out = kernels::linear(&x, &w)?.flatten_all()?.to_vec1::<f32>()?;
    assert!(out.iter().all(|value| !value.is_finite()), "{out:?}");
    Ok(())
}

#[test]
fn shapes_that_do_not_fit_are_errors() -> Result<()> {
    let (x, wide) = (random(3, 8)?, random(4, 9)?);
    let w = Weight::from(&wide);
    assert!(kernels::linear(&x, &w).is_err());
    assert!(kernels::decode_linear(&x, &w).is_err());
    assert!(kernels::gated_gelu(&x, &w, &w).is_err());
    assert!(kernels::decode_gated_gelu(&x, &w, &w).is_err());
    let quantized = weight(4, 64, Some(GgmlDType::Q8_0))?;
    assert!(kernels::linear(&x, &quantized).is_err());
    assert!(kernels::decode_gated_gelu(&x, &quantized, &w).is_err());
    assert!(kernels::attention(&x, &wide, &wide, 2, ComputeDtype::F32).is_err());
    assert!(kernels::attention(&x, &x, &x, 3, ComputeDtype::F32).is_err());
    assert!(kernels::decode_attention(&x, &x, &x, 0, None).is_err());
    assert!(kernels::decode_attention(&x, &x, &x, 2, Some(&wide)).is_err());
    Ok(())
}
