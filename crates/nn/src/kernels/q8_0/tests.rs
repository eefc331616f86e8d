//! The kernel of the instruction set in use against a reference of plain numbers, bit for bit.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Result, Tensor};
use chartbench_core::isa;
use pulp::Arch;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{BLOCK, Kernel, STORED};
use crate::kernels::weight::Gate;
use crate::kernels::{Weight, decode_gated_gelu, decode_linear, gated_gelu, linear, linear_add};

/// A weight [columns, inner] in Q8_0.
struct Q8 {
    stored: Vec<u8>,
    columns: usize,
    inner: usize,
}

impl Q8 {
    /// Blocks of any values; blocks of -128, -127 or 127 alone; scales that are 0 or negative.
    fn random(columns: usize, inner: usize, rng: &mut ChaCha8Rng) -> Self {
        let mut stored = Vec::new();
        for _ in 0..columns * inner / BLOCK {
            let scale: f32 = match rng.random_range(0..8) {
                0 => 0.0,
                _ => rng.random_range(-0.1..0.1),
            };
            let same: i8 = [-128, -127, 127][rng.random_range(0..3)];
            let alone = rng.random_range(0..3) == 0;
            stored.extend(half::f16::from_f32(scale).to_le_bytes());
            stored.extend((0..BLOCK).map(|_| match alone {
                true => same.cast_unsigned(),
                false => rng.random(),
            }));
        }
        Self {
            stored,
            columns,
            inner,
        }
    }

    fn tensor(&self) -> Result<Arc<QTensor>> {
        let storage = QStorage::from_data((&self.stored).into(), &Device::Cpu, GgmlDType::Q8_0)?;
        Ok(QTensor::new(storage, (self.columns, self.inner))?.into())
    }

    /// The product with each row of `x`.
    fn product(&self, x: &[f32]) -> Vec<f32> {
        let mut out = Vec::new();
        for row in x.chunks_exact(self.inner) {
            let row: Vec<_> = row.chunks_exact(BLOCK).map(rounded).collect();
            for column in self.stored.chunks_exact(self.inner / BLOCK * STORED) {
                let mut sum = 0f32;
                for ((values, scale), block) in row.iter().zip(column.chunks_exact(STORED)) {
                    let of_column = half::f16::from_le_bytes([block[0], block[1]]).to_f32();
                    let products = values
                        .iter()
                        .zip(&block[2..])
                        .map(|(value, weight)| value * i32::from(weight.cast_signed()));
                    sum = (products.sum::<i32>() as f32).mul_add(of_column * scale, sum);
                }
                out.push(sum);
            }
        }
        out
    }
}

/// A block of a row in whole numbers of its scale, and the scale.
fn rounded(values: &[f32]) -> (Vec<i32>, f32) {
    let largest = values
        .iter()
        .fold(0f32, |most, value| most.max(value.abs()));
    let scale = largest / 127.0;
    let steps = if largest > 0.0 { 1.0 / scale } else { 0.0 };
    let whole = |value: &f32| (value * steps).round_ties_even() as i32;
    (values.iter().map(whole).collect(), scale)
}

/// Blocks of any size, of zeros, and of the largest value with both signs.
fn random_rows(rows: usize, inner: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let mut x = Vec::new();
    for _ in 0..rows * inner / BLOCK {
        let (kind, size) = (rng.random_range(0..6), rng.random_range(0.01f32..30.0));
        x.extend((0..BLOCK).map(|_| match kind {
            0 => 0.0,
            1 => size,
            2 => size * [-1.0, 1.0][rng.random_range(0..2)],
            _ => rng.random_range(-size..size),
        }));
    }
    x
}

/// Whether this instruction set has a kernel of its own.
fn has_kernel() -> bool {
    let own = !matches!(isa::arch(), Arch::Scalar) && cfg!(target_arch = "x86_64");
    assert_eq!(Kernel::current().is_some(), own);
    own
}

fn bits(tensor: &Tensor) -> Result<Vec<u32>> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.into_iter().map(f32::to_bits).collect())
}

#[track_caller]
fn assert_same(found: &Tensor, expected: &[f32], what: &str) -> Result<()> {
    let expected: Vec<u32> = expected.iter().copied().map(f32::to_bits).collect();
    let found = bits(found)?;
    let apart = found.iter().zip(&expected).position(|(a, b)| a != b);
    assert_eq!((found.len(), apart), (expected.len(), None), "{what}");
    Ok(())
}

/// Every product with one weight or two.
fn check(rows: usize, columns: usize, inner: usize) -> Result<()> {
    let rng = &mut ChaCha8Rng::seed_from_u64(7);
    let (gate, other) = (
        Q8::random(columns, inner, rng),
        Q8::random(columns, inner, rng),
    );
    let (w0, w1) = (
        Weight::quantized(gate.tensor()?)?,
        Weight::quantized(other.tensor()?)?,
    );
    assert!(matches!((&w0, &w1), (Weight::Q8(_), Weight::Q8(_))));
    let values = random_rows(rows, inner, rng);
    let x = Tensor::from_slice(&values, (rows, inner), &Device::Cpu)?;
    let what = format!("{rows} rows, {columns} columns, {inner} values");

    let product = gate.product(&values);
    assert_same(&linear(&x, &w0)?, &product, &what)?;
    assert_same(&decode_linear(&x, &w0)?, &product, &what)?;

    let onto = random_rows(rows, columns.next_multiple_of(BLOCK), rng)[..rows * columns].to_vec();
    let sum: Vec<f32> = onto.iter().zip(&product).map(|(a, b)| a + b).collect();
    let onto = Tensor::from_vec(onto, (rows, columns), &Device::Cpu)?;
    assert_same(&linear_add(&x, &w0, &onto)?, &sum, &what)?;

    let mut gated = product;
    Arch::Scalar.dispatch(Gate {
        gate: &mut gated,
        linear: &other.product(&values),
    });
    assert_same(&gated_gelu(&x, &w0, &w1)?, &gated, &what)?;
    assert_same(&decode_gated_gelu(&x, &w0, &w1)?, &gated, &what)
}

#[test]
fn every_size_is_the_plain_product_bit_for_bit() -> Result<()> {
    if !has_kernel() {
        return Ok(());
    }
    for rows in 1..=20 {
        check(rows, 33, 96)?;
    }
    for columns in [1, 15, 16, 17, 47, 64, 130] {
        check(7, columns, 64)?;
    }
    // Few rows, many, and more than a task takes.
    for rows in [63, 64, 65, 97, 200] {
        check(rows, 35, 32)?;
    }
    check(5, 20, 2048)?;
    check(70, 150, 800)
}

#[test]
fn threads_do_not_change_a_bit() -> Result<()> {
    if !has_kernel() {
        return Ok(());
    }
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(candle_core::Error::wrap)?;
        // The first is large enough for tasks of a few columns each, the others for tasks of rows.
        for (rows, columns, inner) in [(13, 200, 512), (64, 40, 64), (203, 33, 96)] {
            pool.install(|| check(rows, columns, inner))?;
        }
    }
    Ok(())
}

/// 32 products of the largest bytes; the sums of two would not fit 16 bits.
#[test]
fn the_largest_products_are_exact() -> Result<()> {
    if !has_kernel() {
        return Ok(());
    }
    for weight in [-128i8, -127, 127] {
        for sign in [1.0, -1.0] {
            let mut stored = half::f16::ONE.to_le_bytes().to_vec();
            stored.resize(STORED, weight.cast_unsigned());
            let q8 = Q8 {
                stored,
                columns: 1,
                inner: BLOCK,
            };
            let x = Tensor::full(127f32 * sign, (1, BLOCK), &Device::Cpu)?;
            let found = linear(&x, &Weight::quantized(q8.tensor()?)?)?;
            assert_same(
                &found,
                &[32.0 * 127.0 * sign * f32::from(weight)],
                "largest",
            )?;
        }
    }
    Ok(())
}

#[test]
fn packing_keeps_every_value() -> Result<()> {
    if !has_kernel() {
        return Ok(());
    }
    let q8 = Q8::random(37, 160, &mut ChaCha8Rng::seed_from_u64(3));
    let full = Weight::quantized(q8.tensor()?)?.full()?;
    assert_eq!(bits(&full)?, bits(&q8.tensor()?.dequantize(&Device::Cpu)?)?);
    Ok(())
}

/// A row that holds NaN or infinity gives NaN, and its neighbours do not.
#[test]
fn values_that_are_not_finite_stay_in_their_row() -> Result<()> {
    if !has_kernel() {
        return Ok(());
    }
    let q8 = Q8::random(19, 64, &mut ChaCha8Rng::seed_from_u64(5));
    let weight = Weight::quantized(q8.tensor()?)?;
    let mut x = random_rows(9, 64, &mut ChaCha8Rng::seed_from_u64(6));
    x[64 + 40] = f32::NAN;
    x[4 * 64 + 3] = f32::NEG_INFINITY;
    let out = linear(&Tensor::from_slice(&x, (9, 64), &Device::Cpu)?, &weight)?;
    for (row, values) in out.to_vec2::<f32>()?.iter().enumerate() {
        let lost = row == 1 || row == 4;
        assert!(
            values.iter().all(|value| value.is_nan() == lost),
            "row {row}"
        );
    }
    Ok(())
}
